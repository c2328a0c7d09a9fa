//! Notice of what is to come, so that a shard is not silent for long while its lease changes hands.
//!
//! A worker looks at the table only with its heartbeats. On a store without hints, a gift could thus lie unread for a whole
//! heartbeat interval. So whoever is to receive leases looks often for a while; and whoever leaves goes on reading until the
//! receivers can know that it does.

use std::collections::BTreeSet;
use std::time::Duration;

use stream_types::Name;

use super::Worker;
use crate::LeaseKey;

impl Worker {
    /// Of the time that a worker has for leaving, it spends at most one part in this many on giving notice.
    const NOTICE_PARTS: u32 = 10;

    /// A worker that leaves has so much less time for giving notice.
    pub(super) fn limit_notice(&mut self, within: Duration) {
        self.notice = self.settings.longest_notice().min(within / Self::NOTICE_PARTS);
    }

    /// Looks often, for a while, when the plan has come to send this worker leases that others still read, and again
    /// whenever one of them has arrived. An owner that takes its time over the drain costs the table no more than that.
    pub(super) fn look_out_for_gifts(&mut self) {
        let me = &self.pulse.row.name;
        let live: BTreeSet<&Name> = self.live_workers().into_iter().map(|row| &row.name).collect();
        let is_of_another = |key: &&LeaseKey| {
            let owner = self.table.get(key).and_then(|row| row.owner.as_ref());
            owner.is_some_and(|owner| owner.name != *me && live.contains(&owner.name))
        };
        let assignments = self.plan.iter().flat_map(|plan| plan.assignments());
        let mine = assignments.filter(|assignment| assignment.target.as_ref() == Some(me));
        let expected: BTreeSet<LeaseKey> =
            mine.map(|assignment| &assignment.key).filter(is_of_another).cloned().collect();
        if expected == self.expected {
            return;
        }
        if expected.is_empty() {
            self.pulse.calm_down();
        } else {
            self.pulse.look_often_until(self.now.after(self.settings.longest_notice()));
        }
        self.expected = expected;
    }

    /// Whether the receiver of a lease can be on the look-out for it. One that the plan gives leases because it has just
    /// come is; why this worker gives up what it could keep, others learn from its row, with a heartbeat of their own.
    pub(super) fn has_given_notice(&mut self, key: &LeaseKey, receiver: &Name) -> bool {
        let row = &self.pulse.row;
        if !row.leaving && row.follows(&key.stream) {
            return true;
        }
        let Some(told) = self.pulse.told().filter(|_| self.may_give_away(&key.stream)) else { return false };
        let until = told.after(self.notice);
        let is_given = until <= self.now || self.liveness.has_beaten_since(receiver, told);
        if !is_given {
            self.pulse.look_often_until(until);
        }
        is_given
    }
}
