//! Fleets at rest, as rows.

use lease_core::plan::{Plan, Snapshot, plan};
use lease_core::testing::worker;
use lease_core::{Lease, StreamFacts, WorkerRow};
use stream_types::{Name, Position, RecordPosition, Shard, ShardId, StartPosition};

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("a valid name")
}

pub(crate) fn shard(id: &str, parents: &[&str]) -> Shard {
    let parents = parents.iter().map(|parent| ShardId::new(parent).expect("a valid id")).collect();
    Shard { id: ShardId::new(id).expect("a valid id"), parents, hash_range: None }
}

/// So many shards without parents.
pub(crate) fn shards(count: usize) -> Vec<Shard> {
    (0..count).map(|index| shard(&format!("shard-{index:04}"), &[])).collect()
}

pub(crate) fn facts() -> StreamFacts {
    StreamFacts { created: None, start: StartPosition::Horizon }
}

/// The position behind the record of that number.
pub(crate) fn after(number: u64) -> Position {
    Position::After(RecordPosition::whole(number.to_string().parse().expect("digits")))
}

pub(crate) fn free_lease(id: &str, parents: &[&str]) -> Lease {
    Lease::new(name("stream"), shard(id, parents), facts(), worker("creator"))
}

pub(crate) fn worker_row(index: usize) -> WorkerRow {
    WorkerRow::registering(worker(&format!("worker-{index:04}")), None)
}

/// Workers that own so many leases each, and free leases besides.
pub(crate) fn fleet(owned: &[usize], free: usize) -> (Vec<WorkerRow>, Vec<Lease>) {
    let workers: Vec<WorkerRow> = (0..owned.len()).map(worker_row).collect();
    let owners = owned.iter().enumerate().flat_map(|(index, &count)| std::iter::repeat_n(Some(index), count));
    let leases = owners.chain(std::iter::repeat_n(None, free)).enumerate().map(|(number, owner)| {
        let lease = free_lease(&format!("shard-{number:06}"), &[]);
        owner.map_or(lease.clone(), |owner: usize| lease.taken_by(&workers[owner].id()))
    });
    let leases = leases.collect();
    (workers, leases)
}

pub(crate) fn snapshot<'rows>(workers: &'rows [WorkerRow], leases: &'rows [Lease]) -> Snapshot<'rows> {
    Snapshot { workers: workers.iter().collect(), leases: Some(leases.iter().collect()) }
}

pub(crate) fn plan_of(workers: &[WorkerRow], leases: &[Lease]) -> Plan {
    plan(&snapshot(workers, leases))
}

/// How many leases the plan takes away from a worker that is alive and stays.
pub(crate) fn live_moves(plan: &Plan, leases: &[Lease]) -> usize {
    let moved = |lease: &&Lease| {
        let owner = lease.owner.as_ref().map(|owner| &owner.name);
        owner.is_some() && plan.target(&lease.key).is_some() && plan.target(&lease.key) != owner
    };
    leases.iter().filter(moved).count()
}

/// How many leases the plan gives to each worker.
pub(crate) fn counts(plan: &Plan, workers: &[WorkerRow]) -> Vec<usize> {
    let count = |row: &WorkerRow| {
        plan.assignments().iter().filter(|assignment| assignment.target.as_ref() == Some(&row.name)).count()
    };
    workers.iter().map(count).collect()
}
