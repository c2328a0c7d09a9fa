//! How many leases each worker should have.

/// What decides a worker's quota.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    /// The most it takes.
    pub(super) capacity: usize,
    /// How many runnable leases it owns.
    pub(super) owned: usize,
    /// How many free leases are children of shards that it finished.
    pub(super) children: usize,
    /// Breaks ties.
    pub(super) rank: u64,
}

/// Fills the workers evenly, like water: no worker gets a second lease more than another that still has room.
///
/// The spare seats of the last level go first to those who would otherwise have to give a lease away, then to those who
/// would otherwise lose a child of their own shard, then to the others; among equals, by rank. The rank is fixed, so that
/// a plan which is half carried out gives the same seats to the same workers as it did at first: a count would have
/// changed meanwhile, and two workers that looked at different moments would both believe to have the last seat.
pub(super) fn quotas(claims: &[Claim], lease_count: usize) -> Vec<usize> {
    let Level { base, spare } = level(claims, lease_count);
    let mut quotas: Vec<usize> = claims.iter().map(|claim| claim.capacity.min(base)).collect();

    let mut takers: Vec<usize> = (0..claims.len()).filter(|&index| claims[index].capacity > base).collect();
    takers.sort_by_key(|&index| {
        let Claim { owned, children, rank, .. } = claims[index];
        std::cmp::Reverse((owned > base, owned + children > base, rank))
    });
    for index in takers.into_iter().take(spare) {
        quotas[index] += 1;
    }
    quotas
}

/// Every worker gets `base` leases, or its capacity if that is less; `spare` workers with room get one more.
struct Level {
    base: usize,
    spare: usize,
}

fn level(claims: &[Claim], lease_count: usize) -> Level {
    let mut capacities: Vec<usize> = claims.iter().map(|claim| claim.capacity).collect();
    capacities.sort_unstable();
    let mut left = lease_count;
    for (full, &capacity) in capacities.iter().enumerate() {
        let with_room = capacities.len() - full;
        let base = left / with_room;
        if capacity > base {
            return Level { base, spare: left % with_room };
        }
        left -= capacity;
    }
    // Everybody is full; whatever is left fits nowhere.
    Level { base: usize::MAX, spare: 0 }
}
