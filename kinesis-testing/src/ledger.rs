//! The truth about what was produced and what was delivered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kinesis_source::Record;
use stream_types::{Position, SequenceNumber, ShardId};

/// Keeps count of every record, so that a test can say what was lost, repeated, or came out of order.
///
/// Records are told apart by their payload, which therefore must be different for each, and are numbered per partition
/// key in the order in which they were produced. Clones share their entries.
///
/// ```
/// use kinesis_testing::Ledger;
///
/// let ledger = Ledger::default();
/// ledger.produced("customer-7", b"first");
/// assert_eq!(ledger.tally().lost, 1);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    records: BTreeMap<Vec<u8>, Entry>,
    produced_per_key: BTreeMap<String, u64>,
    /// The last record of each key, by its number, that was delivered for the first time.
    delivered_per_key: BTreeMap<String, u64>,
    delivered_per_shard: BTreeMap<ShardId, SequenceNumber>,
    /// Of each worker, one after the other: the checkpoints of the shards that it read.
    crashes: BTreeMap<String, Vec<BTreeMap<ShardId, Position>>>,
    tally: Tally,
    /// The first repetitions that no crash explains.
    unexplained: Vec<String>,
}

/// A worker between two of its crashes: what one crash explains, the next life under the same name must answer for.
#[derive(Debug)]
struct Life {
    worker: String,
    /// How many it had had before.
    crashes: usize,
}

#[derive(Debug)]
struct Entry {
    number_in_key: u64,
    /// Who got it last.
    delivered_to: Option<Life>,
}

/// The sums of a [`Ledger`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many records were produced.
    pub produced: u64,
    /// How many of them were delivered at least once.
    pub delivered: u64,
    /// How many were not delivered yet.
    pub lost: u64,
    /// How many came, for the first time, before an earlier one of their shard or partition key.
    pub out_of_order: u64,
    /// How many deliveries repeated a record that a crashed worker had got but not checkpointed.
    pub duplicates_crash: u64,
    /// How many deliveries repeated any other record.
    pub duplicates_planned: u64,
    /// How many delivered records nobody produced.
    pub unknown: u64,
}

impl Ledger {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record is about to be produced. Producers of one partition key must produce one after the other.
    pub fn produced(&self, partition_key: &str, payload: &[u8]) {
        let mut entries = self.entries();
        let count = entries.produced_per_key.entry(partition_key.into()).or_default();
        *count += 1;
        let entry = Entry { number_in_key: *count, delivered_to: None };
        entries.records.insert(payload.into(), entry);
        entries.tally.produced += 1;
    }

    /// A worker got a record.
    pub fn delivered(&self, worker: &str, shard: &ShardId, record: &Record) {
        self.entries().delivered(worker, shard, record);
    }

    /// A worker crashed, at a time when these were the checkpoints of the shards that it read. What it got behind them
    /// may be repeated.
    pub fn crashed(&self, worker: &str, checkpoints: BTreeMap<ShardId, Position>) {
        self.entries().crashes.entry(worker.into()).or_default().push(checkpoints);
    }

    /// The first few repetitions that no crash explains: which record of which shard came to whom, and to whom before.
    #[must_use]
    pub fn unexplained(&self) -> Vec<String> {
        self.entries().unexplained.clone()
    }

    /// The sums so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let tally = self.entries().tally;
        Tally { lost: tally.produced - tally.delivered, ..tally }
    }
}

impl Entries {
    /// How many unexplained repetitions are kept.
    const KEPT: usize = 10;

    fn delivered(&mut self, worker: &str, shard: &ShardId, record: &Record) {
        let Some(entry) = self.records.get_mut(&*record.data) else {
            self.tally.unknown += 1;
            return;
        };
        let number_in_key = entry.number_in_key;
        let crashes = self.crashes.get(worker).map_or(0, Vec::len);
        match entry.delivered_to.replace(Life { worker: worker.into(), crashes }) {
            None => self.delivered_first(shard, record, number_in_key),
            Some(before) if self.is_explained(&before, shard, record) => self.tally.duplicates_crash += 1,
            Some(before) => {
                self.tally.duplicates_planned += 1;
                if self.unexplained.len() < Self::KEPT {
                    let crash = self.end_of(&before).map(|checkpoints| checkpoints.get(shard));
                    let (position, before) = (record.position(), before.worker);
                    let told = format!("{position} of {shard} to {worker}, before to {before}, crashed at {crash:?}");
                    self.unexplained.push(told);
                }
            }
        }
    }

    fn delivered_first(&mut self, shard: &ShardId, record: &Record, number_in_key: u64) {
        self.tally.delivered += 1;
        let number = record.sequence_number.clone();
        let before_in_shard = self.delivered_per_shard.insert(shard.clone(), number.clone());
        let before_in_key = self.delivered_per_key.insert(record.partition_key.to_string(), number_in_key);
        if before_in_shard > Some(number) || before_in_key > Some(number_in_key) {
            self.tally.out_of_order += 1;
        }
    }

    /// The crash that ended it, if one has.
    fn end_of(&self, life: &Life) -> Option<&BTreeMap<ShardId, Position>> {
        self.crashes.get(&life.worker)?.get(life.crashes)
    }

    /// Whether the last one to get the record crashed before he had checkpointed it.
    fn is_explained(&self, before: &Life, shard: &ShardId, record: &Record) -> bool {
        match self.end_of(before).and_then(|checkpoints| checkpoints.get(shard)) {
            Some(Position::Start(_)) => true,
            Some(Position::After(stored)) => *stored < record.position(),
            Some(Position::End) | None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u32, payload: &'static str) -> Record {
        Record {
            sequence_number: number.to_string().parse().unwrap(),
            sub_sequence_number: None,
            explicit_hash_key: None,
            partition_key: "key".into(),
            arrival: None,
            data: payload.into(),
        }
    }

    #[test]
    fn each_kind_of_failure_is_counted() {
        let ledger = Ledger::default();
        let shard = ShardId::new("shard").unwrap();
        for payload in ["a", "b", "c", "d"] {
            ledger.produced("key", payload.as_bytes());
        }
        ledger.delivered("one", &shard, &record(1, "a"));
        ledger.delivered("one", &shard, &record(3, "c"));
        ledger.delivered("one", &shard, &record(2, "b"));
        ledger.delivered("two", &shard, &record(2, "b"));
        ledger.delivered("two", &shard, &record(9, "nobody's"));
        let expected = Tally {
            produced: 4,
            delivered: 3,
            lost: 1,
            out_of_order: 1,
            duplicates_crash: 0,
            duplicates_planned: 1,
            unknown: 1,
        };
        assert_eq!(ledger.tally(), expected);
    }

    #[test]
    fn a_crash_explains_only_what_was_not_checkpointed() {
        let ledger = Ledger::default();
        let shard = ShardId::new("shard").unwrap();
        for (number, payload) in [(1, "a"), (2, "b"), (3, "c")] {
            ledger.produced("key", payload.as_bytes());
            ledger.delivered("one", &shard, &record(number, payload));
        }
        let stored = stream_types::RecordPosition::whole("2".parse().unwrap());
        ledger.crashed("one", BTreeMap::from([(shard.clone(), Position::After(stored))]));
        ledger.delivered("two", &shard, &record(2, "b"));
        ledger.delivered("two", &shard, &record(3, "c"));
        let tally = ledger.tally();
        assert_eq!((tally.duplicates_planned, tally.duplicates_crash), (1, 1));
    }

    #[test]
    fn a_crash_explains_nothing_that_came_to_the_next_process_of_the_name() {
        let ledger = Ledger::default();
        let shard = ShardId::new("shard").unwrap();
        let at_start = || BTreeMap::from([(shard.clone(), Position::HORIZON)]);
        ledger.produced("key", b"a");
        ledger.delivered("one", &shard, &record(1, "a"));
        ledger.crashed("one", at_start());
        ledger.delivered("one", &shard, &record(1, "a"));
        ledger.delivered("two", &shard, &record(1, "a"));
        let tally = ledger.tally();
        assert_eq!((tally.duplicates_planned, tally.duplicates_crash), (1, 1), "it did not crash a second time");
        ledger.crashed("two", at_start());
        ledger.delivered("one", &shard, &record(1, "a"));
        assert_eq!(ledger.tally().duplicates_crash, 2);
    }
}
