//! What follows from the answer to a write, whatever it is and however late it comes.

mod common;

use std::time::Duration;

use common::rows::{after, free_lease, shard, shards};
use common::world::{HEARTBEAT, LEASE_DURATION, Weather, World};
use lease_core::testing::{block_on_ready, worker};
use lease_core::worker::{Event, StopReason};
use lease_core::{Change, Expected, Lease, LeaseStore, Outcome};

/// Within which what a worker has to do at once is done: a few answers.
const AT_ONCE: Duration = Duration::from_millis(10);

/// The plan wants the lease taken anew, while a checkpoint of before is still under way.
#[test]
fn a_take_that_waits_for_the_end_of_another_write_follows_it_at_once() {
    let mut world = World::busy(4, &["a"]);
    world.delay_puts("a", LEASE_DURATION * 2);
    world.run_for(AT_ONCE);
    world.delay_puts("a", Duration::ZERO);
    world.set_weather("a", Weather::Cut);
    world.run_until("it is late", |world| world.reading()["a"] == 0);
    world.set_weather("a", Weather::Fair);
    let took = world.run_until("it reads everything", |world| world.reading()["a"] == 4);
    assert!(
        took <= LEASE_DURATION * 12 / 10,
        "the writes were answered {LEASE_DURATION:?} after it was late: {took:?}"
    );
}

#[test]
fn a_take_whose_reply_was_lost_is_not_taken_twice() {
    let mut world = World::new(shards(8));
    world.start("a");
    world.set_weather("a", Weather::RepliesLost);
    world.run_until("it reads everything", |world| world.reading()["a"] == 8);
    world.set_weather("a", Weather::Fair);
    world.run_for(HEARTBEAT * 3);
    assert!(world.leases().iter().all(|lease| lease.epoch.0 == 1), "{:?}", world.leases());
}

/// What it takes at that moment it reads no more, but stores and keeps for the next process of its name.
#[test]
fn a_worker_asked_to_return_while_its_takes_are_under_way_ends_all_the_same() {
    for pause in 495..530 {
        let mut world = World::new(shards(4));
        world.start("a");
        world.run_for(Duration::from_millis(pause));
        world.delay_puts("a", Duration::from_millis(5));
        world.run_for(Duration::from_millis(3));
        world.leave_to_return("a", LEASE_DURATION);
        let took = world.run_until("it has ended", |world| world.ending("a").is_some());
        assert!(took <= HEARTBEAT, "{pause}: {took:?}");
    }
}

/// Splits of splits that were there before anybody came: each generation's leases are created once its parents' are.
#[test]
fn a_tree_of_shards_has_all_its_leases_at_once_whoever_creates_them() {
    for workers in [&["a"][..], &["a", "b", "c"]] {
        let tree = [("0", &[][..]), ("1", &["0"]), ("2", &["0"]), ("3", &["1"]), ("4", &["2", "3"]), ("5", &["4"])];
        let mut world = World::new(tree.iter().map(|(id, parents)| shard(id, parents)).collect());
        workers.iter().for_each(|worker| world.start(worker));
        world.run_until("the first lease is there", |world| !world.leases().is_empty());
        let took = world.run_until("all are", |world| world.leases().len() == tree.len());
        assert!(took <= AT_ONCE, "{took:?} with {workers:?}");
    }
}

#[test]
fn a_shard_that_is_found_by_the_minutes_look_is_read_at_once() {
    let mut world = World::level(2, &["a"]);
    world.add_shard(shard("late", &[]));
    world.run_until("it has a lease", |world| world.leases().len() == 3);
    let took = world.run_until("it is read", |world| world.is_reading("a", "late"));
    assert!(took <= AT_ONCE, "{took:?}");
}

/// By that number the others see that the leases are worth a look.
#[test]
fn each_lease_that_comes_or_changes_hands_is_counted_in_the_workers_row() {
    let mut world = World::new(shards(4));
    world.start("a");
    world.run_until("it reads everything", |world| world.reading()["a"] == 4);
    world.run_for(HEARTBEAT * 2);
    assert_eq!(world.row("a").generation, 8, "four created, four taken");
    world.start("b");
    world.run_until("level", World::is_level);
    world.run_for(HEARTBEAT * 2);
    assert_eq!(world.row("a").generation, 10, "two given");
}

/// A row that was changed by hand: the worker learns of it by its next look at the leases.
#[test]
fn a_lease_that_a_list_shows_in_other_hands_is_read_no_more() {
    let mut world = World::level(2, &["a"]);
    let mine = world.lease("shard-0000");
    let theirs = mine.given_to(&worker("elsewhere"), &worker("elsewhere"));
    let put = block_on_ready(world.store.put(Expected::row(&mine), &theirs)).unwrap();
    assert_eq!(put, Outcome::Applied);
    world.tell("a", Event::Hinted);
    world.run_until("it has learned", |world| !world.stops("a").is_empty());
    assert_eq!(world.stops("a"), [StopReason::LeaseLost]);
    assert!(!world.is_reading("a", "shard-0000") && world.is_reading("a", "shard-0001"));
}

/// Its row is there already, as another worker has created it a moment ago, and taken it.
#[test]
fn a_creation_that_comes_too_late_takes_nothing_from_whoever_was_first() {
    let mut world = World::level(2, &["a"]);
    world.add_shard(shard("late", &[]));
    let theirs = free_lease("late", &[]);
    assert_eq!(block_on_ready(world.store.put(Expected::Absent, &theirs)).unwrap(), Outcome::Applied);
    world.run_until("it is read", |world| world.is_reading("a", "late"));
    let lease = world.lease("late");
    assert_eq!((lease.last_change, lease.epoch.0), (Change::Taken, 1));
}

/// 100 ms, 200 ms, 400 ms, and so on.
#[test]
fn a_write_that_fails_is_sent_again_ever_more_seldom() {
    let mut world = World::busy(4, &["a"]);
    world.set_weather("a", Weather::Cut);
    let before = world.calls("a").others;
    world.run_until("it is late", |world| world.reading()["a"] == 0);
    let writes = world.calls("a").others - before;
    assert!((4 * 6..=4 * 8).contains(&writes), "{writes} tries to write four rows in nine seconds");
}

/// Meanwhile another worker has found it silent, and taken what it had taken.
#[test]
fn a_take_that_is_answered_after_a_lapse_is_not_read_under() {
    let mut world = World::new(shards(4));
    world.start("a");
    world.start("b");
    world.delay_puts("a", LEASE_DURATION * 2);
    world.run_until("b reads its part", |world| world.reading()["b"] == 2);
    world.set_weather("a", Weather::Cut);
    world.run_until("b has everything", |world| world.reading()["b"] == 4);
    world.set_weather("a", Weather::Fair);
    world.delay_puts("a", Duration::ZERO);
    world.run_for(LEASE_DURATION * 2);
    assert!(world.is_level(), "{:?}", world.reading());
    assert!(world.owns_what_it_reads("a") && world.owns_what_it_reads("b"));
}

/// It may be dead for others, and what it knows of the leases is old.
#[test]
fn a_worker_that_is_late_asks_nothing_of_the_store_but_heartbeats() {
    let mut world = World::busy(4, &["a"]);
    world.set_weather("a", Weather::Cut);
    world.run_until("it is late", |world| world.reading()["a"] == 0);
    world.run_for(AT_ONCE);
    let before = world.calls("a");
    world.tell("a", Event::Hinted);
    world.leave("a");
    world.run_for(Duration::from_secs(120));
    let after = world.calls("a");
    assert_eq!((after.lists, after.others), (before.lists, before.others));
    assert!(after.heartbeats > before.heartbeats + 100);
}

/// The shard's lease waits for one of its child, and that for a list of the shards.
#[test]
fn what_was_done_while_a_checkpoint_was_on_its_way_is_stored_after_the_end_of_the_shard() {
    let mut world = World::level(1, &["a"]);
    world.streams_are_away = true;
    world.delay_puts("a", HEARTBEAT / 10);
    world.checkpoint("shard-0000", after(1));
    world.checkpoint("shard-0000", after(2));
    world.end_shard("shard-0000", vec![shard("child", &["shard-0000", "other"])]);
    world.run_for(HEARTBEAT);
    assert_eq!(world.lease("shard-0000").position, after(2));
}

/// Found by the simulation: the write would have been sent again only seconds later, and the shard read by two until then.
#[test]
fn a_lease_that_a_list_shows_in_other_hands_is_read_no_more_though_a_write_waits_to_be_sent_again() {
    let mut world = World::level(2, &["a"]);
    let (mine, elsewhere) = (world.lease("shard-0000"), worker("elsewhere"));
    world.set_weather("a", Weather::Cut);
    world.checkpoint("shard-0000", after(5));
    // Each try fails, and the pauses grow.
    world.run_for(HEARTBEAT * 4);
    let theirs = mine.given_to(&elsewhere, &elsewhere);
    world.put_in_place(&theirs);
    world.set_weather("a", Weather::Fair);
    world.tell("a", Event::Hinted);
    let took = world.run_until("it has learned", |world| !world.stops("a").is_empty());
    assert!(took <= HEARTBEAT * 3 / 2, "{took:?}");
    assert_eq!(world.stops("a"), [StopReason::LeaseLost]);
}

/// As after a table went back: it was given on, and given back, and the worker has heard of neither.
#[test]
fn a_lease_that_a_list_shows_under_another_epoch_is_read_anew_under_that() {
    let mut world = World::level(2, &["a"]);
    let (mine, elsewhere) = (world.lease("shard-0000"), worker("elsewhere"));
    let theirs = mine.given_to(&elsewhere, &elsewhere);
    let mine_again = theirs.given_to(&world.id("a"), &elsewhere);
    world.put_in_place(&mine_again);
    world.tell("a", Event::Hinted);
    world.run_until("it has learned", |world| !world.stops("a").is_empty());
    world.run_for(HEARTBEAT);
    assert_eq!(world.stops("a"), [StopReason::LeaseLost]);
    assert!(world.is_reading("a", "shard-0000"));
    assert_eq!(world.lease("shard-0000").epoch, mine_again.epoch);
}

/// A table that went back, and was written on from there, has come to the same version a second time. What one who has not looked
/// yet knows of that version is another row, of a lower epoch.
#[test]
fn a_write_over_a_row_that_a_lost_tail_took_away_does_not_bring_its_epoch_back() {
    let mut world = World::level(2, &["a"]);
    let mine = world.lease("shard-0000");
    let elsewhere = worker("elsewhere");
    let theirs = Lease { epoch: mine.epoch.next(), owner: Some(elsewhere.clone()), updated_by: elsewhere, ..mine };
    world.put_in_place(&theirs);
    world.checkpoint("shard-0000", after(5));
    world.run_for(AT_ONCE);
    assert_eq!(world.lease("shard-0000"), theirs);
    assert_eq!(world.stops("a"), [StopReason::LeaseLost]);
}
