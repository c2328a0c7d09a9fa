//! A fleet of real consumers in one process, with the truth about every record.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use consumer::{Checkpoints, Consumer, ConsumerError, ConsumerSettings, ProcessorFactory, Report};
use kinesis_source::Source;
use kinesis_testing::{Clock, Kinesis, Ledger, Limits, ModelSource, PutEntry};
use lease_core::worker::WorkerSettings;
use lease_core::{Lease, LeaseKey, LeaseStore, MemoryStore};
use stream_types::{Name, Position, Shard, ShardId, Timestamp};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::OnlyCounted;
use crate::witness::{Notebook, Turn, Witnesses};

/// How long any condition may take to come about, in the time of the test.
const DEADLINE: Duration = Duration::from_secs(300);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Real consumers over one lease table and one stream, each as if in a process of its own, and the truth about every record.
///
/// In a test whose time is paused (`#[tokio::test(start_paused = true)]`) all of it runs in virtual time: minutes pass in
/// milliseconds, and a crash is outlived as fast.
///
/// ```
/// use consumer::each_batch;
/// use consumer_testing::Fleet;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// // Three workers, who share a stream of six shards. Your own processors take the place of this one.
/// let mut fleet = Fleet::of_processors(3, each_batch(async |batch| {
///     assert!(!batch.records().is_empty());
///     Ok::<(), std::io::Error>(())
/// }));
/// for number in 0..500 {
///     fleet.put(&format!("customer-{}", number % 7), format!("order {number}"));
/// }
/// fleet.crash("worker-2").await;
/// fleet.start("worker-4");
/// fleet.wait_until_delivered().await;
///
/// let report = fleet.leave("worker-1").await;
/// assert_eq!(report.panics, 0);
/// let tally = fleet.ledger.tally();
/// assert_eq!((tally.lost, tally.out_of_order, tally.duplicates_planned), (0, 0, 0));
/// # }
/// ```
pub struct Fleet<Factory = OnlyCounted> {
    store: Arc<dyn LeaseStore>,
    source: Arc<dyn Source>,
    /// The stream, where it is in memory and the fleet's own.
    kinesis: Option<Kinesis>,
    factory: Arc<Factory>,
    /// The settings of workers that start from now on.
    pub settings: ConsumerSettings,
    /// The truth.
    pub ledger: Ledger,
    notebook: Notebook,
    members: BTreeMap<String, Member>,
}

#[derive(Debug)]
struct Member {
    leave: CancellationToken,
    running: JoinHandle<Result<Report, ConsumerError>>,
}

/// Times that let a test end soon: a lease duration of 3 s, heartbeats every 300 ms, checkpoints every 500 ms.
#[must_use]
pub fn quick_settings() -> ConsumerSettings {
    let worker = WorkerSettings {
        lease_duration: Duration::from_secs(3),
        heartbeat_interval: Duration::from_millis(300),
        ..WorkerSettings::default()
    };
    let checkpoints = Checkpoints::Automatic { every: Duration::from_millis(500) };
    ConsumerSettings { worker, checkpoints, ..ConsumerSettings::default() }
}

impl Fleet {
    /// The name of the stream in memory.
    pub const STREAM: &str = "stream";

    /// So many workers, called `worker-1` and so on, who share a stream in memory with twice as many shards. What they process is
    /// only counted.
    ///
    /// # Panics
    ///
    /// There are thousands of them. Or it is called outside a tokio runtime, in which they run.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self::of_processors(workers, OnlyCounted)
    }

    /// A fleet without workers, over any lease table and any stream, which only counts.
    pub fn over(store: Arc<dyn LeaseStore>, source: Arc<dyn Source>) -> Self {
        Self::over_with_processors(store, source, OnlyCounted)
    }
}

impl<Factory: ProcessorFactory> Fleet<Factory> {
    /// The same as [`Fleet::new`], with processors of your own.
    ///
    /// # Panics
    ///
    /// There are thousands of workers. Or it is called outside a tokio runtime.
    #[must_use]
    pub fn of_processors(workers: usize, factory: Factory) -> Self {
        let clock = Clock::of_the_runtime(Timestamp::from_unix_millis(1_700_000_000_000));
        let kinesis = Kinesis::new(clock, Limits::of_the_service());
        kinesis.create_stream(Fleet::STREAM, 2 * workers.max(1)).expect("no more shards than a stream may have");
        let name = |text: &str| Name::new(text).expect("a valid name");
        let source = ModelSource::new(kinesis.clone(), name(Fleet::STREAM));
        let store = MemoryStore::new(name("application"));
        let mut fleet = Self::over_with_processors(Arc::new(store), Arc::new(source), factory);
        fleet.kinesis = Some(kinesis);
        (1..=workers).for_each(|number| fleet.start(&format!("worker-{number}")));
        fleet
    }

    /// A fleet without workers, over any lease table and any stream, with processors of your own.
    pub fn over_with_processors(store: Arc<dyn LeaseStore>, source: Arc<dyn Source>, factory: Factory) -> Self {
        Self {
            store,
            source,
            kinesis: None,
            factory: Arc::new(factory),
            settings: quick_settings(),
            ledger: Ledger::default(),
            notebook: Notebook::default(),
            members: BTreeMap::new(),
        }
    }

    /// Another fleet over the same lease table and stream, for workers that this one does not know of.
    #[must_use]
    pub fn twin(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            source: Arc::clone(&self.source),
            kinesis: self.kinesis.clone(),
            factory: Arc::clone(&self.factory),
            settings: quick_settings(),
            ledger: Ledger::default(),
            notebook: Notebook::default(),
            members: BTreeMap::new(),
        }
    }

    /// The Kinesis in memory: to split and merge shards, to let it misbehave, to trim what is old.
    ///
    /// # Panics
    ///
    /// The fleet was made [over](Fleet::over) a stream of yours.
    #[must_use]
    pub fn kinesis(&self) -> &Kinesis {
        self.kinesis.as_ref().expect("the fleet's stream is one of your own: ask that")
    }

    /// The shards that take records now.
    ///
    /// # Panics
    ///
    /// Those of [`Fleet::kinesis`], or the stream was deleted.
    #[must_use]
    pub fn open_shards(&self) -> Vec<Shard> {
        self.kinesis().open_shards(Fleet::STREAM).expect("the stream is there")
    }

    /// Puts a record into the stream in memory. Each payload must be different, or the [ledger](Fleet::ledger) could not
    /// tell records apart.
    ///
    /// # Panics
    ///
    /// Those of [`Fleet::kinesis`], the record is too large for a stream, or it is more than the service takes for one shard
    /// in a second: 1,000 records, or a megabyte.
    pub fn put(&self, partition_key: &str, payload: impl Into<Vec<u8>>) {
        let payload = payload.into();
        self.ledger.produced(partition_key, &payload);
        let entry = PutEntry { partition_key: partition_key.into(), explicit_hash_key: None, data: payload.into() };
        self.kinesis().put_record(Fleet::STREAM, entry).expect("the stream takes the record");
    }

    /// Starts a worker.
    ///
    /// # Panics
    ///
    /// The settings cannot work.
    pub fn start(&mut self, worker: &str) {
        let factory = Witnesses {
            worker: worker.into(),
            factory: Arc::clone(&self.factory),
            ledger: self.ledger.clone(),
            notebook: self.notebook.clone(),
        };
        let consumer = Consumer::builder(Arc::clone(&self.store), Arc::clone(&self.source))
            .worker_name(Name::new(worker).expect("a valid name"))
            .settings(self.settings.clone())
            .build(factory)
            .expect("the settings work");
        let leave = CancellationToken::new();
        let asked = leave.clone();
        let running = tokio::spawn(async move { consumer.run_until(asked.cancelled()).await });
        self.members.insert(worker.into(), Member { leave, running });
    }

    /// Asks a worker to leave, and waits until it has.
    ///
    /// # Panics
    ///
    /// It did not run, or ended otherwise than by leaving in time.
    pub async fn leave(&mut self, worker: &str) -> Report {
        let member = self.members.remove(worker).expect("the worker runs");
        member.leave.cancel();
        let report = member.running.await.expect("no task panics").expect("the worker leaves");
        assert!(report.left_in_time, "{worker} did not hand over in time: {report:?}");
        report
    }

    /// Ends a worker without a word, and tells the ledger what it had checkpointed.
    ///
    /// # Panics
    ///
    /// It did not run.
    pub async fn crash(&mut self, worker: &str) {
        let member = self.members.remove(worker).expect("the worker runs");
        member.running.abort();
        let _aborted = member.running.await;
        self.wait_until("it reads no more", async |fleet| fleet.read_by(worker) == 0).await;
        let owned = self.leases().await.into_iter().filter(|lease| owner(lease) == Some(worker));
        let checkpoints: BTreeMap<ShardId, Position> = owned.map(|lease| (lease.key.shard, lease.position)).collect();
        self.ledger.crashed(worker, checkpoints);
    }

    /// The result of a worker that ended by itself.
    ///
    /// # Errors
    ///
    /// What ended it.
    ///
    /// # Panics
    ///
    /// It did not run, or its task panicked.
    pub async fn ended(&mut self, worker: &str) -> Result<Report, ConsumerError> {
        let member = self.members.remove(worker).expect("the worker runs");
        member.running.await.expect("no task panics")
    }

    /// All leases.
    ///
    /// # Panics
    ///
    /// The store fails.
    pub async fn leases(&self) -> Vec<Lease> {
        self.store.list().await.expect("the store answers")
    }

    /// The names of the workers that run.
    #[must_use]
    pub fn workers(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    /// The shards that were begun before each of their parents had ended, and what happened to them and their parents. The
    /// stream must still have all its shards.
    ///
    /// # Panics
    ///
    /// The stream cannot be listed.
    pub async fn begun_too_early(&self) -> Vec<String> {
        let shards = self.source.list_shards().await.expect("the stream is there");
        let history = self.notebook.history();
        let first = |turn: Turn, shard: &ShardId| history.iter().position(|(what, id, _)| (*what, id) == (turn, shard));
        let too_early = shards.iter().filter(|shard| {
            let begun = first(Turn::Begun, &shard.id);
            let ended = shard.parents.iter().map(|parent| first(Turn::Ended, parent));
            begun.is_some() && ended.into_iter().any(|ended| ended.is_none() || ended > begun)
        });
        let told = too_early.map(|shard| {
            let family = |id: &ShardId| *id == shard.id || shard.parents.contains(id);
            let turns = history.iter().enumerate().filter(|(_, (_, id, _))| family(id));
            format!("{} of {:?}: {:?}", shard.id, shard.parents, turns.collect::<Vec<_>>())
        });
        told.collect()
    }

    /// How many leases were lost, rather than given up: a machine was too slow for its heartbeats.
    ///
    /// # Panics
    ///
    /// A task has panicked.
    #[must_use]
    pub fn lost_leases(&self) -> usize {
        let history = self.notebook.history();
        history.iter().filter(|(turn, ..)| *turn == Turn::Lost).count()
    }

    /// How many shards a worker reads.
    #[must_use]
    pub fn read_by(&self, worker: &str) -> usize {
        self.notebook.readers().values().filter(|(reader, _)| reader == worker).count()
    }

    /// Whether every runnable shard is read under its lease's epoch, and the workers' counts differ by at most one.
    pub async fn is_level(&self) -> bool {
        let leases = self.leases().await;
        let by_key: BTreeMap<&LeaseKey, &Lease> = leases.iter().map(|lease| (&lease.key, lease)).collect();
        let is_done = |key: LeaseKey| by_key.get(&key).is_none_or(|lease| lease.is_finished());
        let runnable: Vec<&Lease> = leases
            .iter()
            .filter(|lease| !lease.is_finished())
            .filter(|lease| lease.parents.iter().all(|parent| is_done(lease.key.sibling(parent.clone()))))
            .collect();
        let readers = self.notebook.readers();
        let all_read = runnable.iter().all(|lease| {
            readers.get(&lease.key).is_some_and(|(reader, epoch)| *epoch == lease.epoch && owner(lease) == Some(reader))
        });
        let counts: Vec<usize> =
            self.members.keys().map(|name| readers.values().filter(|(reader, _)| reader == name).count()).collect();
        let level = counts.iter().max() <= counts.iter().min().map(|least| least + 1).as_ref();
        !runnable.is_empty() && all_read && level && counts.iter().sum::<usize>() == runnable.len()
    }

    /// Waits until the fleet is level.
    ///
    /// # Panics
    ///
    /// It does not become so.
    pub async fn wait_until_level(&self) {
        self.wait_until("the fleet is level", Self::is_level).await;
    }

    /// Waits until every record that was produced has been delivered.
    ///
    /// # Panics
    ///
    /// Some are not.
    pub async fn wait_until_delivered(&self) {
        self.wait_until("every record is delivered", async |fleet| fleet.ledger.tally().lost == 0).await;
    }

    /// Waits for a condition, for as long as anything may take.
    ///
    /// # Panics
    ///
    /// It does not come about.
    pub async fn wait_until(&self, what: &str, condition: impl AsyncFn(&Self) -> bool) {
        let met = async {
            while !condition(self).await {
                tokio::time::sleep(LOOK).await;
            }
        };
        let in_time = tokio::time::timeout(DEADLINE, met).await.is_ok();
        assert!(in_time, "it never came about that {what}: {:?}, {:?}", self.ledger.tally(), self.notebook.readers());
    }

    /// Puts so many records under changing keys, straight into the model.
    ///
    /// # Panics
    ///
    /// The model refuses one.
    pub fn produce(&self, kinesis: &Kinesis, stream: &str, count: u64) {
        for _ in 0..count {
            let number = self.ledger.tally().produced;
            let (key, payload) = (format!("key-{}", number % 101), format!("record {number}"));
            self.ledger.produced(&key, payload.as_bytes());
            let entry = PutEntry { partition_key: key, explicit_hash_key: None, data: payload.into() };
            kinesis.put_record(stream, entry).expect("the model takes the record");
        }
    }
}

fn owner(lease: &Lease) -> Option<&str> {
    lease.owner.as_ref().map(|owner| owner.name.as_str())
}

impl<Factory> fmt::Debug for Fleet<Factory> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Fleet");
        debug.field("workers", &self.members.keys()).field("store", &self.store).field("source", &self.source);
        debug.finish_non_exhaustive()
    }
}
