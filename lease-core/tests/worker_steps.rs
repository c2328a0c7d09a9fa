//! Single steps of one worker, whose answers are written by hand.

mod common;

use std::time::Duration;

use common::rows::free_lease;
use common::stage::{Stage, sent, taken};
use lease_core::testing::worker;
use lease_core::worker::{Command, Ending, Event, WorkerSettings};
use lease_core::{Beat, Change, Epoch, Lease, LeaseKey, Outcome, StoreErrorKind, WorkerRow};
use stream_types::Position;

#[test]
fn what_is_free_is_taken_by_the_first_heartbeat_after_the_look_round() {
    let mut stage = Stage::set(&[free_lease("shard", &[])]);
    let commands = stage.beat();
    let [lease] = taken(&commands)[..] else { panic!("{commands:?}") };
    assert!(lease.is_owned_by(&stage.id()));
}

/// Whoever keeps books of its leases goes by it.
#[test]
fn a_worker_holds_a_lease_from_its_take_on_and_under_that_epoch_alone() {
    let mut stage = Stage::set(&[free_lease("shard", &[])]);
    let commands = stage.beat();
    let [lease] = taken(&commands)[..] else { panic!("{commands:?}") };
    let (key, epoch) = (lease.key.clone(), lease.epoch);
    assert!(!stage.worker.holds(&key, epoch), "the answer is still to come");
    stage.tell(Event::PutAnswered { key: key.clone(), answer: Ok(Outcome::Applied) });
    assert!(stage.worker.holds(&key, epoch));
    assert!(!stage.worker.holds(&key, epoch.next()));
    assert!(!stage.worker.holds(&free_lease("other", &[]).key, epoch));
}

/// The refusal shows an owner of whom the registry, read before it, knows nothing: it may have come since.
#[test]
fn a_lease_that_a_refusal_shows_in_new_hands_is_taken_only_after_a_younger_look_at_the_registry() {
    let mut stage = Stage::set(&[free_lease("shard", &[])]);
    let commands = stage.beat();
    let [lease] = taken(&commands)[..] else { panic!("{commands:?}") };
    let theirs = free_lease("shard", &[]).taken_by(&worker("newcomer"));
    let answer = Ok(Outcome::Conflict { current: Some(theirs.clone()) });
    let commands = stage.tell(Event::PutAnswered { key: lease.key.clone(), answer });
    assert_eq!(taken(&commands), [] as [&Lease; 0]);
    if commands.iter().any(|command| matches!(command, Command::ListLeases)) {
        let commands = stage.tell(Event::LeasesListed(Ok(vec![theirs])));
        assert_eq!(taken(&commands), [] as [&Lease; 0], "the registry was read before the owner was seen");
    }
    let commands = stage.beat();
    assert_eq!(taken(&commands).len(), 1, "the registry shows that the owner is gone: {commands:?}");
}

/// A list need not be a snapshot of one moment: the child's row may have been written after the page of its parent was read.
#[test]
fn a_new_child_without_its_parent_is_looked_at_twice() {
    let child = || free_lease("child", &["parent"]);
    let mut stage = Stage::set(&[]);
    stage.beat();
    stage.tell(Event::Hinted);
    stage.beat();
    let commands = stage.tell(Event::LeasesListed(Ok(vec![child()])));
    assert_eq!(taken(&commands), [] as [&Lease; 0]);
    assert!(commands.iter().any(|command| matches!(command, Command::ListLeases)), "at once: {commands:?}");
    let commands = stage.tell(Event::LeasesListed(Ok(vec![child()])));
    assert_eq!(taken(&commands).len(), 1, "the stream no longer has the parent: {commands:?}");
}

/// The worker reads two shards, and drains one of them for a newcomer. Returns which, and the rows.
fn draining() -> (Stage, LeaseKey, Epoch, Vec<Lease>) {
    let mut stage = Stage::set(&[free_lease("x", &[]), free_lease("y", &[])]);
    let rows: Vec<Lease> = taken(&stage.beat()).into_iter().cloned().collect();
    for row in &rows {
        stage.tell(Event::PutAnswered { key: row.key.clone(), answer: Ok(Outcome::Applied) });
    }
    stage.others = vec![WorkerRow::registering(worker("newcomer"), None)];
    let commands = stage.beat_and_show(&rows);
    let drained = commands.iter().find_map(|command| match command {
        Command::DrainShard { key, epoch } => Some((key.clone(), *epoch)),
        _ => None,
    });
    let (key, epoch) = drained.unwrap_or_else(|| panic!("one of the two is the newcomer's: {commands:?}"));
    (stage, key, epoch, rows)
}

/// The list may be the first to find its connection broken, because the table has started again from an old snapshot.
#[test]
fn after_a_failed_list_nothing_is_given_until_the_store_has_told_its_floor_anew() {
    let (mut stage, key, epoch, rows) = draining();
    stage.epoch_floor = Epoch(40);
    stage.beat_and_show(&rows);
    stage.tell(Event::Hinted);
    stage.beat();
    stage.tell(Event::LeasesListed(Err(StoreErrorKind::Unavailable)));
    let position = Some(Position::HORIZON);
    let commands = stage.tell(Event::Drained { key, epoch, position });
    assert_eq!(taken(&commands), [] as [&Lease; 0], "the floor may be out of date");
    stage.epoch_floor = Epoch(50);
    let commands = stage.beat_and_show(&rows);
    let gift = taken(&commands).first().map(|lease| (lease.last_change, lease.epoch));
    assert_eq!(gift, Some((Change::Given, Epoch(50))), "{commands:?}");
}

/// Else a crash would repeat what was done when the drain ended, although the worker knew.
#[test]
fn a_shard_that_was_drained_in_vain_is_read_on_from_there_and_the_place_is_stored() {
    let (mut stage, key, epoch, rows) = draining();
    stage.others = Vec::new();
    stage.beat_and_show(&rows);
    let done: Position = "after:1000".parse().unwrap();
    let commands = stage.tell(Event::Drained { key, epoch, position: Some(done.clone()) });
    let started = |command: &Command| matches!(command, Command::StartShard(lease) if lease.position == done);
    let stored = |command: &Command| matches!(command, Command::Put { next, .. } if next.position == done);
    assert!(commands.iter().any(started) && commands.iter().any(stored), "{commands:?}");
}

#[test]
fn a_shard_whose_receiver_falls_silent_during_the_drain_is_read_on() {
    let (mut stage, key, epoch, rows) = draining();
    for _ in 0..6 {
        stage.beat_and_show(&rows);
    }
    let commands = stage.tell(Event::Drained { key, epoch, position: None });
    let is_given =
        |command: &Command| matches!(command, Command::Put { next, .. } if next.last_change == Change::Given);
    assert!(commands.iter().any(|command| matches!(command, Command::StartShard(_))), "{commands:?}");
    assert!(!commands.iter().any(is_given), "{commands:?}");
}

/// To try again would only repeat the refusal, and nobody would be told. One that has worked tries on.
#[test]
fn only_a_worker_that_the_store_refuses_at_its_start_ends() {
    let refused = |kind, has_registered| {
        let mut stage = Stage::new();
        if has_registered {
            stage.beat();
        }
        stage.heartbeat();
        let commands = stage.tell(Event::HeartbeatAnswered(Err(kind)));
        commands.iter().any(|command| matches!(command, Command::End(Ending::Refused)))
    };
    assert!(refused(StoreErrorKind::Invalid, false));
    assert!(refused(StoreErrorKind::Corrupt, false));
    assert!(!refused(StoreErrorKind::Unavailable, false));
    assert!(!refused(StoreErrorKind::Invalid, true));
    assert!(!refused(StoreErrorKind::Unavailable, true));
}

/// There may be a row that nobody can read. The heartbeats go on.
#[test]
fn a_list_that_fails_is_asked_for_ever_more_seldom() {
    let mut stage = Stage::new();
    let mut lists = 0;
    while stage.now < Duration::from_secs(120) {
        stage.beat();
        if std::mem::take(&mut stage.wants_leases) {
            lists += 1;
            stage.tell(Event::LeasesListed(Err(StoreErrorKind::Corrupt)));
        }
    }
    assert!((6..=8).contains(&lists), "{lists} lists in about 120 s: after 1, 2, 4, 8, 16, 32 and 60 s");
}

/// Leases may have been given to it meanwhile, which wait for the list.
#[test]
fn a_list_that_a_network_has_swallowed_again_and_again_is_asked_for_within_half_a_lease_duration() {
    let mut stage = Stage::new();
    let (mut lists, mut longest) = (vec![Duration::ZERO], Duration::ZERO);
    while stage.now < Duration::from_secs(120) {
        stage.beat();
        if std::mem::take(&mut stage.wants_leases) {
            longest = longest.max(stage.now - lists.last().copied().unwrap_or_default());
            lists.push(stage.now);
            stage.tell(Event::LeasesListed(Err(StoreErrorKind::Ambiguous)));
        }
    }
    let settings = WorkerSettings::default();
    assert!(longest <= settings.lease_duration / 2 + settings.heartbeat_interval, "{longest:?}");
    assert!(lists.len() <= 120 / 4, "nor at every heartbeat: {}", lists.len());
}

#[test]
fn hints_do_not_hurry_a_worker_whose_store_does_not_answer() {
    let mut stage = Stage::set(&[]);
    let (begun, mut heartbeats) = (stage.now, 0);
    while stage.now < begun + Duration::from_secs(4) {
        stage.heartbeat();
        stage.tell(Event::HeartbeatAnswered(Err(StoreErrorKind::Unavailable)));
        stage.tell(Event::Hinted);
        heartbeats += 1;
    }
    assert!((6..=8).contains(&heartbeats), "{heartbeats}: after 1000, 50, 100, 200, 400, 800 and 1000 ms");
}

#[test]
fn what_is_heard_while_a_list_is_under_way_leads_to_another() {
    for is_hint in [true, false] {
        let mut stage = Stage::set(&[]);
        stage.beat_and_show(&[]);
        stage.tell(Event::Hinted);
        stage.beat();
        assert!(std::mem::take(&mut stage.wants_leases), "after a hint");
        if is_hint {
            stage.tell(Event::Hinted);
        } else {
            stage.others = vec![WorkerRow::registering(worker("newcomer"), None)];
            stage.beat();
        }
        assert!(!stage.wants_leases, "one list at a time");
        stage.tell(Event::LeasesListed(Ok(Vec::new())));
        if is_hint {
            stage.beat();
        }
        assert!(stage.wants_leases, "hinted: {is_hint}");
    }
}

#[test]
fn a_worker_asked_to_leave_before_it_has_written_anything_ends_at_once() {
    let mut stage = Stage::new();
    let commands = stage.tell(Event::LeaveAsked { within: Duration::from_secs(30) });
    assert!(matches!(commands[..], [Command::End(Ending::Left)]), "{commands:?}");
}

/// The other, if it lives, has sent its last heartbeat a moment before this one registered: it learns by its next one, whose answer
/// may take a little.
#[test]
fn what_a_living_process_of_the_same_name_reads_is_taken_only_once_it_must_have_learned() {
    let settings = WorkerSettings::default();
    let other = worker("me");
    let leases = [free_lease("shard", &[]).taken_by(&other)];
    let mut stage = Stage::new();
    stage.heartbeat();
    let by = WorkerRow::registering(other, None);
    let registered = stage.now;
    let commands = stage.tell(Event::HeartbeatAnswered(Ok(Beat::Replaced { by })));
    stage.written(sent(commands).expect("it registers again at once"));
    stage.tell(Event::LeasesListed(Ok(leases.to_vec())));
    stage.beat();

    stage.now = registered + settings.heartbeat_interval - settings.shortest_pause() / 2;
    let commands = stage.tell(Event::Hinted);
    let commands = stage.written(sent(commands).expect("a hint brings a heartbeat, a little too early"));
    assert_eq!(taken(&commands), [] as [&Lease; 0]);
    let mut commands = stage.tell(Event::LeasesListed(Ok(leases.to_vec())));
    while taken(&commands).is_empty() {
        commands = stage.beat_and_show(&leases);
    }
    let waited = stage.now - registered;
    assert!(waited >= settings.heartbeat_interval + settings.shortest_pause(), "{waited:?}");
    assert!(waited <= settings.heartbeat_interval + settings.shortest_pause() * 2, "{waited:?}");
}

/// Until all can know of it, somebody may still give it a lease.
#[test]
fn a_worker_that_has_no_lease_tells_that_it_leaves_before_it_does() {
    let ends = |commands: &[Command]| commands.iter().any(|command| matches!(command, Command::End(_)));
    let mut stage = Stage::set(&[]);
    stage.beat_and_show(&[]);
    let commands = stage.tell(Event::LeaveAsked { within: Duration::from_secs(30) });
    assert!(!ends(&commands), "{commands:?}");
    let row = stage.heartbeat();
    assert!(row.leaving);
    let commands = stage.written(row);
    assert!(ends(&commands), "{commands:?}");
}
