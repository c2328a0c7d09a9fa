//! What one shard's task tells of itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lease_core::Epoch;
use tokio::time::Instant;

use crate::{ShardActivity, ShardCounts, ShardStatus};

/// Written by a shard's task, read by whoever watches it. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Vitals {
    epoch: Epoch,
    signs: Arc<Mutex<Signs>>,
}

#[derive(Debug)]
struct Signs {
    activity: ShardActivity,
    counts: ShardCounts,
    behind_latest: Option<Duration>,
    progress: Instant,
    is_stalled: bool,
}

impl Vitals {
    pub(crate) fn new(epoch: Epoch) -> Self {
        let signs = Signs {
            activity: ShardActivity::Reading,
            counts: ShardCounts::default(),
            behind_latest: None,
            progress: Instant::now(),
            is_stalled: false,
        };
        Self { epoch, signs: Arc::new(Mutex::new(signs)) }
    }

    pub(crate) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// No code panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, Signs> {
        self.signs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.signs, &other.signs)
    }

    pub(crate) fn status(&self) -> ShardStatus {
        let Signs { activity, counts, behind_latest, progress, .. } = *self.lock();
        ShardStatus { epoch: self.epoch, activity, counts, behind_latest, since_progress: progress.elapsed() }
    }

    /// The stream has answered.
    pub(crate) fn has_read(&self, behind_latest: Option<Duration>) {
        let mut signs = self.lock();
        signs.behind_latest = behind_latest;
        signs.progress();
    }

    pub(crate) fn begins(&self, activity: ShardActivity) {
        self.lock().activity = activity;
    }

    /// The reader failed; another one will go on.
    pub(crate) fn has_lost_reader(&self) {
        let mut signs = self.lock();
        signs.counts.reader_failures += 1;
        signs.activity = ShardActivity::Unreadable;
    }

    /// So many records are done.
    pub(crate) fn has_processed(&self, records: usize) {
        let mut signs = self.lock();
        signs.counts.records += records as u64;
        signs.progress();
    }

    pub(crate) fn has_failed(&self, by_panic: bool) {
        let mut signs = self.lock();
        signs.counts.failures += 1;
        signs.counts.panics += u64::from(by_panic);
    }

    pub(crate) fn has_put_away(&self) {
        let mut signs = self.lock();
        signs.counts.dead_letters += 1;
        signs.progress();
    }

    /// The stream may have forgotten records before they were read.
    pub(crate) fn has_gap(&self) {
        self.lock().counts.gaps += 1;
    }

    /// Whether there was no progress for so long; true once until there is some.
    pub(crate) fn notices_stall(&self, stall_after: Duration) -> bool {
        let mut signs = self.lock();
        let is_new = !signs.is_stalled && signs.progress.elapsed() >= stall_after;
        signs.is_stalled |= is_new;
        signs.counts.stalls += u64::from(is_new);
        is_new
    }
}

impl Signs {
    fn progress(&mut self) {
        self.progress = Instant::now();
        self.is_stalled = false;
    }
}
