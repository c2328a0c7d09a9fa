//! Workers of one fleet that live by different times, as while a changed setting is rolled out.

mod common;

use std::time::Duration;

use common::rows::{free_lease, shards};
use common::stage::{Stage, sent, taken};
use common::world::{HEARTBEAT, LEASE_DURATION, World, settings};
use lease_core::worker::{Event, WorkerSettings};
use lease_core::{Beat, Incarnation, WorkerId, WorkerRow};

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

/// All who see it wait equally long. Otherwise those who wait longer would count on one whose leases others have taken.
#[test]
fn the_dead_are_waited_for_by_the_lease_duration_that_they_had() {
    for (dies, lives) in [(settings(), slow()), (slow(), settings())] {
        let mut world = World::new(shards(8));
        world.start_with("dies", dies.clone());
        world.start_with("lives", lives.clone());
        world.run_until("both read", World::is_level);
        world.run_for(Duration::from_secs(120));
        world.crash("dies");
        let took = world.run_until("the other one reads all", |world| world.reading()["lives"] == 8);
        let earliest = dies.lease_duration - dies.heartbeat_interval;
        assert!((earliest..=dies.lease_duration + lives.heartbeat_interval * 3).contains(&took), "{took:?}");
    }
}

/// The older one learns that it was replaced with its own next heartbeat, which may be far off.
#[test]
fn a_process_that_takes_over_a_name_waits_for_the_heartbeat_of_one_with_a_longer_interval() {
    let mut world = World::new(shards(2));
    world.start_with("a", slow());
    world.run_until("it reads", World::is_level);
    world.run_for(slow().heartbeat_interval * 3 + HEARTBEAT);
    let older = world.id("a");
    let mut stage = Stage::named("a");
    stage.tell(Event::TimePassed);
    let commands = stage.tell(Event::HeartbeatAnswered(Ok(Beat::Replaced { by: world.row("a") })));
    stage.written(sent(commands).expect("it registers as the successor"));
    let leases = world.leases();
    assert!(leases.iter().all(|lease| lease.is_owned_by(&older)));
    let begun = stage.now;
    let mut commands = Vec::new();
    while taken(&commands).is_empty() && stage.now < begun + slow().lease_duration {
        commands = stage.beat_and_show(&leases);
    }
    let waited = stage.now - begun;
    assert!(waited >= slow().heartbeat_interval, "{waited:?}");
    assert!(waited <= slow().lease_duration / 2, "{waited:?}");
}

/// The older one may have sent its heartbeat just before, and learns of this one with the next.
#[test]
fn a_process_that_takes_over_a_name_waits_from_when_its_registration_is_known() {
    let mut stage = Stage::new();
    let older = WorkerId { incarnation: Incarnation::first(8), ..stage.id() };
    stage.tell(Event::TimePassed);
    let by = WorkerRow::registering(older.clone(), None);
    let row = sent(stage.tell(Event::HeartbeatAnswered(Ok(Beat::Replaced { by })))).expect("it registers anew");
    stage.now += HEARTBEAT * 4 / 10;
    stage.written(row);
    let known = stage.now;
    let lease = free_lease("shard", &[]).taken_by(&older);
    let mut commands = Vec::new();
    while taken(&commands).is_empty() && stage.now < known + LEASE_DURATION {
        commands = stage.beat_and_show(std::slice::from_ref(&lease));
    }
    let waited = stage.now - known;
    assert!(waited >= HEARTBEAT, "{waited:?}");
    assert!(waited <= HEARTBEAT * 12 / 10, "{waited:?}");
}
