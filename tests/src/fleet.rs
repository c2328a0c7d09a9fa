//! A fleet of real consumers in one process, with the truth about every record.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use consumer::{
    Checkpoints, Consumer, ConsumerError, ConsumerSettings, EndReached, RecordProcessor, Report, ShardBatch,
    ShardContext, ShardEnd,
};
use kinesis_source::Source;
use kinesis_testing::{Kinesis, Ledger, PutEntry};
use lease_core::worker::WorkerSettings;
use lease_core::{Epoch, Lease, LeaseKey, LeaseStore};
use stream_types::{Name, Position, ShardId};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long any condition may take to come about, in the time of the test.
const DEADLINE: Duration = Duration::from_secs(300);

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Real consumers over one store and one source.
#[derive(Debug)]
pub struct Fleet {
    store: Arc<dyn LeaseStore>,
    source: Arc<dyn Source>,
    /// The settings of workers that start from now on.
    pub settings: ConsumerSettings,
    /// The truth.
    pub ledger: Ledger,
    readers: Readers,
    history: History,
    members: BTreeMap<String, Member>,
}

/// Which shards were begun and ended, in the order in which it happened.
type History = Arc<Mutex<Vec<(Turn, ShardId, String)>>>;

/// What happened to a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Begun,
    Ended,
    /// The lease was lost.
    Lost,
}

type Readers = Arc<Mutex<BTreeMap<LeaseKey, (String, Epoch)>>>;

#[derive(Debug)]
struct Member {
    leave: CancellationToken,
    running: JoinHandle<Result<Report, ConsumerError>>,
}

/// Times that let a test end soon.
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
    /// A fleet without workers.
    pub fn new(store: Arc<dyn LeaseStore>, source: Arc<dyn Source>) -> Self {
        Self {
            store,
            source,
            settings: quick_settings(),
            ledger: Ledger::default(),
            readers: Readers::default(),
            history: History::default(),
            members: BTreeMap::new(),
        }
    }

    /// Another fleet over the same store and source, for workers that this one does not know of.
    #[must_use]
    pub fn twin(&self) -> Self {
        Self::new(Arc::clone(&self.store), Arc::clone(&self.source))
    }

    /// Starts a worker.
    ///
    /// # Panics
    ///
    /// The settings cannot work.
    pub fn start(&mut self, worker: &str) {
        let (ledger, name) = (self.ledger.clone(), worker.to_owned());
        let (readers, history) = (Arc::clone(&self.readers), Arc::clone(&self.history));
        let factory = move |shard: &ShardContext| {
            Witness {
                worker: name.clone(),
                shard: shard.clone(),
                ledger: ledger.clone(),
                readers: Arc::clone(&readers),
                history: Arc::clone(&history),
            }
            .begun()
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
        let history = self.history.lock().expect("no test panics with the lock").clone();
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
        let history = self.history.lock().expect("no test panics with the lock");
        history.iter().filter(|(turn, ..)| *turn == Turn::Lost).count()
    }

    /// How many shards a worker reads.
    #[must_use]
    pub fn read_by(&self, worker: &str) -> usize {
        self.lock().values().filter(|(reader, _)| reader == worker).count()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<LeaseKey, (String, Epoch)>> {
        self.readers.lock().expect("no test panics with the lock")
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
        let readers = self.lock();
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
        assert!(in_time, "it never came about that {what}: {:?}, {:?}", self.ledger.tally(), self.lock());
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

/// Tells the ledger of each record.
struct Witness {
    worker: String,
    shard: ShardContext,
    ledger: Ledger,
    readers: Readers,
    history: History,
}

impl Witness {
    fn begun(self) -> Self {
        let mine = (self.worker.clone(), self.shard.fencing_token());
        self.readers.lock().expect("no test panics with the lock").insert(self.shard.key().clone(), mine);
        self.note(Turn::Begun);
        self
    }

    fn note(&self, turn: Turn) {
        self.history.lock().expect("no test panics with the lock").push((
            turn,
            self.shard.shard().clone(),
            self.worker.clone(),
        ));
    }
}

impl RecordProcessor for Witness {
    type Error = Infallible;

    async fn process(&mut self, batch: ShardBatch) -> Result<(), Infallible> {
        for record in batch.records() {
            self.ledger.delivered(&self.worker, self.shard.shard(), record);
        }
        Ok(())
    }

    async fn lease_lost(&mut self, _shard: &ShardContext) {
        self.note(Turn::Lost);
    }

    async fn shard_ended(&mut self, end: ShardEnd) -> Result<EndReached, Infallible> {
        self.note(Turn::Ended);
        Ok(end.reached())
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let mine = (self.worker.clone(), self.shard.fencing_token());
        // Dropped in a panic of another task, the lock may be poisoned; then the test has failed already.
        if let Ok(mut readers) = self.readers.lock()
            && readers.get(self.shard.key()) == Some(&mine)
        {
            readers.remove(self.shard.key());
        }
    }
}
