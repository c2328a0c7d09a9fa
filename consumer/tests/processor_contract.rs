//! What a processor can rely on, in virtual time.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use consumer::{
    CheckpointError, Checkpoints, Consumer, ConsumerSettings, EndReached, ProcessorFactory, RecordProcessor,
    ShardBatch, ShardContext, ShardEnd, ShardOutcome,
};
use kinesis_testing::{Clock, Kinesis, Limits, ModelSource, PutEntry};
use lease_core::{Lease, LeaseStore, MemoryStore};
use stream_types::{Name, Position, Timestamp};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const STREAM: &str = "orders";
const DEADLINE: Duration = Duration::from_secs(3_600);

/// One consumer over the model, and what its processors noted.
struct World {
    kinesis: Kinesis,
    store: MemoryStore,
    notes: Notes,
    settings: ConsumerSettings,
}

type Notes = Arc<Mutex<Vec<String>>>;

impl World {
    fn new() -> Self {
        let clock = Clock::of_the_runtime(Timestamp::from_unix_millis(1_700_000_000_000));
        let kinesis = Kinesis::new(clock, Limits::of_the_service());
        kinesis.create_stream(STREAM, 1).expect("a new stream");
        let store = MemoryStore::new(Name::new("application").expect("a valid name"));
        let checkpoints = Checkpoints::Automatic { every: Duration::ZERO };
        let settings = ConsumerSettings { checkpoints, ..ConsumerSettings::default() };
        Self { kinesis, store, notes: Notes::default(), settings }
    }

    fn put(&self, payload: &str) {
        let entry = PutEntry { partition_key: "key".into(), explicit_hash_key: None, data: payload.to_owned().into() };
        self.kinesis.put_record(STREAM, entry).expect("the record is taken");
    }

    fn start<Act: Script>(&self, act: Act) -> (CancellationToken, JoinHandle<consumer::Report>) {
        let source = ModelSource::new(self.kinesis.clone(), Name::new(STREAM).expect("a valid name"));
        let consumer = Consumer::builder(Arc::new(self.store.clone()), Arc::new(source))
            .worker_name(Name::new("worker").expect("a valid name"))
            .settings(self.settings.clone())
            .build(Scripted { act, notes: Arc::clone(&self.notes) })
            .expect("the settings work");
        let stop = CancellationToken::new();
        let asked = stop.clone();
        let running = async move { consumer.run_until(asked.cancelled()).await.expect("nothing ends the consumer") };
        #[expect(clippy::disallowed_methods, reason = "the test joins it")]
        let running = tokio::spawn(running);
        (stop, running)
    }

    fn notes(&self) -> Vec<String> {
        self.notes.lock().expect("no test panics with the lock").clone()
    }

    async fn lease(&self, shard: usize) -> Lease {
        self.store.list().await.expect("memory does not fail").swap_remove(shard)
    }

    async fn wait_until(&self, what: &str, condition: impl AsyncFn(&Self) -> bool) {
        let met = async {
            while !condition(self).await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        assert!(tokio::time::timeout(DEADLINE, met).await.is_ok(), "{what} never came about: {:?}", self.notes());
    }

    async fn wait_until_noted(&self, note: &str) {
        self.wait_until(note, async |world| world.notes().iter().any(|noted| noted == note)).await;
    }
}

/// What a processor does with a batch.
trait Script: Clone + Send + Sync + 'static {
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

async fn fine(_batch: ShardBatch, _attempt: u32) -> io::Result<()> {
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_failing_processor_gets_the_same_batch_until_it_succeeds() {
    let world = World::new();
    world.put("one");
    let (stop, running) = world.start(async |_batch: ShardBatch, attempt: u32| match attempt {
        1..=3 => Err(io::Error::other("not yet")),
        _ => Ok(()),
    });
    world.wait_until_noted("one: done").await;
    world.put("two");
    world.wait_until_noted("two: done").await;
    stop.cancel();
    assert!(running.await.unwrap().left_in_time);
    let failed = |payload: &'static str| vec![format!("{payload}: failed"); 3];
    let expected =
        [failed("one"), vec!["one: done".into()], failed("two"), vec!["two: done".into(), "draining".into()]];
    assert_eq!(world.notes(), expected.concat());
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_takes_ten_minutes_keeps_its_lease() {
    let world = World::new();
    world.put("slow");
    let (stop, running) = world.start(async |_batch: ShardBatch, _attempt: u32| {
        tokio::time::sleep(Duration::from_secs(600)).await;
        Ok(())
    });
    world.wait_until_noted("slow: done").await;
    assert_eq!(world.lease(0).await.epoch.0, 1, "nobody took the lease meanwhile");
    stop.cancel();
    running.await.unwrap();
    assert_eq!(world.notes(), ["slow: done", "draining"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_its_shard_alone_and_the_batch_comes_again() {
    let world = World::new();
    let panicked = Arc::new(std::sync::atomic::AtomicBool::new(false));
    world.put("one");
    let (stop, running) = world.start(move |_batch: ShardBatch, _attempt: u32| {
        let first = !panicked.swap(true, std::sync::atomic::Ordering::SeqCst);
        async move {
            assert!(!first, "a planned panic");
            Ok(())
        }
    });
    world.wait_until_noted("one: done").await;
    stop.cancel();
    let report = running.await.unwrap();
    assert_eq!((report.panics, report.records_processed, report.left_in_time), (1, 1, true));
}

#[tokio::test(start_paused = true)]
async fn manual_checkpoints_are_stored_when_they_return_and_never_go_back() {
    let mut world = World::new();
    world.settings.checkpoints = Checkpoints::Manual;
    world.put("one");
    world.put("two");
    let (stop, running) = world.start(async |batch: ShardBatch, _attempt: u32| {
        let [first, .., last] = batch.records() else { panic!("two records in one batch") };
        batch.shard().checkpoint(first).await.map_err(io::Error::other)?;
        batch.shard().checkpoint(last).await.map_err(io::Error::other)?;
        let back = batch.shard().checkpoint(first).await;
        assert!(matches!(back, Err(CheckpointError::Backwards { .. })), "{back:?}");
        Ok(())
    });
    world.wait_until_noted("one two: done").await;
    let Position::After(stored) = world.lease(0).await.position else { panic!("a record's position is stored") };
    stop.cancel();
    running.await.unwrap();
    let Position::After(at_the_end) = world.lease(0).await.position else { panic!("a record's position is stored") };
    assert_eq!(stored, at_the_end);
}

#[tokio::test(start_paused = true)]
async fn without_a_manual_checkpoint_nothing_is_stored() {
    let mut world = World::new();
    world.settings.checkpoints = Checkpoints::Manual;
    world.put("one");
    let (stop, running) = world.start(fine);
    world.wait_until_noted("one: done").await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(world.lease(0).await.position, Position::HORIZON);
}

#[tokio::test(start_paused = true)]
async fn leaving_ends_at_the_deadline_though_a_processor_never_returns() {
    let world = World::new();
    world.put("stuck");
    let (stop, running) = world.start(async |_batch: ShardBatch, _attempt: u32| std::future::pending().await);
    world
        .wait_until("the lease is taken", async |world| {
            world.store.list().await.expect("memory does not fail").iter().any(|lease| lease.owner.is_some())
        })
        .await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let asked = tokio::time::Instant::now();
    stop.cancel();
    let report = running.await.unwrap();
    assert!(asked.elapsed() <= world.settings.leave_deadline + Duration::from_secs(5), "{:?}", asked.elapsed());
    assert!(!report.left_in_time);
    assert_eq!(report.shards.into_values().collect::<Vec<_>>(), [ShardOutcome::Cancelled]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_drops_the_batch_in_hand_and_refuses_its_checkpoint() {
    let world = World::new();
    world.put("one");
    let (stop, running) = world.start(async |batch: ShardBatch, _attempt: u32| {
        tokio::time::sleep(Duration::from_secs(5)).await;
        // The automatic checkpoint of nothing yet: this one finds the lease in other hands.
        batch.checkpoint().await.map_err(io::Error::other)?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        panic!("the future is dropped at its next await")
    });
    world
        .wait_until("the lease is taken", async |world| {
            world.store.list().await.expect("memory does not fail").iter().any(|lease| lease.owner.is_some())
        })
        .await;
    let lease = world.lease(0).await;
    let thief = lease_core::testing::worker("thief");
    let stolen = world.store.put(lease_core::Expected::Version(lease.version), &lease.taken_by(&thief)).await;
    assert_eq!(stolen.unwrap(), lease_core::Outcome::Applied);
    world.wait_until_noted("lost").await;
    assert_eq!(world.lease(0).await.position, Position::HORIZON, "nothing was stored");
    stop.cancel();
    running.await.unwrap();
}
