//! A fleet of real consumers over a lease table in Postgres, by the clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kinesis_testing::{Clock, Kinesis, Limits, ModelSource};
use lease_core::testing::worker;
use lease_postgres::PostgresStore;
use tests::fleet::Fleet;
use tests::postgres::{fresh_schema, url};

const STREAM: &str = "orders";

async fn world(url: &str, has_hints: bool) -> (Kinesis, Fleet) {
    let kinesis = Kinesis::new(Clock::system(), Limits::of_the_service());
    kinesis.create_stream(STREAM, 16).expect("a new stream");
    let source = ModelSource::new(kinesis.clone(), worker(STREAM).name);
    let store = PostgresStore::connect(url, worker("application").name).await.expect("the server answers");
    let store = store.in_schema(fresh_schema());
    let store = if has_hints { store } else { store.without_hints() };
    store.prepare().await.expect("the tables are created");
    (kinesis, Fleet::new(Arc::new(store), Arc::new(source)))
}

async fn join_crash_and_leave(has_hints: bool) {
    let Some(url) = url() else { return };
    let (kinesis, mut fleet) = world(&url, has_hints).await;
    for name in ["a", "b", "c"] {
        fleet.start(name);
    }
    fleet.produce(&kinesis, STREAM, 500);
    fleet.wait_until_level().await;
    fleet.start("d");
    fleet.produce(&kinesis, STREAM, 500);
    fleet.wait_until_level().await;
    fleet.crash("b").await;
    fleet.produce(&kinesis, STREAM, 500);
    fleet.wait_until_level().await;
    fleet.leave("c").await;
    fleet.produce(&kinesis, STREAM, 500);
    fleet.wait_until_level().await;
    fleet.wait_until_delivered().await;
    let tally = fleet.ledger.tally();
    assert_eq!((tally.lost, tally.duplicates_planned, tally.out_of_order), (0, 0, 0), "{tally:?}");
}

#[tokio::test]
async fn a_fleet_on_postgres_joins_crashes_and_leaves_without_a_loss() {
    join_crash_and_leave(true).await;
}

#[tokio::test]
async fn without_hints_a_fleet_on_postgres_does_the_same() {
    join_crash_and_leave(false).await;
}

/// With a heartbeat interval of ten seconds, only a hint can bring a lease to its new owner this soon.
#[tokio::test]
async fn a_hint_brings_a_lease_to_its_new_owner_long_before_its_heartbeat() {
    let Some(url) = url() else { return };
    let (_kinesis, mut fleet) = world(&url, true).await;
    fleet.settings.worker.lease_duration = Duration::from_secs(60);
    fleet.settings.worker.heartbeat_interval = Duration::from_secs(10);
    fleet.start("a");
    fleet.start("b");
    fleet.wait_until_level().await;
    let asked = Instant::now();
    fleet.leave("b").await;
    fleet.wait_until_level().await;
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}
