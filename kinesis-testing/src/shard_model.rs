//! One shard of the model.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use stream_types::{HashRange, SequenceNumber, Shard, ShardId, Timestamp};

use crate::limits::{Limits, Meters};
use crate::{IteratorStart, PutEntry, ServiceError, StoredRecord};

/// A shard: its place in the lineage, and its records.
#[derive(Debug)]
pub(crate) struct ShardModel {
    pub(crate) index: usize,
    pub(crate) parents: Vec<usize>,
    pub(crate) range: HashRange,
    pub(crate) created: Timestamp,
    pub(crate) closed: Option<Timestamp>,
    pub(crate) meters: Meters,
    /// How many records were trimmed from the front.
    trimmed: u64,
    records: VecDeque<Kept>,
}

/// A record as it is kept; its number follows from its place.
#[derive(Debug)]
struct Kept {
    partition_key: String,
    arrival: Timestamp,
    data: Bytes,
}

impl ShardModel {
    pub(crate) fn new(index: usize, parents: Vec<usize>, range: HashRange, limits: &Limits, now: Timestamp) -> Self {
        let meters = Meters::new(limits, now);
        Self { index, parents, range, created: now, closed: None, meters, trimmed: 0, records: VecDeque::new() }
    }

    /// The id of the shard of that index.
    pub(crate) fn id_of(index: usize) -> ShardId {
        ShardId::new(format!("shardId-{index:012}")).expect("digits make a shard id")
    }

    pub(crate) fn id(&self) -> ShardId {
        Self::id_of(self.index)
    }

    pub(crate) fn describe(&self) -> Shard {
        let parents = self.parents.iter().map(|parent| Self::id_of(*parent)).collect();
        Shard { id: self.id(), parents, hash_range: Some(self.range) }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// The 56 digits of the record with that count: grows with the count, and from parents to children.
    pub(crate) fn sequence_number(&self, count: u64) -> SequenceNumber {
        let (created, index) = (self.created.unix_millis() % 10_u64.pow(13), self.index % 1_000_000);
        format!("49{created:013}{index:06}{count:035}").parse().expect("digits make a sequence number")
    }

    /// The count of the record with that number, if it is one of this shard's.
    fn count_of(&self, number: &SequenceNumber) -> Result<u64, ServiceError> {
        let digits = number.as_str();
        let own = self.sequence_number(0);
        let refused = || ServiceError::invalid(format!("StartingSequenceNumber {number} is not one of {}", self.id()));
        let count = digits.strip_prefix(&own.as_str()[..21]).filter(|rest| rest.len() == 35).ok_or_else(refused)?;
        count.parse().map_err(|_| refused())
    }

    /// The count of the next record.
    pub(crate) fn next_count(&self) -> u64 {
        self.trimmed + self.records.len() as u64
    }

    pub(crate) fn append(&mut self, entry: PutEntry, now: Timestamp) -> SequenceNumber {
        let number = self.sequence_number(self.next_count());
        self.records.push_back(Kept { partition_key: entry.partition_key, arrival: now, data: entry.data });
        number
    }

    /// The count of the record at which reading starts.
    pub(crate) fn start(&self, start: &IteratorStart) -> Result<u64, ServiceError> {
        Ok(match start {
            IteratorStart::AtSequenceNumber(number) => self.count_of(number)?,
            IteratorStart::AfterSequenceNumber(number) => self.count_of(number)?.saturating_add(1),
            IteratorStart::AtTimestamp(timestamp) => {
                self.trimmed + self.records.partition_point(|record| record.arrival < *timestamp) as u64
            }
            IteratorStart::TrimHorizon => self.trimmed,
            IteratorStart::Latest => self.next_count(),
        })
    }

    /// The records from that count on, as many as the limits allow, and the count behind them.
    pub(crate) fn read(&self, from: u64, limit: usize, max_bytes: usize) -> (Vec<StoredRecord>, u64) {
        let from = from.max(self.trimmed);
        let skip = usize::try_from(from - self.trimmed).unwrap_or(usize::MAX).min(self.records.len());
        let mut bytes = 0;
        let mut records = Vec::new();
        for (kept, count) in self.records.range(skip..).zip(from..).take(limit) {
            let record = StoredRecord {
                sequence_number: self.sequence_number(count),
                partition_key: kept.partition_key.clone(),
                arrival: kept.arrival,
                data: kept.data.clone(),
            };
            bytes += record.size_bytes();
            if bytes > max_bytes && !records.is_empty() {
                break;
            }
            records.push(record);
        }
        let next = from + records.len() as u64;
        (records, next)
    }

    /// When the record with that count arrived, if it is there.
    pub(crate) fn arrival(&self, count: u64) -> Option<Timestamp> {
        let place = usize::try_from(count.checked_sub(self.trimmed)?).ok()?;
        self.records.get(place).map(|record| record.arrival)
    }

    /// Forgets the records that arrived before the horizon.
    pub(crate) fn trim(&mut self, horizon: Timestamp) {
        while self.records.front().is_some_and(|record| record.arrival < horizon) {
            self.records.pop_front();
            self.trimmed += 1;
        }
    }

    /// Whether the stream no longer lists the shard: it was closed before the horizon.
    pub(crate) fn is_forgotten(&self, horizon: Timestamp) -> bool {
        self.closed.is_some_and(|closed| closed < horizon)
    }
}

/// The time before which nothing is kept.
pub(crate) fn horizon(now: Timestamp, retention: Duration) -> Timestamp {
    let retention = u64::try_from(retention.as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_unix_millis(now.unix_millis().saturating_sub(retention))
}
