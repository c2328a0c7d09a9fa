//! Who tells of what is wrong with the table.

mod common;

use std::num::NonZeroU32;
use std::time::Duration;

use common::rows::{free_lease, shards};
use common::stage::Stage;
use common::world::{World, settings};
use lease_core::WorkerRow;
use lease_core::plan::designated;
use lease_core::testing::worker;
use lease_core::worker::{Command, Event, Warning, WorkerSettings};

/// Its owner tells of it, and whoever lists the shards; and they make it anew.
#[test]
fn a_lease_that_vanished_is_left_to_others_by_a_worker_that_neither_had_it_nor_lists_the_shards() {
    let mut stage = Stage::new();
    let other = (0..)
        .map(|number| WorkerRow::registering(worker(&format!("other-{number}")), None))
        .find(|other| designated(&[other, &registering(&stage)]).is_some_and(|row| row.name == other.name));
    stage.others.extend(other);
    let leases = ["a", "b"].map(|shard| free_lease(shard, &[]).taken_by(&stage.others[0].id()));
    (0..3).for_each(|_| _ = stage.beat_and_show(&leases));
    stage.tell(Event::Hinted);
    let commands: Vec<Command> = (0..3).flat_map(|_| stage.beat_and_show(&leases[..1])).collect();
    assert!(commands.contains(&Command::ListLeases), "it has seen that the lease is gone: {commands:?}");
    let does_something = |command: &Command| matches!(command, Command::Warn(_) | Command::ListShards { .. });
    assert!(!commands.iter().any(does_something), "{commands:?}");
}

fn registering(stage: &Stage) -> WorkerRow {
    WorkerRow::registering(stage.id(), None)
}

#[test]
fn what_a_dead_worker_had_and_now_fits_nowhere_is_told_of() {
    let mut world = World::new(shards(6));
    for worker in ["a", "b"] {
        world.start_with(worker, WorkerSettings { capacity: NonZeroU32::new(3), ..settings() });
    }
    world.run_until("both are full", |world| world.reading().values().all(|count| *count == 3));
    world.run_for(Duration::from_secs(130));
    assert_eq!(world.warnings("a"), [], "all is read");
    world.crash("b");
    world.run_for(Duration::from_secs(130));
    let told = world.warnings("a");
    assert!(matches!(told, [Warning::ShardsUnplaced { count: 3, .. }]), "{told:?}");
}
