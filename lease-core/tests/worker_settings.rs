//! Workers of one fleet that live by different times, as while a changed setting is rolled out.

mod common;

use std::time::Duration;

use common::rows::shards;
use common::world::{LEASE_DURATION, World, settings};
use lease_core::worker::WorkerSettings;

/// Its heartbeats are farther apart than the lease duration of the others.
fn slow() -> WorkerSettings {
    WorkerSettings { lease_duration: LEASE_DURATION * 6, heartbeat_interval: LEASE_DURATION * 3 / 2, ..settings() }
}

#[test]
fn a_worker_of_a_longer_lease_duration_is_not_robbed_by_those_of_a_shorter_one() {
    let mut world = World::new(shards(8));
    world.start("quick");
    world.start_with("slow", slow());
    world.run_until("both read", World::is_level);
    // After each step, the world looks whether two workers read the same shard.
    world.run_for(Duration::from_secs(300));
    assert!(world.is_level());
    assert_eq!(world.stops("slow"), []);
    assert_eq!(world.stops("quick"), []);
}

#[test]
fn the_dead_are_waited_for_by_the_lease_duration_that_they_had() {
    for (dies, lives, within) in [("quick", "slow", slow().heartbeat_interval), ("slow", "quick", LEASE_DURATION / 10)]
    {
        let mut world = World::new(shards(8));
        world.start("quick");
        world.start_with("slow", slow());
        world.run_until("both read", World::is_level);
        world.run_for(Duration::from_secs(120));
        let lease_duration = if dies == "slow" { slow().lease_duration } else { LEASE_DURATION };
        world.crash(dies);
        let took = world.run_until("the other one reads all", |world| world.reading()[lives] == 8);
        let interval = if dies == "slow" { slow().heartbeat_interval } else { settings().heartbeat_interval };
        let span = lease_duration - interval..=lease_duration + within + slow().heartbeat_interval;
        assert!(span.contains(&took), "{dies} died, and it took {took:?}");
    }
}
