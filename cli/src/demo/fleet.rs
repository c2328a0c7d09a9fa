//! The demo's workers.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use consumer::{
    Checkpoints, Consumer, ConsumerError, ConsumerSettings, Departure, FailurePolicy, Monitor, ProcessorFactory,
    Report, ShardContext, ShardCounts,
};
use kinesis_source::{KinesisSource, PollingSettings, StreamReference};
use lease_core::worker::WorkerSettings;
use lease_core::{Expected, Lease, LeaseStore, Outcome};
use stream_types::{Name, Position, ShardId};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::board::{Board, WorkerState};
use super::observed_store::ObservedStore;
use super::processor::{DeadLetterBox, Witness};
use crate::failure::Failure;

/// How many heartbeats there are in a lease duration.
const HEARTBEATS_PER_LEASE: u32 = 10;

/// How often the demo's workers checkpoint. A crash repeats what came since.
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(500);

/// How long anything that needs no waiting may take before the demo gives up on it.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many times a record is tried before it is put away, where it is.
const TRIES: NonZeroU32 = NonZeroU32::new(3).expect("it is not zero");

/// The settings of every worker in the demo.
pub(super) fn settings(lease_duration: Duration) -> ConsumerSettings {
    let worker = WorkerSettings {
        lease_duration,
        heartbeat_interval: lease_duration / HEARTBEATS_PER_LEASE,
        ..WorkerSettings::default()
    };
    let checkpoints = Checkpoints::Automatic { every: CHECKPOINT_INTERVAL };
    ConsumerSettings { worker, checkpoints, ..ConsumerSettings::default() }
}

/// All workers of the demo, over one lease table and one stream.
pub(super) struct Fleet {
    store: Arc<ObservedStore>,
    source: Arc<KinesisSource>,
    settings: ConsumerSettings,
    failure_policy: FailurePolicy,
    monitors: Vec<Monitor>,
    board: Board,
    members: BTreeMap<String, Member>,
}

/// A running worker.
struct Member {
    leave: oneshot::Sender<Departure>,
    running: JoinHandle<Result<Report, ConsumerError>>,
}

impl Fleet {
    pub(super) fn new(
        client: aws_sdk_kinesis::Client,
        stream: StreamReference,
        leases: Arc<dyn LeaseStore>,
        settings: ConsumerSettings,
        board: Board,
    ) -> Self {
        let polling = PollingSettings { tip_pause: Duration::from_millis(200), ..PollingSettings::default() };
        let source = Arc::new(KinesisSource::new(client, stream, polling));
        let store = Arc::new(ObservedStore { inner: leases, board: board.clone() });
        let (failure_policy, monitors, members) = (FailurePolicy::Retry, Vec::new(), BTreeMap::new());
        Self { store, source, settings, failure_policy, monitors, board, members }
    }

    /// The workers that run, in order.
    pub(super) fn names(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    /// From now on, workers put records away that they cannot process.
    pub(super) fn puts_poison_away(&mut self) {
        let letters = Arc::new(DeadLetterBox(self.board.clone()));
        self.failure_policy = FailurePolicy::DeadLetter { tries: TRIES, letters };
    }

    /// What has happened to all shards of all workers.
    pub(super) fn totals(&self) -> ShardCounts {
        self.monitors.iter().map(Monitor::totals).sum()
    }

    /// Writes a row, as a worker would.
    pub(super) async fn put(&self, expected: Expected, next: &Lease) -> Result<Outcome<Lease>, Failure> {
        self.store.put(expected, next).await.map_err(|error| Failure::new(error.to_string()))
    }

    pub(super) fn start(&mut self, worker: &str) -> Result<(), Failure> {
        let consumer = self.consumer(worker)?;
        let (leave, departure) = oneshot::channel();
        let running = tokio::spawn(async move { consumer.run_until(told(departure)).await });
        self.joined(worker, Member { leave, running });
        Ok(())
    }

    /// Starts a worker on a thread of its own, which can be frozen without the others.
    pub(super) fn start_on_its_own_thread(&mut self, worker: &str) -> Result<(), Failure> {
        let consumer = self.consumer(worker)?;
        let (leave, departure) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(format!("the runtime cannot start: {error}")))?;
        // The thread ends with its worker, and whoever waits for the worker waits for the answer.
        let running = tokio::task::spawn_blocking(move || runtime.block_on(consumer.run_until(told(departure))));
        self.joined(worker, Member { leave, running });
        Ok(())
    }

    fn consumer(&mut self, worker: &str) -> Result<Consumer<impl ProcessorFactory + use<>>, Failure> {
        let (board, name) = (self.board.clone(), worker.to_owned());
        let factory = move |shard: &ShardContext| Witness::new(name.clone(), shard.clone(), board.clone());
        let consumer = Consumer::builder(self.store.clone(), self.source.clone())
            .worker_name(Name::new(worker).map_err(|error| Failure::new(error.to_string()))?)
            .settings(self.settings.clone())
            .failure_policy(self.failure_policy.clone())
            .build(factory)
            .map_err(|error| Failure::new(error.to_string()))?;
        self.monitors.push(consumer.monitor());
        Ok(consumer)
    }

    fn joined(&mut self, worker: &str, member: Member) {
        self.members.insert(worker.into(), member);
        self.board.set_state(worker, WorkerState::Running);
    }

    /// How far a worker's shards were checkpointed, by the rows that say it has them.
    pub(super) fn checkpoints_of(&self, worker: &str) -> BTreeMap<ShardId, Position> {
        self.board.look(|picture| {
            let owned = picture.owned_by(worker);
            owned.map(|lease| (lease.key.shard.clone(), lease.position.clone())).collect()
        })
    }

    /// Ends a worker between one instruction and the next: it releases nothing and tells nobody.
    pub(super) async fn crash(&mut self, worker: &str) -> Result<(), Failure> {
        let Some(member) = self.members.remove(worker) else { return Ok(()) };
        self.board.set_state(worker, WorkerState::Crashed);
        member.running.abort();
        let _aborted = member.running.await;
        let silent = self.board.wait_until(PATIENCE, |picture| picture.read_by(worker).next().is_none()).await;
        if !silent {
            return Err(Failure::new(format!("{worker} goes on reading although it crashed")));
        }
        let checkpoints = self.checkpoints_of(worker);
        self.board.ledger.crashed(worker, checkpoints);
        Ok(())
    }

    /// Asks a worker to leave, and waits until it has.
    pub(super) async fn leave(&mut self, worker: &str, departure: Departure) -> Result<(), Failure> {
        let Some(member) = self.members.remove(worker) else { return Ok(()) };
        self.board.set_state(worker, WorkerState::Leaving);
        // One that has ended by itself says why.
        let _ended = member.leave.send(departure);
        let report = member.running.await.map_err(|error| Failure::new(format!("{worker}: {error}")))?;
        let report = report.map_err(|error| Failure::new(format!("{worker}: {error}")))?;
        self.board.set_state(worker, WorkerState::Left);
        if report.left_in_time {
            Ok(())
        } else {
            Err(Failure::new(format!("{worker} did not hand over in time: {:?}", report.shards)))
        }
    }

    /// Asks all workers to leave, one after the other.
    pub(super) async fn leave_all(&mut self) -> Result<(), Failure> {
        for worker in self.names() {
            self.leave(&worker, Departure::ForGood).await?;
        }
        Ok(())
    }

    /// Whether a worker ended although nobody asked it to, and why.
    pub(super) async fn first_failure(&mut self) -> Option<Failure> {
        let ended =
            self.members.iter().find(|(_, member)| member.running.is_finished()).map(|(name, _)| name.clone())?;
        let member = self.members.remove(&ended)?;
        let why = match member.running.await {
            Ok(Ok(report)) => format!("{report:?}"),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        Some(Failure::new(format!("{ended} ended by itself: {why}")))
    }
}

/// Waits until a worker is told to leave.
async fn told(departure: oneshot::Receiver<Departure>) -> Departure {
    departure.await.unwrap_or_default()
}
