//! Shards that a worker gives up, because their processors keep failing.

mod common;

use common::rows::after;
use common::world::{LEASE_DURATION, World};
use lease_core::Change;

#[test]
fn a_stopped_shard_is_left_to_nobody_where_it_stands_and_the_others_go_on() {
    let mut world = World::level(8, &["a", "b"]);
    let stopped = world.leases()[0].clone();
    let owner = stopped.owner.clone().unwrap().name.to_string();
    world.stop_shard(stopped.key.shard.as_str(), after(7));
    world.run_for(LEASE_DURATION * 5);
    let row = world.lease(stopped.key.shard.as_str());
    assert_eq!((row.last_change, &row.owner, row.position), (Change::Released, &None, after(7)));
    assert_eq!(world.reading().values().sum::<usize>(), 7);
    assert_eq!(world.warnings(&owner).len(), 1);
}

#[test]
fn a_stopped_shard_goes_to_the_next_worker_that_the_plan_names() {
    let mut world = World::level(8, &["a", "b"]);
    let stopped = world.leases()[0].clone();
    let owner = stopped.owner.unwrap().name.to_string();
    world.stop_shard(stopped.key.shard.as_str(), after(7));
    world.run_for(LEASE_DURATION);
    world.leave(&owner);
    let other = if owner == "a" { "b" } else { "a" };
    world.run_until("the other reads all", |world| world.reading().get(other) == Some(&8));
    assert_eq!(world.started_at(other, stopped.key.shard.as_str()), after(7));
}

#[test]
fn a_worker_tries_a_shard_again_that_it_had_stopped_once_another_has_had_it() {
    let mut world = World::level(8, &["a", "b"]);
    let stopped = world.leases()[0].clone();
    let owner = stopped.owner.unwrap().name.to_string();
    let other = if owner == "a" { "b" } else { "a" };
    world.stop_shard(stopped.key.shard.as_str(), after(7));
    world.run_for(LEASE_DURATION);
    // Cut off for a while, it loses all it has to the other, which then leaves.
    world.freeze(&owner);
    world.run_until("the other reads all", |world| world.reading().get(other) == Some(&8));
    world.thaw(&owner);
    world.run_until("they share again", World::is_level);
    world.leave(other);
    world.run_until("it reads all, the stopped one too", |world| world.reading().get(owner.as_str()) == Some(&8));
}
