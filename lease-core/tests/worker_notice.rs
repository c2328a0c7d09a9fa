//! How long a shard goes unread while its lease changes hands, on a store that gives no hints.

mod common;

use std::time::Duration;

use common::rows::shards;
use common::world::{HEARTBEAT, LEASE_DURATION, Weather, World};
use lease_core::Lease;
use lease_core::worker::Event;

/// How far the workers' heartbeats lie apart.
const PHASES: [Duration; 3] = [Duration::from_millis(137), Duration::from_millis(293), Duration::from_millis(411)];

/// Fleets that have been level for a while, and whose heartbeats come at moments of their own.
fn fleets(workers: &[&str]) -> impl Iterator<Item = World> {
    PHASES.into_iter().map(move |apart| {
        let mut world = World::new(shards(20));
        for worker in workers {
            world.start(worker);
            world.run_for(apart);
        }
        world.run_until("level at the start", World::is_level);
        world.run_for(LEASE_DURATION * 2 + apart * 2);
        world
    })
}

/// A fifth of a heartbeat until the receiver looks, a twentieth until the owner's heartbeat has told of the gift, and a few answers.
const A_FRACTION: Duration = Duration::from_millis(260);

#[test]
fn a_leave_leaves_no_shard_unread_for_more_than_a_fraction_of_a_heartbeat() {
    let sizes = [&["a", "b"][..], &["a", "b", "c", "d", "e"]];
    for mut world in sizes.into_iter().flat_map(fleets) {
        world.leave("b");
        world.run_until("b has left", |world| world.ending("b").is_some());
        let is_of_b = |lease: &Lease| lease.owner.as_ref().is_some_and(|owner| owner.name.as_str() == "b");
        assert!(!world.leases().iter().any(is_of_b), "it has given everything away");
        world.crash("b");
        world.run_until("the rest is level", World::is_level);
        let silence = world.longest_silence();
        assert!(silence <= A_FRACTION, "{silence:?}");
    }
}

#[test]
fn a_join_leaves_no_shard_unread_for_more_than_a_fraction_of_a_heartbeat() {
    for mut world in fleets(&["a", "b", "c", "d"]) {
        world.start("joiner");
        world.run_until("level", World::is_level);
        let silence = world.longest_silence();
        assert!(silence <= A_FRACTION, "{silence:?}");

        let before = world.calls("joiner").heartbeats;
        world.run_for(HEARTBEAT * 10);
        let heartbeats = world.calls("joiner").heartbeats - before;
        assert!(heartbeats <= 12, "nothing more is to come: {heartbeats} heartbeats in ten intervals");
    }
}

#[test]
fn a_stream_is_given_up_without_a_longer_silence() {
    let mut world = World::new(shards(6));
    world.start_following("a", &["stream"]);
    world.start_following("b", &["stream", "other"]);
    world.run_until("level", World::is_level);
    world.run_for(LEASE_DURATION);
    world.unfollow("b", "stream");
    world.run_until("b has given it up", |world| world.has_dropped("b", "stream"));
    world.run_until("a has all", |world| world.reading()["a"] == 6);
    let silence = world.longest_silence();
    assert!(silence <= A_FRACTION, "{silence:?}");
}

/// The receivers' heartbeats come within one interval; the leaver looks for them every fifth of one.
#[test]
fn notice_delays_a_leave_by_little_more_than_a_heartbeat() {
    for mut world in fleets(&["a", "b", "c"]) {
        world.leave("b");
        let took = world.run_until("b has left", |world| world.ending("b").is_some());
        assert!(took <= HEARTBEAT + A_FRACTION, "{took:?}");
    }
}

/// With hints all others look at once.
#[test]
fn where_there_are_hints_notice_delays_a_leave_by_a_fraction_of_a_heartbeat() {
    for mut world in fleets(&["a", "b", "c"]) {
        world.has_hints = true;
        world.leave("b");
        let took = world.run_until("b has left", |world| world.ending("b").is_some());
        assert!(took <= A_FRACTION, "{took:?}");
    }
}

/// To drain matters more than to give notice.
#[test]
fn a_leaver_without_much_time_gives_little_notice() {
    for mut world in fleets(&["a", "b", "c"]) {
        let within = Duration::from_secs(1);
        world.tell("b", Event::LeaveAsked { within });
        let took = world.run_until("b has left", |world| world.ending("b").is_some());
        assert!(took <= within / 3, "{took:?}");
    }
}

#[test]
fn a_leaver_does_not_wait_for_a_receiver_that_does_not_beat() {
    for mut world in fleets(&["a", "b"]) {
        world.set_weather("a", Weather::Cut);
        world.leave("b");
        let took = world.run_until("b has left", |world| world.ending("b").is_some());
        assert!(took <= HEARTBEAT * 2 + A_FRACTION, "{took:?}");
    }
}

/// It is silent, but not dead yet: a gift might be one to the dead, and so it waits. The time for leaving does not.
#[test]
fn a_leaver_whose_time_is_nearly_over_leaves_its_leases_to_nobody_rather_than_to_a_doubtful_receiver() {
    let mut world = World::level(4, &["a", "b"]);
    world.freeze("a");
    world.run_for(LEASE_DURATION / 2 + HEARTBEAT);
    world.leave("b");
    world.run_for(HEARTBEAT);
    assert_eq!((world.ending("b"), world.reading()["b"]), (None, 2), "it reads on meanwhile");
    world.tell("b", Event::LeaveOverdue);
    let took = world.run_until("b has left", |world| world.ending("b").is_some());
    assert!(took <= HEARTBEAT, "{took:?}");
    let owners: Vec<_> = world.leases().into_iter().filter_map(|lease| lease.owner).collect();
    assert!(owners.iter().all(|owner| owner.name.as_str() == "a") && owners.len() == 2, "{owners:?}");
}

/// A shard whose batch takes minutes is worth a few looks, not one every fifth of a heartbeat.
#[test]
fn an_owner_that_is_slow_to_drain_costs_the_receiver_a_few_heartbeats() {
    for mut world in fleets(&["a", "b"]) {
        world.never_drain("a");
        world.never_drain("b");
        world.start("joiner");
        let interval = HEARTBEAT.as_secs();
        world.run_for(Duration::from_secs(60));
        let heartbeats = world.calls("joiner").heartbeats;
        assert!(heartbeats <= 60 / interval + 15, "{heartbeats} heartbeats in a minute");
    }
}

#[test]
fn whoever_takes_from_nobody_or_from_the_dead_heartbeats_at_its_usual_pace() {
    let mut world = World::new(shards(20));
    world.start("a");
    for _ in 0..2 {
        world.run_until("a reads everything", |world| world.reading()["a"] == 20);
        let before = world.calls("a").heartbeats;
        world.run_for(HEARTBEAT * 10);
        let heartbeats = world.calls("a").heartbeats - before;
        assert!((9..=11).contains(&heartbeats), "{heartbeats} in ten intervals");
        world.start("b");
        world.run_until("level", World::is_level);
        world.run_for(LEASE_DURATION);
        world.crash("b");
    }
}
