//! Reading user records, whether or not the producer has aggregated them.

use async_trait::async_trait;
use stream_types::{HashRange, Position, RecordPosition, ShardId};
use tracing::warn;

use crate::aggregate::{belongs_to, user_records};
use crate::{Batch, Reading, Record, ShardReader, SourceError};

/// What happens to records that hold many user records, as the Kinesis Producer Library (KPL) puts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Aggregates {
    /// They come apart. User records whose key belongs to another shard are left out, and a warning counts them: after a
    /// reshard, an aggregate may land in a shard that is right for some of its user records only, and the KPL puts
    /// the others once more.
    #[default]
    Split,
    /// They come apart, and all user records are delivered. For producers other than the KPL that aggregate without regard
    /// to shards: they put no record once more.
    SplitAll,
    /// They are records like any other.
    Whole,
}

impl Aggregates {
    /// What brings the records of a shard as they are to be, given what was opened at that position of it.
    ///
    /// What looks like an aggregate and is broken is brought as it is. A position within an aggregate goes on behind that
    /// very user record.
    #[must_use]
    pub fn reader(
        self,
        reader: Box<dyn ShardReader>,
        shard: &ShardId,
        hash_range: Option<HashRange>,
        from: &Position,
    ) -> Box<dyn ShardReader> {
        let range = match self {
            Self::Whole => return reader,
            Self::Split => hash_range,
            Self::SplitAll => None,
        };
        let done = match from {
            Position::After(record) => Some(record.clone()),
            Position::Start(_) | Position::End => None,
        };
        Box::new(UserRecords { reader, shard: shard.clone(), range, done })
    }
}

/// Brings the user records of another reader's aggregates.
#[derive(Debug)]
struct UserRecords {
    reader: Box<dyn ShardReader>,
    shard: ShardId,
    /// Where user records have to belong; absent = all are welcome.
    range: Option<HashRange>,
    /// All user records up to here are done already.
    done: Option<RecordPosition>,
}

impl UserRecords {
    fn split(&self, batch: Batch) -> Batch {
        let mut records = Vec::with_capacity(batch.records.len());
        let (mut strangers, mut user_count) = (0_usize, 0);
        for record in batch.records {
            let Some(users) = user_records(&record) else {
                records.push(record);
                continue;
            };
            user_count += users.len();
            for user in users.into_iter().filter(|user| !self.is_done(user)) {
                if self.range.is_none_or(|range| belongs_to(range, &user)) {
                    records.push(user);
                } else {
                    strangers += 1;
                }
            }
        }
        // Each may have been a few bytes of the aggregate, and takes more room now.
        if let Some(reservation) = &batch.reservation {
            reservation.grows_by((user_count * size_of::<Record>()) as u64);
        }
        if strangers > 0 {
            let shard = &self.shard;
            warn!(%shard, strangers, "user records of aggregates whose keys belong to other shards are left out");
        }
        Batch { records, ..batch }
    }

    fn is_done(&self, user: &Record) -> bool {
        self.done.as_ref().is_some_and(|done| user.position() <= *done)
    }
}

#[async_trait]
impl ShardReader for UserRecords {
    async fn next(&mut self) -> Result<Reading, SourceError> {
        match self.reader.next().await? {
            Reading::Batch(batch) => Ok(Reading::Batch(self.split(batch))),
            other @ (Reading::Gap(_) | Reading::End { .. }) => Ok(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ByteBudget;

    /// Brings one batch.
    #[derive(Debug)]
    struct Once(Option<Batch>);

    #[async_trait]
    impl ShardReader for Once {
        async fn next(&mut self) -> Result<Reading, SourceError> {
            Ok(self.0.take().map_or(Reading::End { children: Vec::new() }, Reading::Batch))
        }
    }

    #[tokio::test]
    async fn user_records_count_against_the_budget_with_the_room_that_they_take() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
        let path = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let path =
            path.filter(|path| path.extension().is_some_and(|extension| extension == "aggregate")).min().unwrap();
        let data: bytes::Bytes = std::fs::read(path).unwrap().into();
        let size = data.len() as u64;
        let budget = ByteBudget::new(1_000_000);
        let reservation = budget.reserve(size).await;
        let record = Record {
            sequence_number: "7".parse().unwrap(),
            sub_sequence_number: None,
            partition_key: "key".into(),
            explicit_hash_key: None,
            arrival: None,
            data,
        };
        let batch = Batch { records: vec![record], behind_latest: None, reservation: Some(reservation) };
        let shard = ShardId::new("shardId-000000000000").unwrap();
        let mut reader = Aggregates::Split.reader(Box::new(Once(Some(batch))), &shard, None, &Position::HORIZON);
        let Reading::Batch(batch) = reader.next().await.unwrap() else { panic!("a batch comes first") };
        assert!(batch.records.len() > 1);
        assert_eq!(budget.used_bytes(), size + (batch.records.len() * size_of::<Record>()) as u64);
        drop(batch);
        assert_eq!(budget.used_bytes(), 0);
    }
}
