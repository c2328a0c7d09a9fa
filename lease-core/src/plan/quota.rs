//! How many leases each worker should have.

/// What decides a worker's quota.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    /// The most it takes.
    pub(super) capacity: usize,
    /// How many leases of other groups it has already.
    pub(super) load: usize,
    /// How many runnable leases it owns.
    pub(super) owned: usize,
    /// How many free leases are children of shards that it finished.
    pub(super) children: usize,
    /// Breaks ties.
    pub(super) rank: u64,
}

/// How many more leases each worker gets. Fills them evenly, like water: no worker comes to have two leases more than
/// another that still has room.
///
/// The spare seats of the last level go first to those who would otherwise have to give a lease away, then to those who
/// would otherwise lose a child of their own shard, then to the others; among equals, by rank. The rank is fixed, so that
/// a plan which is half carried out gives the same seats to the same workers as it did at first: a count would have
/// changed meanwhile, and two workers that looked at different moments would both believe to have the last seat.
pub(super) fn quotas(claims: &[Claim], lease_count: usize) -> Vec<usize> {
    let level = level(claims, lease_count);
    let mut quotas: Vec<usize> = claims.iter().map(|claim| claim.seats_up_to(level)).collect();
    let spare = lease_count.saturating_sub(quotas.iter().sum());

    let has_room = |claim: &Claim| claim.capacity > level && claim.load <= level;
    let mut takers: Vec<usize> = (0..claims.len()).filter(|&index| has_room(&claims[index])).collect();
    takers.sort_by_key(|&index| {
        let (Claim { owned, children, rank, .. }, quota) = (claims[index], quotas[index]);
        std::cmp::Reverse((owned > quota, owned + children > quota, rank))
    });
    for index in takers.into_iter().take(spare) {
        quotas[index] += 1;
    }
    quotas
}

impl Claim {
    /// How many more leases bring the worker to that level, or to its capacity.
    fn seats_up_to(&self, level: usize) -> usize {
        self.capacity.min(level).saturating_sub(self.load)
    }
}

/// The highest level to which the leases fill all workers that have room.
fn level(claims: &[Claim], lease_count: usize) -> usize {
    let needed = |level: usize| claims.iter().map(|claim| claim.seats_up_to(level)).sum::<usize>();
    let highest_load = claims.iter().map(|claim| claim.load).max().unwrap_or(0);
    // The leases suffice for the level `reached`, and not for `beyond`, which one worker with room would need them all for.
    let (mut reached, mut beyond) = (0, highest_load.saturating_add(lease_count).saturating_add(1));
    while beyond - reached > 1 {
        let middle = reached + (beyond - reached) / 2;
        if needed(middle) <= lease_count {
            reached = middle;
        } else {
            beyond = middle;
        }
    }
    reached
}
