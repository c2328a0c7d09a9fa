//! What nobody could tell of, and who tells of it then.
//!
//! The others look at the leases when a worker's row shows that it has changed something. But a process may be gone, or replaced,
//! before its row can show what it wrote last. So a worker that cannot be sure that everything was told says so: when it was late,
//! when it has outlived an earlier process of its name, and when a row is not as it left it. For what even that misses there are
//! audits.

use std::collections::BTreeSet;

use super::Worker;
use crate::plan::designated;
use crate::{Epoch, LeaseKey, Moment};

/// The looks at the leases that nothing has called for.
#[derive(Debug, Clone, Default, Hash)]
pub(super) struct Audit {
    /// When the last one was sent.
    last: Option<Moment>,
    /// The next list is one.
    is_due: bool,
    /// Its list has come, and the next plan shows what is undone.
    pub(super) has_come: bool,
    /// The leases with which others had something to do by the last one, under the epochs that they had.
    told: BTreeSet<(LeaseKey, Epoch)>,
}

impl Audit {
    /// A list has come that was sent at that moment. Whether another one is wanted: then this one may not have shown everything.
    pub(super) fn listed(&mut self, sent: Moment, another_is_wanted: bool) {
        // A worker's first look finds what all know: that it has come.
        if self.is_due || self.last.is_none() {
            self.last = Some(sent);
        }
        self.has_come |= self.is_due;
        self.is_due &= another_is_wanted;
    }
}

impl Worker {
    /// Of how many audits a worker makes one, where another is designated.
    const AUDITS_LEFT_TO_ANOTHER: u32 = 10;

    /// Wants the leases listed if an audit is due. One worker looks often, for the whole fleet; each looks now and then.
    pub(super) fn audit_when_due(&mut self) {
        let factor = if self.is_designated() { 1 } else { Self::AUDITS_LEFT_TO_ANOTHER };
        let interval = self.settings.audit_interval.saturating_mul(factor);
        match self.audit.last {
            None => self.listing.wanted = true,
            // A list may be on its way for longer than a heartbeat.
            Some(_) if self.audit.is_due => {}
            Some(last) if self.now.since(last) >= interval => {
                self.listing.wanted = true;
                self.audit.is_due = true;
            }
            Some(_) => {}
        }
    }

    /// Tells the others of what an audit shows that they have to do, if this worker looks for the whole fleet. It tells of
    /// nothing twice, since they may leave it undone on purpose.
    pub(super) fn tell_of_undone(&mut self, undone: BTreeSet<(LeaseKey, Epoch)>) {
        if self.is_designated() && !undone.is_subset(&self.audit.told) {
            self.announce();
        }
        self.audit.told = undone;
        self.audit.has_come = false;
    }

    /// Tells the others soon that leases have come, gone, or changed hands, or may have.
    pub(super) fn announce(&mut self) {
        self.pulse.row.generation += 1;
        self.pulse.hurry();
    }

    /// Whether the chores of the whole fleet fall to this worker.
    pub(super) fn is_designated(&self) -> bool {
        designated(&self.live_workers()).is_some_and(|row| row.name == self.pulse.row.name)
    }
}
