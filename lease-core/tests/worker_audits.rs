//! What nobody told of is found by whoever looks unasked, and told to those who have to do something about it.

mod common;

use std::time::Duration;

use common::rows::{free_lease, shard};
use common::world::{HEARTBEAT, LEASE_DURATION, World, settings};
use lease_core::testing::block_on_ready;
use lease_core::worker::WorkerSettings;
use lease_core::{Expected, Lease, LeaseStore, Outcome, WorkerId};

/// So that no worker's row tells of it.
fn put_by_hand(world: &World, expected: Expected, next: &Lease) {
    let written = block_on_ready(world.store.put(expected, next)).expect("memory does not fail");
    assert_eq!(written, Outcome::Applied);
}

/// One worker audits for all. Were it to do its own part alone, the others would do theirs at the next audits of their own, ten
/// times as late.
#[test]
fn what_one_audit_finds_undone_all_workers_do() {
    let mut world = World::level(3, &["a", "b", "c"]);
    // Three times one, which falls to whoever has the fewest, and most often that is not the one that audits.
    for (id, all) in [("shard-0003", 4), ("shard-0004", 5), ("shard-0005", 6)] {
        world.add_shard(shard(id, &[]));
        put_by_hand(&world, Expected::Absent, &free_lease(id, &[]));
        world.run_for(settings().audit_interval + LEASE_DURATION);
        assert_eq!(world.reading().values().sum::<usize>(), all, "{:?}", world.reading());
    }
}

#[test]
fn an_audit_that_finds_nothing_to_do_tells_nobody() {
    let mut world = World::level(5, &["a", "b", "c"]);
    let generations = |world: &World| ["a", "b", "c"].map(|name| world.row(name).generation);
    let before = generations(&world);
    world.run_for(WorkerSettings::default().audit_interval * 30);
    assert_eq!(generations(&world), before);
}

/// Found by the simulation: a process that has been replaced cannot tell what it did last, and nobody falls silent. Here it came
/// to the end of a shard that had been merged with another worker's.
#[test]
fn what_a_replaced_process_did_last_its_successor_tells() {
    // Before its successor has looked round, and after: then the successor's own take of the shard is refused.
    let moments = [Duration::ZERO, HEARTBEAT * 6 / 10];
    for ((replaced, other), last_write_after) in
        [("a", "b"), ("b", "a")].into_iter().flat_map(|pair| moments.map(|moment| (pair, moment)))
    {
        let mut world = World::level(2, &["a", "b"]);
        let [predecessor, other_id] = [replaced, other].map(|name| world.id(name));
        let of = |world: &World, owner: &WorkerId| {
            world.leases().into_iter().find(|lease| lease.is_owned_by(owner)).expect("each has one")
        };
        let merged = shard("merged", &["shard-0000", "shard-0001"]);
        world.add_shard(merged.clone());
        world.end_shard(of(&world, &other_id).key.shard.as_str(), vec![merged]);
        world.run_until("its own parent is finished", |world| of(world, &other_id).is_finished());
        world.crash(replaced);
        world.start(replaced);
        world.delay_puts(replaced, HEARTBEAT / 10);
        let lists = world.calls(other).lists;
        world.run_until("the other one sees it come", |world| world.calls(other).lists > lists);
        world.run_for(last_write_after);
        let parent = of(&world, &predecessor);
        put_by_hand(&world, Expected::Version(parent.version), &parent.finished(&predecessor));
        world.run_for(LEASE_DURATION);
        assert_eq!(world.reading().values().sum::<usize>(), 1, "{:?}", world.reading());
    }
}
