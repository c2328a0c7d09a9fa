//! A process is frozen for longer than a lease lasts, in the middle of its work, and wakes up when another has its shards.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use tests::backends::DynamodbServer;

use crate::fleet::{HEARTBEAT, Line, World, leases_in};

/// Records for all shards, ten times a second.
const LOAD: usize = 40;

/// What a sink keeps that refuses fencing tokens lower than those it has seen.
#[derive(Debug, Default)]
struct Sink {
    accepted: BTreeSet<String>,
    refused_of_frozen: usize,
    /// Whether the frozen process brought something under a new token after it was refused.
    is_healthy_again: bool,
}

/// Everything that was printed, as it came to the sink.
fn sink(world: &World) -> Sink {
    let lines = world.lines();
    let mut all: Vec<(&String, &Line)> =
        lines.records.iter().flat_map(|(record, lines)| lines.iter().map(move |line| (record, line))).collect();
    all.sort_by_key(|(_, line)| line.at);
    let (mut sink, mut highest) = (Sink::default(), BTreeMap::new());
    for (record, line) in all {
        let newest = highest.entry(line.shard.as_str()).or_insert(line.fencing_token);
        if line.fencing_token < *newest {
            assert_eq!(line.worker, "frozen", "only one process was frozen");
            sink.refused_of_frozen += 1;
            continue;
        }
        *newest = line.fencing_token;
        sink.is_healthy_again |= line.worker == "frozen" && sink.refused_of_frozen > 0;
        sink.accepted.insert(record.clone());
    }
    sink
}

async fn a_frozen_process_wakes_up_as_a_healthy_one(leases: String) {
    let mut world = World::new(leases);
    let (frozen, other) = (world.start("frozen", &[]), world.start("other", &[]));
    let both_print = |world: &World| ["frozen", "other"].iter().all(|worker| world.printed_by(worker) > 0);
    world.load_until("both print", LOAD, both_print).await;

    // Nobody reads what it prints, so that it comes to stand in the middle of its batches.
    frozen.hold_back(true);
    let begun = Instant::now();
    world.load_until("it has had the time for some batches", 400, |_| begun.elapsed() > HEARTBEAT * 5).await;
    frozen.signal("-STOP");
    let other_has_all = |world: &World| world.newest_readers().values().all(|reader| reader == "other");
    world.load_until("the other reads all shards", LOAD, other_has_all).await;
    frozen.signal("-CONT");
    frozen.hold_back(false);
    world.load_until("it is healthy again", LOAD, |world| sink(world).is_healthy_again).await;
    world.wait_until_printed().await;

    let sink = sink(&world);
    println!("{} late lines of the frozen process were refused by their fencing token", sink.refused_of_frozen);
    assert_eq!(sink.accepted.len(), world.produced, "what was refused came once more from the new owner");
    assert!(sink.refused_of_frozen > 0, "it woke up in the middle of its work");
    other.ask_to_leave();
    let said = frozen.ask_to_leave();
    assert!(said.contains("reading stops at once"), "its processors learned that the leases were lost: {said}");
}

#[tokio::test]
async fn a_process_frozen_over_postgres_is_fenced_and_goes_on() {
    if let Some(url) = tests::endpoints::required("LEASEHOLD_TEST_POSTGRES") {
        a_frozen_process_wakes_up_as_a_healthy_one(url).await;
    }
}

#[tokio::test]
async fn a_process_frozen_over_redis_is_fenced_and_goes_on() {
    if let Some(url) = tests::endpoints::required("LEASEHOLD_TEST_REDIS") {
        a_frozen_process_wakes_up_as_a_healthy_one(url).await;
    }
}

#[tokio::test]
async fn a_process_frozen_over_dynamodb_is_fenced_and_goes_on() {
    let database = DynamodbServer::new();
    a_frozen_process_wakes_up_as_a_healthy_one(leases_in(&database)).await;
}
