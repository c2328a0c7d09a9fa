//! The worker's protocol, played by whole fleets in virtual time, without hints from the store.
//!
//! After every step the world checks that no two workers believe to own the same lease within their own validity.

mod common;

use std::num::NonZeroU32;
use std::time::Duration;

use common::rows::{shard, shards};
use common::world::{HEARTBEAT, LEASE_DURATION, Weather, World, settings};
use lease_core::worker::{Ending, StopReason, Warning, WorkerSettings};
use lease_core::{Change, Lease};

/// Answers take about a millisecond, and some things take a few of them.
const A_FEW_ANSWERS: Duration = Duration::from_millis(20);

fn gives(before: &[Lease], after: &[Lease]) -> usize {
    before.iter().zip(after).filter(|(before, after)| before.owner != after.owner).count()
}

#[test]
fn workers_that_start_together_share_at_once_and_nothing_moves_twice() {
    let mut world = World::new(shards(64));
    for index in 0..8 {
        world.start(&format!("worker-{index}"));
    }
    let took = world.run_until("level", World::is_level);
    assert!(took <= settings().look_round() + A_FEW_ANSWERS, "{took:?}");
    let taken_once = |lease: &Lease| (lease.last_change, lease.epoch.0) == (Change::Taken, 1);
    assert!(world.leases().iter().all(taken_once));
}

#[test]
fn a_join_is_level_within_two_heartbeats_by_the_fewest_moves() {
    let mut world = World::level(64, &["a", "b", "c", "d", "e", "f", "g", "h"]);
    let before = world.leases();
    world.start("joiner");
    let took = world.run_until("level", World::is_level);
    assert!(took <= HEARTBEAT * 2 + A_FEW_ANSWERS, "{took:?}");
    assert_eq!(gives(&before, &world.leases()), 7);
}

#[test]
fn a_polite_leave_is_level_within_two_heartbeats_and_moves_only_the_leavers_leases() {
    let mut world = World::level(64, &["a", "b", "c", "d"]);
    let before = world.leases();
    world.leave("c");
    world.run_until("the leaver has left", |world| world.ending("c").is_some());
    assert_eq!(world.ending("c"), Some(&Ending::Left));
    world.crash("c");
    let took = world.run_until("level", World::is_level);
    assert!(took <= HEARTBEAT * 2 + A_FEW_ANSWERS, "{took:?}");
    assert_eq!(gives(&before, &world.leases()), 16);
    assert!(world.leases().iter().all(|lease| matches!(lease.last_change, Change::Given | Change::Taken)));
}

#[test]
fn the_last_worker_to_leave_releases_everything() {
    let mut world = World::level(8, &["a"]);
    world.leave("a");
    world.run_until("the leaver has left", |world| world.ending("a").is_some());
    assert!(world.leases().iter().all(|lease| lease.owner.is_none() && lease.last_change == Change::Released));
}

#[test]
fn a_crash_is_level_within_the_lease_duration_and_two_heartbeats() {
    let mut world = World::level(64, &["a", "b", "c", "d"]);
    world.crash("b");
    let took = world.run_until("level", World::is_level);
    assert!(took <= LEASE_DURATION + HEARTBEAT * 2, "{took:?}");
    assert!(took >= LEASE_DURATION - HEARTBEAT, "nobody may take from a worker silent for {took:?}");
}

#[test]
fn a_worker_cut_from_the_store_stops_before_others_take_over() {
    let mut world = World::level(16, &["a", "b"]);
    world.set_weather("a", Weather::Cut);
    let stopped = world.run_until("a stops by itself", |world| world.reading()["a"] == 0);
    assert!(stopped < LEASE_DURATION, "{stopped:?}");
    assert!(world.stops("a").iter().all(|reason| *reason == StopReason::HeartbeatLate));
    world.run_until("b has everything", |world| world.reading()["b"] == 16);
    world.set_weather("a", Weather::Fair);
    world.run_until("level again", World::is_level);
}

/// Its answers arrive and its timer fires, all at once, after others took over. The world checks that it delivers
/// nothing that another one delivers.
#[test]
fn a_frozen_worker_that_wakes_up_goes_on_as_a_healthy_one() {
    let mut world = World::level(16, &["a", "b", "c"]);
    world.freeze("a");
    world.run_until("the others have everything", |world| world.reading()["b"] + world.reading()["c"] == 16);
    world.thaw("a");
    world.run_until("level again", World::is_level);
    assert!(world.stops("a").iter().all(|reason| *reason == StopReason::HeartbeatLate), "{:?}", world.stops("a"));
}

/// The worker wakes just when it is believed dead, but before anybody took its leases.
#[test]
fn a_worker_late_by_a_moment_takes_its_leases_anew() {
    let mut world = World::level(4, &["a"]);
    let before = world.leases();
    world.freeze("a");
    // Another worker keeps the time.
    world.start_with("idle", WorkerSettings { capacity: NonZeroU32::new(1), ..settings() });
    world.run_for(LEASE_DURATION - HEARTBEAT / 2);
    world.thaw("a");
    world.run_until("all is read", |world| world.reading().values().sum::<usize>() == 4);
    for (before, after) in before.iter().zip(world.leases()) {
        assert!(after.epoch > before.epoch, "{} is read under its old epoch {}", after.key, after.epoch);
    }
}

#[test]
fn a_restart_under_the_same_name_moves_nothing() {
    let mut world = World::level(16, &["a", "b"]);
    let before = world.leases();
    world.crash("a");
    world.start("a");
    let took = world.run_until("level", World::is_level);
    // A process under the same name that still lived would have learned of its successor by its next heartbeat.
    assert!(took <= HEARTBEAT + settings().shortest_pause() + A_FEW_ANSWERS, "{took:?}");
    for (before, after) in before.iter().zip(world.leases()) {
        assert_eq!(before.owner.as_ref().unwrap().name, after.owner.unwrap().name, "{} moved", after.key);
    }
}

#[test]
fn of_two_processes_under_one_name_the_older_ends() {
    let mut world = World::level(4, &["a"]);
    // The world knows processes by the name of their worker: the old one keeps its entry, the new one writes the row.
    let old = world.leases()[0].owner.clone().unwrap();
    let new = lease_core::WorkerId { incarnation: old.incarnation.successor(99), ..old.clone() };
    let row = lease_core::WorkerRow::registering(new.clone(), None);
    let beat = lease_core::testing::block_on_ready(lease_core::LeaseStore::heartbeat(&world.store, &row));
    assert!(matches!(beat, Ok(lease_core::Beat::Written { .. })));
    world.run_until("the older ends", |world| world.ending("a").is_some());
    assert_eq!(world.ending("a"), Some(&Ending::Replaced { worker: old, by: new.incarnation }));
    assert_eq!(world.reading()["a"], 0);
}

#[test]
fn lost_replies_cost_no_lease() {
    let mut world = World::new(shards(32));
    for worker in ["a", "b", "c"] {
        world.start(worker);
        world.set_weather(worker, Weather::RepliesLost);
    }
    world.run_until("level", World::is_level);
    world.start("d");
    world.set_weather("d", Weather::RepliesLost);
    world.run_until("level", World::is_level);
    world.leave("b");
    world.run_until("b has left", |world| world.ending("b").is_some());
    world.crash("b");
    world.run_until("level", World::is_level);
    for worker in ["a", "c", "d"] {
        assert_eq!(world.stops(worker), [], "{worker} lost a lease");
    }
}

/// One small write and one small read per worker and heartbeat, plus the slow audit, whatever the number of shards.
#[test]
fn a_fleet_at_rest_calls_the_store_once_per_heartbeat() {
    let minute = Duration::from_secs(60);
    let calls = |shard_count| {
        let mut world = World::level(shard_count, &["a", "b", "c", "d"]);
        world.run_for(minute);
        let before = ["a", "b", "c", "d"].map(|worker| world.calls(worker));
        world.run_for(minute);
        let after = ["a", "b", "c", "d"].map(|worker| world.calls(worker));
        std::array::from_fn::<_, 4, _>(|index| {
            let (before, after) = (before[index], after[index]);
            (after.heartbeats - before.heartbeats, after.lists - before.lists, after.others - before.others)
        })
    };
    let few = calls(16);
    for (heartbeats, lists, others) in few {
        assert!(heartbeats <= 61, "{heartbeats} heartbeats in a minute");
        assert!(lists <= 1, "{lists} lists in a minute");
        assert_eq!(others, 0, "other calls at rest");
    }
    let lists: u64 = few.iter().map(|(_, lists, _)| lists).sum();
    assert!(lists <= 1, "{lists} lists in a minute by the whole fleet");
    assert_eq!(calls(1_024), few, "the cost does not depend on the number of shards");
}

#[test]
fn children_wait_for_their_parent_and_stay_with_its_owner() {
    let mut world = World::level(4, &["a", "b"]);
    let parent = world.lease("shard-0000").owner.unwrap().name;
    let children = [shard("child-0", &["shard-0000"]), shard("child-1", &["shard-0000"])];
    children.iter().for_each(|child| world.add_shard(child.clone()));

    // The minute's reconciliation finds the children before the parent has ended.
    world.run_for(Duration::from_secs(61));
    assert_eq!(world.lease("child-0").last_change, Change::Created, "its parent is still being read");

    world.end_shard("shard-0000", children.to_vec());
    let took = world.run_until("level", World::is_level);
    assert!(took <= A_FEW_ANSWERS, "{took:?}");
    for child in ["child-0", "child-1"] {
        assert!(world.is_reading(parent.as_str(), child), "{child} is read where its parent was");
    }
    assert!(world.lease("shard-0000").is_finished());
}

#[test]
fn a_merged_child_waits_for_both_parents() {
    let mut world = World::level(4, &["a", "b"]);
    let child = shard("child", &["shard-0000", "shard-0001"]);
    world.add_shard(child.clone());
    world.end_shard("shard-0000", vec![child.clone()]);
    world.run_until("the first parent is finished", |world| world.lease("shard-0000").is_finished());
    world.run_for(HEARTBEAT * 5);
    assert_eq!(world.lease("child").last_change, Change::Created, "its second parent is still being read");
    world.end_shard("shard-0001", vec![child]);
    world.run_until("level", World::is_level);
    assert_eq!(world.lease("child").last_change, Change::Taken);
}

/// The table has no row for the other parent, though the stream still has the shard: the child's lease may not be
/// created first, or the child would run before that parent.
#[test]
fn a_childs_lease_is_never_created_before_its_parents_leases() {
    let mut world = World::level(2, &["a"]);
    let (parent, child) = (shard("late-parent", &[]), shard("child", &["shard-0000", "late-parent"]));
    world.add_shard(parent);
    world.add_shard(child.clone());
    world.end_shard("shard-0000", vec![child]);
    world
        .run_until("the child has a lease", |world| world.leases().iter().any(|row| row.key.shard.as_str() == "child"));
    assert!(!world.lease("late-parent").is_finished());
    world.run_until("the late parent is read", |world| world.is_reading("a", "late-parent"));
    assert_eq!(world.lease("child").last_change, Change::Created);
}

#[test]
fn tombstones_go_when_the_stream_has_forgotten_their_shard() {
    let mut world = World::level(2, &["a", "b"]);
    let child = shard("child", &["shard-0000"]);
    world.add_shard(child.clone());
    world.end_shard("shard-0000", vec![child]);
    world.run_for(Duration::from_secs(130));
    assert!(world.lease("shard-0000").is_finished(), "the stream still has the shard");
    world.trim("shard-0000");
    world.run_until("the tombstone is gone", |world| {
        world.leases().iter().all(|lease| lease.key.shard.as_str() != "shard-0000")
    });
    world.run_for(Duration::from_secs(130));
    assert!(world.leases().iter().any(|lease| lease.key.shard.as_str() == "child" && lease.owner.is_some()));
}

#[test]
fn a_lease_deleted_by_hand_comes_back_within_a_minute() {
    let mut world = World::level(4, &["a", "b"]);
    let lease = world.lease("shard-0002");
    let deleted = lease_core::testing::block_on_ready(lease_core::LeaseStore::delete(&world.store, &lease));
    assert_eq!(deleted.unwrap(), lease_core::Outcome::Applied);
    let noticed = world.run_until("its reader notices", |world| world.reading().values().sum::<usize>() == 3);
    let took = noticed + world.run_until("it is read again", World::is_level);
    assert!(took <= Duration::from_secs(61), "{took:?}");
    assert!(world.lease("shard-0002").epoch > lease.epoch, "a sink has seen the fencing token");
    let told = [world.warnings("a"), world.warnings("b")].concat();
    assert!(!told.is_empty());
    assert!(told.iter().all(|warning| matches!(warning, Warning::LeasesVanished { count: 1, .. })), "{told:?}");
}

/// Its shard is read once more, which is what deleting it means; but under a token that no sink has seen.
#[test]
fn a_tombstone_deleted_by_hand_comes_back_under_a_higher_epoch() {
    let mut world = World::level(2, &["a", "b"]);
    world.end_shard("shard-0000", Vec::new());
    world.run_until("it is finished", |world| world.lease("shard-0000").is_finished());
    // A while later, when its finisher knows it from lists alone.
    world.run_for(Duration::from_secs(130));
    let lease = world.lease("shard-0000");
    let deleted = lease_core::testing::block_on_ready(lease_core::LeaseStore::delete(&world.store, &lease));
    assert_eq!(deleted.unwrap(), lease_core::Outcome::Applied);
    let is_taken = |row: &Lease| row.key == lease.key && row.last_change == Change::Taken;
    world.run_until("it is read again", |world| world.leases().iter().any(is_taken));
    assert!(world.lease("shard-0000").epoch > lease.epoch, "{:?}", world.lease("shard-0000"));
}

#[test]
fn shards_that_fit_nowhere_are_told_of_by_one_worker_and_again_when_they_get_more() {
    let mut world = World::new(shards(10));
    for worker in ["a", "b"] {
        world.start_with(worker, WorkerSettings { capacity: NonZeroU32::new(3), ..settings() });
    }
    world.run_until("both are full", |world| world.reading().values().all(|count| *count == 3));
    world.run_for(Duration::from_secs(130));
    let counts = |world: &World| -> Vec<usize> {
        let unplaced = |warning: &Warning| match warning {
            Warning::ShardsUnplaced { count, .. } => Some(*count),
            _ => None,
        };
        ["a", "b"].iter().flat_map(|worker| world.warnings(worker)).filter_map(unplaced).collect()
    };
    assert_eq!(counts(&world), [4]);
    world.add_shard(shard("one-more", &[]));
    world.run_for(Duration::from_secs(130));
    assert_eq!(counts(&world), [4, 5]);
    world.start("roomy");
    world.run_until("all is read", |world| world.reading().values().sum::<usize>() == 11);
    world.run_for(Duration::from_secs(130));
    assert_eq!(counts(&world), [4, 5]);
}

#[test]
fn a_dead_workers_row_is_forgotten() {
    let mut world = World::level(4, &["a", "b"]);
    world.crash("b");
    world.run_until("its row is gone", |world| world.registered() == ["a"]);
    assert!(world.now().elapsed() >= LEASE_DURATION * 10);
}

/// The row of a shard that is read to its end says for ever who read it.
#[test]
fn a_dead_workers_row_is_forgotten_although_it_has_finished_leases() {
    let mut world = World::level(2, &["a", "b"]);
    let finished = world.leases().into_iter().find(|lease| is_owned_by("b", lease)).expect("b has one of two");
    let shard = finished.key.shard.to_string();
    world.end_shard(&shard, Vec::new());
    world.run_until("it is finished", |world| world.lease(&shard).is_finished());
    assert!(is_owned_by("b", &world.lease(&shard)));
    world.crash("b");
    world.run_until("its row is gone", |world| world.registered() == ["a"]);
}

#[test]
fn a_full_fleet_leaves_the_rest_free_and_takes_it_when_room_comes() {
    let mut world = World::new(shards(10));
    for worker in ["a", "b"] {
        world.start_with(worker, WorkerSettings { capacity: NonZeroU32::new(3), ..settings() });
    }
    world.run_until("both are full", |world| world.reading().values().all(|count| *count == 3));
    world.start("roomy");
    world.run_until("all is read", |world| world.reading().values().sum::<usize>() == 10);
    assert_eq!(world.reading()["roomy"], 4);
}

#[test]
fn a_leaver_leaves_alone_what_is_free_because_all_are_full() {
    let mut world = World::new(shards(10));
    for worker in ["a", "b"] {
        world.start_with(worker, WorkerSettings { capacity: NonZeroU32::new(3), ..settings() });
    }
    world.run_until("both are full", |world| world.reading().values().all(|count| *count == 3));
    let free: Vec<Lease> = world.leases().into_iter().filter(|lease| lease.owner.is_none()).collect();
    assert_eq!(free.len(), 4);
    world.leave("b");
    world.run_until("it has left", |world| world.ending("b").is_some());
    let after = world.leases();
    assert!(free.iter().all(|lease| after.contains(lease)), "{after:?}");
    assert_eq!(after.iter().filter(|lease| lease.last_change == Change::Released).count(), 3);
}

/// Its heartbeats have stopped half a lease duration ago: perhaps it is dead, and what it is given stands still.
#[test]
fn a_leaver_gives_nothing_to_one_of_whom_it_is_doubtful_whether_it_lives() {
    let mut world = World::level(12, &["a", "b", "c", "d"]);
    world.freeze("d");
    world.run_for(LEASE_DURATION * 7 / 10);
    let of_a: Vec<Lease> = world.leases().into_iter().filter(|lease| is_owned_by("a", lease)).collect();
    world.leave("a");
    world.run_for(HEARTBEAT * 2);
    let now = |lease: &Lease| world.leases().into_iter().find(|now| now.key == lease.key).expect("it stays");
    assert!(of_a.iter().all(|lease| !is_owned_by("d", &now(lease))), "{:?}", world.leases());
    assert_eq!(of_a.iter().filter(|lease| !is_owned_by("a", &now(lease))).count(), 2, "the others get theirs at once");
    world.run_until("a has left", |world| world.ending("a").is_some());
}

fn is_owned_by(worker: &str, lease: &Lease) -> bool {
    lease.owner.as_ref().is_some_and(|owner| owner.name.as_str() == worker)
}

#[test]
fn a_tombstone_whose_deletion_fails_is_deleted_by_a_later_look() {
    let mut world = World::level(2, &["a"]);
    world.end_shard("shard-0000", Vec::new());
    world.run_until("it is finished", |world| world.lease("shard-0000").is_finished());
    world.trim("shard-0000");
    let lists = world.calls("a").shard_lists;
    world.run_until("a list has missed it", |world| world.calls("a").shard_lists > lists);
    world.run_for(Duration::from_secs(59));
    world.set_weather("a", Weather::Cut);
    world.run_until("another has", |world| world.calls("a").shard_lists > lists + 1);
    world.run_for(HEARTBEAT);
    world.set_weather("a", Weather::Fair);
    assert!(world.lease("shard-0000").is_finished(), "nothing could be deleted");
    let generation = world.row("a").generation;
    world.run_until("it is deleted", |world| world.leases().len() == 1);
    world.run_for(HEARTBEAT * 2);
    assert_eq!(world.row("a").generation, generation + 1, "and the others know that there is something to see");
}
