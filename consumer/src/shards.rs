//! The shards that this process reads: their tasks, and the checkpoints that they wait for.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use kinesis_source::{ByteBudget, Source};
use lease_core::worker::{CheckpointError, Event, StopReason, Warning};
use lease_core::{Epoch, Expected, Lease, LeaseKey, Outcome};
use stream_types::Position;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::context::{CheckpointRequest, Reply};
use crate::deadline::sleep_until_some;
use crate::delivery::panic_message;
use crate::shard_task::{ShardTask, TaskEnd};
use crate::validity::Validity;
use crate::vitals::Vitals;
use crate::{
    ConsumerSettings, FailurePolicy, Monitor, OpenCheckpoint, ProcessorFactory, Report, ShardContext, ShardOutcome,
    ShardStatus,
};

/// All shards' tasks, owned here: none outlives it.
pub(crate) struct Shards<Factory> {
    factory: Arc<Factory>,
    policy: FailurePolicy,
    settings: Arc<ConsumerSettings>,
    monitor: Monitor,
    budget: ByteBudget,
    /// When to look next for shards without progress; absent = never.
    next_look: Option<Instant>,
    validity: Validity,
    requests: mpsc::Sender<CheckpointRequest>,
    /// The time for leaving runs out.
    cut_short: CancellationToken,
    tasks: JoinSet<Ended>,
    handles: BTreeMap<LeaseKey, Handle>,
    /// What the monitor shows of shards whose reader has failed, until another one goes on, or the lease is gone.
    failed: BTreeMap<LeaseKey, Vitals>,
    warnings: VecDeque<Warning>,
}

/// What the driver keeps of a running task.
struct Handle {
    epoch: Epoch,
    drain: CancellationToken,
    stop: CancellationToken,
    vitals: Vitals,
    waiting: Vec<Waiting>,
    /// A processor that wants to store its checkpoint itself.
    opening: Option<oneshot::Sender<Result<Option<OpenCheckpoint>, CheckpointError>>>,
}

/// A processor that waits for its checkpoint.
struct Waiting {
    position: Position,
    reply: oneshot::Sender<Result<(), CheckpointError>>,
}

/// A task that has ended, and how.
pub(crate) struct Ended {
    key: LeaseKey,
    epoch: Epoch,
    vitals: Vitals,
    end: TaskEnd,
}

impl<Factory: ProcessorFactory> Shards<Factory> {
    /// The part of the time without progress after which it is looked for.
    const LOOK_PARTS: u32 = 4;

    /// How many warnings are kept for the report.
    const KEPT_WARNINGS: usize = 1_000;

    pub(crate) fn new(
        factory: Arc<Factory>,
        policy: FailurePolicy,
        settings: ConsumerSettings,
        monitor: Monitor,
        validity: Validity,
        requests: mpsc::Sender<CheckpointRequest>,
    ) -> Self {
        Self {
            factory,
            policy,
            next_look: Some(Instant::now()),
            budget: ByteBudget::new(settings.byte_budget),
            settings: Arc::new(settings),
            monitor,
            validity,
            requests,
            cut_short: CancellationToken::new(),
            tasks: JoinSet::new(),
            handles: BTreeMap::new(),
            failed: BTreeMap::new(),
            warnings: VecDeque::new(),
        }
    }

    /// Starts to read a shard from its lease's position on.
    pub(crate) fn start(&mut self, lease: Lease, source: Arc<dyn Source>) {
        let Lease { key, epoch, position, hash_range, .. } = lease;
        info!(%key, %epoch, %position, "reading starts");
        let (drain, stop) = (CancellationToken::new(), CancellationToken::new());
        let checkpoints = self.settings.checkpoints;
        let context = ShardContext::new(key.clone(), epoch, checkpoints, drain.clone(), self.requests.clone());
        let factory = Arc::clone(&self.factory);
        let failed = self.failed.remove(&key).filter(|failed| self.goes_on(&key, failed, epoch));
        let vitals = self.monitor.begins(&key, epoch, failed);
        let task = ShardTask {
            source,
            context,
            settings: Arc::clone(&self.settings),
            policy: self.policy.clone(),
            position,
            hash_range,
            budget: self.budget.clone(),
            vitals: vitals.clone(),
            validity: self.validity.clone(),
            stop: stop.clone(),
            cut_short: self.cut_short.clone(),
        };
        let (task_key, task_epoch, task_vitals) = (key.clone(), epoch, vitals.clone());
        self.tasks.spawn(async move {
            // A panic of the user's code or of the source is a failure of its shard alone. What it may have left half
            // done is its own, and is dropped with it. Here it comes from where nothing was done yet, or no longer is.
            let end = AssertUnwindSafe(task.run(factory)).catch_unwind().await;
            let end = end.unwrap_or_else(|panic| TaskEnd::Panicked { panic, position: None });
            Ended { key: task_key, epoch: task_epoch, vitals, end }
        });
        self.handles
            .insert(key, Handle { epoch, drain, stop, vitals: task_vitals, waiting: Vec::new(), opening: None });
    }

    fn handle(&mut self, key: &LeaseKey, epoch: Epoch) -> Option<&mut Handle> {
        self.handles.get_mut(key).filter(|handle| handle.epoch == epoch)
    }

    pub(crate) fn drain(&mut self, key: &LeaseKey, epoch: Epoch) {
        if let Some(handle) = self.handle(key, epoch) {
            handle.drain.cancel();
        }
    }

    pub(crate) fn stop(&mut self, key: &LeaseKey, epoch: Epoch, reason: StopReason) {
        if let Some(handle) = self.handle(key, epoch) {
            info!(%key, %epoch, ?reason, "reading stops at once");
            handle.stop.cancel();
            let why = match reason {
                StopReason::HeartbeatLate => CheckpointError::StoreUnavailable,
                StopReason::LeaseLost | StopReason::WorkerEnded => CheckpointError::LeaseLost,
            };
            // Their tasks are about to be stopped, but processors may have tasks of their own.
            for waiting in handle.waiting.drain(..) {
                let _unheard = waiting.reply.send(Err(why.clone()));
            }
            if let Some(opening) = handle.opening.take() {
                let _unheard = opening.send(Err(why));
            }
        }
    }

    /// The time for leaving runs out: what is not drained yet is handed over from what is done.
    pub(crate) fn cut_short(&mut self) {
        self.cut_short.cancel();
    }

    /// Closes the books of shards whose reader has failed, and whose lease is no longer here.
    pub(crate) fn settle_failed(&mut self, holds: impl Fn(&LeaseKey, Epoch) -> bool) {
        for (key, vitals) in self.failed.extract_if(.., |key, vitals| !holds(key, vitals.epoch())) {
            self.monitor.ended(&key, &vitals, ShardOutcome::Failed);
        }
    }

    /// Keeps a warning for the report.
    pub(crate) fn warn(&mut self, warning: Warning) {
        if self.warnings.len() == Self::KEPT_WARNINGS {
            self.warnings.pop_front();
        }
        self.warnings.push_back(warning);
    }

    /// A processor waits for a checkpoint that the worker is about to be asked for.
    pub(crate) fn expect_checkpoint(&mut self, request: CheckpointRequest) -> Event {
        let CheckpointRequest { key, epoch, position, reply } = request;
        // Without a handle the lease is gone; dropping the reply says so.
        let handle = self.handle(&key, epoch);
        match (reply, handle) {
            (Reply::Lent(reply), handle) => {
                if let Some(earlier) = handle.and_then(|handle| handle.opening.replace(reply)) {
                    let _unheard = earlier.send(Err(CheckpointError::Superseded));
                }
                return Event::RowAsked { key, epoch, position };
            }
            (Reply::Stored(reply), Some(handle)) => {
                handle.waiting.push(Waiting { position: position.clone(), reply });
            }
            (Reply::Stored(_) | Reply::Unheard, _) => {}
        }
        Event::CheckpointAsked { key, epoch, position }
    }

    /// Gives a processor the row that its own transaction is to put, or tells it why not. Returns where the end of the
    /// transaction will be told.
    pub(crate) fn lend(
        &mut self,
        key: &LeaseKey,
        epoch: Epoch,
        row: Result<Option<(Expected, Lease)>, CheckpointError>,
    ) -> Option<oneshot::Receiver<Outcome<Lease>>> {
        let opening = self.handle(key, epoch).and_then(|handle| handle.opening.take());
        let (answer, settled) = match row {
            Ok(Some((expected, next))) => {
                let (checkpoint, settled) = OpenCheckpoint::new(expected, next);
                (Ok(Some(checkpoint)), Some(settled))
            }
            Ok(None) => (Ok(None), None),
            Err(refusal) => (Err(refusal), None),
        };
        // A processor that no longer waits was stopped; the checkpoint is dropped, which says that it was not made.
        if let Some(opening) = opening {
            let _unheard = opening.send(answer);
        }
        settled
    }

    /// Tells the processors that wait for it how a checkpoint went.
    pub(crate) fn report_checkpoint(
        &mut self,
        key: &LeaseKey,
        epoch: Epoch,
        result: Result<Position, CheckpointError>,
    ) {
        let Some(handle) = self.handle(key, epoch) else { return };
        let concerned = |waiting: &mut Waiting| match &result {
            Ok(stored) => waiting.position.may_advance_to(stored),
            Err(_) => true,
        };
        for waiting in handle.waiting.extract_if(.., concerned) {
            let answer = result.clone().map(|_| ());
            // A processor that no longer waits was stopped meanwhile.
            let _unheard = waiting.reply.send(answer);
        }
    }

    /// The next task that has ended, as an event for the worker. Looks for shards without progress meanwhile.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            tokio::select! {
                biased;
                Some(ended) = self.tasks.join_next() => {
                    // Only an aborted task has no end, and none is aborted but with its owner.
                    return ended.ok().and_then(|ended| self.on_end(ended));
                }
                () = sleep_until_some(self.next_look) => self.look_for_stalls(),
            }
        }
    }

    fn look_for_stalls(&mut self) {
        let stall_after = self.settings.stall_after;
        for (key, ShardStatus { epoch, activity, since_progress, .. }) in self.monitor.new_stalls(stall_after) {
            error!(%key, %epoch, ?activity, ?since_progress, "the shard makes no progress");
        }
        self.next_look = Instant::now().checked_add(stall_after / Self::LOOK_PARTS);
    }

    fn on_end(&mut self, ended: Ended) -> Option<Event> {
        let Ended { key, epoch, vitals, end } = ended;
        if self.handles.get(&key).is_some_and(|handle| handle.epoch == epoch) {
            self.handles.remove(&key);
        }
        let shard = key.clone();
        let (outcome, event) = match end {
            TaskEnd::Drained { position } => {
                (ShardOutcome::Drained, Some(Event::Drained { key: shard, epoch, position }))
            }
            TaskEnd::CutShort { position } => {
                (ShardOutcome::CutShort, Some(Event::Drained { key: shard, epoch, position }))
            }
            TaskEnd::Stopped { position } => {
                (ShardOutcome::Stopped, Some(Event::ShardStopped { key: shard, epoch, position }))
            }
            TaskEnd::Finished { children } => {
                (ShardOutcome::Finished, Some(Event::ShardEnded { key: shard, epoch, children }))
            }
            TaskEnd::Failed { error, position } => {
                error!(%key, %epoch, error = &error as &dyn Error, "the shard cannot be read now");
                return Some(self.fails(key, epoch, vitals, position));
            }
            TaskEnd::Panicked { panic, position } => {
                vitals.has_failed(true);
                error!(%key, %epoch, panic = panic_message(&*panic), "the shard's task panicked");
                return Some(self.fails(key, epoch, vitals, position));
            }
            TaskEnd::Lost => (ShardOutcome::Lost, None),
        };
        self.monitor.ended(&key, &vitals, outcome);
        event
    }

    /// Whether a reader that failed has its successor under that epoch. If not, its book is closed.
    fn goes_on(&self, key: &LeaseKey, failed: &Vitals, epoch: Epoch) -> bool {
        let goes_on = failed.epoch() == epoch;
        if !goes_on {
            self.monitor.ended(key, failed, ShardOutcome::Failed);
        }
        goes_on
    }

    fn fails(&mut self, key: LeaseKey, epoch: Epoch, vitals: Vitals, position: Option<Position>) -> Event {
        vitals.has_lost_reader();
        // One that ends late may have been followed by another already.
        let newer = self.handles.get(&key).map(|handle| &handle.vitals).or_else(|| self.failed.get(&key));
        if newer.is_some_and(|newer| newer.epoch() > epoch) {
            self.monitor.ended(&key, &vitals, ShardOutcome::Failed);
        } else if let Some(older) = self.failed.insert(key.clone(), vitals) {
            self.monitor.ended(&key, &older, ShardOutcome::Failed);
        }
        Event::ShardFailed { key, epoch, position }
    }

    /// How long tasks may take to end once nothing waits for them any more.
    const FINISH_DEADLINE: Duration = Duration::from_secs(2);

    /// Ends all tasks: stops them, and drops those that do not end soon. One that blocks its thread is left behind, or
    /// it could keep the consumer from ever ending.
    pub(crate) async fn finish(mut self) -> Report {
        self.settle_failed(|_, _| false);
        for (key, handle) in std::mem::take(&mut self.handles) {
            handle.stop.cancel();
            self.monitor.ended(&key, &handle.vitals, ShardOutcome::Cancelled);
        }
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(Self::FINISH_DEADLINE, all_ended).await.is_err() {
            warn!(count = self.tasks.len(), "shards that do not stop are left behind");
            self.tasks.abort_all();
        }
        Report { warnings: self.warnings.into(), ..self.monitor.report() }
    }
}
