//! One consumer of one shard, whose processor acts by a script and notes what happens to it, in virtual time.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use consumer::{
    Checkpoints, Consumer, ConsumerSettings, EndReached, FailurePolicy, ProcessorFactory, RecordProcessor, ShardBatch,
    ShardContext, ShardEnd,
};
use kinesis_testing::{Clock, Kinesis, Limits, ModelSource, PutEntry};
use lease_core::{Lease, LeaseStore, MemoryStore};
use stream_types::{Name, SequenceNumber, Timestamp};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const STREAM: &str = "orders";
const DEADLINE: Duration = Duration::from_secs(3_600);

/// One consumer over the model, and what its processors noted.
pub(crate) struct World {
    kinesis: Kinesis,
    pub(crate) store: MemoryStore,
    notes: Notes,
    pub(crate) settings: ConsumerSettings,
    pub(crate) failure_policy: FailurePolicy,
}

type Notes = Arc<Mutex<Vec<String>>>;

impl World {
    pub(crate) fn new() -> Self {
        Self::of_shards(1)
    }

    pub(crate) fn of_shards(shard_count: usize) -> Self {
        let clock = Clock::of_the_runtime(Timestamp::from_unix_millis(1_700_000_000_000));
        let kinesis = Kinesis::new(clock, Limits::of_the_service());
        kinesis.create_stream(STREAM, shard_count).expect("a new stream");
        let store = MemoryStore::new(Name::new("application").expect("a valid name"));
        let checkpoints = Checkpoints::Automatic { every: Duration::ZERO };
        let settings = ConsumerSettings { checkpoints, ..ConsumerSettings::default() };
        Self { kinesis, store, notes: Notes::default(), settings, failure_policy: FailurePolicy::Retry }
    }

    /// Puts a record whose payload is its partition key, too.
    pub(crate) fn put(&self, payload: impl Into<Bytes>) -> SequenceNumber {
        let data: Bytes = payload.into();
        let partition_key = String::from_utf8_lossy(&data).chars().take(256).collect();
        let entry = PutEntry { partition_key, explicit_hash_key: None, data };
        self.kinesis.put_record(STREAM, entry).expect("the record is taken").sequence_number
    }

    pub(crate) fn start<Act: Script>(&self, act: Act) -> (CancellationToken, JoinHandle<consumer::Report>) {
        self.start_with(Scripted { act, notes: Arc::clone(&self.notes) })
    }

    pub(crate) fn start_with(
        &self,
        factory: impl ProcessorFactory,
    ) -> (CancellationToken, JoinHandle<consumer::Report>) {
        let source = ModelSource::new(self.kinesis.clone(), Name::new(STREAM).expect("a valid name"));
        let consumer = Consumer::builder(Arc::new(self.store.clone()), Arc::new(source))
            .worker_name(Name::new("worker").expect("a valid name"))
            .settings(self.settings.clone())
            .failure_policy(self.failure_policy.clone())
            .build(factory)
            .expect("the settings work");
        let stop = CancellationToken::new();
        let asked = stop.clone();
        let running = async move { consumer.run_until(asked.cancelled()).await.expect("nothing ends the consumer") };
        #[expect(clippy::disallowed_methods, reason = "the test joins it")]
        let running = tokio::spawn(running);
        (stop, running)
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.lock().expect("no test panics with the lock").clone()
    }

    pub(crate) async fn lease(&self, shard: usize) -> Lease {
        self.store.list().await.expect("memory does not fail").swap_remove(shard)
    }

    pub(crate) async fn wait_until(&self, what: &str, condition: impl AsyncFn(&Self) -> bool) {
        let met = async {
            while !condition(self).await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        assert!(tokio::time::timeout(DEADLINE, met).await.is_ok(), "{what} never came about: {:?}", self.notes());
    }

    pub(crate) async fn wait_until_noted(&self, note: &str) {
        self.wait_until(note, async |world| world.notes().iter().any(|noted| noted == note)).await;
    }
}

/// What a processor does with a batch.
pub(crate) trait Script: Clone + Send + Sync + 'static {
    fn act(&self, batch: ShardBatch, attempt: u32) -> impl Future<Output = io::Result<()>> + Send;
}

impl<Act, Answer> Script for Act
where
    Act: Fn(ShardBatch, u32) -> Answer + Clone + Send + Sync + 'static,
    Answer: Future<Output = io::Result<()>> + Send,
{
    fn act(&self, batch: ShardBatch, attempt: u32) -> impl Future<Output = io::Result<()>> + Send {
        self(batch, attempt)
    }
}

/// Notes what happens to it, and acts by its script.
struct Scripted<Act> {
    act: Act,
    notes: Notes,
}

struct ScriptedProcessor<Act> {
    act: Act,
    notes: Notes,
    attempts: BTreeMap<String, u32>,
}

impl<Act: Script> ProcessorFactory for Scripted<Act> {
    type Processor = ScriptedProcessor<Act>;

    fn processor(&self, _shard: &ShardContext) -> Self::Processor {
        ScriptedProcessor { act: self.act.clone(), notes: Arc::clone(&self.notes), attempts: BTreeMap::new() }
    }
}

impl<Act> ScriptedProcessor<Act> {
    fn note(&self, note: String) {
        self.notes.lock().expect("no test panics with the lock").push(note);
    }
}

impl<Act: Script> RecordProcessor for ScriptedProcessor<Act> {
    type Error = io::Error;

    async fn process(&mut self, batch: ShardBatch) -> io::Result<()> {
        let payloads: Vec<String> =
            batch.records().iter().map(|record| String::from_utf8_lossy(&record.data).into_owned()).collect();
        let payloads = payloads.join(" ");
        let attempt = self.attempts.entry(payloads.clone()).or_default();
        *attempt += 1;
        let attempt = *attempt;
        let result = self.act.act(batch, attempt).await;
        self.note(format!("{payloads}: {}", if result.is_ok() { "done" } else { "failed" }));
        result
    }

    async fn shard_ended(&mut self, end: ShardEnd) -> io::Result<EndReached> {
        self.note("ended".into());
        Ok(end.reached())
    }

    async fn draining(&mut self, _shard: &ShardContext) {
        self.note("draining".into());
    }

    async fn lease_lost(&mut self, _shard: &ShardContext) {
        self.note("lost".into());
    }
}
