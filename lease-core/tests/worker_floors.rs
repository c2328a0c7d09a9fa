//! A store that may lose its newest rows tells which epochs may still be given out, and after a sign of a loss it must tell it anew.

mod common;

use std::time::Duration;

use common::rows::{after, free_lease, shard};
use common::stage::{Stage, sent, taken};
use lease_core::testing::worker;
use lease_core::worker::{Command, Event};
use lease_core::{Beat, Change, Epoch, Lease, Outcome, StoreErrorKind, Version, WorkerRow};

/// While the worker waits for a list that shows a free lease, a heartbeat fails.
fn failed_heartbeat(epoch_floor: Epoch) -> (Stage, Vec<Command>) {
    let mut stage = Stage::set(&[]);
    stage.epoch_floor = epoch_floor;
    stage.beat();
    stage.tell(Event::Hinted);
    stage.beat();
    stage.heartbeat();
    stage.tell(Event::HeartbeatAnswered(Err(StoreErrorKind::Unavailable)));
    let commands = stage.tell(Event::LeasesListed(Ok(vec![free_lease("shard", &[])])));
    (stage, commands)
}

/// A store that gives out floors may have lost its newest rows when it did not answer. Until it has said again which epochs
/// are still to be had, one that is taken could have been somebody else's before.
#[test]
fn after_a_failed_heartbeat_nothing_is_taken_until_the_store_has_told_its_floor_anew() {
    let (mut stage, commands) = failed_heartbeat(Epoch(40));
    assert_eq!(taken(&commands), [] as [&Lease; 0], "the floor may be out of date");
    stage.epoch_floor = Epoch(50);
    let commands = stage.beat_and_show(&[free_lease("shard", &[])]);
    let [lease] = taken(&commands)[..] else { panic!("{commands:?}") };
    assert_eq!(lease.epoch, Epoch(50));
}

/// A row that is older than it was shows that the store has lost some. A heartbeat that was sent before that tells an old floor.
#[test]
fn after_a_row_that_went_back_only_a_younger_heartbeat_tells_the_floor() {
    let other = worker("other");
    let row = |version| Lease { version: Version(version), ..free_lease("theirs", &[]).taken_by(&other) };
    let mut stage = Stage::set(&[row(9)]);
    stage.epoch_floor = Epoch(40);
    stage.others = vec![WorkerRow::registering(other.clone(), None)];
    stage.beat_and_show(&[row(9)]);
    stage.tell(Event::Hinted);
    stage.beat();
    stage.heartbeat();
    let rows = vec![row(8), free_lease("free", &[]), free_lease("spare", &[])];
    let commands = stage.tell(Event::LeasesListed(Ok(rows.clone())));
    assert_eq!(taken(&commands), [] as [&Lease; 0]);
    let workers = stage.others.clone();
    let commands = stage.tell(Event::HeartbeatAnswered(Ok(Beat::Written { workers, epoch_floor: Epoch(40) })));
    assert_eq!(taken(&commands), [] as [&Lease; 0], "it was sent before the list came");
    stage.epoch_floor = Epoch(60);
    let commands = stage.beat_and_show(&rows);
    assert!(!taken(&commands).is_empty(), "{commands:?}");
    assert!(taken(&commands).iter().all(|lease| lease.epoch == Epoch(60)), "{commands:?}");
}

/// It keeps what it has confirmed, whatever happens to it.
#[test]
fn a_store_without_a_floor_is_not_waited_for() {
    let (_stage, commands) = failed_heartbeat(Epoch::NEVER_OWNED);
    assert_eq!(taken(&commands).len(), 1, "{commands:?}");
}

fn failed(lease: &Lease) -> Event {
    Event::PutAnswered { key: lease.key.clone(), answer: Err(StoreErrorKind::Unavailable) }
}

/// Tells the worker, and answers its heartbeat if it sends one.
fn tell(stage: &mut Stage, event: Event) -> Vec<Command> {
    let mut commands = stage.tell(event);
    if let Some(row) = sent(commands.clone()) {
        commands.extend(stage.written(row));
    }
    commands
}

/// What is sent once the next heartbeat has told the floor.
fn sent_again(stage: &mut Stage) -> Option<Lease> {
    let mut commands = stage.beat();
    if taken(&commands).is_empty() {
        commands = stage.wake();
    }
    let again = taken(&commands).first().copied().cloned();
    sent(commands).into_iter().for_each(|row| drop(stage.written(row)));
    again
}

/// A worker of a store that tells floors, which takes a lease.
fn taking() -> (Stage, Lease) {
    let mut stage = Stage::new();
    stage.epoch_floor = Epoch(40);
    let mut commands = stage.beat_and_show(&[free_lease("shard", &[])]);
    while taken(&commands).is_empty() {
        commands = stage.beat();
    }
    let take = taken(&commands)[0].clone();
    assert_eq!((take.last_change, take.epoch), (Change::Taken, Epoch(40)));
    (stage, take)
}

/// Found by the simulation: the take had failed with its connection, because the table had started again from an old snapshot. The
/// next try went through under an epoch from before that, and another worker's higher one had been lost.
#[test]
fn a_take_that_has_failed_is_sent_again_under_an_epoch_of_the_floor_told_since() {
    let (mut stage, take) = taking();
    let commands = stage.tell(failed(&take));
    assert_eq!(taken(&commands), [] as [&Lease; 0]);
    stage.epoch_floor = Epoch(50);
    let failed_at = stage.now;
    let again = sent_again(&mut stage);
    assert_eq!(again.map(|lease| lease.epoch), Some(Epoch(50)));
    assert!(stage.now - failed_at < Duration::from_millis(200), "it waits no longer than for that");
}

/// It gives out no epoch. To wait for a heartbeat would only take longer.
#[test]
fn a_checkpoint_that_has_failed_is_sent_again_without_a_floor() {
    let (mut stage, take) = taking();
    stage.tell(Event::PutAnswered { key: take.key.clone(), answer: Ok(Outcome::Applied) });
    let (key, epoch) = (take.key.clone(), take.epoch);
    let commands = stage.tell(Event::CheckpointAsked { key, epoch, position: after(5) });
    let checkpoint = taken(&commands)[0].clone();
    let commands = stage.tell(failed(&checkpoint));
    assert_eq!(taken(&commands), [] as [&Lease; 0]);
    let mut commands = stage.wake();
    while taken(&commands).is_empty() {
        assert!(sent(commands).is_none(), "it asks for a floor first");
        commands = stage.wake();
    }
    assert_eq!(taken(&commands), [&checkpoint]);
}

/// Else its processor, which has given up, would be made once more.
#[test]
fn a_stopped_shard_whose_release_was_sent_twice_under_different_epochs_stays_stopped() {
    let (mut stage, take) = taking();
    stage.tell(Event::PutAnswered { key: take.key.clone(), answer: Ok(Outcome::Applied) });
    let (key, epoch) = (take.key.clone(), take.epoch);
    let commands = stage.tell(Event::ShardStopped { key, epoch, position: None });
    let released = taken(&commands)[0].clone();
    assert_eq!(released.last_change, Change::Released);
    stage.tell(failed(&released));
    stage.epoch_floor = Epoch(50);
    assert_eq!(sent_again(&mut stage).map(|lease| lease.epoch), Some(Epoch(50)));
    let answer = Ok(Outcome::Conflict { current: Some(released.clone()) });
    let mut commands = tell(&mut stage, Event::PutAnswered { key: take.key.clone(), answer });
    for _ in 0..5 {
        commands.extend(tell(&mut stage, Event::Hinted));
        commands.extend(stage.beat_and_show(std::slice::from_ref(&released)));
    }
    assert_eq!(taken(&commands), [] as [&Lease; 0]);
}

/// Not even what nobody waits for: it may be the first to find its connection broken.
#[test]
fn after_a_row_could_not_be_forgotten_nothing_is_given_out_until_the_store_has_told_its_floor_anew() {
    let (mut stage, take) = taking();
    stage.tell(Event::PutAnswered { key: take.key.clone(), answer: Ok(Outcome::Applied) });
    stage.tell(Event::Hinted);
    stage.beat();
    stage.tell(Event::ForgetFailed);
    let mine = take.clone();
    let commands = stage.tell(Event::LeasesListed(Ok(vec![mine, free_lease("other", &[])])));
    assert_eq!(taken(&commands), [] as [&Lease; 0], "the floor may be out of date");
    stage.epoch_floor = Epoch(50);
    let commands = stage.beat();
    assert_eq!(taken(&commands).first().map(|lease| lease.epoch), Some(Epoch(50)), "{commands:?}");
}

/// Found by the simulation: the row of the child's other parent was lost. Who had not known that one took the child for one without.
#[test]
fn after_a_failed_call_nothing_is_created_until_a_list_has_shown_what_is_there() {
    let (mut stage, take) = taking();
    stage.tell(Event::PutAnswered { key: take.key.clone(), answer: Ok(Outcome::Applied) });
    let other = worker("other");
    stage.others = vec![WorkerRow::registering(other.clone(), None)];
    let rows = [take.clone(), free_lease("other", &[]).taken_by(&other)];
    stage.tell(Event::Hinted);
    stage.beat_and_show(&rows);
    stage.tell(Event::Hinted);
    stage.beat();
    stage.tell(Event::ForgetFailed);
    // It was asked for before that.
    stage.wants_leases = false;
    tell(&mut stage, Event::LeasesListed(Ok(rows.to_vec())));
    let children = vec![shard("child", &["shard", "other"])];
    let is_created = |commands: &[Command]| taken(commands).iter().any(|lease| lease.last_change == Change::Created);
    let commands = tell(&mut stage, Event::ShardEnded { key: take.key, epoch: take.epoch, children });
    assert!(!is_created(&commands), "the other parent's row may be gone: {commands:?}");
    let commands = stage.beat_and_show(&rows);
    assert!(is_created(&commands), "it is there: {commands:?}");
}

/// A worker that reads two shards, of a store without a floor.
fn reading_two() -> (Stage, Lease, Lease) {
    let mut stage = Stage::set(&[free_lease("x", &[]), free_lease("y", &[])]);
    let rows: Vec<Lease> = taken(&stage.beat()).into_iter().cloned().collect();
    for row in &rows {
        tell(&mut stage, Event::PutAnswered { key: row.key.clone(), answer: Ok(Outcome::Applied) });
    }
    (stage, rows[0].clone(), rows[1].clone())
}

/// Others that the last list had may be gone, too, whether the store tells a floor or not.
#[test]
fn after_an_answer_that_shows_a_row_lost_nothing_is_created_until_a_list_has_come() {
    let (mut stage, x, y) = reading_two();
    tell(&mut stage, Event::CheckpointAsked { key: x.key.clone(), epoch: x.epoch, position: after(5) });
    tell(&mut stage, Event::PutAnswered { key: x.key, answer: Ok(Outcome::Conflict { current: None }) });
    let children = vec![shard("child", &["y"])];
    let is_created = |commands: &[Command]| {
        taken(commands).iter().any(|lease| lease.key.shard.as_str() == "child" && lease.last_change == Change::Created)
    };
    let commands = tell(&mut stage, Event::ShardEnded { key: y.key.clone(), epoch: y.epoch, children });
    assert!(!is_created(&commands), "its parent's row may be gone: {commands:?}");
    let commands = stage.beat_and_show(std::slice::from_ref(&y));
    assert!(is_created(&commands), "it is there: {commands:?}");
}

/// It is not what this worker wrote, though it is a release.
#[test]
fn a_checkpoint_refused_by_what_somebody_else_has_released_ends_the_reading() {
    let (mut stage, take) = taking();
    stage.tell(Event::PutAnswered { key: take.key.clone(), answer: Ok(Outcome::Applied) });
    let (key, epoch) = (take.key.clone(), take.epoch);
    stage.tell(Event::CheckpointAsked { key: key.clone(), epoch, position: after(5) });
    let current = Some(take.released(&worker("elsewhere")));
    let commands = stage.tell(Event::PutAnswered { key, answer: Ok(Outcome::Conflict { current }) });
    let is_stopped = |command: &Command| matches!(command, Command::StopShard { .. });
    assert!(commands.iter().any(is_stopped), "{commands:?}");
}

/// Its wake-up would be in the past until then.
#[test]
fn a_write_that_waits_for_the_floor_wakes_nobody() {
    let (mut stage, take) = taking();
    stage.tell(failed(&take));
    stage.heartbeat();
    stage.now += Duration::from_secs(1);
    stage.tell(Event::TimePassed);
    assert!(stage.worker.next_wake().is_none_or(|wake| wake.elapsed() > stage.now));
}

/// It may be for the child of a row that is lost.
#[test]
fn a_creation_that_waits_to_be_sent_again_is_given_up_when_an_answer_shows_a_row_lost() {
    let (mut stage, x, y) = reading_two();
    let children = vec![shard("child", &["y"])];
    let commands = tell(&mut stage, Event::ShardEnded { key: y.key, epoch: y.epoch, children });
    let created = taken(&commands)[0].clone();
    assert_eq!(created.last_change, Change::Created);
    tell(&mut stage, Event::CheckpointAsked { key: x.key.clone(), epoch: x.epoch, position: after(5) });
    tell(&mut stage, failed(&created));
    tell(&mut stage, Event::PutAnswered { key: x.key, answer: Ok(Outcome::Conflict { current: None }) });
    let mut commands = Vec::new();
    // The list that is asked for meanwhile is long under way.
    for _ in 0..5 {
        let woken = stage.wake();
        commands.extend(sent(woken.clone()).map(|row| stage.written(row)).unwrap_or_default());
        commands.extend(woken);
    }
    assert!(!taken(&commands).contains(&&created), "before a list has come: {commands:?}");
}
