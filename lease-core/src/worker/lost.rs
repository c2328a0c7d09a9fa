//! Leases that are gone from the table, though their shards are not gone from the stream.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stream_types::{Shard, ShardId};

use super::Worker;
use crate::{Epoch, Lease, LeaseKey, Moment};

/// What such leases had. A sink may have seen their epochs, which must not be given out once more.
#[derive(Debug, Clone, Default, Hash)]
pub(super) struct LostLeases(BTreeMap<ShardId, Lost>);

#[derive(Debug, Clone, Copy, Hash)]
struct Lost {
    epoch: Epoch,
    /// When it was found to be lost, if it was not finished.
    unfinished_since: Option<Moment>,
    /// The last list of shards had no such shard.
    is_missed: bool,
}

impl LostLeases {
    pub(super) fn note(&mut self, lease: &Lease, now: Moment) {
        let earlier = self.epoch(&lease.key.shard).unwrap_or(Epoch::NEVER_OWNED);
        let unfinished_since = (!lease.is_finished()).then_some(now);
        let lost = Lost { epoch: lease.epoch.max(earlier), unfinished_since, is_missed: false };
        self.0.insert(lease.key.shard.clone(), lost);
    }

    pub(super) fn epoch(&self, shard: &ShardId) -> Option<Epoch> {
        self.0.get(shard).map(|lost| lost.epoch)
    }

    /// Whether a lease that was not finished was found to be lost less than that long ago.
    pub(super) fn is_missing(&self, shard: &ShardId, within: Duration, now: Moment) -> bool {
        let since = self.0.get(shard).and_then(|lost| lost.unfinished_since);
        since.is_some_and(|since| now.since(since) < within)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets the shards that two lists in a row did not have. One may show an older state, and an empty one proves nothing.
    pub(super) fn listed(&mut self, shards: &BTreeMap<ShardId, Shard>) {
        self.0.retain(|shard, lost| {
            let was_missed = lost.is_missed;
            lost.is_missed = !shards.is_empty() && !shards.contains_key(shard);
            !(was_missed && lost.is_missed)
        });
    }
}

impl Worker {
    /// Leases that must not run yet, and what descends from them: the row of a parent that was not finished is gone. It is made
    /// anew once the shards are listed; without it, they would seem free to run. A parent that is not back after an audit by whoever
    /// lists them, and another list, the stream no longer has.
    pub(super) fn waiting_for_lost_parents(&self) -> BTreeSet<LeaseKey> {
        if self.streams.values().all(|stream| stream.lost().is_empty()) {
            return BTreeSet::new();
        }
        let within = self.settings.audit_interval + self.settings.reconcile_interval;
        let waits = |row: &&Lease| {
            let lost = self.streams.get(&row.key.stream).map(|stream| stream.lost());
            let is_missing = |parent: &ShardId| {
                let is_gone = self.table.get(&row.key.sibling(parent.clone())).is_none();
                is_gone && lost.is_some_and(|lost| lost.is_missing(parent, within, self.now))
            };
            row.parents.iter().any(is_missing)
        };
        let waiting = self.table.rows().into_iter().flatten().filter(waits).map(|row| row.key.clone()).collect();
        self.table.with_descendants(waiting)
    }
}

#[cfg(test)]
mod tests {
    use stream_types::Position;

    use super::*;
    use crate::testing::lease;

    #[test]
    fn only_a_lease_that_was_not_finished_is_missing_and_only_for_a_while() {
        let at = |seconds| Moment::START.after(Duration::from_secs(seconds));
        let (open, other) = (lease("open"), lease("other"));
        let finished = Lease { position: Position::End, ..lease("finished") };
        let mut lost = LostLeases::default();
        lost.note(&open, at(1));
        lost.note(&finished, at(1));
        let is_missing = |lease: &Lease, now| lost.is_missing(&lease.key.shard, Duration::from_secs(10), now);
        assert!(is_missing(&open, at(1)) && is_missing(&open, at(10)));
        assert!(!is_missing(&open, at(11)), "the stream no longer has it");
        assert!(!is_missing(&finished, at(1)) && !is_missing(&other, at(1)));
    }
}
