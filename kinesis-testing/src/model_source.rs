//! The model as a source, without a network.

use std::time::Duration;

use async_trait::async_trait;
use kinesis_source::{Batch, Reading, Record, ShardReader, Source, SourceError, SourceErrorKind, StreamDescription};
use stream_types::{Name, Position, RecordPosition, Shard, ShardId, StartPosition};
use tokio::time::{Instant, sleep_until};

use crate::list_shards::DEFAULT_MAX_RESULTS;
use crate::{IteratorStart, Kinesis, ServiceError, ServiceErrorKind, ShardFilter};

/// A stream of the model, read without a network: for simulations in virtual time.
///
/// The readers poll like those of Kinesis, five times a second at most.
#[derive(Debug, Clone)]
pub struct ModelSource {
    kinesis: Kinesis,
    name: Name,
}

/// The pause between two reads of a shard.
const PAUSE: Duration = Duration::from_millis(200);

impl ModelSource {
    /// The stream of that name.
    #[must_use]
    pub const fn new(kinesis: Kinesis, name: Name) -> Self {
        Self { kinesis, name }
    }
}

#[async_trait]
impl Source for ModelSource {
    fn name(&self) -> &Name {
        &self.name
    }

    async fn describe(&self) -> Result<StreamDescription, SourceError> {
        let summary =
            self.kinesis.describe_stream(self.name.as_str()).map_err(|error| source_error("describe", error))?;
        Ok(StreamDescription { name: self.name.clone(), created: Some(summary.created) })
    }

    async fn list_shards(&self) -> Result<Vec<Shard>, SourceError> {
        let refused = |error| source_error("list shards", error);
        let all = ShardFilter::FromTrimHorizon;
        let mut page = self.kinesis.list_shards(self.name.as_str(), all, None, DEFAULT_MAX_RESULTS).map_err(refused)?;
        let mut listed = std::mem::take(&mut page.shards);
        while let Some(token) = page.next_token {
            page = self.kinesis.list_more_shards(&token, DEFAULT_MAX_RESULTS).map_err(refused)?;
            listed.append(&mut page.shards);
        }
        let describe = |shard: crate::ShardListing| Shard {
            id: shard.id,
            parents: shard.parents,
            hash_range: Some(shard.hash_range),
        };
        Ok(listed.into_iter().map(describe).collect())
    }

    async fn open(&self, shard: &ShardId, from: &Position) -> Result<Box<dyn ShardReader>, SourceError> {
        Ok(Box::new(ModelReader {
            source: self.clone(),
            shard: shard.clone(),
            position: from.clone(),
            place: Place::Unknown,
            not_before: Instant::now(),
        }))
    }
}

/// Reads one shard of the model.
#[derive(Debug)]
struct ModelReader {
    source: ModelSource,
    shard: ShardId,
    position: Position,
    place: Place,
    not_before: Instant,
}

#[derive(Debug)]
enum Place {
    Unknown,
    At(String),
    End(Vec<Shard>),
}

impl ModelReader {
    /// One step; nothing means that there is another one to take.
    fn step(&mut self) -> Result<Option<Reading>, ServiceError> {
        let kinesis = &self.source.kinesis;
        match &self.place {
            Place::Unknown => {
                let start = start_at(&self.position);
                let iterator = kinesis.shard_iterator(self.source.name.as_str(), &self.shard, &start)?;
                self.place = Place::At(iterator);
                Ok(None)
            }
            Place::At(iterator) => {
                let page = kinesis.get_records(iterator, None)?;
                self.not_before = Instant::now() + PAUSE;
                self.place = page.next_iterator.map_or(Place::End(page.children), Place::At);
                let records = page.records.into_iter().map(|record| Record {
                    sequence_number: record.sequence_number,
                    sub_sequence_number: None,
                    partition_key: record.partition_key.into(),
                    explicit_hash_key: None,
                    arrival: Some(record.arrival),
                    data: record.data,
                });
                let behind_latest = Some(Duration::from_millis(page.millis_behind_latest));
                let batch = Batch { records: records.collect(), behind_latest };
                self.position = batch.end_position().unwrap_or_else(|| self.position.clone());
                Ok(Some(Reading::Batch(batch)))
            }
            Place::End(children) => Ok(Some(Reading::End { children: children.clone() })),
        }
    }
}

#[async_trait]
impl ShardReader for ModelReader {
    async fn next(&mut self) -> Result<Reading, SourceError> {
        loop {
            sleep_until(self.not_before).await;
            match self.step() {
                Ok(None) => {}
                Ok(Some(reading)) => return Ok(reading),
                Err(error) if error.kind() == ServiceErrorKind::ExpiredIterator => self.place = Place::Unknown,
                Err(error) if error.kind() == ServiceErrorKind::ProvisionedThroughputExceeded => {
                    self.not_before = Instant::now() + PAUSE;
                }
                Err(error) => return Err(source_error("read", error)),
            }
        }
    }
}

fn start_at(position: &Position) -> IteratorStart {
    match position {
        Position::Start(StartPosition::Horizon) => IteratorStart::TrimHorizon,
        Position::Start(StartPosition::Timestamp(timestamp)) => IteratorStart::AtTimestamp(*timestamp),
        Position::After(record) if record.sub_sequence_number == RecordPosition::WHOLE => {
            IteratorStart::AfterSequenceNumber(record.sequence_number.clone())
        }
        Position::After(record) => IteratorStart::AtSequenceNumber(record.sequence_number.clone()),
        Position::End => IteratorStart::Latest,
    }
}

fn source_error(operation: &'static str, error: ServiceError) -> SourceError {
    let kind = match error.kind() {
        ServiceErrorKind::ResourceNotFound => SourceErrorKind::NotFound,
        ServiceErrorKind::ProvisionedThroughputExceeded | ServiceErrorKind::LimitExceeded => SourceErrorKind::Throttled,
        ServiceErrorKind::ExpiredIterator | ServiceErrorKind::ExpiredNextToken => SourceErrorKind::Expired,
        _ => SourceErrorKind::Invalid,
    };
    SourceError::new(kind, operation, error.to_string()).caused_by(error)
}
