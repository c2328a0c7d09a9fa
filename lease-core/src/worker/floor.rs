//! Which epochs may still be given out.

use super::Worker;
use crate::{Epoch, Moment};

/// What the store has said of that last, and whether it still holds.
///
/// A store that may lose its newest rows tells a floor with each heartbeat: it has lost no lease of that epoch or a later one. That
/// is over once it loses rows again, which may show in a call that fails, or in a row of another past.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct Floor {
    epoch: Epoch,
    /// Since when it may be out of date.
    doubted: Option<Moment>,
}

impl Floor {
    pub(super) const fn new() -> Self {
        Self { epoch: Epoch::NEVER_OWNED, doubted: None }
    }

    /// The answer to a heartbeat tells it.
    pub(super) fn told(&mut self, epoch: Epoch) {
        self.epoch = self.epoch.max(epoch);
    }

    /// A heartbeat that was sent then was the last to tell it.
    pub(super) fn told_by_one_sent(&mut self, sent: Moment) {
        self.doubted = self.doubted.filter(|since| sent < *since);
    }

    /// The lowest epoch that may be given out, as far as anybody knows.
    pub(super) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The same, unless it is in doubt.
    pub(super) fn certain(&self) -> Option<Epoch> {
        self.doubted.is_none().then_some(self.epoch)
    }
}

impl Worker {
    /// The store may have lost its newest rows. One without a floor keeps what it has confirmed, whatever happens to it.
    pub(super) fn doubt_floor(&mut self) {
        if self.floor.epoch > Epoch::NEVER_OWNED {
            self.floor.doubted = Some(self.now);
            self.table.doubt_epochs();
            self.doubt_listed();
        }
    }

    /// The store has lost a row. Others that the last list had may be gone, too.
    pub(super) fn doubt_rows(&mut self) {
        self.doubt_floor();
        self.doubt_listed();
    }

    /// Nothing is created by what the last list had, such as a child beside a parent whose row is lost: whoever has not known that
    /// one would take the child for one without a parent.
    fn doubt_listed(&mut self) {
        self.listing.doubted = Some(self.now);
        self.listing.hinted = true;
        self.table.drop_waiting_creations();
    }

    /// Whether a heartbeat has to ask first which epochs may be given out.
    pub(super) fn awaits_floor(&mut self) -> bool {
        let is_doubted = self.floor.certain().is_none();
        if is_doubted {
            self.chores.postponed = true;
            self.pulse.hurry();
        }
        is_doubted
    }

    /// Sends the writes again that are due, under epochs that may still be given out.
    pub(super) fn try_again(&mut self) {
        let commands = self.table.retries(self.now, self.floor.certain());
        self.commands.extend(commands);
        if self.floor.certain().is_none() && self.table.has_doubtful_epochs() {
            self.awaits_floor();
        }
    }
}
