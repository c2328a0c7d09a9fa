//! A registry that has lost its newest rows shows a worker an earlier process of its own name. Nobody took over: whoever does has
//! seen the worker's row, and bears a higher number.

mod common;

use common::rows::free_lease;
use common::stage::{Stage, taken};
use common::world::{LEASE_DURATION, World};
use lease_core::testing::{block_on_ready, worker};
use lease_core::worker::{Command, Event};
use lease_core::{Beat, Incarnation, Lease, LeaseStore, Outcome, WorkerId, WorkerRow};

/// The registry shows that row again instead of the one that "a" has now.
fn goes_back(world: &World, old: &WorkerRow) {
    let newest = world.row("a");
    assert_eq!(block_on_ready(world.store.forget(&newest)).expect("memory does not fail"), Outcome::Applied);
    assert!(matches!(block_on_ready(world.store.heartbeat(old)), Ok(Beat::Written { .. })));
}

/// It registers once more, and reads on.
fn goes_on(world: &mut World) {
    let before = world.id("a");
    world.run_for(LEASE_DURATION);
    world.run_until("level once more", World::is_level);
    assert_eq!(world.ending("a"), None);
    assert!(world.id("a").incarnation.number > before.incarnation.number);
}

#[test]
fn a_registry_that_went_back_does_not_end_a_worker() {
    let mut world = World::level(4, &["a", "b"]);
    let mut olds = vec![world.row("a")];
    for _ in 0..2 {
        world.crash("a");
        world.start("a");
        world.run_until("level again", World::is_level);
        world.run_for(LEASE_DURATION);
        assert!(world.row("a").incarnation.number > olds[0].incarnation.number);
        // Its predecessor, then an older one; and each twice, as when one replica after the other turns out to be old.
        for old in olds.iter().rev() {
            for _ in 0..2 {
                goes_back(&world, old);
                goes_on(&mut world);
            }
        }
        olds.push(world.row("a"));
    }
}

/// The row goes with a process that leaves for good, so that the next one of its name begins at one again.
#[test]
fn a_registry_that_shows_a_worker_of_the_same_number_that_has_left_does_not_end_one() {
    let mut world = World::level(4, &["a", "b"]);
    let old = world.row("a");
    world.leave("a");
    world.run_until("it has left", |world| world.ending("a").is_some());
    world.crash("a");
    world.start("a");
    world.run_until("level again", World::is_level);
    world.run_for(LEASE_DURATION);
    assert_eq!(world.row("a").incarnation.number, old.incarnation.number);
    goes_back(&world, &old);
    goes_on(&mut world);
}

/// It was frozen, perhaps, and its replacement has the name by now. Only a heartbeat tells which of them is the older one: leases of a
/// table that went back may name a process that never was, as far as the registry knows.
#[test]
fn a_lease_of_a_later_process_of_the_same_name_is_left_alone_until_a_heartbeat_shows_that_there_is_none() {
    let later = Incarnation::first(7).successor(8);
    // One that registered when this one's row had been forgotten began to count anew.
    let as_late = Incarnation::first(8);
    for incarnation in [later, as_late] {
        for others in [Vec::new(), vec![WorkerRow::registering(worker("other"), None)]] {
            let mut stage = Stage::set(&[]);
            stage.others = others;
            (0..3).for_each(|_| _ = stage.beat_and_show(&[]));
            let owner = WorkerId { incarnation, ..stage.id() };
            let leases: Vec<_> = ["a", "b"].map(|id| free_lease(id, &[]).taken_by(&owner)).into();
            stage.tell(Event::Hinted);
            stage.beat();
            assert!(std::mem::take(&mut stage.wants_leases));
            let commands = stage.tell(Event::LeasesListed(Ok(leases)));
            assert_eq!(taken(&commands), [] as [&Lease; 0]);
            assert!(!taken(&stage.beat()).is_empty(), "the name is this worker's");
        }
    }
}

/// Found by the simulation: the row was back with the newcomer's next heartbeat, but counted for ever as that of somebody who had
/// left; and while it is doubtful who lives, nobody makes gifts.
#[test]
fn a_newcomer_whose_row_the_registry_has_lost_is_given_its_share() {
    let newcomer = WorkerRow::registering(worker("newcomer"), None);
    let mut stage = Stage::set(&[]);
    stage.beat();
    // The row comes, and is gone before there is anything to give.
    stage.others = vec![newcomer.clone()];
    stage.beat_and_show(&[]);
    stage.others.clear();
    let mut commands = Vec::new();
    while taken(&commands).is_empty() {
        commands = stage.beat_and_show(&[free_lease("x", &[]), free_lease("y", &[])]);
        stage.tell(Event::Hinted);
    }
    let rows: Vec<Lease> = taken(&commands).into_iter().cloned().collect();
    for row in &rows {
        stage.tell(Event::PutAnswered { key: row.key.clone(), answer: Ok(Outcome::Applied) });
    }
    let gives = (2..20).any(|heartbeat| {
        stage.others = vec![WorkerRow { heartbeat, ..newcomer.clone() }];
        let commands = stage.beat_and_show(&rows);
        commands.iter().any(|command| matches!(command, Command::DrainShard { .. }))
    });
    assert!(gives);
}
