//! A lease that this worker has.

use std::time::Duration;

use stream_types::{Position, Shard};

use super::pause::doubled;
use crate::{Epoch, Moment};

/// What a worker does with a lease that it has.
#[derive(Debug, Clone, Hash)]
pub(super) struct Holding {
    pub(super) epoch: Epoch,
    pub(super) activity: Activity,
    /// The newest position that the reader wants stored and that no write carries yet.
    pub(super) unsaved: Option<Position>,
    /// What the reader wants to store itself, once the row can be lent.
    pub(super) row_wanted: Option<Position>,
    failures: u32,
}

#[derive(Debug, Clone, PartialEq, Hash)]
pub(super) enum Activity {
    /// The shard is being read.
    Reading,
    /// The reader was asked to finish its batch.
    Draining,
    /// Nobody reads. All up to the position is done.
    Drained(Position),
    /// The shard is done; its children need leases before it is finished.
    Ending(Vec<Shard>),
    /// The reader has given up. All up to the position is done.
    Stopped(Position),
    /// The reader failed, and starts again at that moment.
    Failed(Moment),
}

impl Holding {
    const FIRST_PAUSE: Duration = Duration::from_secs(1);
    const LONGEST_PAUSE: Duration = Duration::from_secs(60);

    pub(super) fn reading(epoch: Epoch) -> Self {
        Self { epoch, activity: Activity::Reading, unsaved: None, row_wanted: None, failures: 0 }
    }

    pub(super) fn fail(&mut self, now: Moment) {
        let pause = doubled(Self::FIRST_PAUSE, self.failures, Self::LONGEST_PAUSE);
        self.failures += 1;
        self.row_wanted = None;
        self.activity = Activity::Failed(now.after(pause));
    }

    /// Up to where all is done, of a reader that has just stopped. Its processor may have stored more than the batches that
    /// it finished.
    pub(super) fn furthest(&mut self, stored: Option<&Position>, finished: Option<Position>) -> Option<Position> {
        self.row_wanted = None;
        let candidates = [stored.cloned(), self.unsaved.take(), finished];
        candidates.into_iter().flatten().reduce(Position::furthest)
    }

    pub(super) fn has_failed(&self) -> bool {
        matches!(self.activity, Activity::Failed(_))
    }

    /// Whether a reader is at work, or still has to learn that the lease is gone.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.activity, Activity::Reading | Activity::Draining | Activity::Ending(_))
    }

    /// A position was stored. A loan may bring one that its reader did not know of when it was drained.
    pub(super) fn has_progressed(&mut self, stored: &Position) {
        self.failures = 0;
        if let Activity::Drained(drained) | Activity::Stopped(drained) = &mut self.activity
            && drained.may_advance_to(stored)
        {
            *drained = stored.clone();
        }
    }

    /// When the worker must be woken for this lease.
    pub(super) fn next_wake(&self) -> Option<Moment> {
        match self.activity {
            Activity::Failed(until) => Some(until),
            _ => None,
        }
    }
}
