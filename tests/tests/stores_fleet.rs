//! A fleet of real consumers over a lease table on a real server, by the clock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use consumer_testing::Fleet;
use kinesis_testing::{Clock, Kinesis, Limits, ModelSource};
use lease_core::LeaseStore;
use lease_core::testing::worker;
use lease_redis::RedisSettings;
use tests::backends::{Backend, Dynamodb, PooledPostgres, Postgres, Redis, RedisCluster, runtime};

const STREAM: &str = "orders";

fn world(store: Arc<dyn LeaseStore>) -> (Kinesis, Fleet) {
    let kinesis = Kinesis::new(Clock::system(), Limits::of_the_service());
    kinesis.create_stream(STREAM, 16).expect("a new stream");
    let source = ModelSource::new(kinesis.clone(), worker(STREAM).name);
    (kinesis, Fleet::over(store, Arc::new(source)))
}

async fn joins_crashes_and_leaves(store: Arc<dyn LeaseStore>) {
    let (kinesis, mut fleet) = world(store);
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

fn a_fleet<Place: Backend>() {
    let Some(place) = Place::fresh() else { return };
    runtime().block_on(async { joins_crashes_and_leaves(place.open(worker("application").name).await).await });
}

#[test]
fn a_fleet_on_dynamodb_joins_crashes_and_leaves_without_a_loss() {
    a_fleet::<Dynamodb>();
}

#[test]
fn a_fleet_on_postgres_joins_crashes_and_leaves_without_a_loss() {
    a_fleet::<Postgres>();
}

#[test]
fn a_fleet_on_redis_joins_crashes_and_leaves_without_a_loss() {
    a_fleet::<Redis>();
}

#[test]
fn a_fleet_on_a_redis_cluster_joins_crashes_and_leaves_without_a_loss() {
    a_fleet::<RedisCluster>();
}

#[test]
fn a_fleet_on_postgres_behind_a_pooling_proxy_joins_crashes_and_leaves_without_a_loss() {
    a_fleet::<PooledPostgres>();
}

#[tokio::test]
async fn without_hints_a_fleet_on_postgres_does_the_same() {
    let Some(place) = Postgres::fresh() else { return };
    let store = place.store(worker("application").name).await.without_hints();
    joins_crashes_and_leaves(Arc::new(store)).await;
}

#[tokio::test]
async fn without_hints_a_fleet_on_redis_does_the_same() {
    let Some(place) = Redis::fresh() else { return };
    let settings = RedisSettings { has_hints: false, ..RedisSettings::default() };
    joins_crashes_and_leaves(Arc::new(place.store(&worker("application").name, settings).await)).await;
}

/// With such a heartbeat interval, only a hint can bring a lease to its new owner this soon.
async fn a_hint_brings_a_lease_to_its_new_owner(store: Arc<dyn LeaseStore>) {
    let (_kinesis, mut fleet) = world(store);
    fleet.settings.worker.lease_duration = Duration::from_secs(120);
    fleet.settings.worker.heartbeat_interval = Duration::from_secs(20);
    fleet.start("a");
    fleet.start("b");
    fleet.wait_until_level().await;
    let asked = Instant::now();
    fleet.leave("b").await;
    fleet.wait_until_level().await;
    // The leaver says that it leaves, the receiver looks, the leaver sees that it has, and gives, and the receiver looks again: each
    // of the four at most a shortest pause after the last.
    let bound = fleet.settings.worker.shortest_pause() * 5;
    assert!(asked.elapsed() < bound, "{:?}, not {bound:?}", asked.elapsed());
}

#[tokio::test]
async fn a_hint_from_postgres_brings_a_lease_to_its_new_owner_long_before_its_heartbeat() {
    let Some(place) = Postgres::fresh() else { return };
    a_hint_brings_a_lease_to_its_new_owner(place.open(worker("application").name).await).await;
}

#[tokio::test]
async fn a_hint_from_redis_brings_a_lease_to_its_new_owner_long_before_its_heartbeat() {
    let Some(place) = Redis::fresh() else { return };
    a_hint_brings_a_lease_to_its_new_owner(place.open(worker("application").name).await).await;
}

#[tokio::test]
async fn a_hint_from_a_redis_cluster_brings_a_lease_to_its_new_owner_long_before_its_heartbeat() {
    let Some(place) = RedisCluster::fresh() else { return };
    a_hint_brings_a_lease_to_its_new_owner(place.open(worker("application").name).await).await;
}
