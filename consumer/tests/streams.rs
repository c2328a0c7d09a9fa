//! Consumers of several streams, which take them up and give them up while they run, in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use consumer::{
    Consumer, ConsumerBuilder, ConsumerError, ConsumerSettings, Report, StartingPosition, Streams, StreamsError,
    each_batch,
};
use kinesis_testing::{Clock, Kinesis, Limits, ModelSource, PutEntry};
use lease_core::worker::Warning;
use lease_core::{LeaseStore, MemoryStore};
use stream_types::{Name, Timestamp};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(300);

fn name(text: &str) -> Name {
    Name::new(text).expect("a valid name")
}

/// Streams of 4 shards, a table, and who got which record of which stream.
struct World {
    kinesis: Kinesis,
    store: MemoryStore,
    seen: Arc<Mutex<Vec<Seen>>>,
    produced: BTreeMap<String, u64>,
}

#[derive(Debug, Clone)]
struct Seen {
    worker: String,
    stream: String,
    payload: String,
}

struct Running {
    streams: Streams,
    leave: CancellationToken,
    ended: JoinHandle<Result<Report, ConsumerError>>,
}

impl World {
    fn new(streams: &[&str]) -> Self {
        Self::at(Timestamp::from_unix_millis(1_700_000_000_000), streams)
    }

    fn at(now: Timestamp, streams: &[&str]) -> Self {
        let clock = Clock::of_the_runtime(now);
        let kinesis = Kinesis::new(clock, Limits::of_the_service());
        streams.iter().for_each(|stream| kinesis.create_stream(stream, 4).expect("a new stream"));
        let store = MemoryStore::new(name("application"));
        Self { kinesis, store, seen: Arc::default(), produced: BTreeMap::new() }
    }

    fn source(&self, stream: &str) -> Arc<ModelSource> {
        Arc::new(ModelSource::new(self.kinesis.clone(), name(stream)))
    }

    fn builder(&self, stream: &str) -> ConsumerBuilder {
        Consumer::builder(Arc::new(self.store.clone()), self.source(stream))
    }

    fn start(&self, worker: &str, builder: ConsumerBuilder) -> Running {
        let (seen, me) = (Arc::clone(&self.seen), worker.to_owned());
        let processors = each_batch(move |batch| {
            let records = batch.records().iter().map(|record| Seen {
                worker: me.clone(),
                stream: batch.shard().stream().to_string(),
                payload: String::from_utf8_lossy(&record.data).into_owned(),
            });
            seen.lock().expect("no test panics with the lock").extend(records);
            async { Ok::<(), io::Error>(()) }
        });
        let consumer = builder.worker_name(name(worker)).build(processors).expect("the settings work");
        let (streams, leave) = (consumer.streams(), CancellationToken::new());
        let asked = leave.clone();
        #[expect(clippy::disallowed_methods, reason = "the test joins it")]
        let ended = tokio::spawn(async move { consumer.run_until(asked.cancelled()).await });
        Running { streams, leave, ended }
    }

    /// Puts records that are told apart, under changing keys.
    fn put(&mut self, stream: &str, count: u64) {
        let produced = self.produced.entry(stream.into()).or_default();
        for _ in 0..count {
            *produced += 1;
            let text = format!("{stream} {produced}");
            let entry = PutEntry { partition_key: text.clone(), explicit_hash_key: None, data: text.into() };
            self.kinesis.put_record(stream, entry).expect("the record is taken");
        }
    }

    fn seen_of(&self, stream: &str) -> Vec<Seen> {
        let seen = self.seen.lock().expect("no test panics with the lock");
        seen.iter().filter(|seen| seen.stream == stream).cloned().collect()
    }

    async fn wait_until(&self, what: &str, condition: impl AsyncFn(&Self) -> bool) {
        let met = async {
            while !condition(self).await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        assert!(tokio::time::timeout(DEADLINE, met).await.is_ok(), "{what} never came about");
    }

    /// Every record of the stream comes, and comes once.
    async fn wait_until_all_came_once(&self, stream: &str) {
        let count = usize::try_from(self.produced[stream]).expect("few");
        self.wait_until("every record comes", async |world| world.seen_of(stream).len() >= count).await;
        let different: BTreeSet<String> = self.seen_of(stream).into_iter().map(|seen| seen.payload).collect();
        assert_eq!((different.len(), self.seen_of(stream).len()), (count, count), "{stream}: each record once");
    }

    /// How many shards of the stream are owned by each worker.
    async fn owners(&self, stream: &str) -> BTreeMap<String, usize> {
        let mut owners = BTreeMap::new();
        for lease in self.store.list().await.expect("memory does not fail") {
            if let Some(owner) = lease.owner.filter(|_| lease.key.stream.as_str() == stream) {
                *owners.entry(owner.name.to_string()).or_default() += 1;
            }
        }
        owners
    }
}

impl Running {
    async fn leave(self) -> Report {
        self.leave.cancel();
        let report = self.ended.await.expect("no task panics").expect("nothing ends the consumer");
        assert!(report.left_in_time, "{report:?}");
        report
    }
}

#[tokio::test(start_paused = true)]
async fn several_streams_are_read_by_one_set_of_workers() {
    let mut world = World::new(&["orders", "payments"]);
    let both = |world: &World| world.builder("orders").follow(world.source("payments"));
    let workers = ["one", "two"].map(|worker| world.start(worker, both(&world)));
    world
        .wait_until("each has four of the eight shards", async |world| {
            let (orders, payments) = (world.owners("orders").await, world.owners("payments").await);
            let owned = |worker| orders.get(worker).unwrap_or(&0) + payments.get(worker).unwrap_or(&0);
            owned("one") == 4 && owned("two") == 4
        })
        .await;
    for stream in ["orders", "payments"] {
        world.put(stream, 100);
        world.wait_until_all_came_once(stream).await;
    }
    for worker in workers {
        worker.leave().await;
    }
}

/// As in a deployment: one process after the other, while records flow.
#[tokio::test(start_paused = true)]
async fn a_stream_is_taken_up_and_given_up_again_under_load_without_a_repetition() {
    let mut world = World::new(&["orders", "payments"]);
    let workers = ["one", "two", "three"].map(|worker| world.start(worker, world.builder("orders")));
    for round in 0..3 {
        for worker in &workers {
            worker.streams.follow(world.source("payments")).await.expect("it is there");
            ["orders", "payments"].iter().for_each(|stream| world.put(stream, 50));
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
        for worker in &workers {
            ["orders", "payments"].iter().for_each(|stream| world.put(stream, 50));
            tokio::time::sleep(Duration::from_millis(700)).await;
            worker.streams.unfollow(&name("payments")).await.expect("it is followed");
        }
        assert_eq!(world.owners("payments").await, BTreeMap::new(), "round {round}: nobody has any of it");
        let before = world.seen_of("payments").len();
        world.put("payments", 10);
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(world.seen_of("payments").len(), before, "nobody reads it");
    }
    workers[1].streams.follow(world.source("payments")).await.expect("it is there");
    for stream in ["orders", "payments"] {
        world.wait_until_all_came_once(stream).await;
    }
    for worker in workers {
        worker.leave().await;
    }
}

/// Somebody may have given two applications one name by mistake, or mean it so.
#[tokio::test(start_paused = true)]
async fn a_worker_of_another_stream_disturbs_nobody_and_gets_nothing_that_it_cannot_read() {
    let mut world = World::new(&["orders", "payments"]);
    let fleet = world.start("one", world.builder("orders"));
    world.wait_until("it has its shards", async |world| world.owners("orders").await.get("one") == Some(&4)).await;
    let before = world.store.list().await.expect("memory does not fail");

    let stranger = world.start("stranger", world.builder("payments"));
    world.wait_until("it has its own", async |world| world.owners("payments").await.get("stranger") == Some(&4)).await;
    world.put("orders", 20);
    world.put("payments", 20);
    world.wait_until_all_came_once("orders").await;
    world.wait_until_all_came_once("payments").await;
    assert!(world.seen_of("orders").iter().all(|seen| seen.worker == "one"));
    let leases = world.store.list().await.expect("memory does not fail");
    let epochs = |leases: &[lease_core::Lease]| leases.iter().map(|lease| lease.epoch).take(4).collect::<Vec<_>>();
    assert_eq!(epochs(&leases), epochs(&before), "nothing of the first stream has moved");
    let report = stranger.leave().await;
    assert_eq!(report.warnings, []);
    fleet.leave().await;
}

/// "Latest" is this machine's clock, so that the model's time begins ten seconds before it, and ends ten seconds behind it.
#[tokio::test(start_paused = true)]
async fn each_stream_has_its_own_starting_position() {
    #[expect(clippy::disallowed_methods, reason = "the consumer asks the wall clock, too")]
    let begun = Timestamp::from(SystemTime::now() - Duration::from_secs(10));
    let mut world = World::at(begun, &["orders", "payments", "refunds"]);
    ["orders", "payments", "refunds"].iter().for_each(|stream| world.put(stream, 5));
    tokio::time::sleep(Duration::from_secs(20)).await;
    let builder = world.builder("orders").follow_from(world.source("payments"), StartingPosition::Latest);
    let worker = world.start("one", builder);
    let from = StartingPosition::Timestamp(begun.saturating_add(Duration::from_secs(1)));
    worker.streams.follow_from(world.source("refunds"), from).await.expect("it is there");
    ["payments", "refunds"].iter().for_each(|stream| world.put(stream, 3));
    world.wait_until_all_came_once("orders").await;
    for stream in ["payments", "refunds"] {
        world.wait_until("the later ones come", async |world| world.seen_of(stream).len() >= 3).await;
        let seen: BTreeSet<String> = world.seen_of(stream).into_iter().map(|seen| seen.payload).collect();
        assert_eq!(seen, (6..9).map(|number| format!("{stream} {number}")).collect());
    }
    worker.leave().await;
}

/// The clock of the machine is an hour ahead of the service's, which refuses until it is there.
#[tokio::test(start_paused = true)]
async fn a_start_that_the_services_clock_has_not_reached_is_waited_for() {
    let begun = Timestamp::from_unix_millis(1_700_000_000_000);
    let mut world = World::at(begun, &["orders"]);
    world.put("orders", 5);
    let hour = Duration::from_secs(3_600);
    let from = StartingPosition::Timestamp(begun.saturating_add(hour));
    let settings = ConsumerSettings { starting_position: from, ..ConsumerSettings::default() };
    let worker = world.start("one", world.builder("orders").settings(settings));
    tokio::time::sleep(hour + Duration::from_secs(1)).await;
    world.put("orders", 3);
    world.wait_until("the later ones come", async |world| world.seen_of("orders").len() >= 3).await;
    let report = worker.leave().await;
    assert_eq!((report.records_processed, report.warnings), (3, Vec::new()));
    assert!(report.shards.values().all(|shard| shard.counts.reader_failures == 0), "{:?}", report.shards);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_stream_is_given_up_and_the_others_go_on() {
    let mut world = World::new(&["orders", "payments"]);
    let worker = world.start("one", world.builder("orders").follow(world.source("payments")));
    world.put("payments", 10);
    world.wait_until_all_came_once("payments").await;
    world.kinesis.delete_stream("payments").expect("it is there");
    world.wait_until("it is given up", async |world| world.owners("payments").await.is_empty()).await;
    world.put("orders", 10);
    world.wait_until_all_came_once("orders").await;
    let report = worker.leave().await;
    let deleted = Warning::StreamDeleted { stream: name("payments") };
    assert!(report.warnings.contains(&deleted), "{:?}", report.warnings);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_changed_is_said() {
    let world = World::new(&["orders"]);
    let twice = world.builder("orders").follow(world.source("orders"));
    let refused = twice.build(each_batch(async |_batch| Ok::<(), io::Error>(()))).expect_err("one name, one stream");
    assert!(refused.to_string().contains("orders is given twice"), "{refused}");

    let worker = world.start("one", world.builder("orders"));
    let missing = worker.streams.follow(world.source("payments")).await.expect_err("it is not there");
    assert!(matches!(&missing, StreamsError::Stream(_)), "{missing}");
    let again = worker.streams.follow(world.source("orders")).await.expect_err("it is followed");
    assert!(matches!(&again, StreamsError::Followed { .. }), "{again}");
    let unknown = worker.streams.unfollow(&name("payments")).await.expect_err("it is not followed");
    assert!(matches!(&unknown, StreamsError::NotFollowed { .. }), "{unknown}");
    let streams = worker.streams.clone();
    worker.leave().await;
    let late = streams.unfollow(&name("orders")).await.expect_err("nobody is there");
    assert!(matches!(&late, StreamsError::Ended), "{late}");
}
