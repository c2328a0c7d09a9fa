//! The demo's workers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use consumer::{Checkpoints, Consumer, ConsumerError, ConsumerSettings, Report, ShardContext};
use kinesis_source::{KinesisSource, PollingSettings, StreamReference};
use lease_core::LeaseStore;
use lease_core::worker::WorkerSettings;
use stream_types::{Name, Position, ShardId};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::board::{Board, WorkerState};
use super::observed_store::ObservedStore;
use super::processor::Witness;
use crate::failure::Failure;

/// How many heartbeats there are in a lease duration.
const HEARTBEATS_PER_LEASE: u32 = 10;

/// How often the demo's workers checkpoint. A crash repeats what came since.
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(500);

/// How long anything that needs no waiting may take before the demo gives up on it.
const PATIENCE: Duration = Duration::from_secs(30);

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
    board: Board,
    members: BTreeMap<String, Member>,
}

/// A running worker.
struct Member {
    leave: CancellationToken,
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
        Self { store, source, settings, board, members: BTreeMap::new() }
    }

    /// The workers that run, in order.
    pub(super) fn names(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    pub(super) fn start(&mut self, worker: &str) -> Result<(), Failure> {
        let board = self.board.clone();
        let name = worker.to_owned();
        let factory = move |shard: &ShardContext| Witness::new(name.clone(), shard.clone(), board.clone());
        let consumer = Consumer::builder(self.store.clone(), self.source.clone())
            .worker_name(Name::new(worker).map_err(|error| Failure::new(error.to_string()))?)
            .settings(self.settings.clone())
            .build(factory)
            .map_err(|error| Failure::new(error.to_string()))?;
        let leave = CancellationToken::new();
        let asked = leave.clone();
        let running = tokio::spawn(async move { consumer.run_until(asked.cancelled()).await });
        self.members.insert(worker.into(), Member { leave, running });
        self.board.set_state(worker, WorkerState::Running);
        Ok(())
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
        let checkpoints: BTreeMap<ShardId, Position> = self.board.look(|picture| {
            let owned = picture
                .leases
                .values()
                .filter(|lease| lease.owner.as_ref().is_some_and(|owner| owner.name.as_str() == worker));
            owned.map(|lease| (lease.key.shard.clone(), lease.position.clone())).collect()
        });
        self.board.ledger.crashed(worker, checkpoints);
        Ok(())
    }

    /// Asks a worker to leave, and waits until it has.
    pub(super) async fn leave(&mut self, worker: &str) -> Result<(), Failure> {
        let Some(member) = self.members.remove(worker) else { return Ok(()) };
        self.board.set_state(worker, WorkerState::Leaving);
        member.leave.cancel();
        let report = member.running.await.map_err(|error| Failure::new(format!("{worker}: {error}")))?;
        let report = report.map_err(|error| Failure::new(format!("{worker}: {error}")))?;
        self.board.set_state(worker, WorkerState::Left);
        if report.left_in_time {
            Ok(())
        } else {
            Err(Failure::new(format!("{worker} did not hand over in time: {:?}", report.shards)))
        }
    }

    /// Asks all workers to leave at once.
    pub(super) async fn leave_all(&mut self) -> Result<(), Failure> {
        for member in self.members.values() {
            member.leave.cancel();
        }
        for worker in self.names() {
            self.leave(&worker).await?;
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
