//! Workers that follow several streams, and take one up or give it up while they run.

mod common;

use std::time::Duration;

use common::rows::{facts, shard, shards};
use common::world::{HEARTBEAT, LEASE_DURATION, World, settings};
use lease_core::testing::block_on_ready;
use lease_core::worker::{Ending, Event, Warning};
use lease_core::{Lease, LeaseStore, Outcome, StreamFacts};
use stream_types::{HashRange, Name, Shard, StartPosition, Timestamp};

fn payments(count: usize) -> Vec<Shard> {
    (0..count).map(|index| shard(&format!("payments-{index:04}"), &[])).collect()
}

/// A stream of 6 shards, another of 3, and three workers that follow both.
fn two_streams() -> World {
    let mut world = World::new(shards(6));
    world.add_stream("payments", payments(3));
    for worker in ["a", "b", "c"] {
        world.start_following(worker, &["stream", "payments"]);
    }
    world.run_until("level at the start", World::is_level);
    world
}

fn leases_of(world: &World, stream: &str) -> Vec<Lease> {
    world.leases().into_iter().filter(|lease| lease.key.stream.as_str() == stream).collect()
}

#[test]
fn one_set_of_workers_shares_the_shards_of_all_streams() {
    let world = two_streams();
    assert!(world.reading().values().all(|count| *count == 3), "{:?}", world.reading());
}

#[test]
fn a_stream_that_all_workers_take_up_while_they_run_is_shared() {
    let mut world = World::level(6, &["a", "b", "c"]);
    world.add_stream("payments", payments(3));
    for worker in ["a", "b", "c"] {
        world.follow(worker, "payments");
        world.run_for(Duration::from_millis(100));
    }
    let took = world.run_until("all are read", World::is_level);
    assert!(took < HEARTBEAT * 3, "it took {took:?}");
}

/// As in a deployment whose new version reads one stream more: the old version's workers get nothing of it.
#[test]
fn a_stream_that_one_worker_follows_is_read_there_and_the_rest_is_level() {
    let mut world = World::level(6, &["a", "b"]);
    world.add_stream("payments", payments(3));
    world.start_following("new", &["stream", "payments"]);
    world.run_until("all are read, level", World::is_level);
    assert_eq!(world.reading_of("new", "payments"), 3);
    assert_eq!(world.reading_of("new", "stream"), 0);
    let before = world.leases();
    world.run_for(LEASE_DURATION * 3);
    let owners = |leases: &[Lease]| leases.iter().map(|lease| lease.owner.clone()).collect::<Vec<_>>();
    assert_eq!(owners(&before), owners(&world.leases()), "nothing moves any more");
}

#[test]
fn what_a_worker_gives_up_goes_to_the_others_without_a_gap_in_the_epochs() {
    let mut world = two_streams();
    world.unfollow("a", "payments");
    world.run_until("it is rid of the stream", |world| world.has_dropped("a", "payments"));
    world.run_until("all are read, level", World::is_level);
    assert_eq!(world.reading_of("a", "payments"), 0);
    assert_eq!(world.stops("a"), [], "it drained what it had");
    // One change of owner each, at the most: nobody handed a lease back to a worker that had given the stream up.
    assert!(leases_of(&world, "payments").iter().all(|lease| lease.epoch.0 <= 2), "{:?}", world.leases());
}

#[test]
fn a_stream_that_all_give_up_keeps_its_positions_and_goes_on_when_it_is_taken_up_again() {
    let mut world = two_streams();
    let workers = ["a", "b", "c"];
    workers.iter().for_each(|worker| world.unfollow(worker, "payments"));
    world.run_until("all are rid of it", |world| workers.iter().all(|worker| world.has_dropped(worker, "payments")));
    let left = leases_of(&world, "payments");
    assert!(left.iter().all(|lease| lease.owner.is_none()), "{left:?}");
    world.run_for(LEASE_DURATION * 30);
    assert_eq!(leases_of(&world, "payments"), left);
    let warnings: usize = workers.iter().map(|worker| world.warnings(worker).len()).sum();
    assert_eq!(warnings, 1, "people are told once that nobody reads it");

    world.follow("b", "payments");
    world.run_until("all are read", World::is_level);
    for lease in left {
        assert_eq!(world.started_at("b", lease.key.shard.as_str()), lease.position);
    }
}

/// It cannot be handed over before its children have leases, which only a worker that knows the stream can create.
#[test]
fn a_shard_that_ends_while_its_stream_is_given_up_is_finished_first() {
    let mut world = World::new(shards(1));
    world.add_stream("payments", payments(1));
    world.start_following("a", &["stream", "payments"]);
    world.run_until("level at the start", World::is_level);
    world.end_shard("payments-0000", vec![shard("payments-0001", &["payments-0000"])]);
    world.unfollow("a", "payments");
    world.run_until("it is rid of the stream", |world| world.has_dropped("a", "payments"));
    assert!(world.lease("payments-0000").is_finished());
    assert_eq!(world.lease("payments-0001").owner, None);
}

#[test]
fn a_stream_that_is_taken_up_before_it_was_handed_over_stays() {
    let mut world = World::new(shards(1));
    world.add_stream("payments", payments(2));
    world.start_following("a", &["stream", "payments"]);
    world.run_until("level at the start", World::is_level);
    world.unfollow("a", "payments");
    world.follow("a", "payments");
    world.run_until("all are read", World::is_level);
    world.run_for(LEASE_DURATION);
    assert!(!world.has_dropped("a", "payments"));
    assert!(world.is_level());
}

/// Found by the simulation: nothing was known of the table yet, and the lease was given while the stream was given up.
#[test]
fn a_lease_that_is_given_to_a_worker_while_it_gives_the_stream_up_is_not_read_there() {
    for pause in 0..60 {
        let mut world = World::new(shards(4));
        world.start_following("a", &["stream"]);
        world.run_until("level at the start", World::is_level);
        world.start_following("b", &["stream"]);
        world.run_for(Duration::from_millis(pause * 20));
        world.unfollow("b", "stream");
        for _ in 0..40 {
            world.run_for(Duration::from_millis(50));
            let dropped = world.has_dropped("b", "stream");
            assert!(!dropped || world.reading()["b"] == 0, "{pause}: it reads a stream that it has dropped");
        }
        world.run_until("a has all again", |world| world.reading()["a"] == 4);
    }
}

/// A worker that was started with another wish does not change where the application began.
#[test]
fn a_lease_that_is_created_later_starts_where_the_application_did() {
    let at = |millis| StartPosition::Timestamp(Timestamp::from_unix_millis(millis));
    let starting_at = |start| StreamFacts { start, ..facts() };
    let mut world = World::new(shards(2));
    world.add_stream("payments", payments(2));
    world.start_on("first", settings(), &[("stream", starting_at(at(5))), ("payments", starting_at(at(7)))]);
    world.run_until("all are read", World::is_level);
    world.crash("first");
    let wish = starting_at(at(9));
    world.start_on("second", settings(), &[("stream", wish), ("payments", wish)]);
    world.add_shard(shard("late", &[]));
    world.run_until("all are read", World::is_level);
    assert_eq!(world.lease("late").stream.start, at(5));
    assert_eq!(leases_of(&world, "payments").iter().map(|lease| lease.stream.start).collect::<Vec<_>>(), [at(7); 2]);
}

/// Each list of a stream's shards is a call that Kinesis limits.
#[test]
fn one_follower_lists_the_shards_of_a_stream_and_once_a_minute() {
    let mut world = World::new(shards(6));
    world.add_stream("payments", payments(3));
    for (worker, streams) in [("a", &["stream"][..]), ("b", &["stream", "payments"]), ("c", &["stream", "payments"])] {
        world.start_following(worker, streams);
    }
    world.run_until("all are read", |world| world.reading().values().sum::<usize>() == 9);
    // Whoever comes to the end of a shard looks once for the children's other parents.
    for index in 0..6 {
        let (ended, child) = (format!("shard-{index:04}"), format!("child-{index}"));
        let child = shard(&child, &[&ended, "gone"]);
        world.add_shard(child.clone());
        world.end_shard(&ended, vec![child]);
    }
    world.run_until("the children are read", World::is_level);
    world.run_for(Duration::from_secs(120));
    let lists = |world: &World| ["a", "b", "c"].map(|worker| world.calls(worker).shard_lists);
    let before = lists(&world);
    world.run_for(Duration::from_secs(600));
    let after = lists(&world);
    let each: Vec<u64> = before.iter().zip(after).map(|(before, after)| after - before).collect();
    assert_eq!(each.iter().sum::<u64>(), 20, "ten minutes, two streams: {each:?}");
    assert!(each.iter().all(|lists| [0, 10, 20].contains(lists)), "one worker for each stream: {each:?}");
}

#[test]
fn one_worker_lists_the_shards_of_the_only_stream() {
    let mut world = World::level(6, &["a", "b", "c"]);
    let lists = |world: &World| ["a", "b", "c"].map(|worker| world.calls(worker).shard_lists).iter().sum::<u64>();
    let before = lists(&world);
    world.run_for(Duration::from_secs(600));
    assert_eq!(lists(&world) - before, 10, "ten minutes");
}

#[test]
fn a_deleted_stream_costs_a_worker_its_other_streams_only_if_it_has_none() {
    let name = |stream: &str| Name::new(stream).unwrap();
    let mut world = two_streams();
    for _ in 0..5 {
        world.tell("a", Event::StreamNotFound { stream: name("payments") });
    }
    assert_eq!((world.ending("a"), world.warnings("a").len()), (None, 1));
    world.run_until("the others have its shards", |world| world.has_dropped("a", "payments") && world.is_level());
    for _ in 0..4 {
        world.tell("a", Event::StreamNotFound { stream: name("stream") });
    }
    assert_eq!(world.ending("a"), None, "a service may err for a moment");
    world.tell("a", Event::StreamNotFound { stream: name("stream") });
    assert_eq!(world.ending("a"), Some(&Ending::StreamDeleted { stream: name("stream") }));
}

/// It is no longer the worker's business.
#[test]
fn a_stream_that_is_deleted_while_the_worker_gives_it_up_ends_nobody() {
    let mut world = World::level(2, &["a"]);
    world.never_drain("a");
    world.unfollow("a", "stream");
    world.run_for(HEARTBEAT * 2);
    for _ in 0..10 {
        world.tell("a", Event::StreamNotFound { stream: Name::new("stream").unwrap() });
    }
    assert_eq!((world.ending("a"), world.has_dropped("a", "stream")), (None, false));
}

/// Half a shard too few, as the service's own list says, twice.
#[test]
fn a_hole_in_the_hash_range_is_told_of_once() {
    let mut world = World::level(1, &["a"]);
    let name = Name::new("stream").unwrap();
    let half = Shard { hash_range: HashRange::new(0, 1 << 127).ok(), ..shard("shard-0000", &[]) };
    let told = |world: &World| {
        let holes = world.warnings("a").iter().filter(|warning| matches!(warning, Warning::HoleInHashRange { .. }));
        holes.count()
    };
    for expected in [0, 1, 1] {
        world.tell("a", Event::ShardsListed { stream: name.clone(), created: None, shards: Some(vec![half.clone()]) });
        assert_eq!(told(&world), expected);
    }
}

#[test]
fn a_stream_that_is_found_in_between_is_not_deleted() {
    let mut world = World::level(2, &["a"]);
    for _ in 0..3 {
        for _ in 0..4 {
            world.tell("a", Event::StreamNotFound { stream: Name::new("stream").unwrap() });
        }
        world.run_for(Duration::from_secs(20));
    }
    assert_eq!(world.ending("a"), None);
}

/// 250 ms, 500 ms, 1 s, and so on, up to 15 s.
#[test]
fn a_stream_that_does_not_answer_is_asked_ever_more_seldom_and_anew_once_it_has() {
    let mut world = World::new(shards(2));
    world.streams_are_away = true;
    world.start("a");
    world.run_for(Duration::from_secs(60));
    let lists = world.calls("a").shard_lists;
    assert!((9..=10).contains(&lists), "{lists} lists in a minute");
    world.streams_are_away = false;
    let took = world.run_until("it is read", |world| world.reading()["a"] == 2);
    assert!(took <= Duration::from_secs(16), "{took:?}");

    world.streams_are_away = true;
    let lists = world.calls("a").shard_lists;
    world.run_until("it is asked for the minute's list", |world| world.calls("a").shard_lists > lists);
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.calls("a").shard_lists, lists + 4);
}

#[test]
fn a_stream_that_was_created_again_is_given_up_and_the_others_go_on() {
    let mut world = World::new(shards(2));
    world.add_stream("payments", payments(1));
    world.start_following("a", &["stream"]);
    world.run_until("level at the start", |world| world.reading()["a"] == 2);
    let facts =
        |created| StreamFacts { created: Some(Timestamp::from_unix_millis(created)), start: StartPosition::Horizon };
    let payments = Name::new("payments").unwrap();
    world.tell("a", Event::FollowAsked { stream: payments.clone(), facts: facts(1) });
    world.run_until("it is read", |world| world.reading_of("a", "payments") == 1);
    let found = Timestamp::from_unix_millis(2);
    world.tell("a", Event::ShardsListed { stream: payments, created: Some(found), shards: Some(Vec::new()) });
    world.run_until("it is given up", |world| world.has_dropped("a", "payments"));
    assert_eq!((world.ending("a"), world.warnings("a").len()), (None, 2), "it is told, and that nobody reads it");
    assert_eq!(world.reading()["a"], 2);
}

/// It was deleted and created again meanwhile: what was known of the first one says nothing of the second.
#[test]
fn a_stream_that_is_taken_up_again_is_the_one_that_is_there_by_then() {
    let mut world = World::new(shards(2));
    world.add_stream("payments", payments(1));
    world.start_following("a", &["stream"]);
    let payments = Name::new("payments").unwrap();
    let created = |millis| Some(Timestamp::from_unix_millis(millis));
    let facts = |millis| StreamFacts { created: created(millis), start: StartPosition::Horizon };
    world.tell("a", Event::FollowAsked { stream: payments.clone(), facts: facts(1) });
    world.unfollow("a", "payments");
    world.tell("a", Event::FollowAsked { stream: payments, facts: facts(2) });
    world.run_until("it is read", |world| world.reading_of("a", "payments") == 1);
    assert_eq!(leases_of(&world, "payments")[0].stream.created, created(2));
}

#[test]
fn a_worker_of_no_stream_waits_for_one() {
    let mut world = World::level(4, &["a"]);
    world.start_following("idle", &[]);
    world.run_for(LEASE_DURATION);
    assert_eq!(world.reading()["idle"], 0);
    world.follow("idle", "stream");
    world.run_until("it has its share", World::is_level);
}

/// Found by the simulation: until the parent had its row again, the child seemed to have no parent.
#[test]
fn the_child_of_a_lease_that_is_gone_from_the_table_waits_until_that_is_back() {
    let mut world = World::new(vec![shard("parent", &[]), shard("child", &["parent"])]);
    world.start("a");
    world.run_until("the parent is read", |world| world.is_reading("a", "parent") && world.leases().len() == 2);
    world.run_for(LEASE_DURATION);
    let parent = world.lease("parent");
    let deleted = block_on_ready(world.store.delete(&parent)).expect("memory does not fail");
    assert_eq!(deleted, Outcome::Applied);
    world.tell("a", Event::Hinted);
    let is_back = |world: &World| {
        assert!(!world.is_reading("a", "child"), "its parent is not read to the end");
        world.leases().iter().any(|row| row.key == parent.key && row.epoch > parent.epoch)
    };
    world.run_until("the parent is read again", is_back);
    world.run_for(LEASE_DURATION);
    assert!(!world.is_reading("a", "child"));
    world.end_shard("parent", Vec::new());
    world.run_until("the child is read", |world| world.is_reading("a", "child"));
}
