//! What a worker does about readers that fail, and about those of shards that the stream no longer lists.

mod common;

use std::time::Duration;

use common::rows::{free_lease, shard};
use common::stage::{Stage, taken};
use common::world::{LEASE_DURATION, Weather, World};
use lease_core::Outcome;
use lease_core::worker::{Command, Event, StopReason};
use stream_types::Position;

/// For how long the shard is not read after its reader has failed.
fn pause_after_failure(world: &mut World, shard: &str) -> Duration {
    world.fail_shard(shard, None);
    world.run_until("it is read again", |world| world.is_reading("a", shard))
}

#[test]
fn a_reader_that_fails_starts_again_ever_later_and_anew_once_it_has_progressed() {
    let mut world = World::level(2, &["a"]);
    let (begun, lists) = (world.now(), world.calls("a").shard_lists);
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
        let (pause, expected) = (pause_after_failure(&mut world, "shard-0000"), Duration::from_secs(seconds));
        assert!(pause >= expected && pause <= expected + Duration::from_millis(10), "{pause:?}, not {expected:?}");
    }
    // One at each failure, since the shard may be gone, and one a minute.
    let lists = world.calls("a").shard_lists - lists;
    assert!(lists <= 8 + world.now().since(begun).as_secs() / 60, "{lists} lists of the stream's shards");

    world.checkpoint("shard-0000", "after:1000".parse().unwrap());
    world.run_for(Duration::from_secs(1));
    let pause = pause_after_failure(&mut world, "shard-0000");
    assert!(pause <= Duration::from_millis(1_010), "{pause:?} after it had progressed");
}

/// It asks to be woken for that, and not only for its heartbeats.
#[test]
fn a_reader_that_fails_between_two_heartbeats_starts_again_between_two() {
    let mut stage = Stage::set(&[free_lease("shard", &[])]);
    let commands = stage.beat();
    let [lease] = taken(&commands)[..] else { panic!("{commands:?}") };
    stage.tell(Event::PutAnswered { key: lease.key.clone(), answer: Ok(Outcome::Applied) });
    stage.now += Duration::from_millis(300);
    stage.tell(Event::ShardFailed { key: lease.key.clone(), epoch: lease.epoch, position: None });
    let failed = stage.now;
    let mut commands = stage.beat();
    while !commands.iter().any(|command| matches!(command, Command::StartShard(_))) {
        assert!(stage.now < failed + Duration::from_secs(2), "it is not read again");
        commands = stage.wake();
    }
    let pause = stage.now - failed;
    assert!(pause >= Duration::from_secs(1) && pause <= Duration::from_millis(1_010), "{pause:?}");
}

#[test]
fn what_a_reader_had_done_when_it_failed_is_stored_and_not_done_again() {
    let mut world = World::level(2, &["a"]);
    let done: Position = "after:1000".parse().unwrap();
    world.fail_shard("shard-0000", Some(done.clone()));
    world.run_until("it is read again", |world| world.is_reading("a", "shard-0000"));
    assert_eq!((world.started_at("a", "shard-0000"), world.lease("shard-0000").position), (done.clone(), done.clone()));

    let writes = world.calls("a").others;
    world.fail_shard("shard-0000", Some(done));
    world.run_until("it is read again", |world| world.is_reading("a", "shard-0000"));
    assert_eq!(world.calls("a").others, writes, "nothing new was done");
}

#[test]
fn only_readers_that_are_at_work_are_told_to_stop() {
    let mut world = World::level(3, &["a"]);
    for _ in 0..4 {
        pause_after_failure(&mut world, "shard-0000");
    }
    world.fail_shard("shard-0000", None);
    world.set_weather("a", Weather::Cut);
    world.run_for(LEASE_DURATION);
    assert_eq!(world.stops("a"), [StopReason::HeartbeatLate; 2]);
}

/// Its records are still there for whoever has begun to read them.
#[test]
fn a_shard_that_the_stream_lists_no_more_is_read_on_and_costs_no_further_lists() {
    let mut world = World::level(2, &["a"]);
    world.run_for(Duration::from_secs(60));
    world.trim("shard-0000");
    let before = world.calls("a").shard_lists;
    world.run_for(Duration::from_secs(600));
    assert!(world.is_reading("a", "shard-0000"));
    assert!(!world.lease("shard-0000").is_finished());
    let lists = world.calls("a").shard_lists - before;
    assert_eq!(lists, 10, "one a minute");
}

/// The stream has forgotten the other parent of a child. Only a list can tell, and it need not be this worker that makes the lists.
#[test]
fn a_child_with_a_parent_that_is_long_gone_is_read_soon_whoever_comes_to_it() {
    for ended in ["shard-0000", "shard-0001", "shard-0002", "shard-0003"] {
        let mut world = World::level(4, &["a", "b"]);
        let child = shard("child", &[ended, "gone"]);
        world.add_shard(child.clone());
        world.end_shard(ended, vec![child]);
        for worker in ["a", "b"] {
            world.tell(worker, Event::Hinted);
        }
        let is_read = |world: &World| world.is_reading("a", "child") || world.is_reading("b", "child");
        let took = world.run_until("the child is read", is_read);
        assert!(took <= Duration::from_secs(3), "{took:?} after the end of {ended}");
    }
}
