//! The worker's protocol when things go wrong, played by whole fleets in virtual time.
//!
//! After every step the world checks that no two workers believe to own the same lease within their own validity.

mod common;

use std::time::Duration;

use common::rows::{free_lease, shard, shards};
use common::world::{HEARTBEAT, LEASE_DURATION, Weather, World};
use lease_core::testing::block_on_ready;
use lease_core::worker::{Ending, Event, StopReason};
use lease_core::{Change, Expected, LeaseStore, Outcome, StreamFacts};
use stream_types::{Position, StartPosition, Timestamp};

/// The registry shows a heartbeat whose reply was lost as long as it shows one whose reply came. So a heartbeat that is
/// sent again must not be the same one: others would count its silence from the first sending, the worker from the last.
#[test]
fn a_heartbeat_sent_again_is_another_heartbeat() {
    let mut world = World::busy(8, &["a", "b"]);
    world.set_weather("a", Weather::NoReplies);
    world.run_for(LEASE_DURATION * 8 / 10);
    assert_eq!(world.reading()["a"], 4, "it is still valid");
    world.set_weather("a", Weather::Fair);
    world.run_for(HEARTBEAT / 2);
    world.set_weather("a", Weather::Cut);
    world.run_until("b has everything", |world| world.reading()["b"] == 8);
}

/// Readers that always have a checkpoint under way can be drained like any other.
#[test]
fn busy_shards_are_handed_over_at_once() {
    let mut world = World::busy(16, &["a", "b", "c"]);
    world.start("d");
    world.keep_busy("d");
    let took = world.run_until("level after the join", World::is_level);
    assert!(took <= HEARTBEAT * 2 + Duration::from_millis(20), "{took:?}");
    let mut idle = World::level(16, &["a", "b", "c", "d"]);
    let [idle, busy] = [&mut idle, &mut world].map(|world| {
        world.leave("b");
        world.run_until("b has left", |world| world.ending("b").is_some())
    });
    assert!(busy <= idle + Duration::from_millis(50), "{busy:?}, and {idle:?} when nothing is under way");
}

/// Found by the simulation: the plan was made while the reply to the take was missing, and none after it. The newcomer stood idle
/// until the next audit.
#[test]
fn a_lease_that_is_taken_while_a_new_plan_wants_it_elsewhere_is_given_there() {
    for delay in (0..1_500).step_by(10).map(Duration::from_millis) {
        let mut world = World::new(shards(3));
        world.start("a");
        world.run_for(Duration::from_millis(400));
        world.set_weather("a", Weather::RepliesLost);
        world.run_for(delay);
        world.start("b");
        world.run_for(HEARTBEAT);
        world.set_weather("a", Weather::Fair);
        let took = world.run_until("level", World::is_level);
        assert!(took <= HEARTBEAT * 5, "b came {delay:?} after replies began to be lost: {took:?}");
    }
}

/// A write that was under way while the worker was late is answered after it has listed the leases again.
#[test]
fn a_write_answered_after_a_lapse_does_not_leave_the_shard_unread() {
    let mut world = World::busy(8, &["a"]);
    world.set_weather("a", Weather::Cut);
    world.run_until("it is late", |world| world.reading()["a"] == 0);
    world.set_weather("a", Weather::Fair);
    let took = world.run_until("it reads everything", |world| world.reading()["a"] == 8);
    assert!(took <= HEARTBEAT * 2, "{took:?}");
}

/// The records are gone with the shard: its reader can only fail. Its descendants must run all the same.
#[test]
fn a_shard_that_the_stream_has_forgotten_is_finished_and_its_children_run() {
    let mut world = World::busy(2, &["a"]);
    world.add_shard(shard("child", &["shard-0000"]));
    world.run_for(Duration::from_secs(61));
    assert!(!world.is_reading("a", "child"), "its parent is still being read");
    world.trim("shard-0000");
    world.fail_shard("shard-0000", None);
    let took = world.run_until("the child is read", |world| world.is_reading("a", "child"));
    assert!(took <= HEARTBEAT, "{took:?}");
    assert_eq!(world.warnings("a").len(), 1, "nothing is passed over silently");
}

/// A shard whose reader failed, but which the stream still has, is read again from where it was.
#[test]
fn a_failed_shard_is_read_again_from_its_newest_position() {
    let mut world = World::busy(2, &["a"]);
    let before = world.lease("shard-0000").position;
    world.fail_shard("shard-0000", None);
    world.run_until("it is read again", |world| world.is_reading("a", "shard-0000"));
    assert!(before.may_advance_to(&world.started_at("a", "shard-0000")));
    assert_eq!(world.warnings("a"), []);
}

/// A processor may have stored a position beyond the batch that it finished last.
#[test]
fn a_hand_over_never_moves_the_position_back() {
    let mut world = World::new(shards(2));
    world.start("a");
    world.run_until("level", World::is_level);
    let far: Position = "after:900000000".parse().unwrap();
    world.checkpoint("shard-0000", far.clone());
    world.run_for(HEARTBEAT);
    assert_eq!(world.lease("shard-0000").position, far);
    // The world's readers say that they are drained up to a lower position.
    world.leave("a");
    world.run_until("it has left", |world| world.ending("a").is_some());
    assert_eq!(world.lease("shard-0000").position, far);
}

#[test]
fn a_stream_created_again_under_its_name_is_refused() {
    let mut world = World::new(shards(2));
    let mut of_the_old_stream = free_lease("shard-0000", &[]);
    of_the_old_stream.stream =
        StreamFacts { created: Some(Timestamp::from_unix_millis(1)), start: StartPosition::Horizon };
    let put = block_on_ready(world.store.put(Expected::Absent, &of_the_old_stream)).unwrap();
    assert_eq!(put, Outcome::Applied);
    world.start_with_stream_created("a", Timestamp::from_unix_millis(2));
    world.run_until("it refuses", |world| world.ending("a").is_some());
    assert!(matches!(world.ending("a"), Some(Ending::StreamRecreated { .. })), "{:?}", world.ending("a"));
    assert_eq!(world.reading()["a"], 0);
}

#[test]
fn workers_of_one_stream_agree_on_when_it_was_created() {
    let mut world = World::new(shards(4));
    for worker in ["a", "b"] {
        world.start_with_stream_created(worker, Timestamp::from_unix_millis(2));
    }
    world.run_until("level", World::is_level);
    world.run_for(Duration::from_secs(120));
    assert_eq!((world.ending("a"), world.ending("b"), world.reading()["a"]), (None, None, 2));
}

#[test]
fn a_worker_asked_to_leave_while_it_registers_leaves_no_row_behind() {
    let mut world = World::busy(4, &["a"]);
    world.start("b");
    world.leave("b");
    world.run_until("it has left", |world| world.ending("b").is_some());
    world.run_for(HEARTBEAT);
    assert_eq!(world.registered(), ["a"]);
}

#[test]
fn the_only_worker_restarted_and_asked_to_leave_at_once_ends() {
    let mut world = World::busy(4, &["a"]);
    world.crash("a");
    world.start("a");
    world.run_for(Duration::from_millis(10));
    world.leave("a");
    let took = world.run_until("it has left", |world| world.ending("a").is_some());
    assert!(took <= HEARTBEAT, "{took:?}");
}

/// A store that is out of reach is not asked ever faster.
#[test]
fn a_failing_store_is_asked_about_once_per_heartbeat() {
    let mut world = World::busy(4, &["a"]);
    world.set_weather("a", Weather::Cut);
    world.run_for(LEASE_DURATION);
    let before = world.calls("a");
    world.run_for(HEARTBEAT * 60);
    let after = world.calls("a");
    let asked = after.heartbeats - before.heartbeats + after.lists - before.lists + after.others - before.others;
    assert!(asked <= 61, "{asked} calls in 60 heartbeats");
}

/// Other processes read the table page by page: a list may show a child that was written after the page of its parent
/// was read.
#[test]
fn a_child_that_a_list_shows_without_its_parent_waits_for_a_second_look() {
    let mut world = World::new(Vec::new());
    world.start("a");
    world.run_for(LEASE_DURATION);
    let child = free_lease("child", &["parent"]);
    world.slip_into_the_next_list("a", child.clone());
    let parent = free_lease("parent", &[]);
    for row in [&parent, &child] {
        assert_eq!(block_on_ready(world.store.put(Expected::Absent, row)).unwrap(), Outcome::Applied);
    }
    world.run_until("the parent is read", |world| world.is_reading("a", "parent"));
    assert!(!world.is_reading("a", "child"));
    assert_eq!(world.lease("child").epoch, child.epoch, "nobody took it");
}

/// The workers find out that one is dead at different moments. Those who still believe that it lives must not hand it
/// leases because the others have taken its own.
#[test]
fn a_crash_moves_no_lease_of_the_living() {
    let names = ["a", "b", "c", "d", "e", "f"];
    for (worker_count, shard_count) in [(3, 8), (4, 11), (5, 16), (5, 17), (5, 18), (6, 20), (6, 23)] {
        let workers = &names[..worker_count];
        for victim in workers {
            let mut world = World::new(shards(shard_count));
            world.has_hints = true;
            for worker in workers {
                world.start(worker);
                // Heartbeats come at moments of their own.
                world.run_for(Duration::from_millis(137));
            }
            world.run_until("level at the start", World::is_level);
            world.run_for(LEASE_DURATION * 2);
            let before = world.leases();
            world.crash(victim);
            world.run_until("level", World::is_level);
            world.run_for(LEASE_DURATION);
            for (before, after) in before.iter().zip(world.leases()) {
                let owner = before.owner.as_ref().unwrap().name.as_str();
                assert!(
                    owner == *victim || before.epoch == after.epoch,
                    "{} of {owner} moved when {victim} of {worker_count} crashed: {:?}",
                    before.key,
                    after.owner,
                );
            }
        }
    }
}

/// The leases are listed a moment after the workers' rows are read. Whoever registered and was given a lease in between
/// must not be taken for a dead worker without a row.
#[test]
fn nothing_is_taken_from_a_worker_that_registered_a_moment_ago() {
    let mut world = World::busy(4, &["a"]);
    let beats = world.calls("a").heartbeats;
    world.tell("a", Event::Hinted);
    world.run_until("a has read the workers' rows", |world| world.calls("a").heartbeats > beats);

    let joiner = lease_core::testing::worker("joiner");
    let row = lease_core::WorkerRow::registering(joiner.clone(), None);
    assert!(matches!(block_on_ready(world.store.heartbeat(&row)), Ok(lease_core::Beat::Written { .. })));
    let theirs = lease_core::Lease { version: lease_core::Version::FIRST, ..free_lease("new", &[]).taken_by(&joiner) };
    assert_eq!(block_on_ready(world.store.put(Expected::Absent, &theirs)).unwrap(), Outcome::Applied);
    world.run_for(HEARTBEAT * 3);
    assert_eq!(world.lease("new"), theirs, "it was taken, if only to be given back");
}

/// The row of a worker that left for good is gone, while its lease is not: it is free.
#[test]
fn the_lease_of_a_worker_without_a_row_is_taken() {
    let mut world = World::busy(4, &["a"]);
    let gone = lease_core::testing::worker("gone");
    let theirs = lease_core::Lease { version: lease_core::Version::FIRST, ..free_lease("old", &[]).taken_by(&gone) };
    assert_eq!(block_on_ready(world.store.put(Expected::Absent, &theirs)).unwrap(), Outcome::Applied);
    world.tell("a", Event::Hinted);
    let took = world.run_until("it is read", |world| world.is_reading("a", "old"));
    assert!(took <= HEARTBEAT, "{took:?}");
}

/// A store that has lost its newest writes shows a worker its own row from before it gave the lease away. Another worker
/// may read under a later epoch meanwhile, so the old one is worth nothing any more.
#[test]
fn a_row_that_went_back_in_time_is_not_read_under_its_old_epoch() {
    let mut world = World::level(2, &["a"]);
    world.start("b");
    world.run_until("b reads a shard", |world| world.reading()["b"] == 1);
    world.start("c");
    world.run_for(LEASE_DURATION);
    let (b, c) = (world.id("b"), world.id("c"));
    let given = world.leases().into_iter().find(|lease| lease.is_owned_by(&b)).unwrap();
    assert_eq!(given.last_change, Change::Given);
    let moved_on = given.given_to(&c, &b);
    let outcome = block_on_ready(world.store.put(Expected::row(&given), &moved_on)).unwrap();
    assert_eq!(outcome, Outcome::Applied);
    world.tell("b", Event::Hinted);
    world.run_until("b has seen it", |world| world.reading()["b"] == 0);
    world.tell("c", Event::Hinted);
    world.run_until("c reads", |world| world.reading()["c"] == 1);

    world.slip_into_the_next_list("b", given);
    world.tell("b", Event::Hinted);
    // After each step, the world looks whether two workers read the same shard.
    world.run_for(Duration::from_secs(121));
    assert_eq!(world.reading()["c"], 1);
}

/// What was done since then may have gone with the row, such as results that were stored beside it.
#[test]
fn a_held_lease_whose_row_went_back_is_read_again_from_where_the_row_stands() {
    let mut world = World::level(2, &["a", "b"]);
    let a = world.id("a");
    let before = world.leases().into_iter().find(|lease| lease.is_owned_by(&a)).unwrap();
    let shard = before.key.shard.as_str().to_owned();
    world.checkpoint(&shard, "after:5".parse().unwrap());
    world.run_for(HEARTBEAT);
    assert_eq!(world.lease(&shard).epoch, before.epoch);
    // Nothing is under way when the next list shows the row as it was before.
    world.slip_into_the_next_list("a", before.clone());
    world.tell("a", Event::Hinted);
    world.run_for(LEASE_DURATION);
    assert!(world.lease(&shard).epoch > before.epoch, "it was taken anew");
    assert_eq!(world.stops("a"), [StopReason::LeaseLost]);
}

/// Found by the simulation: the newcomer counted the dead one as alive, as it counts every row that it sees for the first time,
/// and gave it a part of what it was itself given.
#[test]
fn a_newcomer_gives_nothing_to_a_worker_that_died_before_it_came() {
    let mut world = World::level(9, &["a", "b"]);
    world.crash("b");
    world.run_until("the other one has all", World::is_level);
    world.run_for(LEASE_DURATION * 2);
    world.start("c");
    let took = world.run_until("level", World::is_level);
    assert!(took <= HEARTBEAT * 3, "it took {took:?}");
}

/// Found by the simulation: what the one that was frozen saw of the other had happened while it was frozen.
#[test]
fn a_worker_that_was_frozen_gives_nothing_to_one_that_died_meanwhile() {
    let mut world = World::level(9, &["a", "b", "c"]);
    world.freeze("a");
    world.run_for(HEARTBEAT * 2);
    world.crash("b");
    world.run_for(LEASE_DURATION + HEARTBEAT * 3);
    assert_eq!(world.reading()["c"], 9);
    world.thaw("a");
    let took = world.run_until("level", World::is_level);
    assert!(took <= HEARTBEAT * 4, "it took {took:?}");
}

/// Found by the simulation: after an outage each finds the others silent. One was back and took its leases anew, and another took
/// them from it, by what it had read of the registry before that. So a list is followed by a heartbeat, before anything that it
/// shows is taken from somebody believed dead.
#[test]
fn a_lease_is_taken_from_the_dead_only_after_a_look_at_the_registry_that_is_younger_than_the_list() {
    let mut world = World::level(2, &["a", "b"]);
    world.crash("a");
    let lists = world.calls("b").lists;
    world.run_until("it looks at the leases", |world| world.calls("b").lists > lists);
    let before = world.calls("b");
    assert_eq!(world.reading()["b"], 1);
    world.run_until("it has all", World::is_level);
    assert!(world.calls("b").heartbeats > before.heartbeats, "{before:?}, then {:?}", world.calls("b"));
}

/// Found by the search of small worlds: the take whose reply was lost, and the take after the lapse, were the same row to the letter. So
/// the worker took the first for the second, and read under a version that others counted on.
#[test]
fn a_take_after_a_lapse_is_never_mistaken_for_one_from_before() {
    let mut world = World::new(shards(2));
    world.start("a");
    world.run_until("its leases are there", |world| world.leases().len() == 2);
    let heartbeats = world.calls("a").heartbeats;
    // The heartbeat after which it takes is answered; the takes are carried out, but not answered.
    world.run_until("the heartbeat is sent", |world| world.calls("a").heartbeats > heartbeats + 1);
    world.set_weather("a", Weather::NoReplies);
    world.run_until("the takes are sent", |world| world.lease("shard-0001").owner.is_some());
    let before = world.lease("shard-0001").version;
    world.run_for(LEASE_DURATION);
    world.set_weather("a", Weather::Fair);
    world.run_until("it reads", |world| world.is_reading("a", "shard-0001"));
    assert!(world.lease("shard-0001").version > before, "it reads under a version from before the lapse");
}
