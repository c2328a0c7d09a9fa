//! The model as a source, without a network.

use std::time::Duration;

use async_trait::async_trait;
use kinesis_source::{
    Batch, ByteBudget, Expectation, Reading, Record, Reservation, Resumption, ShardReader, Source, SourceError,
    SourceErrorKind, StreamDescription,
};
use stream_types::{Name, Position, Shard, ShardId, StartPosition};
use tokio::time::{Instant, sleep, sleep_until};

use crate::list_shards::DEFAULT_MAX_RESULTS;
use crate::{
    IteratorStart, Kinesis, Misbehaviour, Operation, RecordsPage, ServiceError, ServiceErrorKind, ShardFilter,
};

/// A stream of the model, read without a network: for simulations in virtual time.
///
/// The readers poll like those of Kinesis, five times a second at most.
#[derive(Debug, Clone)]
pub struct ModelSource {
    kinesis: Kinesis,
    name: Name,
    pause: Duration,
}

/// The pause between two reads of a shard.
const PAUSE: Duration = Duration::from_millis(200);

impl ModelSource {
    /// The stream of that name.
    #[must_use]
    pub const fn new(kinesis: Kinesis, name: Name) -> Self {
        Self { kinesis, name, pause: PAUSE }
    }

    /// The same, with another pause between two reads of a shard.
    #[must_use]
    pub fn polling_every(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// All shards that the stream still has, whatever misbehaves.
    ///
    /// # Errors
    ///
    /// There is no such stream.
    pub fn all_shards(&self) -> Result<Vec<Shard>, ServiceError> {
        self.list()
    }

    /// Makes a call, unless it is to go wrong.
    async fn call<Answer>(
        &self,
        operation: Operation,
        shard: Option<&ShardId>,
        call: impl FnOnce() -> Result<Answer, ServiceError>,
    ) -> Result<Answer, SourceError> {
        let refused = |error| source_error(operation.name(), error);
        let misbehaviour = self.kinesis.next_fault(operation, shard);
        match &misbehaviour {
            Some(Misbehaviour::Refuse(kind)) => {
                return Err(refused(ServiceError::new(*kind, "It was refused, as it was asked to be.")));
            }
            Some(Misbehaviour::Delay(delay)) => sleep(*delay).await,
            Some(Misbehaviour::LoseReply | Misbehaviour::CutReply) | None => {}
        }
        let answer = call().map_err(refused)?;
        match misbehaviour {
            Some(Misbehaviour::LoseReply | Misbehaviour::CutReply) => {
                let message = "the connection broke, as it was asked to";
                Err(SourceError::new(SourceErrorKind::Unavailable, operation.name(), message))
            }
            _ => Ok(answer),
        }
    }

    fn list(&self) -> Result<Vec<Shard>, ServiceError> {
        let all = ShardFilter::FromTrimHorizon;
        let mut page = self.kinesis.list_shards(self.name.as_str(), all, None, DEFAULT_MAX_RESULTS)?;
        let mut listed = std::mem::take(&mut page.shards);
        while let Some(token) = page.next_token {
            page = self.kinesis.list_more_shards(&token, DEFAULT_MAX_RESULTS)?;
            listed.append(&mut page.shards);
        }
        let describe = |shard: crate::ShardListing| Shard {
            id: shard.id,
            parents: shard.parents,
            hash_range: Some(shard.hash_range),
        };
        Ok(listed.into_iter().map(describe).collect())
    }
}

#[async_trait]
impl Source for ModelSource {
    fn name(&self) -> &Name {
        &self.name
    }

    async fn describe(&self) -> Result<StreamDescription, SourceError> {
        let describe = || self.kinesis.describe_stream(self.name.as_str());
        let summary = self.call(Operation::DescribeStreamSummary, None, describe).await?;
        Ok(StreamDescription { name: self.name.clone(), created: Some(summary.created) })
    }

    async fn list_shards(&self) -> Result<Vec<Shard>, SourceError> {
        self.call(Operation::ListShards, None, || self.list()).await
    }

    async fn open(
        &self,
        shard: &ShardId,
        from: &Position,
        budget: &ByteBudget,
    ) -> Result<Box<dyn ShardReader>, SourceError> {
        Ok(Box::new(ModelReader {
            source: self.clone(),
            shard: shard.clone(),
            position: from.clone(),
            place: Place::Unknown,
            resumption: Resumption::at(from),
            budget: budget.clone(),
            expectation: Expectation::of_anything(),
            held_back: None,
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
    resumption: Resumption,
    budget: ByteBudget,
    expectation: Expectation,
    /// What was read, and comes after a gap was told of.
    held_back: Option<Batch>,
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
    async fn step(&mut self) -> Result<Option<Reading>, SourceError> {
        let kinesis = &self.source.kinesis;
        match &self.place {
            Place::Unknown => {
                let start = start_at(&self.position);
                let name = self.source.name.as_str();
                let iterator = || kinesis.shard_iterator(name, &self.shard, &start);
                let iterator = self.source.call(Operation::GetShardIterator, Some(&self.shard), iterator).await;
                let iterator = iterator.map_err(|error| error.at_start(&self.position))?;
                self.place = Place::At(iterator);
                self.resumption = Resumption::at(&self.position);
                Ok(None)
            }
            Place::At(iterator) => {
                let reservation = self.budget.reserve(self.expectation.bytes()).await;
                let read = || kinesis.get_records(iterator, None);
                let page = self.source.call(Operation::GetRecords, Some(&self.shard), read).await?;
                Ok(Some(self.take_in(page, reservation)))
            }
            Place::End(children) => Ok(Some(Reading::End { children: children.clone() })),
        }
    }

    fn take_in(&mut self, page: RecordsPage, reservation: Reservation) -> Reading {
        let bytes = page.records.iter().map(crate::StoredRecord::size_bytes).sum::<usize>() as u64;
        reservation.is(bytes);
        self.expectation = Expectation::after(bytes);
        self.not_before = Instant::now() + self.source.pause;
        self.place = page.next_iterator.map_or(Place::End(page.children), Place::At);
        let records = page.records.into_iter().map(|record| Record {
            sequence_number: record.sequence_number,
            sub_sequence_number: None,
            partition_key: record.partition_key.into(),
            explicit_hash_key: None,
            arrival: Some(record.arrival),
            data: record.data,
        });
        let mut records = records.collect();
        let gap = self.resumption.check(&mut records);
        if page.millis_behind_latest == 0 {
            self.resumption.reached_tip();
        }
        let behind_latest = Some(Duration::from_millis(page.millis_behind_latest));
        let batch = Batch { records, behind_latest, reservation: Some(reservation) };
        self.position = batch.end_position().unwrap_or_else(|| self.position.clone());
        match gap {
            Some(gap) => {
                self.held_back = Some(batch);
                Reading::Gap(gap)
            }
            None => Reading::Batch(batch),
        }
    }
}

#[async_trait]
impl ShardReader for ModelReader {
    async fn next(&mut self) -> Result<Reading, SourceError> {
        if let Some(batch) = self.held_back.take() {
            return Ok(Reading::Batch(batch));
        }
        loop {
            sleep_until(self.not_before).await;
            match self.step().await {
                Ok(None) => {}
                Ok(Some(reading)) => return Ok(reading),
                Err(error) if error.kind() == SourceErrorKind::Expired => self.place = Place::Unknown,
                Err(error) if error.is_retryable() => self.not_before = Instant::now() + PAUSE,
                Err(error) => return Err(error),
            }
        }
    }
}

fn start_at(position: &Position) -> IteratorStart {
    match position {
        Position::Start(StartPosition::Horizon) => IteratorStart::TrimHorizon,
        Position::Start(StartPosition::Timestamp(timestamp)) => IteratorStart::AtTimestamp(*timestamp),
        Position::After(record) => IteratorStart::AtSequenceNumber(record.sequence_number.clone()),
        Position::End => IteratorStart::Latest,
    }
}

fn source_error(operation: &'static str, error: ServiceError) -> SourceError {
    let kind = match error.kind() {
        ServiceErrorKind::ResourceNotFound => SourceErrorKind::NotFound,
        ServiceErrorKind::ProvisionedThroughputExceeded
        | ServiceErrorKind::LimitExceeded
        | ServiceErrorKind::KmsThrottling => SourceErrorKind::Throttled,
        ServiceErrorKind::ExpiredIterator | ServiceErrorKind::ExpiredNextToken => SourceErrorKind::Expired,
        ServiceErrorKind::InternalFailure | ServiceErrorKind::ServiceUnavailable => SourceErrorKind::Unavailable,
        ServiceErrorKind::KmsAccessDenied
        | ServiceErrorKind::KmsDisabled
        | ServiceErrorKind::KmsNotFound
        | ServiceErrorKind::KmsOptInRequired => SourceErrorKind::Denied,
        _ => SourceErrorKind::Invalid,
    };
    SourceError::new(kind, operation, error.to_string()).caused_by(error)
}
