//! A Redis that goes on from an old snapshot under a running fleet: records are repeated, none is skipped, and no fencing
//! token is given out twice, so that a sink that refuses lower tokens goes on with the right worker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use consumer::{Consumer, EndReached, RecordProcessor, ShardBatch, ShardContext, ShardEnd};
use consumer_testing::quick_settings;
use kinesis_testing::{Clock, Kinesis, Limits, ModelSource, PutEntry};
use lease_core::testing::worker;
use lease_core::{Epoch, LeaseKey, LeaseStore};
use lease_redis::RedisStore;
use tests::backends::{self, Backend};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const STREAM: &str = "orders";
const SHARDS: usize = 8;
const DEADLINE: Duration = Duration::from_secs(60);

/// What a user's database keeps beside the results: the highest token of each shard.
#[derive(Debug, Default)]
struct Sink {
    highest: BTreeMap<LeaseKey, Epoch>,
    accepted: BTreeSet<String>,
    /// Which worker came with a token, and those that more than one came with.
    bearers: BTreeMap<(LeaseKey, Epoch), String>,
    given_twice: Vec<(LeaseKey, Epoch)>,
    refused: u64,
}

impl Sink {
    fn take(&mut self, worker: &str, shard: &ShardContext, batch: &ShardBatch) -> Result<(), Fenced> {
        let token = (shard.key().clone(), shard.fencing_token());
        let bearer = self.bearers.entry(token.clone()).or_insert_with(|| worker.to_owned());
        if bearer != worker {
            self.given_twice.push(token);
        }
        let highest = self.highest.entry(shard.key().clone()).or_insert(Epoch::NEVER_OWNED);
        if shard.fencing_token() < *highest {
            self.refused += 1;
            return Err(Fenced);
        }
        *highest = shard.fencing_token();
        self.accepted.extend(batch.records().iter().map(|record| String::from_utf8_lossy(&record.data).into_owned()));
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the token is lower than the shard's highest")]
struct Fenced;

struct Processor {
    worker: String,
    shard: ShardContext,
    sink: Arc<Mutex<Sink>>,
}

impl RecordProcessor for Processor {
    type Error = Fenced;

    async fn process(&mut self, batch: ShardBatch) -> Result<(), Fenced> {
        lock(&self.sink).take(&self.worker, &self.shard, &batch)
    }

    async fn shard_ended(&mut self, end: ShardEnd) -> Result<EndReached, Fenced> {
        Ok(end.reached())
    }
}

fn lock(sink: &Mutex<Sink>) -> MutexGuard<'_, Sink> {
    sink.lock().expect("no test panics with the lock")
}

struct World {
    store: RedisStore,
    kinesis: Kinesis,
    sink: Arc<Mutex<Sink>>,
    leave: BTreeMap<String, CancellationToken>,
    running: JoinSet<()>,
    produced: usize,
}

impl World {
    fn start(&mut self, name: &str) {
        let source = ModelSource::new(self.kinesis.clone(), worker(STREAM).name);
        let (sink, owned) = (Arc::clone(&self.sink), name.to_owned());
        let factory = move |shard: &ShardContext| Processor {
            worker: owned.clone(),
            shard: shard.clone(),
            sink: Arc::clone(&sink),
        };
        let consumer = Consumer::builder(Arc::new(self.store.clone()), Arc::new(source));
        let consumer = consumer.worker_name(worker(name).name).settings(quick_settings()).build(factory);
        let consumer = consumer.expect("the settings work");
        let leave = CancellationToken::new();
        self.leave.insert(name.to_owned(), leave.clone());
        self.running.spawn(async move {
            consumer.run_until(leave.cancelled()).await.expect("nothing ends it");
        });
    }

    fn produce(&mut self, count: usize) {
        for _ in 0..count {
            let data = format!("record {}", self.produced).into();
            let entry = PutEntry { partition_key: self.produced.to_string(), explicit_hash_key: None, data };
            self.kinesis.put_record(STREAM, entry).expect("the model takes the record");
            self.produced += 1;
        }
    }

    async fn wait_until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        let met = async {
            while !condition().await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let in_time = tokio::time::timeout(DEADLINE, met).await.is_ok();
        let sink = lock(&self.sink);
        let (accepted, refused) = (sink.accepted.len(), sink.refused);
        assert!(
            in_time,
            "it never came about that {what}: {accepted} of {} accepted, {refused} refused; the tokens' bearers: {:?}",
            self.produced, sink.bearers,
        );
    }

    async fn wait_until_accepted(&self) {
        self.wait_until("all is accepted", async || lock(&self.sink).accepted.len() == self.produced).await;
    }

    /// Waits until those workers own all leases, each its share.
    async fn wait_until_shared_by(&self, workers: &[&str]) {
        let shared = async || {
            // Just after its restart, the server may not answer.
            let leases = match self.store.list().await {
                Err(failure) if failure.is_retryable() => return false,
                leases => leases.expect("the server answers"),
            };
            let owned = |name: &&str| {
                leases
                    .iter()
                    .filter(|lease| lease.owner.as_ref().is_some_and(|owner| owner.name.as_str() == *name))
                    .count()
            };
            let counts: Vec<usize> = workers.iter().map(owned).collect();
            counts.iter().sum::<usize>() == SHARDS && counts.iter().all(|count| *count >= SHARDS / workers.len())
        };
        self.wait_until("the leases are shared", shared).await;
    }
}

#[tokio::test]
async fn an_old_snapshot_under_a_running_fleet_skips_nothing_and_reuses_no_token() {
    if backends::Redis::fresh().is_none() {
        return;
    }
    let mut server = test_servers::Redis::start(&[]).expect("it starts, as the shared one did");
    let kinesis = Kinesis::new(Clock::system(), Limits::of_the_service());
    kinesis.create_stream(STREAM, SHARDS).expect("a new stream");
    let store = RedisStore::connect(&server.url(), worker("application").name).await.expect("the server answers");
    let (sink, leave, running) = (Arc::default(), BTreeMap::new(), JoinSet::new());
    let mut world = World { store, kinesis, sink, leave, running, produced: 0 };
    ["a", "b", "c"].iter().for_each(|name| world.start(name));
    world.wait_until_shared_by(&["a", "b", "c"]).await;
    world.produce(200);
    world.wait_until_accepted().await;
    server.save().expect("it saves");

    // All of this will be forgotten: leases that are given, one worker that comes, one that goes, positions.
    world.start("d");
    world.wait_until_shared_by(&["a", "b", "c", "d"]).await;
    world.produce(200);
    world.wait_until_accepted().await;
    world.leave["c"].cancel();
    world.wait_until_shared_by(&["a", "b", "d"]).await;
    world.produce(200);
    world.wait_until_accepted().await;
    let tokens_before = lock(&world.sink).bearers.len();

    server.restart().expect("it starts again");
    world.produce(200);
    world.wait_until_accepted().await;
    world.wait_until_shared_by(&["a", "b", "d"]).await;
    world.produce(200);
    world.wait_until_accepted().await;

    let sink = lock(&world.sink);
    assert_eq!(sink.given_twice, [], "of tokens {:?}", sink.bearers);
    assert!(sink.bearers.len() > tokens_before, "leases changed hands after the restart");
}
