//! What the shards of this process are doing, for metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lease_core::{Epoch, LeaseKey};

use crate::vitals::Vitals;
use crate::{Report, ShardOutcome, ShardReport};

/// Shows what the shards of a consumer are doing. Clones show the same; looking costs little, and may be done from any thread.
///
/// ```
/// # use std::sync::Arc;
/// # use consumer::{Consumer, each_batch};
/// # use kinesis_testing::{Clock, Kinesis, Limits, ModelSource};
/// # use lease_core::MemoryStore;
/// # use stream_types::Name;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let kinesis = Kinesis::new(Clock::system(), Limits::of_the_service());
/// # let source = Arc::new(ModelSource::new(kinesis, Name::new("orders")?));
/// # let store = Arc::new(MemoryStore::new(Name::new("billing")?));
/// # let builder = Consumer::builder(store, source);
/// # let consumer = builder.build(each_batch(async |_batch| Ok::<(), std::io::Error>(())))?;
/// let monitor = consumer.monitor();
/// for (shard, status) in monitor.shards() {
///     println!("{shard}: {} records, behind by {:?}", status.counts.records, status.behind_latest);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Monitor(Arc<Mutex<Shards>>);

#[derive(Debug, Default)]
struct Shards {
    read_now: BTreeMap<LeaseKey, Vitals>,
    /// How those ended that were read before, and what was counted meanwhile.
    read_before: BTreeMap<LeaseKey, ShardReport>,
}

/// What one shard is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardStatus {
    /// Under which epoch of the lease it is read.
    pub epoch: Epoch,
    /// What its task does now.
    pub activity: ShardActivity,
    /// What has happened since this process got the shard.
    pub counts: ShardCounts,
    /// How far the last batch was behind the newest record of the shard, as the stream tells.
    pub behind_latest: Option<Duration>,
    /// How long ago the shard made progress: an answer of the stream, or records done.
    pub since_progress: Duration,
}

/// What the task of a shard does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShardActivity {
    /// It waits for records.
    Reading,
    /// Its processor is at work.
    Processing,
    /// Its processor has failed, and gets the same records again after a pause.
    Pausing,
    /// Its reader has failed: the stream refuses, or a task panicked. Another one goes on after a pause.
    Unreadable,
}

/// What has happened to a shard, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ShardCounts {
    /// Records that were processed.
    pub records: u64,
    /// Calls of the processor that failed, those that panicked included.
    pub failures: u64,
    /// Calls of the processor that panicked.
    pub panics: u64,
    /// How many times the reader failed in a way that does not look as if it would pass by itself, and was replaced after a
    /// pause.
    pub reader_failures: u64,
    /// Records that went to the dead-letter handler.
    pub dead_letters: u64,
    /// How many times there was no progress for longer than
    /// [`ConsumerSettings::stall_after`](crate::ConsumerSettings::stall_after).
    pub stalls: u64,
    /// How many times the stream may have forgotten records before they were read, by its retention.
    pub gaps: u64,
}

impl std::iter::Sum for ShardCounts {
    fn sum<All: Iterator<Item = Self>>(all: All) -> Self {
        all.fold(Self::default(), Self::plus)
    }
}

impl ShardCounts {
    fn plus(self, other: Self) -> Self {
        Self {
            records: self.records + other.records,
            failures: self.failures + other.failures,
            panics: self.panics + other.panics,
            reader_failures: self.reader_failures + other.reader_failures,
            dead_letters: self.dead_letters + other.dead_letters,
            stalls: self.stalls + other.stalls,
            gaps: self.gaps + other.gaps,
        }
    }
}

impl Monitor {
    /// No code panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Shards> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shards that are read now.
    #[must_use]
    pub fn shards(&self) -> BTreeMap<LeaseKey, ShardStatus> {
        self.lock().read_now.iter().map(|(key, vitals)| (key.clone(), vitals.status())).collect()
    }

    /// What has happened to all shards together since the consumer was built.
    #[must_use]
    pub fn totals(&self) -> ShardCounts {
        let shards = self.lock();
        let now = shards.read_now.values().map(|vitals| vitals.status().counts);
        let before = shards.read_before.values().map(|report| report.counts);
        now.chain(before).sum()
    }

    /// A reader begins. In the place of one that failed, it goes on with that one's signs of life.
    pub(crate) fn begins(&self, key: &LeaseKey, epoch: Epoch, failed: Option<Vitals>) -> Vitals {
        let vitals = failed.unwrap_or_else(|| Vitals::new(epoch));
        vitals.begins(ShardActivity::Reading);
        self.lock().read_now.insert(key.clone(), vitals.clone());
        vitals
    }

    pub(crate) fn ended(&self, key: &LeaseKey, vitals: &Vitals, outcome: ShardOutcome) {
        let mut shards = self.lock();
        let status = vitals.status();
        if shards.read_now.get(key).is_some_and(|newest| newest.is(vitals)) {
            shards.read_now.remove(key);
        }
        let before = shards.read_before.get(key).map(|report| report.counts).unwrap_or_default();
        let report = ShardReport { outcome, counts: before.plus(status.counts) };
        shards.read_before.insert(key.clone(), report);
    }

    /// Those that have made no progress for so long, and were not noticed before.
    pub(crate) fn new_stalls(&self, stall_after: Duration) -> Vec<(LeaseKey, ShardStatus)> {
        let shards = self.lock();
        let stalled = shards.read_now.iter().filter(|(_, vitals)| vitals.notices_stall(stall_after));
        stalled.map(|(key, vitals)| (key.clone(), vitals.status())).collect()
    }

    pub(crate) fn report(&self) -> Report {
        let totals = self.totals();
        let shards = self.lock().read_before.clone();
        Report { records_processed: totals.records, panics: totals.panics, shards, ..Report::default() }
    }
}
