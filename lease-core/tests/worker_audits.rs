//! What nobody told of is found by whoever looks unasked, and told to those who have to do something about it.

mod common;

use std::time::Duration;

use common::rows::{after, free_lease, shard};
use common::stage::{Stage, sent, taken};
use common::world::{HEARTBEAT, LEASE_DURATION, Weather, World, settings};
use lease_core::testing::{block_on_ready, worker};
use lease_core::worker::{Event, WorkerSettings};
use lease_core::{Beat, Expected, Incarnation, Lease, LeaseStore, Outcome, WorkerId, WorkerRow};

/// So that no worker's row tells of it.
fn put_by_hand(world: &World, expected: Expected, next: &Lease) {
    let written = block_on_ready(world.store.put(expected, next)).expect("memory does not fail");
    assert_eq!(written, Outcome::Applied);
}

/// One worker audits for all. Were it to do its own part alone, the others would do theirs at the next audits of their own, ten
/// times as late.
#[test]
fn what_one_audit_finds_undone_all_workers_do() {
    let mut world = World::level(3, &["a", "b", "c"]);
    // Three times one, which falls to whoever has the fewest, and most often that is not the one that audits.
    for (id, all) in [("shard-0003", 4), ("shard-0004", 5), ("shard-0005", 6)] {
        world.add_shard(shard(id, &[]));
        put_by_hand(&world, Expected::Absent, &free_lease(id, &[]));
        world.run_for(settings().audit_interval + LEASE_DURATION);
        assert_eq!(world.reading().values().sum::<usize>(), all, "{:?}", world.reading());
    }
}

#[test]
fn an_audit_that_finds_nothing_to_do_tells_nobody() {
    let mut world = World::level(5, &["a", "b", "c"]);
    let generations = |world: &World| ["a", "b", "c"].map(|name| world.row(name).generation);
    let before = generations(&world);
    world.run_for(WorkerSettings::default().audit_interval * 30);
    assert_eq!(generations(&world), before);
}

/// Which worker makes the audits of this fleet.
fn auditor(world: &mut World) -> &'static str {
    let names = ["a", "b", "c"];
    let before = names.map(|name| world.calls(name).lists);
    world.run_for(settings().audit_interval + HEARTBEAT);
    let mut looked = names.into_iter().zip(before).filter(|(name, before)| world.calls(name).lists > *before);
    looked.next().expect("one looks").0
}

/// A heartbeat that failed makes a worker look at the leases, too. That must not put the audit off.
#[test]
fn an_auditor_whose_heartbeats_fail_now_and_then_still_tells() {
    let mut world = World::level(3, &["a", "b", "c"]);
    let auditor = auditor(&mut world);
    for (id, all) in [("shard-0003", 4), ("shard-0004", 5), ("shard-0005", 6)] {
        world.add_shard(shard(id, &[]));
        put_by_hand(&world, Expected::Absent, &free_lease(id, &[]));
        for _ in 0..3 {
            world.run_for(settings().audit_interval / 2);
            world.set_weather(auditor, Weather::Cut);
            world.run_for(HEARTBEAT * 11 / 10);
            world.set_weather(auditor, Weather::Fair);
        }
        assert_eq!(world.reading().values().sum::<usize>(), all, "{:?}", world.reading());
    }
}

/// Its processor keeps failing, and who stopped it leaves it alone on purpose.
#[test]
fn what_is_left_undone_on_purpose_is_told_once() {
    let mut world = World::level(5, &["a", "b", "c"]);
    world.stop_shard("shard-0003", after(1));
    world.run_for(WorkerSettings::default().audit_interval * 2);
    let generations = |world: &World| ["a", "b", "c"].map(|name| world.row(name).generation);
    let before = generations(&world);
    world.run_for(WorkerSettings::default().audit_interval * 30);
    assert_eq!(generations(&world), before);
    assert_eq!(world.reading().values().sum::<usize>(), 4, "all but that one");
}

/// Found by the simulation: a process that has been replaced cannot tell what it did last, and nobody falls silent. Here it came
/// to the end of a shard that had been merged with another worker's.
#[test]
fn what_a_replaced_process_did_last_its_successor_tells() {
    // Before its successor has looked round, and after: then the successor's own take of the shard is refused.
    let moments = [Duration::ZERO, HEARTBEAT * 6 / 10];
    for ((replaced, other), last_write_after) in
        [("a", "b"), ("b", "a")].into_iter().flat_map(|pair| moments.map(|moment| (pair, moment)))
    {
        let mut world = World::level(2, &["a", "b"]);
        let [predecessor, other_id] = [replaced, other].map(|name| world.id(name));
        let of = |world: &World, owner: &WorkerId| {
            world.leases().into_iter().find(|lease| lease.is_owned_by(owner)).expect("each has one")
        };
        let merged = shard("merged", &["shard-0000", "shard-0001"]);
        world.add_shard(merged.clone());
        world.end_shard(of(&world, &other_id).key.shard.as_str(), vec![merged]);
        world.run_until("its own parent is finished", |world| of(world, &other_id).is_finished());
        world.crash(replaced);
        world.start(replaced);
        world.delay_puts(replaced, HEARTBEAT / 10);
        let lists = world.calls(other).lists;
        world.run_until("the other one sees it come", |world| world.calls(other).lists > lists);
        world.run_for(last_write_after);
        let parent = of(&world, &predecessor);
        put_by_hand(&world, Expected::row(&parent), &parent.finished(&predecessor));
        world.run_for(LEASE_DURATION);
        assert_eq!(world.reading().values().sum::<usize>(), 1, "{:?}", world.reading());
    }
}

/// It gave its lease to the other worker, who has not heard of it.
#[test]
fn what_a_replaced_process_gave_last_its_successor_tells() {
    let mut world = World::level(1, &["a", "b"]);
    let lease = world.lease("shard-0000");
    let predecessor = lease.owner.clone().expect("somebody has it");
    let replaced = predecessor.name.as_str();
    let other = if replaced == "a" { "b" } else { "a" };
    world.crash(replaced);
    world.start(replaced);
    let lists = world.calls(other).lists;
    world.run_until("the other one sees it come", |world| world.calls(other).lists > lists);
    put_by_hand(&world, Expected::row(&lease), &lease.given_to(&world.id(other), &predecessor));
    world.run_for(LEASE_DURATION);
    assert_eq!(world.reading().values().sum::<usize>(), 1, "{:?}", world.reading());
}

/// Not before, when there may be more to come, and not again.
#[test]
fn a_process_that_takes_over_a_name_tells_once_when_the_one_before_must_have_ended() {
    let mut stage = Stage::new();
    let before = WorkerId { incarnation: Incarnation::first(8), ..stage.id() };
    stage.tell(Event::TimePassed);
    let by = WorkerRow::registering(before, None);
    let row = sent(stage.tell(Event::HeartbeatAnswered(Ok(Beat::Replaced { by })))).expect("it registers anew");
    stage.written(row);
    let interval = WorkerSettings::default().heartbeat_interval;
    let known = stage.now;
    while stage.now < known + interval * 4 {
        let row = stage.heartbeat();
        let has_ended = stage.now > known + interval * 12 / 10;
        assert_eq!(row.generation, u64::from(has_ended), "{:?} after its registration", stage.now - known);
        stage.written(row);
    }
}

/// The next heartbeat is answered, and shows another worker that is alive.
fn beat(stage: &mut Stage) {
    stage.others[0].heartbeat += 1;
    stage.beat();
}

/// By how much a worker's count of changes has grown with the next heartbeat, after this has happened to it. It has the lease of
/// "mine", and another worker is there.
fn told_after(happens: impl FnOnce(&mut Stage, Lease)) -> u64 {
    let mut stage = Stage::named("auditor");
    stage.others = vec![WorkerRow::registering(worker("other"), None)];
    let mine = free_lease("mine", &[]).given_to(&stage.id(), &worker("other"));
    for _ in 0..5 {
        beat(&mut stage);
        if std::mem::take(&mut stage.wants_leases) {
            stage.tell(Event::LeasesListed(Ok(vec![mine.clone()])));
        }
    }
    let before = stage.heartbeat();
    stage.written(before.clone());
    happens(&mut stage, mine);
    stage.heartbeat().generation - before.generation
}

/// What it wrote last may have been done, and nobody told.
#[test]
fn a_worker_that_was_late_tells_that_leases_may_have_changed() {
    let late = |stage: &mut Stage, _mine| {
        stage.now += WorkerSettings::default().lease_duration;
        let row = sent(stage.tell(Event::TimePassed)).expect("it is time for a heartbeat");
        stage.written(row);
    };
    assert_eq!(told_after(late), 1);
    assert_eq!(told_after(|_, _| ()), 0, "nothing happened");
}

/// That it has come is news by itself.
#[test]
fn a_worker_that_is_the_first_of_its_name_has_nothing_to_tell() {
    let mut stage = Stage::set(&[]);
    (0..5).for_each(|_| _ = stage.beat_and_show(&[]));
    assert_eq!(stage.heartbeat().generation, 0);
}

/// Whoever has it now may not know: perhaps the table went back to when it was theirs.
#[test]
fn a_worker_that_finds_a_lease_of_its_own_in_other_hands_tells() {
    let by_a_list = |stage: &mut Stage, mine: Lease| {
        stage.tell(Event::Hinted);
        beat(stage);
        let given = mine.given_to(&worker("other"), &stage.id());
        stage.tell(Event::LeasesListed(Ok(vec![given])));
    };
    assert_eq!(told_after(by_a_list), 1);
    let by_a_write = |stage: &mut Stage, mine: Lease| {
        let (key, epoch, position) = (mine.key.clone(), mine.epoch, after(1));
        let commands = stage.tell(Event::CheckpointAsked { key: key.clone(), epoch, position });
        assert_eq!(taken(&commands).len(), 1, "it writes: {commands:?}");
        let current = Some(mine.given_to(&worker("other"), &stage.id()));
        stage.tell(Event::PutAnswered { key, answer: Ok(Outcome::Conflict { current }) });
    };
    assert_eq!(told_after(by_a_write), 1);
}

/// Whoever was faster may have been about to end.
#[test]
fn a_worker_that_takes_too_late_tells() {
    let too_late = |stage: &mut Stage, mine: Lease| {
        let mut leases = vec![mine];
        leases.extend(["free-1", "free-2", "free-3"].map(|id| free_lease(id, &[])));
        stage.tell(Event::Hinted);
        beat(stage);
        let commands = stage.tell(Event::LeasesListed(Ok(leases.clone())));
        let [take] = taken(&commands)[..] else { panic!("one falls to it: {commands:?}") };
        let free = leases.into_iter().find(|lease| lease.key == take.key).expect("one of the four");
        let current = Some(free.taken_by(&worker("other")));
        stage.tell(Event::PutAnswered { key: free.key, answer: Ok(Outcome::Conflict { current }) });
    };
    assert_eq!(told_after(too_late), 1);
}

/// A table may be so large that a list of it takes longer than a heartbeat.
#[test]
fn an_audit_that_takes_long_is_not_made_twice() {
    let mut stage = Stage::set(&[]);
    stage.wants_leases = false;
    while !stage.wants_leases && stage.now < settings().audit_interval * 2 {
        stage.beat();
    }
    assert!(std::mem::take(&mut stage.wants_leases), "it is alone, and looks for all");
    (0..3).for_each(|_| _ = stage.beat());
    stage.tell(Event::LeasesListed(Ok(Vec::new())));
    assert!(!stage.wants_leases);
}

/// A list shows a new child without its parent, and has to be made a second time before that is believed.
#[test]
fn what_an_audit_shows_in_part_is_told_with_the_second_look() {
    let not_told = |stage: &mut Stage, mine: Lease| {
        let until = stage.now + settings().audit_interval * 11;
        while !stage.wants_leases && stage.now < until {
            beat(stage);
        }
        let orphan = free_lease("orphan", &["long-gone"]);
        stage.wants_leases = false;
        stage.tell(Event::LeasesListed(Ok(vec![mine.clone(), orphan.clone()])));
        assert!(stage.wants_leases, "its parent is missing");
        stage.tell(Event::LeasesListed(Ok(vec![mine, orphan])));
    };
    assert_eq!(told_after(not_told), 1);
}
