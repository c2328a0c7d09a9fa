//! Workers that are restarted and say so: nothing moves meanwhile, for as long as they said.

mod common;

use std::time::Duration;

use common::rows::shards;
use common::world::{HEARTBEAT, LEASE_DURATION, Weather, World, settings};
use lease_core::worker::Ending;
use lease_core::{Change, Lease};
use stream_types::Position;

const GRACE: Duration = Duration::from_secs(20);

/// Answers take about a millisecond, and some things take a few of them.
const A_FEW_ANSWERS: Duration = Duration::from_millis(20);

fn owners(world: &World) -> Vec<String> {
    let owner = |lease: Lease| lease.owner.map(|owner| owner.name.to_string()).unwrap_or_default();
    world.leases().into_iter().map(owner).collect()
}

/// Ends the worker and waits until it has stored everything.
fn end(world: &mut World, worker: &str) {
    world.leave_to_return(worker, GRACE);
    world.run_until("it has ended", |world| world.ending(worker).is_some());
    assert_eq!(world.ending(worker), Some(&Ending::Left));
    world.crash(worker);
}

#[test]
fn a_worker_that_is_to_return_stores_how_far_its_readers_came() {
    let mut world = World::level(4, &["a"]);
    end(&mut world, "a");
    for lease in world.leases() {
        assert!(matches!(lease.position, Position::After(_)), "each reader said where its drain ended: {lease:?}");
    }
}

#[test]
fn an_announced_restart_moves_nothing_and_goes_on_where_it_stopped() {
    let mut world = World::busy(12, &["a", "b", "c"]);
    let before = owners(&world);
    for worker in ["a", "b", "c"] {
        end(&mut world, worker);
        let stored: Vec<Lease> = world.leases();
        world.run_for(GRACE - HEARTBEAT * 5);
        assert_eq!(owners(&world), before, "nobody took what it left");
        world.start(worker);
        let took = world.run_until("level", World::is_level);
        assert!(took <= A_FEW_ANSWERS * 2, "it need not wait for a process that has ended: {took:?}");
        assert_eq!(owners(&world), before);
        for lease in
            stored.iter().filter(|lease| lease.owner.as_ref().is_some_and(|owner| owner.name.as_str() == worker))
        {
            assert_eq!(world.started_at(worker, lease.key.shard.as_str()), lease.position);
        }
        world.run_for(LEASE_DURATION * 2);
    }
    assert_eq!(owners(&world), before);
}

#[test]
fn a_worker_that_does_not_return_in_time_is_dead() {
    let mut world = World::level(12, &["a", "b", "c"]);
    end(&mut world, "b");
    let took = world.run_until("the others have all", |world| world.reading().values().sum::<usize>() == 12);
    // What the list shows to be of the dead is taken after one more look at the registry.
    let latest = GRACE + HEARTBEAT + settings().shortest_pause() + A_FEW_ANSWERS;
    assert!((GRACE - HEARTBEAT..=latest).contains(&took), "{took:?}");
}

#[test]
fn what_was_done_is_stored_before_anybody_hears_of_the_end() {
    let mut world = World::busy(12, &["a", "b", "c"]);
    world.leave_to_return("b", GRACE);
    world.run_until("it says that it has ended", |world| world.row("b").returns_within.is_some());
    let of_b = |lease: &&Lease| lease.owner.as_ref().is_some_and(|owner| owner.name.as_str() == "b");
    for lease in world.leases().iter().filter(of_b) {
        assert_eq!(lease.last_change, Change::Checkpointed, "{}", lease.key);
    }
    assert_eq!(world.reading().get("b").copied().unwrap_or_default(), 0);
}

#[test]
fn what_becomes_free_goes_to_those_who_are_there() {
    let mut world = World::level(12, &["a", "b", "c"]);
    end(&mut world, "b");
    world.crash("a");
    world.run_until("c reads all but what the absent one keeps", |world| world.reading().get("c") == Some(&8));
    world.start("b");
    world.run_until("level", World::is_level);
}

#[test]
fn the_fleet_goes_on_while_a_worker_is_away() {
    let mut world = World::level(12, &["a", "b", "c"]);
    end(&mut world, "b");
    // Another one joins and gets its share, but nothing of the absent one's.
    world.start("d");
    world.run_for(LEASE_DURATION * 2);
    let counts = owners(&world);
    let count = |worker: &str| counts.iter().filter(|owner| owner.as_str() == worker).count();
    assert_eq!((count("a"), count("c"), count("d")), (3, 3, 2), "b still has a seat too many");
    // One crashes, and is found out as ever.
    world.crash("a");
    world.run_for(LEASE_DURATION * 2);
    assert!(!owners(&world).iter().any(|owner| owner == "a"));
    world.start("b");
    world.run_until("level", World::is_level);
}

/// The plan gives some of them to a newcomer, and gifts wait until it is certain who lives. Meanwhile none of them is read under the
/// earlier process' epoch.
#[test]
fn what_an_earlier_process_of_the_name_had_is_read_only_once_it_is_taken_anew() {
    let mut world = World::new(shards(8));
    for worker in ["a", "b"] {
        world.start(worker);
        world.run_until("level", World::is_level);
    }
    world.run_for(LEASE_DURATION);
    world.freeze("a");
    world.crash("b");
    world.start("b");
    world.start("c");
    for _ in 0..4_000 {
        world.run_for(Duration::from_millis(1));
        assert!(world.owns_what_it_reads("b"), "{:?}", world.leases());
    }
}

/// Each worker has a patience of its own. The last heartbeat of the dead is seen within an interval; the others look again at the very
/// moment when it may be found dead.
#[test]
fn a_crash_is_noticed_no_later_while_another_is_away() {
    for pause in [0, 150, 300, 450, 600, 750].map(Duration::from_millis) {
        let mut world = World::new(shards(12));
        for worker in ["a", "b", "c"] {
            world.start(worker);
            world.run_for(Duration::from_millis(370));
        }
        world.run_until("level", World::is_level);
        world.run_for(LEASE_DURATION + pause);
        end(&mut world, "a");
        world.crash("b");
        let is_of_b = |lease: &Lease| lease.owner.as_ref().is_some_and(|owner| owner.name.as_str() == "b");
        let took = world.run_until("c has what b had", |world| !world.leases().iter().any(is_of_b));
        assert!(took <= LEASE_DURATION + HEARTBEAT + HEARTBEAT / 10, "{pause:?}: {took:?}");
    }
}

/// No gift is made while it is doubtful whether a third lives. What is to be given is read meanwhile by the one that is back.
#[test]
fn a_worker_that_was_killed_and_is_back_reads_what_it_had_although_a_newcomer_is_to_have_some() {
    let mut world = World::level(8, &["a", "b"]);
    let mine =
        world.leases().into_iter().filter(|lease| lease.owner.as_ref().is_some_and(|owner| owner.name.as_str() == "a"));
    let mine: Vec<String> = mine.map(|lease| lease.key.shard.to_string()).collect();
    assert_eq!(mine.len(), 4);
    world.set_weather("b", Weather::Cut);
    world.crash("a");
    world.start("c");
    world.start("a");
    let is_read = |world: &World| mine.iter().all(|shard| world.is_reading("a", shard) || world.is_reading("c", shard));
    let took = world.run_until("all that it had is read", is_read);
    assert!(took <= HEARTBEAT * 3, "{took:?}");
}

/// Nothing else may happen in the fleet that would make it look again.
#[test]
fn what_became_free_while_a_worker_was_away_is_read_once_it_is_back_and_has_looked_round() {
    let mut world = World::level(4, &["a", "b"]);
    end(&mut world, "b");
    world.leave("a");
    world.run_until("a has left, and its leases to nobody", |world| world.ending("a") == Some(&Ending::Left));
    world.start("b");
    let took = world.run_until("b reads all", |world| world.reading().get("b") == Some(&4));
    assert!(took <= settings().look_round() + A_FEW_ANSWERS * 2, "{took:?}");
}

/// The next of its name would begin at once with what the first may still read.
#[test]
fn a_process_that_may_have_a_predecessor_does_not_announce_its_return() {
    let mut world = World::level(2, &["a"]);
    world.crash("a");
    world.start("a");
    world.leave_to_return("a", GRACE);
    let took = world.run_until("it says that it returns", |world| world.row("a").returns_within.is_some());
    assert!((HEARTBEAT..=HEARTBEAT * 12 / 10).contains(&took), "{took:?}");
    world.run_until("it has ended", |world| world.ending("a").is_some());
}
