//! Reads a shard by asking again and again.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::{Builder, Config};
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::types::{Record as SdkRecord, ShardIteratorType};
use aws_smithy_types::DateTime;
use bytes::Bytes;
use stream_types::{InvalidSequenceNumber, Position, Shard, ShardId, StartPosition};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use crate::backoff::Backoff;
use crate::kinesis_source::{child_from_sdk, timestamp};
use crate::pace::Pace;
use crate::sdk_error::source_error;
use crate::{
    Batch, ByteBudget, Expectation, KinesisSource, Reading, Record, Reservation, Resumption, ShardReader, Source,
    SourceError, SourceErrorKind,
};

/// The polling reader of one shard.
///
/// All of its state is changed only after an answer has arrived, so that a call of `next` that is dropped half way
/// loses nothing: the next one asks for the same records again.
#[derive(Debug)]
pub(crate) struct PollingReader {
    source: KinesisSource,
    shard: ShardId,
    /// Behind the last record that was brought.
    position: Position,
    iterator: Iterator,
    resumption: Resumption,
    budget: ByteBudget,
    expectation: Expectation,
    /// What was read, and comes after a gap was told of.
    held_back: Option<Batch>,
    pace: Pace,
    backoff: Backoff,
    not_before: Instant,
}

/// Where the next read starts.
#[derive(Debug)]
enum Iterator {
    /// At the reader's position; the service has yet to name an iterator for it.
    Unknown,
    /// The service's name for the place.
    At(String),
    /// Behind the last record of the closed shard; the children as the service named them, if it did.
    Closed(Vec<Shard>),
}

impl PollingReader {
    /// How often the stream is asked for the children of an ended shard before they are left to the next listing.
    const ASKS_FOR_CHILDREN: u32 = 5;

    pub(crate) fn new(source: KinesisSource, shard: ShardId, position: Position, budget: ByteBudget) -> Self {
        let iterator = if position == Position::End { Iterator::Closed(Vec::new()) } else { Iterator::Unknown };
        let pace = Pace { tip_pause: source.settings().tip_pause };
        Self {
            source,
            shard,
            resumption: Resumption::at(&position),
            budget,
            expectation: Expectation::of_anything(),
            held_back: None,
            position,
            iterator,
            pace,
            backoff: Backoff::new(),
            not_before: Instant::now(),
        }
    }

    fn about(&self) -> String {
        format!("stream {}, shard {}", self.source.stream(), self.shard)
    }

    /// One step: an iterator, a batch, or the end. Nothing means that there is another step to take.
    async fn step(&mut self) -> Result<Option<Reading>, SourceError> {
        match &self.iterator {
            Iterator::Unknown => {
                self.iterator = Iterator::At(self.get_iterator().await?);
                self.resumption = Resumption::at(&self.position);
                Ok(None)
            }
            Iterator::At(iterator) => {
                let reservation = self.budget.reserve(self.expectation.bytes()).await;
                let sent = Instant::now();
                let answer = self.get_records(iterator.clone()).await?;
                self.take_in(answer, sent, reservation).map(Some)
            }
            Iterator::Closed(children) if !children.is_empty() => Ok(Some(Reading::End { children: children.clone() })),
            Iterator::Closed(_) => self.ask_for_children().await.map(Some),
        }
    }

    async fn get_iterator(&self) -> Result<String, SourceError> {
        let operation = "GetShardIterator";
        let (kind, sequence_number, timestamp) = iterator_for(&self.position);
        let stream = self.source.stream();
        let request = self
            .source
            .client()
            .get_shard_iterator()
            .set_stream_name(stream.name_argument())
            .set_stream_arn(stream.arn_argument())
            .shard_id(self.shard.as_str())
            .shard_iterator_type(kind)
            .set_starting_sequence_number(sequence_number)
            .set_timestamp(timestamp)
            .customize()
            .config_override(one_try());
        let send = async { request.send().await.map_err(|error| source_error(operation, &self.about(), error)) };
        let answer = self.source.within_timeout(operation, &self.about(), send).await;
        let answer = answer.map_err(|error| error.at_start(&self.position))?;
        answer.shard_iterator.ok_or_else(|| {
            SourceError::new(SourceErrorKind::Unavailable, operation, format!("{}: no iterator came", self.about()))
        })
    }

    async fn get_records(&self, iterator: String) -> Result<GetRecordsOutput, SourceError> {
        let request = self
            .source
            .client()
            .get_records()
            .shard_iterator(iterator)
            .limit(self.source.settings().read_limit)
            .set_stream_arn(self.source.stream().arn_argument())
            .customize()
            .config_override(one_try());
        let send = async { request.send().await.map_err(|error| source_error("GetRecords", &self.about(), error)) };
        self.source.within_timeout("GetRecords", &self.about(), send).await
    }

    /// Takes note of an answer to a read sent at that moment.
    fn take_in(
        &mut self,
        answer: GetRecordsOutput,
        sent: Instant,
        reservation: Reservation,
    ) -> Result<Reading, SourceError> {
        let behind_latest =
            answer.millis_behind_latest.and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis);
        let records = answer.records.into_iter().map(|record| from_sdk(record, || self.about()));
        let mut records = records.collect::<Result<Vec<_>, _>>()?;
        let children = answer.child_shards.unwrap_or_default().into_iter();
        let children = children.map(|child| child_from_sdk(child, || self.about())).collect::<Result<_, _>>()?;

        let bytes = records.iter().map(|record| record.data.len() + record.partition_key.len()).sum();
        reservation.is(bytes as u64);
        self.expectation = Expectation::after(bytes as u64);
        let at_tip = behind_latest.is_none_or(|behind| behind.is_zero());
        self.not_before = sent + self.pace.pause(bytes, at_tip);
        self.iterator = answer.next_shard_iterator.map_or(Iterator::Closed(children), Iterator::At);
        let gap = self.resumption.check(&mut records);
        if at_tip && let Some(behind) = self.resumption.reached_tip() {
            let shard = &self.shard;
            warn!(%shard, %behind, "the stream no longer has the last record that was read, nor any younger one that would tell \
                whether others were forgotten with it");
        }
        let batch = Batch { records, behind_latest, reservation: Some(reservation) };
        if let Some(position) = batch.end_position() {
            self.position = position;
        }
        Ok(match gap {
            Some(gap) => {
                self.held_back = Some(batch);
                Reading::Gap(gap)
            }
            None => Reading::Batch(batch),
        })
    }

    /// The shard's last answer named no children: the list of shards does, at the latest after a moment.
    async fn ask_for_children(&mut self) -> Result<Reading, SourceError> {
        let shards = self.source.list_shards().await?;
        let children: Vec<Shard> = shards.into_iter().filter(|shard| shard.parents.contains(&self.shard)).collect();
        if children.is_empty() && self.backoff.failures() < Self::ASKS_FOR_CHILDREN {
            let message = format!("{}: the shard is closed, but nobody names its children", self.about());
            return Err(SourceError::new(SourceErrorKind::Unavailable, "ListShards", message));
        }
        Ok(Reading::End { children })
    }

    /// Waits after an error that may pass; gives back any other.
    fn outlast(&mut self, error: SourceError) -> Result<(), SourceError> {
        if error.kind() == SourceErrorKind::Expired {
            debug!(shard = %self.shard, "the iterator expired: a new one is made behind the last record");
            self.iterator = Iterator::Unknown;
            self.not_before = Instant::now() + self.pace.pause(0, false);
            return Ok(());
        }
        if !error.is_retryable() {
            return Err(error);
        }
        let wait = self.backoff.next(fastrand::f64());
        warn!(shard = %self.shard, failures = self.backoff.failures(), ?wait, error = %error, "reading goes on later");
        self.not_before = Instant::now() + wait;
        Ok(())
    }
}

#[async_trait]
impl ShardReader for PollingReader {
    async fn next(&mut self) -> Result<Reading, SourceError> {
        if let Some(batch) = self.held_back.take() {
            return Ok(Reading::Batch(batch));
        }
        loop {
            sleep_until(self.not_before).await;
            match self.step().await {
                Ok(None) => {}
                Ok(Some(reading)) => {
                    self.backoff.reset();
                    return Ok(reading);
                }
                Err(error) => self.outlast(error)?,
            }
        }
    }
}

/// The SDK's own retries wait for up to a second and more, and know nothing of the shard's pace: the reader tries again itself.
fn one_try() -> Builder {
    Config::builder().retry_config(RetryConfig::disabled())
}

/// The iterator that starts reading at a position.
///
/// Behind a record, it starts at that record itself: see [`Resumption`].
fn iterator_for(position: &Position) -> (ShardIteratorType, Option<String>, Option<DateTime>) {
    match position {
        Position::Start(StartPosition::Horizon) => (ShardIteratorType::TrimHorizon, None, None),
        Position::Start(StartPosition::Timestamp(timestamp)) => {
            let millis = i64::try_from(timestamp.unix_millis()).unwrap_or(i64::MAX);
            (ShardIteratorType::AtTimestamp, None, Some(DateTime::from_millis(millis)))
        }
        Position::After(record) => {
            (ShardIteratorType::AtSequenceNumber, Some(record.sequence_number.to_string()), None)
        }
        // A reader at the end asks for nothing; were it to, this brings nothing that was read before.
        Position::End => (ShardIteratorType::Latest, None, None),
    }
}

fn from_sdk(record: SdkRecord, about: impl FnOnce() -> String) -> Result<Record, SourceError> {
    let sequence_number = record.sequence_number.parse().map_err(|error: InvalidSequenceNumber| {
        let message = format!("{}: the service's number of a record, {error}", about());
        SourceError::new(SourceErrorKind::Invalid, "GetRecords", message).caused_by(error)
    })?;
    Ok(Record {
        sequence_number,
        sub_sequence_number: None,
        partition_key: record.partition_key.unwrap_or_default().into(),
        explicit_hash_key: None,
        arrival: timestamp(record.approximate_arrival_timestamp),
        data: Bytes::from(record.data.into_inner()),
    })
}

#[cfg(test)]
mod tests {
    use stream_types::{RecordPosition, Timestamp};

    use super::*;

    #[test]
    fn each_position_has_the_iterator_that_starts_there() {
        let number: stream_types::SequenceNumber = "12345".parse().unwrap();
        let cases = [
            (Position::HORIZON, ShardIteratorType::TrimHorizon, None, None),
            (
                StartPosition::Timestamp(Timestamp::from_unix_millis(1_500)).into(),
                ShardIteratorType::AtTimestamp,
                None,
                Some(DateTime::from_millis(1_500)),
            ),
            (
                Position::After(RecordPosition::whole(number.clone())),
                ShardIteratorType::AtSequenceNumber,
                Some("12345".to_owned()),
                None,
            ),
            (
                Position::After(RecordPosition { sequence_number: number, sub_sequence_number: 3 }),
                ShardIteratorType::AtSequenceNumber,
                Some("12345".to_owned()),
                None,
            ),
        ];
        for (position, kind, sequence_number, timestamp) in cases {
            assert_eq!(iterator_for(&position), (kind, sequence_number, timestamp), "{position}");
        }
    }
}
