//! From quotas to targets.

use std::collections::BTreeMap;

use stream_types::Name;

use super::Assignment;
use super::quota::{Claim, quotas};
use super::runnable::Lineage;
use super::tie::{rank_of_lease, rank_of_worker};
use crate::{Lease, WorkerRow};

/// A runnable lease on its way to a target. Workers are meant by their index.
struct Candidate<'rows> {
    lease: &'rows Lease,
    rank: u64,
    owner: Option<usize>,
    target: Option<usize>,
}

/// Assigns every runnable lease. The workers are those that stay, ascending by name, at least one.
pub(super) fn assign(workers: &[&WorkerRow], leases: &[&Lease]) -> Vec<Assignment> {
    let indices: BTreeMap<&Name, usize> = workers.iter().enumerate().map(|(index, row)| (&row.name, index)).collect();
    let lineage = Lineage::new(leases);
    let owner_of = |lease: &Lease| lease.owner.as_ref().and_then(|owner| indices.get(&owner.name).copied());
    let mut candidates: Vec<Candidate<'_>> = lineage
        .runnable()
        .into_iter()
        .map(|lease| Candidate { lease, rank: rank_of_lease(&lease.key), owner: owner_of(lease), target: None })
        .collect();
    // The workers, by index, that finished a free lease's parents.
    let parents_of = |candidate: &Candidate<'_>| -> Vec<usize> {
        let owners = lineage.owners_of_parents(candidate.lease);
        owners.filter_map(|owner| indices.get(&owner.name).copied()).collect()
    };

    let mut seats = quotas(&claims(workers, &candidates, parents_of), candidates.len());
    let mut by_rank: Vec<usize> = (0..candidates.len()).collect();
    by_rank.sort_unstable_by_key(|&index| (candidates[index].rank, index));
    // Owners keep what they have, as far as their quota goes.
    settle(&mut candidates, &mut seats, &by_rank, |candidate| candidate.owner.into_iter().collect());
    // Free children go where their parents were read.
    settle(&mut candidates, &mut seats, &by_rank, |candidate| match candidate.owner {
        None => parents_of(candidate),
        Some(_) => Vec::new(),
    });
    fill(&mut candidates, &mut seats, &by_rank, workers);

    let name_of = |index: usize| workers[index].name.clone();
    candidates
        .into_iter()
        .map(|candidate| Assignment { key: candidate.lease.key.clone(), target: candidate.target.map(name_of) })
        .collect()
}

fn claims(
    workers: &[&WorkerRow],
    candidates: &[Candidate<'_>],
    parents_of: impl Fn(&Candidate<'_>) -> Vec<usize>,
) -> Vec<Claim> {
    let capacity = |worker: &WorkerRow| worker.capacity.map_or(usize::MAX, |capacity| capacity.get() as usize);
    let mut claims: Vec<Claim> = workers
        .iter()
        .map(|row| Claim { capacity: capacity(row), owned: 0, children: 0, rank: rank_of_worker(&row.name) })
        .collect();
    for candidate in candidates {
        match candidate.owner {
            Some(owner) => claims[owner].owned += 1,
            None => parents_of(candidate).first().into_iter().for_each(|&parent| claims[parent].children += 1),
        }
    }
    // Who is away keeps what he has, and gets nothing that somebody else could read meanwhile.
    for (claim, _) in claims.iter_mut().zip(workers).filter(|(_, row)| row.returns_within.is_some()) {
        claim.capacity = claim.capacity.min(claim.owned);
        claim.children = 0;
    }
    claims
}

/// Seats each lease that has no target yet with the first of its preferred workers that has a seat left.
fn settle(
    candidates: &mut [Candidate<'_>],
    seats: &mut [usize],
    by_rank: &[usize],
    preferred: impl Fn(&Candidate<'_>) -> Vec<usize>,
) {
    for &index in by_rank {
        let candidate = &mut candidates[index];
        if candidate.target.is_none() {
            candidate.target = preferred(candidate).into_iter().find(|&worker| seats[worker] > 0);
            candidate.target.into_iter().for_each(|worker| seats[worker] -= 1);
        }
    }
}

/// Seats all other leases wherever there is room; those left over fit nowhere.
fn fill(candidates: &mut [Candidate<'_>], seats: &mut [usize], by_rank: &[usize], workers: &[&WorkerRow]) {
    let mut order: Vec<usize> = (0..workers.len()).collect();
    order.sort_unstable_by_key(|&worker| (rank_of_worker(&workers[worker].name), worker));
    let mut room = order.into_iter().flat_map(|worker| std::iter::repeat_n(worker, seats[worker]));
    for &index in by_rank {
        let candidate = &mut candidates[index];
        if candidate.target.is_none() {
            candidate.target = room.next();
        }
    }
}
