//! The model of the service.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stream_types::{Shard, ShardId, Timestamp};

use crate::fault::{Faults, Misbehaviour, Operation};
use crate::iterator_token::IteratorToken;
use crate::list_shards::{DEFAULT_MAX_RESULTS, PageRequest, PageToken};
use crate::shard_model::ShardModel;
use crate::stream_model::StreamModel;
use crate::{
    Clock, Fault, IteratorStart, Limits, PutEntry, PutResult, RecordsPage, ServiceError, ServiceErrorKind, ShardFilter,
    ShardPage, StreamSummary,
};

/// A Kinesis in memory. Clones share their streams.
///
/// Streams are named by name or by ARN. Whatever changes takes effect at once: a stream is never `UPDATING`.
#[derive(Debug, Clone)]
pub struct Kinesis {
    clock: Clock,
    limits: Limits,
    streams: Arc<Mutex<BTreeMap<String, StreamModel>>>,
    faults: Arc<Mutex<Faults>>,
}

impl Kinesis {
    /// The most shards of a stream.
    const MAX_SHARDS: usize = 10_000;
    /// The most records of one read.
    const MAX_RECORDS: usize = 10_000;
    /// The most records of one `PutRecords`.
    const MAX_ENTRIES: usize = 500;
    /// How long records may be kept.
    const RETENTIONS: std::ops::RangeInclusive<Duration> =
        Duration::from_secs(24 * 3_600)..=Duration::from_secs(8_760 * 3_600);

    /// A service without streams.
    #[must_use]
    pub fn new(clock: Clock, limits: Limits) -> Self {
        Self { clock, limits, streams: Arc::default(), faults: Arc::default() }
    }

    /// The clock that the service goes by.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Makes calls go wrong that come through a [`ModelSource`](crate::ModelSource) or an [`Endpoint`](crate::Endpoint). The
    /// methods of this type itself always do what they say.
    pub fn misbehave(&self, fault: Fault) {
        self.faults().add(fault);
    }

    /// Lets all calls go well again.
    pub fn behave(&self) {
        self.faults().clear();
    }

    /// No code panics while it holds the lock.
    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to go wrong with a call, if anything is.
    pub(crate) fn next_fault(&self, operation: Operation, shard: Option<&ShardId>) -> Option<Misbehaviour> {
        self.faults().next(operation, shard)
    }

    /// The shard that an iterator is for.
    pub(crate) fn shard_of_iterator(iterator: &str) -> Option<ShardId> {
        IteratorToken::decode(iterator).ok().map(|token| ShardModel::id_of(token.shard_index))
    }

    /// No code panics while it holds the lock, except on a broken invariant, which the next caller may as well meet.
    fn streams(&self) -> MutexGuard<'_, BTreeMap<String, StreamModel>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with a stream of which everything too old was forgotten.
    fn with_stream<Answer>(
        &self,
        stream: &str,
        act: impl FnOnce(&mut StreamModel, Timestamp) -> Result<Answer, ServiceError>,
    ) -> Result<Answer, ServiceError> {
        let name = stream.rsplit_once("stream/").map_or(stream, |(_, name)| name);
        let now = self.clock.now();
        let mut streams = self.streams();
        let model = streams.get_mut(name).ok_or_else(|| {
            let message = format!("Stream {name} under account 000000000000 not found.");
            ServiceError::new(ServiceErrorKind::ResourceNotFound, message)
        })?;
        model.trim(now);
        act(model, now)
    }

    /// Creates a stream of that many shards of equal width.
    ///
    /// # Errors
    ///
    /// The stream exists, its name has other characters than letters, digits and `_.-`, or the number of shards is 0 or
    /// above 10,000.
    pub fn create_stream(&self, name: &str, shard_count: usize) -> Result<(), ServiceError> {
        let allowed = |character: char| character.is_ascii_alphanumeric() || "_.-".contains(character);
        if name.is_empty() || name.len() > 128 || !name.chars().all(allowed) {
            let message = format!("StreamName {name:?} must satisfy the pattern [a-zA-Z0-9_.-]+ and have at most 128.");
            return Err(ServiceError::new(ServiceErrorKind::Validation, message));
        }
        require_shard_count(shard_count)?;
        let mut streams = self.streams();
        if streams.contains_key(name) {
            let message = format!("Stream {name} under account 000000000000 already exists.");
            return Err(ServiceError::new(ServiceErrorKind::ResourceInUse, message));
        }
        let stream = StreamModel::new(name, shard_count, self.limits.clone(), self.clock.now());
        streams.insert(name.into(), stream);
        Ok(())
    }

    /// Deletes a stream with everything in it.
    ///
    /// # Errors
    ///
    /// There is no such stream.
    pub fn delete_stream(&self, stream: &str) -> Result<(), ServiceError> {
        let name = self.with_stream(stream, |stream, _| Ok(stream.name.clone()))?;
        self.streams().remove(&name);
        Ok(())
    }

    /// The names of all streams, in order.
    #[must_use]
    pub fn list_streams(&self) -> Vec<String> {
        self.streams().keys().cloned().collect()
    }

    /// What the stream is like.
    ///
    /// # Errors
    ///
    /// There is no such stream.
    pub fn describe_stream(&self, stream: &str) -> Result<StreamSummary, ServiceError> {
        self.with_stream(stream, |stream, _| Ok(stream.summary()))
    }

    /// Changes for how long the stream keeps its records.
    ///
    /// # Errors
    ///
    /// There is no such stream, or the time is not 24 to 8,760 hours.
    pub fn set_retention(&self, stream: &str, retention: Duration) -> Result<(), ServiceError> {
        if !Self::RETENTIONS.contains(&retention) {
            let hours = retention.as_secs() / 3_600;
            return Err(ServiceError::invalid(format!("RetentionPeriodHours {hours} is not between 24 and 8760.")));
        }
        self.with_stream(stream, |stream, _| {
            stream.retention = retention;
            Ok(())
        })
    }

    /// The first page of the stream's shards that pass the filter, starting behind a shard.
    ///
    /// # Errors
    ///
    /// There is no such stream, or no page has that many shards.
    pub fn list_shards(
        &self,
        stream: &str,
        filter: ShardFilter,
        after: Option<&ShardId>,
        max_results: usize,
    ) -> Result<ShardPage, ServiceError> {
        require_page(max_results)?;
        self.with_stream(stream, |stream, now| {
            let after = after.map(index_in).transpose()?;
            let max_results = max_results.min(DEFAULT_MAX_RESULTS);
            Ok(stream.list_page(PageRequest { filter, after, max_results }, now))
        })
    }

    /// The page that a token names.
    ///
    /// # Errors
    ///
    /// The token is none, or too old; the stream is gone.
    pub fn list_more_shards(&self, token: &str, max_results: usize) -> Result<ShardPage, ServiceError> {
        require_page(max_results)?;
        let PageToken { stream, filter, after, issued } = PageToken::decode(token)?;
        self.with_stream(&stream, |stream, now| {
            if issued.saturating_add(self.limits.token_lifetime) < now {
                let message = "The NextToken has expired: list the shards again from the start.";
                return Err(ServiceError::new(ServiceErrorKind::ExpiredNextToken, message));
            }
            let max_results = max_results.min(DEFAULT_MAX_RESULTS);
            Ok(stream.list_page(PageRequest { filter, after: Some(after), max_results }, now))
        })
    }

    /// Puts a record.
    ///
    /// # Errors
    ///
    /// There is no such stream, the record is too large, or its shard takes no more for now.
    pub fn put_record(&self, stream: &str, entry: PutEntry) -> Result<PutResult, ServiceError> {
        if let Some(objection) = entry.objection() {
            return Err(ServiceError::new(ServiceErrorKind::Validation, objection));
        }
        self.with_stream(stream, |stream, now| stream.put(entry, now))
    }

    /// Puts records, each on its own: some may be taken and others not.
    ///
    /// # Errors
    ///
    /// There is no such stream, there are no or more than 500 records, or one is too large: then none is taken.
    pub fn put_records(
        &self,
        stream: &str,
        entries: Vec<PutEntry>,
    ) -> Result<Vec<Result<PutResult, ServiceError>>, ServiceError> {
        if !(1..=Self::MAX_ENTRIES).contains(&entries.len()) {
            let message = format!("Records must have 1 to {} entries, not {}.", Self::MAX_ENTRIES, entries.len());
            return Err(ServiceError::new(ServiceErrorKind::Validation, message));
        }
        if let Some(objection) = entries.iter().find_map(PutEntry::objection) {
            return Err(ServiceError::new(ServiceErrorKind::Validation, objection));
        }
        self.with_stream(stream, |stream, now| Ok(entries.into_iter().map(|entry| stream.put(entry, now)).collect()))
    }

    /// An iterator that starts there.
    ///
    /// # Errors
    ///
    /// There is no such stream or shard, the sequence number is not one of the shard's, or the time is still to come.
    pub fn shard_iterator(&self, stream: &str, shard: &ShardId, start: &IteratorStart) -> Result<String, ServiceError> {
        self.with_stream(stream, |stream, now| {
            let shard = &stream.shards[stream.index_of(shard, now)?];
            if matches!(start, IteratorStart::AtTimestamp(time) if *time > now) {
                let message = "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis.";
                return Err(ServiceError::invalid(message));
            }
            Ok(token(stream, shard.index, shard.start(start)?, now))
        })
    }

    /// Reads from an iterator on.
    ///
    /// # Errors
    ///
    /// The iterator is none, or too old; the limit is not 1 to 10,000; the shard is read too often; the stream is gone.
    pub fn get_records(&self, iterator: &str, limit: Option<usize>) -> Result<RecordsPage, ServiceError> {
        let limit = limit.unwrap_or(Self::MAX_RECORDS);
        if !(1..=Self::MAX_RECORDS).contains(&limit) {
            let message = format!("Limit {limit} is not between 1 and {}.", Self::MAX_RECORDS);
            return Err(ServiceError::new(ServiceErrorKind::Validation, message));
        }
        let place = IteratorToken::decode(iterator)?;
        self.with_stream(&place.stream, |stream, now| {
            if place.stream_created != stream.created || place.shard_index >= stream.shards.len() {
                return Err(ServiceError::invalid("Invalid ShardIterator."));
            }
            if place.issued.saturating_add(self.limits.iterator_lifetime) < now {
                let message = "Iterator expired. The iterator was created more than 300000 milliseconds ago.";
                return Err(ServiceError::new(ServiceErrorKind::ExpiredIterator, message));
            }
            read(stream, place.shard_index, place.count, limit, now)
        })
    }

    /// Splits an open shard in two, the second of which starts at the given hash key.
    ///
    /// # Errors
    ///
    /// There is no such stream or shard, the shard is closed, or the hash key is not inside it.
    pub fn split_shard(&self, stream: &str, shard: &ShardId, second_start: u128) -> Result<(), ServiceError> {
        self.with_stream(stream, |stream, now| stream.split(shard, second_start, now))
    }

    /// Merges two adjacent open shards into one.
    ///
    /// # Errors
    ///
    /// There is no such stream or shard, one is closed, or they are not adjacent.
    pub fn merge_shards(&self, stream: &str, shard: &ShardId, adjacent: &ShardId) -> Result<(), ServiceError> {
        self.with_stream(stream, |stream, now| stream.merge(shard, adjacent, now))
    }

    /// Brings the stream to so many open shards of equal width, by splits and merges.
    ///
    /// # Errors
    ///
    /// There is no such stream; the number is 0, more than twice or less than half of what there is.
    pub fn update_shard_count(&self, stream: &str, target: usize) -> Result<(), ServiceError> {
        require_shard_count(target)?;
        self.with_stream(stream, |stream, now| {
            let open = stream.open_shards().count();
            if target > open * 2 || target * 2 < open {
                return Err(ServiceError::invalid(format!(
                    "UpdateShardCount cannot scale from {open} to {target} shards: it at most doubles or halves them."
                )));
            }
            stream.update_count(target, now)
        })
    }

    /// The shards that take records now, in the order of their hash ranges.
    ///
    /// # Errors
    ///
    /// There is no such stream.
    pub fn open_shards(&self, stream: &str) -> Result<Vec<Shard>, ServiceError> {
        self.with_stream(stream, |stream, _| {
            let mut open: Vec<Shard> = stream.open_shards().map(ShardModel::describe).collect();
            open.sort_by_key(|shard| shard.hash_range);
            Ok(open)
        })
    }
}

fn token(stream: &StreamModel, shard_index: usize, count: u64, issued: Timestamp) -> String {
    let (name, stream_created) = (stream.name.clone(), stream.created);
    IteratorToken { stream: name, stream_created, shard_index, count, issued }.encode()
}

fn read(
    stream: &mut StreamModel,
    index: usize,
    from: u64,
    limit: usize,
    now: Timestamp,
) -> Result<RecordsPage, ServiceError> {
    let max_bytes = stream.limits.bytes_per_read;
    let shard = &mut stream.shards[index];
    if !shard.meters.admit_read(now) {
        let (id, name) = (shard.id(), &stream.name);
        let message = format!("Rate exceeded for shard {id} in stream {name} under account 000000000000.");
        return Err(ServiceError::new(ServiceErrorKind::ProvisionedThroughputExceeded, message));
    }
    let (records, next) = shard.read(from, limit, max_bytes);
    shard.meters.count_read_bytes(records.iter().map(crate::StoredRecord::size_bytes).sum(), now);
    let behind =
        shard.arrival(next).map_or(0, |arrival| now.unix_millis().saturating_sub(arrival.unix_millis()).max(1));

    let shard = &stream.shards[index];
    let at_end = !shard.is_open() && next >= shard.next_count();
    let children = stream.shards.iter().filter(|child| at_end && child.parents.contains(&index));
    Ok(RecordsPage {
        children: children.map(ShardModel::describe).collect(),
        next_iterator: (!at_end).then(|| token(stream, index, next, now)),
        millis_behind_latest: behind,
        records,
    })
}

fn require_shard_count(count: usize) -> Result<(), ServiceError> {
    if (1..=Kinesis::MAX_SHARDS).contains(&count) {
        return Ok(());
    }
    let message = format!("ShardCount {count} is not between 1 and {}.", Kinesis::MAX_SHARDS);
    Err(ServiceError::new(ServiceErrorKind::Validation, message))
}

fn require_page(max_results: usize) -> Result<(), ServiceError> {
    if (1..=10_000).contains(&max_results) {
        return Ok(());
    }
    let message = format!("MaxResults {max_results} is not between 1 and 10000.");
    Err(ServiceError::new(ServiceErrorKind::Validation, message))
}

/// The index in the id of a shard, whether or not the stream has that shard.
fn index_in(id: &ShardId) -> Result<usize, ServiceError> {
    let index = id.as_str().strip_prefix("shardId-").and_then(|digits| digits.parse().ok());
    index.ok_or_else(|| ServiceError::invalid(format!("{id} is no shard id.")))
}
