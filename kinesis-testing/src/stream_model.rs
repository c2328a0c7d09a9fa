//! One stream of the model.

use std::time::Duration;

use stream_types::{HashRange, ShardId, Timestamp};

use crate::limits::Limits;
use crate::shard_model::{ShardModel, horizon};
use crate::{PutEntry, PutResult, ServiceError, ServiceErrorKind};

/// A stream: its shards, open and closed, by their index.
#[derive(Debug)]
pub(crate) struct StreamModel {
    pub(crate) name: String,
    pub(crate) created: Timestamp,
    pub(crate) retention: Duration,
    pub(crate) limits: Limits,
    pub(crate) shards: Vec<ShardModel>,
}

/// What `DescribeStreamSummary` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSummary {
    /// The stream's name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// When it was created.
    pub created: Timestamp,
    /// How long records are kept.
    pub retention: Duration,
    /// How many shards take records.
    pub open_shards: usize,
}

/// What a stream created without further wishes keeps its records for.
const DEFAULT_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

impl StreamModel {
    pub(crate) fn new(name: &str, shard_count: usize, limits: Limits, now: Timestamp) -> Self {
        let ranges = uniform_ranges(shard_count);
        let shards = ranges
            .into_iter()
            .enumerate()
            .map(|(index, range)| ShardModel::new(index, Vec::new(), range, &limits, now))
            .collect();
        Self { name: name.into(), created: now, retention: DEFAULT_RETENTION, limits, shards }
    }

    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:kinesis:us-east-1:000000000000:stream/{}", self.name)
    }

    pub(crate) fn summary(&self) -> StreamSummary {
        StreamSummary {
            name: self.name.clone(),
            arn: self.arn(),
            created: self.created,
            retention: self.retention,
            open_shards: self.open_shards().count(),
        }
    }

    pub(crate) fn open_shards(&self) -> impl Iterator<Item = &ShardModel> {
        self.shards.iter().filter(|shard| shard.is_open())
    }

    /// The shards that the stream still lists, in the order of their ids.
    pub(crate) fn listed_shards(&self, now: Timestamp) -> impl Iterator<Item = &ShardModel> {
        let horizon = horizon(now, self.retention);
        self.shards.iter().filter(move |shard| !shard.is_forgotten(horizon))
    }

    /// The index of the shard of that id, if the stream still lists it.
    pub(crate) fn index_of(&self, id: &ShardId, now: Timestamp) -> Result<usize, ServiceError> {
        let mut listed = self.listed_shards(now);
        let found = listed.find(|shard| shard.id() == *id).map(|shard| shard.index);
        found.ok_or_else(|| {
            let message = format!("Could not find shard {id} in stream {} under account 000000000000.", self.name);
            ServiceError::new(ServiceErrorKind::ResourceNotFound, message)
        })
    }

    /// Puts one record into the open shard that serves its hash key.
    pub(crate) fn put(&mut self, entry: PutEntry, now: Timestamp) -> Result<PutResult, ServiceError> {
        let hash_key = entry.hash_key();
        let stream = &self.name;
        let shard = self.shards.iter_mut().find(|shard| shard.is_open() && shard.range.contains(hash_key));
        let shard = shard.expect("the open shards cover the whole hash space");
        if !shard.meters.admit_write(entry.size_bytes(), now) {
            let message =
                format!("Rate exceeded for shard {} in stream {stream} under account 000000000000.", shard.id());
            return Err(ServiceError::new(ServiceErrorKind::ProvisionedThroughputExceeded, message));
        }
        let sequence_number = shard.append(entry, now);
        Ok(PutResult { shard: shard.id(), sequence_number })
    }

    /// Forgets what is older than the retention.
    pub(crate) fn trim(&mut self, now: Timestamp) {
        let horizon = horizon(now, self.retention);
        self.shards.iter_mut().for_each(|shard| shard.trim(horizon));
    }
}

/// The whole hash space of 2^128 keys in so many parts of equal width; the last one takes what does not divide.
pub(crate) fn uniform_ranges(count: usize) -> Vec<HashRange> {
    let count = count as u128;
    if count == 1 {
        return vec![HashRange::FULL];
    }
    // 2^128 itself is one more than the type holds.
    let width = u128::MAX / count + u128::from(u128::MAX % count == count - 1);
    let range = |part: u128| {
        let end = if part + 1 == count { u128::MAX } else { (part + 1) * width - 1 };
        HashRange::new(part * width, end).expect("parts ascend")
    };
    (0..count).map(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_shards_meet_in_the_middle_like_those_of_the_service() {
        let ranges: Vec<String> = uniform_ranges(2).iter().map(ToString::to_string).collect();
        assert_eq!(
            ranges,
            [
                "0-170141183460469231731687303715884105727",
                "170141183460469231731687303715884105728-340282366920938463463374607431768211455",
            ]
        );
    }
}
