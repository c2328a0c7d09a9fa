//! Deployments under a steady load: nothing is lost or repeated, no shard falls silent, and under names that the processes keep
//! nothing moves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tests::backends::DynamodbServer;

use crate::fleet::{Process, World, leases_in};

const DEPLOYMENTS: usize = 10;
const SLOTS: [&str; 3] = ["one", "two", "three"];

/// Records for all shards, ten times a second.
const LOAD: usize = 40;

/// Restarts every process ten times, one after the other, each once the one before it prints.
async fn deploy_ten_times(world: &mut World, names: impl Fn(&str, usize) -> String, arguments: &[&str]) -> Instant {
    let mut processes: BTreeMap<&str, Process> =
        SLOTS.into_iter().map(|slot| (slot, world.start(&names(slot, 0), arguments))).collect();
    let all_print = |world: &World| SLOTS.into_iter().all(|slot| world.printed_by(&names(slot, 0)) > 0);
    world.load_until("all print", LOAD, all_print).await;
    // The processes start one after the other, and the first of them may have to hand over what it took alone.
    world.load_until("the fleet is level", LOAD, is_level).await;
    let level = Instant::now();
    for deployment in 1..=DEPLOYMENTS {
        for slot in SLOTS {
            let mut process = processes.remove(slot).expect("it runs");
            process.signal("-TERM");
            world.load_until("it has ended", LOAD, |_| process.has_ended()).await;
            process.expect_success();
            let name = names(slot, deployment);
            let before = world.printed_by(&name);
            processes.insert(slot, world.start(&name, arguments));
            world.load_until("the new process prints", LOAD, |world| world.printed_by(&name) > before).await;
        }
    }
    world.wait_until_printed().await;
    for process in processes.into_values() {
        process.ask_to_leave();
    }
    level
}

/// Whether eight shards are read, by each of the three processes two or three.
fn is_level(world: &World) -> bool {
    let mut counts = BTreeMap::<String, usize>::new();
    for reader in world.newest_readers().into_values() {
        *counts.entry(reader).or_default() += 1;
    }
    counts.len() == SLOTS.len() && counts.values().sum::<usize>() == 8 && counts.values().all(|count| *count >= 2)
}

async fn nothing_is_lost_or_repeated_and_no_shard_is_silent(mut world: World, bound: Duration) {
    deploy_ten_times(&mut world, |slot, deployment| format!("{slot}-{deployment}"), &[]).await;
    let (produced, lines) = (world.produced, world.lines());
    let (silence, about) = lines.longest_silence();
    println!("{produced} records, {} repeated, longest silence {silence:?} ({about})", lines.repeated().len());
    assert_eq!(lines.records.len(), produced);
    assert!(lines.repeated().is_empty(), "{:?}", lines.repeated());
    assert_eq!(lines.out_of_order, 0);
    assert!(silence <= bound, "silent for {silence:?}: {about}");
}

async fn under_names_that_stay_nothing_moves(leases: String) {
    let mut world = World::new(leases);
    let names = |slot: &str, _deployment| slot.to_owned();
    let level = deploy_ten_times(&mut world, names, &["--returns-within", "30s"]).await;
    let (produced, lines) = (world.produced, world.lines());
    println!("{produced} records, longest silence {:?}", lines.longest_silence().0);
    assert_eq!(lines.records.len(), produced);
    assert!(lines.repeated().is_empty(), "{:?}", lines.repeated());
    for (shard, lines) in lines.by_shard() {
        let since = lines.iter().filter(|line| line.at > level);
        let readers: BTreeSet<&str> = since.map(|line| line.worker.as_str()).collect();
        assert_eq!(readers.len(), 1, "{shard} moved: {readers:?}");
    }
}

const ONE_SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn ten_deployments_on_postgres_lose_and_repeat_nothing() {
    if let Some(url) = tests::endpoints::required("LEASEHOLD_TEST_POSTGRES") {
        nothing_is_lost_or_repeated_and_no_shard_is_silent(World::new(url), ONE_SECOND).await;
    }
}

#[tokio::test]
async fn ten_deployments_on_redis_lose_and_repeat_nothing() {
    if let Some(url) = tests::endpoints::required("LEASEHOLD_TEST_REDIS") {
        nothing_is_lost_or_repeated_and_no_shard_is_silent(World::new(url), ONE_SECOND).await;
    }
}

/// Without hints, gifts are found by heartbeats. The silence of a shard contains the time between two polls, and that between two
/// records, so the heartbeat interval has to be long enough to tell.
#[tokio::test]
async fn ten_deployments_on_dynamodb_lose_and_repeat_nothing() {
    let database = DynamodbServer::new();
    let heartbeat = ONE_SECOND;
    let mut world = World::new(leases_in(&database));
    world.heartbeat = heartbeat;
    nothing_is_lost_or_repeated_and_no_shard_is_silent(world, heartbeat).await;
}

#[tokio::test]
async fn ten_deployments_under_names_that_stay_move_nothing_on_postgres() {
    if let Some(url) = tests::endpoints::required("LEASEHOLD_TEST_POSTGRES") {
        under_names_that_stay_nothing_moves(url).await;
    }
}

#[tokio::test]
async fn ten_deployments_under_names_that_stay_move_nothing_on_redis() {
    if let Some(url) = tests::endpoints::required("LEASEHOLD_TEST_REDIS") {
        under_names_that_stay_nothing_moves(url).await;
    }
}

#[tokio::test]
async fn ten_deployments_under_names_that_stay_move_nothing_on_dynamodb() {
    let database = DynamodbServer::new();
    under_names_that_stay_nothing_moves(leases_in(&database)).await;
}
