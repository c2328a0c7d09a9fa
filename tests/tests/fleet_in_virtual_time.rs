//! Whole fleets of real consumers over the model without a network, in virtual time.

use std::time::Duration;

use lease_core::Change;
use tests::virtual_world::{STREAM, virtual_world};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn joins_and_polite_leaves_lose_and_repeat_nothing() {
    let (kinesis, mut fleet) = virtual_world(16);
    for worker in ["a", "b", "c"] {
        fleet.start(worker);
    }
    for (joiner, leaver) in [("d", "a"), ("e", "b"), ("f", "c"), ("a", "d"), ("b", "e")] {
        fleet.produce(&kinesis, STREAM, 500);
        fleet.wait_until_level().await;
        fleet.start(joiner);
        fleet.produce(&kinesis, STREAM, 500);
        fleet.wait_until_level().await;
        fleet.produce(&kinesis, STREAM, 500);
        fleet.leave(leaver).await;
    }
    fleet.wait_until_delivered().await;
    let tally = fleet.ledger.tally();
    assert_eq!((tally.duplicates_planned, tally.duplicates_crash, tally.out_of_order), (0, 0, 0), "{tally:?}");
}

#[tokio::test(start_paused = true)]
async fn a_crash_repeats_only_what_was_not_checkpointed() {
    let (kinesis, mut fleet) = virtual_world(16);
    for worker in ["a", "b", "c"] {
        fleet.start(worker);
    }
    fleet.wait_until_level().await;
    for victim in ["b", "c"] {
        fleet.produce(&kinesis, STREAM, 2_000);
        fleet.wait_until("some of it is delivered", async |fleet| fleet.ledger.tally().lost < 500).await;
        let crashed = Instant::now();
        fleet.crash(victim).await;
        fleet.produce(&kinesis, STREAM, 500);
        fleet.wait_until_level().await;
        let settings = &fleet.settings.worker;
        let bound = settings.lease_duration + settings.heartbeat_interval * 2;
        assert!(crashed.elapsed() <= bound, "level after {:?}", crashed.elapsed());
    }
    fleet.wait_until_delivered().await;
    let tally = fleet.ledger.tally();
    assert_eq!((tally.duplicates_planned, tally.out_of_order), (0, 0), "{tally:?}");
}

/// Records flow while shards split and merge; per partition key, they arrive in the order in which they were put.
#[tokio::test(start_paused = true)]
async fn order_holds_through_splits_and_merges() {
    let (kinesis, mut fleet) = virtual_world(4);
    for worker in ["a", "b", "c"] {
        fleet.start(worker);
    }
    fleet.wait_until_level().await;
    for target in [8, 5, 3, 6, 4] {
        fleet.produce(&kinesis, STREAM, 500);
        kinesis.update_shard_count(STREAM, target).unwrap();
        fleet.produce(&kinesis, STREAM, 500);
        tokio::time::advance(Duration::from_millis(700)).await;
    }
    fleet.wait_until_delivered().await;
    fleet
        .wait_until("only the four open shards are read", async |fleet| {
            fleet.leases().await.iter().filter(|lease| !lease.is_finished()).count() == 4 && fleet.is_level().await
        })
        .await;
    let tally = fleet.ledger.tally();
    assert_eq!((tally.duplicates_planned, tally.out_of_order), (0, 0), "{tally:?}");
}

#[tokio::test(start_paused = true)]
async fn a_restart_under_the_same_name_moves_nothing() {
    let (kinesis, mut fleet) = virtual_world(8);
    fleet.start("a");
    fleet.start("b");
    fleet.wait_until_level().await;
    fleet.produce(&kinesis, STREAM, 500);
    fleet.crash("a").await;
    let restarted = Instant::now();
    fleet.start("a");
    fleet.wait_until_level().await;
    assert!(restarted.elapsed() < fleet.settings.worker.lease_duration, "level after {:?}", restarted.elapsed());
    assert!(fleet.leases().await.iter().all(|lease| lease.last_change != Change::Given), "nothing was handed over");
    fleet.wait_until_delivered().await;
}

#[tokio::test(start_paused = true)]
async fn of_two_processes_under_one_name_the_older_ends_with_a_clear_error() {
    let (_kinesis, mut older) = virtual_world(4);
    older.start("a");
    older.wait_until_level().await;
    let mut newer = older.twin();
    newer.start("a");
    let error = older.ended("a").await.unwrap_err();
    assert!(error.to_string().contains("took over the worker name a"), "{error}");
    newer.wait_until("the newer reads everything", async |fleet| fleet.read_by("a") == 4).await;
}
