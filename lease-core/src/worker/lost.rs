//! Leases that are gone from the table, though their shards are not gone from the stream.

use std::collections::BTreeMap;

use stream_types::{Shard, ShardId};

use crate::{Epoch, Lease};

/// What such leases had. A sink may have seen their epochs, which must not be given out once more.
#[derive(Debug, Clone, Default, Hash)]
pub(super) struct LostLeases(BTreeMap<ShardId, Lost>);

#[derive(Debug, Clone, Copy, Hash)]
struct Lost {
    epoch: Epoch,
    /// The last list of shards had no such shard.
    is_missed: bool,
}

impl LostLeases {
    pub(super) fn note(&mut self, lease: &Lease) {
        let earlier = self.epoch(&lease.key.shard).unwrap_or(Epoch::NEVER_OWNED);
        let lost = Lost { epoch: lease.epoch.max(earlier), is_missed: false };
        self.0.insert(lease.key.shard.clone(), lost);
    }

    pub(super) fn epoch(&self, shard: &ShardId) -> Option<Epoch> {
        self.0.get(shard).map(|lost| lost.epoch)
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
