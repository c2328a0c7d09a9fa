//! From quotas to targets.

use std::collections::{BTreeMap, BTreeSet};

use stream_types::Name;

use super::Assignment;
use super::quota::{Claim, quotas};
use super::runnable::Lineage;
use super::tie::Ties;
use crate::{Lease, WorkerRow};

/// A runnable lease on its way to a target. Workers are meant by their index.
struct Candidate<'rows> {
    lease: &'rows Lease,
    rank: u64,
    owner: Option<usize>,
    target: Option<usize>,
}

/// Assigns every runnable lease. The workers are those that stay, ascending by name, at least one.
pub(super) fn assign(workers: &[&WorkerRow], leases: &[&Lease], ties: Ties) -> Vec<Assignment> {
    let indices: BTreeMap<&Name, usize> = workers.iter().enumerate().map(|(index, row)| (&row.name, index)).collect();
    let lineage = Lineage::new(leases);
    let owner_of = |lease: &Lease| lease.owner.as_ref().and_then(|owner| indices.get(&owner.name).copied());
    let mut candidates: Vec<Candidate<'_>> = lineage
        .runnable()
        .into_iter()
        .map(|lease| Candidate { lease, rank: ties.rank_of_lease(&lease.key), owner: owner_of(lease), target: None })
        .collect();
    // The workers, by index, that finished a free lease's parents.
    let parents_of = |candidate: &Candidate<'_>| -> Vec<usize> {
        let owners = lineage.owners_of_parents(candidate.lease);
        owners.filter_map(|owner| indices.get(&owner.name).copied()).collect()
    };

    let ranks: Vec<u64> = workers.iter().map(|row| ties.rank_of_worker(&row.name)).collect();
    let mut loads = vec![0; workers.len()];
    for group in groups(workers, &candidates) {
        let mut seats = quotas(&claims(workers, &ranks, &group, &candidates, &loads, parents_of), group.members.len());
        // Owners keep what they have, as far as their quota goes.
        settle(&mut candidates, &mut seats, &group, |candidate| candidate.owner.into_iter().collect());
        // Free children go where their parents were read. First to where the first parent was, by which the quotas count them: a
        // child that got in before by its second parent would take the seat of one that was counted.
        let parents_of_free = |candidate: &Candidate<'_>| match candidate.owner {
            None => parents_of(candidate),
            Some(_) => Vec::new(),
        };
        settle(&mut candidates, &mut seats, &group, |candidate| {
            parents_of_free(candidate).into_iter().take(1).collect()
        });
        settle(&mut candidates, &mut seats, &group, parents_of_free);
        fill(&mut candidates, &mut seats, &group, &ranks);
        group.members.iter().filter_map(|&member| candidates[member].target).for_each(|target| loads[target] += 1);
    }

    let name_of = |index: usize| workers[index].name.clone();
    candidates
        .into_iter()
        .map(|candidate| Assignment { key: candidate.lease.key.clone(), target: candidate.target.map(name_of) })
        .collect()
}

/// The leases of all streams that the same workers follow.
struct Group {
    followers: BTreeSet<usize>,
    /// Candidates, by rank.
    members: Vec<usize>,
}

/// The groups, those that the fewest workers follow first: what these get counts when the leases of streams that more workers
/// follow are spread. Where all workers follow the same streams there is one group, besides the streams that nobody follows.
fn groups(workers: &[&WorkerRow], candidates: &[Candidate<'_>]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut group_of_stream: BTreeMap<&Name, usize> = BTreeMap::new();
    for (index, candidate) in candidates.iter().enumerate() {
        let stream = &candidate.lease.key.stream;
        // Followers are compared once for each stream: there may be many of them, and many leases.
        let group = *group_of_stream.entry(stream).or_insert_with(|| {
            let follows = |worker: &usize| workers[*worker].follows(stream);
            let followers = (0..workers.len()).filter(follows).collect();
            let known = groups.iter().position(|group| group.followers == followers);
            known.unwrap_or_else(|| {
                groups.push(Group { followers, members: Vec::new() });
                groups.len() - 1
            })
        });
        groups[group].members.push(index);
    }
    groups.sort_by(|a, b| a.followers.len().cmp(&b.followers.len()).then_with(|| a.followers.cmp(&b.followers)));
    groups.iter_mut().for_each(|group| group.members.sort_unstable_by_key(|&index| (candidates[index].rank, index)));
    groups
}

fn claims(
    workers: &[&WorkerRow],
    ranks: &[u64],
    group: &Group,
    candidates: &[Candidate<'_>],
    loads: &[usize],
    parents_of: impl Fn(&Candidate<'_>) -> Vec<usize>,
) -> Vec<Claim> {
    let capacity = |worker: &WorkerRow| worker.capacity.map_or(usize::MAX, |capacity| capacity.get() as usize);
    let claim = |((row, load), rank): ((&&WorkerRow, &usize), &u64)| Claim {
        capacity: capacity(row),
        load: *load,
        owned: 0,
        children: 0,
        rank: *rank,
    };
    let mut claims: Vec<Claim> = workers.iter().zip(loads).zip(ranks).map(claim).collect();
    for &member in &group.members {
        let candidate = &candidates[member];
        match candidate.owner {
            Some(owner) => claims[owner].owned += 1,
            None => parents_of(candidate).first().into_iter().for_each(|&parent| claims[parent].children += 1),
        }
    }
    for (index, claim) in claims.iter_mut().enumerate() {
        if !group.followers.contains(&index) {
            claim.capacity = claim.load;
        } else if workers[index].returns_within.is_some() {
            // Who is away keeps what he has, and gets nothing that somebody else could read meanwhile.
            claim.capacity = claim.capacity.min(claim.load + claim.owned);
            claim.children = 0;
        }
    }
    claims
}

/// Seats each lease that has no target yet with the first of its preferred workers that has a seat left.
fn settle(
    candidates: &mut [Candidate<'_>],
    seats: &mut [usize],
    group: &Group,
    preferred: impl Fn(&Candidate<'_>) -> Vec<usize>,
) {
    for &member in &group.members {
        let candidate = &mut candidates[member];
        if candidate.target.is_none() {
            candidate.target = preferred(candidate).into_iter().find(|&worker| seats[worker] > 0);
            candidate.target.into_iter().for_each(|worker| seats[worker] -= 1);
        }
    }
}

/// Seats all other leases wherever there is room; those left over fit nowhere.
fn fill(candidates: &mut [Candidate<'_>], seats: &mut [usize], group: &Group, ranks: &[u64]) {
    let mut order: Vec<usize> = (0..ranks.len()).collect();
    order.sort_unstable_by_key(|&worker| (ranks[worker], worker));
    let mut room = order.into_iter().flat_map(|worker| std::iter::repeat_n(worker, seats[worker]));
    for &member in &group.members {
        let candidate = &mut candidates[member];
        if candidate.target.is_none() {
            candidate.target = room.next();
        }
    }
}
