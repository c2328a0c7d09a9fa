//! Streams that split and merge hundreds of times under a fleet whose workers come, leave and crash: every record is delivered,
//! per partition key in order over the generations of shards, and no child is read before all its parents are done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use consumer_testing::Fleet;
use kinesis_source::{KinesisSource, PollingSettings};
use kinesis_testing::{Clock, Endpoint, Kinesis, Limits, ModelSource};
use lease_core::testing::worker;
use lease_core::{LeaseStore, MemoryStore};
use stream_types::{HashRange, Timestamp};
use tests::backends::{Backend, Dynamodb, Postgres, Redis, runtime};
use tests::endpoints::{client, required};
use tests::reshards::{ModelStream, Resharded, SdkStream, reshard_at_random};

const STREAM: &str = "orders";
const SHARD_COUNT: usize = 8;

fn world(clock: Clock, store: Arc<dyn LeaseStore>) -> (Kinesis, Fleet) {
    let kinesis = Kinesis::new(clock, Limits::unlimited_rates());
    kinesis.create_stream(STREAM, SHARD_COUNT).expect("a new stream");
    let source = ModelSource::new(kinesis.clone(), worker(STREAM).name);
    (kinesis, Fleet::over(store, Arc::new(source)))
}

/// One worker joins, leaves, or crashes.
async fn change_the_fleet(fleet: &mut Fleet, random: &mut fastrand::Rng, started: &mut usize) {
    let workers = fleet.workers();
    let one = workers[random.usize(..workers.len())].clone();
    match random.u32(..3) {
        1 if workers.len() > 2 => drop(fleet.leave(&one).await),
        2 if workers.len() > 2 => fleet.crash(&one).await,
        _ if workers.len() < 5 => {
            *started += 1;
            fleet.start(&format!("worker-{started}"));
        }
        _ => {}
    }
}

async fn reshards_under_a_changing_fleet(kinesis: &Kinesis, fleet: &mut Fleet, seed: u64, reshards: usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut started = 2;
    fleet.start("worker-1");
    fleet.start("worker-2");
    let stream = ModelStream { kinesis, name: STREAM };
    for step in 0..reshards {
        fleet.produce(kinesis, STREAM, 10);
        reshard_at_random(&stream, &mut random, SHARD_COUNT).await;
        if step % 20 == 19 {
            change_the_fleet(fleet, &mut random, &mut started).await;
        }
        tokio::time::sleep(Duration::from_millis(random.u64(..80))).await;
    }
    everything_was_read_in_order(fleet, &stream, seed).await;
}

async fn everything_was_read_in_order(fleet: &Fleet, stream: &impl Resharded, seed: u64) {
    fleet.wait_until_delivered().await;
    let open = stream.open_shards().await.len();
    let all_done = async |fleet: &Fleet| {
        fleet.leases().await.iter().filter(|lease| !lease.is_finished()).count() == open && fleet.is_level().await
    };
    fleet.wait_until("only the open shards are read", all_done).await;
    let (tally, lost_leases) = (fleet.ledger.tally(), fleet.lost_leases());
    let counts = (tally.lost, tally.duplicates_planned, tally.out_of_order);
    let unexplained = fleet.ledger.unexplained();
    assert_eq!(counts, (0, 0, 0), "seed {seed}: {tally:?}, {lost_leases} leases lost, {unexplained:#?}");
    assert_eq!(fleet.begun_too_early().await, [] as [String; 0], "seed {seed}");
}

#[test]
fn ten_random_trees_of_300_reshards_in_virtual_time() {
    for seed in 0..10 {
        let paused = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        paused.expect("a runtime starts").block_on(async {
            let clock = Clock::of_the_runtime(Timestamp::from_unix_millis(1_700_000_000_000));
            let store = Arc::new(MemoryStore::new(worker("application").name));
            let (kinesis, mut fleet) = world(clock, store);
            reshards_under_a_changing_fleet(&kinesis, &mut fleet, seed, 300).await;
        });
    }
}

fn a_random_tree_on<Place: Backend>() {
    let Some(place) = Place::fresh() else { return };
    runtime().block_on(async {
        let (kinesis, mut fleet) = world(Clock::system(), place.open(worker("application").name).await);
        // A machine that is busy with other tests must not make heartbeats late: that explains repetitions, like a crash.
        fleet.settings.worker.lease_duration = Duration::from_secs(10);
        reshards_under_a_changing_fleet(&kinesis, &mut fleet, fastrand::u64(..), 200).await;
    });
}

#[test]
fn a_random_tree_of_200_reshards_on_dynamodb() {
    a_random_tree_on::<Dynamodb>();
}

#[test]
fn a_random_tree_of_200_reshards_on_postgres() {
    a_random_tree_on::<Postgres>();
}

#[test]
fn a_random_tree_of_200_reshards_on_redis() {
    a_random_tree_on::<Redis>();
}

/// Through the SDK. Returns the ranges that the stream has at the end.
async fn a_random_tree_behind(endpoint: Client, seed: u64) -> BTreeSet<HashRange> {
    let name = format!("tree-{:016x}", fastrand::u64(..));
    let stream = SdkStream { client: &endpoint, name: &name };
    // One shard has the same range everywhere; into how many equal ones a range is cut differs by one hash key.
    endpoint.create_stream().stream_name(&name).shard_count(1).send().await.expect("a new stream");
    stream.wait_until_active().await;
    let polling = PollingSettings { tip_pause: Duration::from_millis(250), ..PollingSettings::default() };
    let source = KinesisSource::new(endpoint.clone(), name.parse().expect("a valid name"), polling);
    let mut fleet = Fleet::over(Arc::new(MemoryStore::new(worker("application").name)), Arc::new(source));
    fleet.start("a");
    fleet.start("b");
    let mut random = fastrand::Rng::with_seed(seed);
    for step in 0..40_u32 {
        let numbers = step * 10..(step + 1) * 10;
        let entry = |number: u32| {
            let (key, payload) = (format!("key-{}", number % 23), format!("record {number}"));
            fleet.ledger.produced(&key, payload.as_bytes());
            PutRecordsRequestEntry::builder().partition_key(key).data(Blob::new(payload)).build().expect("an entry")
        };
        let put = endpoint.put_records().stream_name(&name).set_records(Some(numbers.map(entry).collect()));
        assert_eq!(put.send().await.expect("the records are taken").failed_record_count, Some(0));
        reshard_at_random(&stream, &mut random, 4).await;
    }
    everything_was_read_in_order(&fleet, &stream, seed).await;
    stream.open_shards().await.into_iter().map(|(range, _)| range).collect()
}

#[tokio::test]
async fn a_random_tree_gives_the_same_on_our_endpoint_and_on_one_that_others_wrote() {
    let Some(url) = required("LEASEHOLD_TEST_KINESIS_LOCAL") else { return };
    let endpoint = Endpoint::start(Kinesis::new(Clock::system(), Limits::of_the_service()), 0).await;
    let endpoint = endpoint.expect("a port is free");
    let ours = a_random_tree_behind(client(&endpoint.url()), 7).await;
    let theirs = a_random_tree_behind(client(&url), 7).await;
    assert_eq!(ours, theirs);
    endpoint.stop().await;
}
