//! The hash that breaks ties: the same in every build and on every machine.

use stream_types::Name;

use super::PlanVersion;
use crate::LeaseKey;

/// How one version of the plan breaks ties.
#[derive(Clone, Copy)]
pub(super) struct Ties {
    is_reversed: bool,
}

impl Ties {
    /// Those of that version.
    pub(super) fn of(version: PlanVersion) -> Self {
        // The version after the latest is a rehearsal for tests: it differs in this alone.
        Self { is_reversed: version > PlanVersion::LATEST }
    }

    /// Ranks a lease among others.
    pub(super) fn rank_of_lease(self, key: &LeaseKey) -> u64 {
        self.directed(hash([key.stream.as_str(), "/", key.shard.as_str()]))
    }

    /// Ranks a worker among others.
    pub(super) fn rank_of_worker(self, name: &Name) -> u64 {
        self.directed(rank_of_worker(name))
    }

    const fn directed(self, rank: u64) -> u64 {
        if self.is_reversed { !rank } else { rank }
    }
}

/// 64-bit FNV-1a, finished with the mixer of SplitMix64 so that keys which differ only in their last digits spread.
fn hash<'text>(parts: impl IntoIterator<Item = &'text str>) -> u64 {
    let fnv = parts
        .into_iter()
        .flat_map(str::bytes)
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Ranks a worker among others for the chores of the fleet, whatever the version.
pub(super) fn rank_of_worker(name: &Name) -> u64 {
    hash([name.as_str()])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers were computed by a program of its own, in another language.
    ///
    /// Two builds that hash differently would plan differently: these numbers may never change within a plan version.
    #[test]
    fn the_hash_is_the_documented_one() {
        assert_eq!(rank_of_worker(&Name::new("pod-1").unwrap()), hash(["pod", "-1"]));
        assert_eq!(hash(["pod-1"]), 0xa571_8956_e08f_3335);
        let ties = Ties::of(PlanVersion::LATEST);
        assert_eq!(ties.rank_of_worker(&Name::new("pod-1").unwrap()), 0xa571_8956_e08f_3335);
        assert_eq!(ties.rank_of_lease(&"orders/shardId-000000000003".parse().unwrap()), 0xb2fb_5fe1_f1b6_e609);
    }
}
