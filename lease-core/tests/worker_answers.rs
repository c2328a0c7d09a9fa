//! What one worker does at once when an answer comes: late, refused, or overtaken by other news.

mod common;

use std::time::Duration;

use common::rows::{facts, free_lease, name, shard};
use common::stage::{Stage, taken};
use lease_core::testing::worker;
use lease_core::worker::{Command, Event};
use lease_core::{Expected, Lease, Outcome, StoreErrorKind, WorkerRow};
use stream_types::Shard;

/// The worker wants a lease, and the store does not answer its heartbeats until it is late.
fn late() -> (Stage, Lease) {
    let mut stage = Stage::set(&[free_lease("shard", &[])]);
    let commands = stage.beat();
    let [wanted] = taken(&commands)[..] else { panic!("{commands:?}") };
    let wanted = wanted.clone();
    while stage.worker.valid_until().is_some() {
        stage.heartbeat();
        stage.tell(Event::HeartbeatAnswered(Err(StoreErrorKind::Unavailable)));
    }
    (stage, wanted)
}

/// Somebody may have found it dead meanwhile, and what it has taken, taken.
#[test]
fn what_was_taken_before_a_lapse_is_not_read_after_it() {
    for is_valid_again in [false, true] {
        let (mut stage, wanted) = late();
        let mut commands = Vec::new();
        if is_valid_again {
            commands.extend(stage.beat());
            assert!(stage.worker.valid_until().is_some());
        }
        commands.extend(stage.tell(Event::PutAnswered { key: wanted.key, answer: Ok(Outcome::Applied) }));
        let is_read = |command: &Command| matches!(command, Command::StartShard(_));
        assert!(!commands.iter().any(is_read), "valid again: {is_valid_again}: {commands:?}");
    }
}

/// The heartbeat says only that the worker was alive when it was sent. Meanwhile it was late, and others may have found it dead.
#[test]
fn what_was_taken_before_a_lapse_is_not_read_after_it_though_the_heartbeat_that_ends_it_was_sent_before() {
    let mut stage = Stage::set(&[free_lease("shard", &[])]);
    stage.beat();
    stage.tell(Event::Hinted);
    assert!(stage.beat().contains(&Command::ListLeases));
    let slow = stage.heartbeat();
    // A take goes out while the heartbeat is under way.
    let commands = stage.tell(Event::LeasesListed(Ok(vec![free_lease("other", &[])])));
    let [wanted] = taken(&commands)[..] else { panic!("{commands:?}") };
    let wanted = wanted.clone();
    while stage.worker.valid_until().is_some() {
        stage.wake();
    }
    stage.written(slow);
    assert!(stage.worker.valid_until().is_some(), "it is good for as long as it would have been");
    let commands = stage.tell(Event::PutAnswered { key: wanted.key, answer: Ok(Outcome::Applied) });
    assert!(!commands.iter().any(|command| matches!(command, Command::StartShard(_))), "{commands:?}");
}

/// What it knows of the leases is old, and so is what it wanted of them.
#[test]
fn a_late_worker_sends_only_heartbeats_whatever_it_hears() {
    let (mut stage, wanted) = late();
    let not_heartbeats = |commands: Vec<Command>| {
        commands.into_iter().filter(|command| !matches!(command, Command::Heartbeat(_))).collect::<Vec<_>>()
    };
    let unavailable = StoreErrorKind::Unavailable;
    for event in [
        Event::Hinted,
        Event::PutAnswered { key: wanted.key.clone(), answer: Err(unavailable) },
        Event::HeartbeatAnswered(Err(unavailable)),
        Event::FollowAsked { stream: name("another"), facts: facts() },
        Event::TimePassed,
    ] {
        stage.now += Duration::from_secs(1);
        let told = format!("{event:?}");
        assert_eq!(not_heartbeats(stage.tell(event)), [], "after {told}");
    }
}

/// The plan that was made while it was being taken could do nothing: the lease was still free, and not this worker's to take.
#[test]
fn what_is_taken_although_it_has_become_a_newcomers_is_drained_at_once() {
    for first in [0, 1] {
        let mut stage = Stage::set(&[free_lease("x", &[]), free_lease("y", &[])]);
        let commands = stage.beat();
        let wanted = taken(&commands);
        assert_eq!(wanted.len(), 2, "{commands:?}");
        stage.others = vec![WorkerRow::registering(worker("newcomer"), None)];
        stage.beat_and_show(&[]);
        let mut applied =
            |lease: &Lease| stage.tell(Event::PutAnswered { key: lease.key.clone(), answer: Ok(Outcome::Applied) });
        let commands = [applied(wanted[first]), applied(wanted[1 - first])].concat();
        let drained = commands.iter().filter(|command| matches!(command, Command::DrainShard { .. })).count();
        assert_eq!(drained, 1, "{commands:?}");
    }
}

/// A newcomer has registered and taken the lease since the worker last read the registry.
#[test]
fn what_a_refusal_shows_in_unknown_hands_is_not_taken_by_a_plan_that_another_answer_calls_for() {
    let rows = [free_lease("x", &[]), free_lease("y", &[])];
    let mut stage = Stage::set(&rows);
    let commands = stage.beat();
    assert_eq!(taken(&commands).len(), 2, "{commands:?}");
    // A plan wants both again, and waits until their writes are answered.
    stage.tell(Event::Hinted);
    stage.beat_and_show(&rows);
    stage.beat();
    let theirs = rows[0].taken_by(&worker("newcomer"));
    let answer = Ok(Outcome::Conflict { current: Some(theirs) });
    let commands = stage.tell(Event::PutAnswered { key: rows[0].key.clone(), answer });
    assert_eq!(taken(&commands), [] as [&Lease; 0]);
    let commands = stage.tell(Event::PutAnswered { key: rows[1].key.clone(), answer: Ok(Outcome::Applied) });
    assert_eq!(taken(&commands), [] as [&Lease; 0]);
}

/// It asks to be woken for that, and not only for its heartbeats.
#[test]
fn a_write_that_fails_is_sent_again_before_the_next_heartbeat() {
    let mut stage = Stage::set(&[free_lease("shard", &[])]);
    let commands = stage.beat();
    let [wanted] = taken(&commands)[..] else { panic!("{commands:?}") };
    let answer = Err(StoreErrorKind::Unavailable);
    stage.tell(Event::PutAnswered { key: wanted.key.clone(), answer });
    let failed = stage.now;
    let commands = stage.wake();
    assert_eq!(taken(&commands), [wanted], "{commands:?}");
    assert!(stage.now - failed < Duration::from_millis(150), "{:?}", stage.now - failed);
}

/// The worker finds shards that have no lease, and others create the leases of these a moment before it. Returns what it does
/// about each refusal.
fn creations_refused(found: &[Shard], refused: &[Lease]) -> Vec<Vec<Command>> {
    let mut stage = Stage::set(&[]);
    stage.beat_and_show(&[]);
    let found = Event::ShardsListed { stream: name("stream"), created: None, shards: Some(found.to_vec()) };
    stage.tell(found);
    let refusal = |row: &Lease| {
        let answer = Ok(Outcome::Conflict { current: Some(row.clone()) });
        Event::PutAnswered { key: row.key.clone(), answer }
    };
    refused.iter().map(|row| stage.tell(refusal(row))).collect()
}

#[test]
fn leases_that_others_created_first_are_taken_once_all_are_there() {
    let told = creations_refused(&[shard("x", &[]), shard("y", &[])], &[free_lease("x", &[]), free_lease("y", &[])]);
    let taken: Vec<usize> = told.iter().map(|commands| taken(commands).len()).collect();
    assert_eq!(taken, [0, 2], "{told:?}");
}

#[test]
fn the_child_of_a_lease_that_others_created_first_is_created_at_once() {
    let told = creations_refused(&[shard("parent", &[]), shard("child", &["parent"])], &[free_lease("parent", &[])]);
    let is_created = |command: &Command| matches!(command, Command::Put { expected: Expected::Absent, next } if next.key.shard.as_str() == "child");
    assert!(told[0].iter().any(is_created), "{told:?}");
}
