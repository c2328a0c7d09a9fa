//! Carrying out the worker's questions to the store and the stream.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use kinesis_source::{Source, SourceError, SourceErrorKind};
use lease_core::worker::{Command, Event};
use lease_core::{
    Beat, Epoch, Lease, LeaseKey, LeaseStore, Outcome, StoreError, StoreErrorKind, StoreOperation, WorkerRow,
};
use stream_types::{Name, Shard, Timestamp};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tracing::{debug, error, warn};

use crate::delivery::panic_message;

/// The calls under way. Each ends with exactly one event, or with none where nobody waits for an answer.
#[derive(Debug)]
pub(crate) struct Calls {
    store: Arc<dyn LeaseStore>,
    timeout: Duration,
    /// Bounds the writes under way. Heartbeats and lists do not queue behind them.
    writes: Arc<Semaphore>,
    running: JoinSet<Ended>,
    signs: Arc<Signs>,
    /// How many failures the worker has been told of.
    failures_told: u64,
    /// The last heartbeat's error, if the store refused it.
    refusal: Arc<Mutex<Option<StoreError>>>,
}

impl Calls {
    pub(crate) fn new(store: Arc<dyn LeaseStore>, timeout: Duration, concurrent_writes: usize) -> Self {
        let writes = Arc::new(Semaphore::new(concurrent_writes.min(Semaphore::MAX_PERMITS)));
        let (running, signs, refusal) = (JoinSet::new(), Arc::default(), Arc::default());
        Self { store, timeout, writes, running, signs, failures_told: 0, refusal }
    }

    /// The next call that has ended; waits for ever while none is under way.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        match self.running.join_next().await {
            // Calls catch their panics, and none is aborted but with its owner.
            Some(ended) => {
                let Ended { event, has_failed } = ended.ok()?;
                self.failures_told += u64::from(has_failed);
                event
            }
            None => std::future::pending().await,
        }
    }

    fn bounds(&self) -> Bounds {
        Bounds { timeout: self.timeout, failures_told: self.failures_told, signs: Arc::clone(&self.signs) }
    }

    fn beat(&mut self, row: WorkerRow) -> AbortHandle {
        let (bounds, refusal) = (self.bounds(), Arc::clone(&self.refusal));
        let store = Arc::clone(&self.store);
        self.running.spawn(async move {
            let operation = StoreOperation::Heartbeat;
            let beat = bounds.within(StoreErrorKind::Ambiguous, operation, store.heartbeat(&row)).await;
            if matches!(beat, Ok(Beat::Written { epoch_floor, .. }) if epoch_floor > Epoch::NEVER_OWNED) {
                bounds.signs.tells_floor.store(true, Ordering::Relaxed);
            }
            Ended::by(beat, |beat| {
                Event::HeartbeatAnswered(beat.map_err(|failure| {
                    let kind = failure.kind();
                    *refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
                    kind
                }))
            })
        })
    }

    /// Starts a call for a command to the store.
    pub(crate) fn start(&mut self, command: Command) {
        let (store, bounds, writes) = (Arc::clone(&self.store), self.bounds(), Arc::clone(&self.writes));
        match command {
            Command::Heartbeat(row) => self.beat(row),
            Command::ListLeases => self.running.spawn(async move {
                let leases = bounds.within(StoreErrorKind::Unavailable, StoreOperation::List, store.list()).await;
                Ended::by(leases, |leases| Event::LeasesListed(leases.map_err(|failure| failure.kind())))
            }),
            Command::Put { expected, next } => self.running.spawn(async move {
                let _permit = writes.acquire().await;
                // The worker asks which epochs may be given out, and sends another one.
                if expected.changes_epoch(&next) && bounds.have_failed() {
                    debug!(key = %next.key, "not written: another call has failed since the worker wanted it");
                    let (key, answer) = (next.key, Err(StoreErrorKind::Unavailable));
                    return Ended::unsent(Event::PutAnswered { key, answer });
                }
                let answer =
                    bounds.within(StoreErrorKind::Ambiguous, StoreOperation::Put, store.put(expected, &next)).await;
                debug!(key = %next.key, change = next.last_change.as_str(), version = %next.version, ?answer, "wrote");
                let key = next.key;
                Ended::by(answer, |answer| Event::PutAnswered { key, answer: answer.map_err(|failure| failure.kind()) })
            }),
            Command::Delete(lease) => self.running.spawn(async move {
                let _permit = writes.acquire().await;
                let answer =
                    bounds.within(StoreErrorKind::Ambiguous, StoreOperation::Delete, store.delete(&lease)).await;
                let key = lease.key;
                let told = |failure: StoreError| failure.kind();
                Ended::by(answer, |answer| Event::DeleteAnswered { key, answer: answer.map_err(told) })
            }),
            Command::Forget(row) => self.running.spawn(async move {
                let _permit = writes.acquire().await;
                // Nothing depends on it: the row of a worker that is gone does no harm.
                let answer = bounds.within(StoreErrorKind::Ambiguous, StoreOperation::Forget, store.forget(&row)).await;
                let has_failed = is_sign(&answer);
                Ended { event: has_failed.then_some(Event::ForgetFailed), has_failed }
            }),
            Command::StartShard(_)
            | Command::DrainShard { .. }
            | Command::StopShard { .. }
            | Command::ReportCheckpoint { .. }
            | Command::LendRow { .. }
            | Command::ListShards { .. }
            | Command::DropStream { .. }
            | Command::Warn(_)
            | Command::End(_) => unreachable!("these are no calls to the store"),
        };
    }

    /// Asks a stream for its shards.
    pub(crate) fn list_shards(&mut self, stream: Name, source: Arc<dyn Source>) {
        self.running.spawn(async move {
            let listed = AssertUnwindSafe(listed_and_described(&*source)).catch_unwind().await;
            Ended::unsent(match listed {
                Ok(Ok((created, shards))) => Event::ShardsListed { stream, created, shards: Some(shards) },
                Ok(Err(error)) if error.kind() == SourceErrorKind::NotFound => {
                    error!(%stream, %error, "the stream is not found");
                    Event::StreamNotFound { stream }
                }
                Ok(Err(error)) => {
                    warn!(%stream, %error, "the shards cannot be listed now");
                    Event::ShardsListed { stream, created: None, shards: None }
                }
                Err(panic) => {
                    let panic = panic_message(&*panic);
                    error!(%stream, panic, "the source panicked while it listed the shards");
                    Event::ShardsListed { stream, created: None, shards: None }
                }
            })
        });
    }

    /// Waits for the end of the transaction that a row was lent to.
    pub(crate) fn await_loan(&mut self, key: LeaseKey, settled: oneshot::Receiver<Outcome<Lease>>) {
        self.running.spawn(async move {
            // A checkpoint that was dropped may still have been committed: nobody knows.
            let answer = settled.await.map_err(|_dropped| StoreErrorKind::Ambiguous);
            Ended::unsent(Event::PutAnswered { key, answer })
        });
    }

    /// Why the store refused the last heartbeat, if it did.
    pub(crate) fn take_refusal(&self) -> Option<StoreError> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits for the calls that are under way, such as the last one of a worker that leaves; but no longer than one
    /// call may take.
    pub(crate) async fn finish(mut self) {
        let all_ended = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(self.timeout, all_ended).await.is_err() {
            debug!("calls that nobody waits for any more are given up");
        }
    }
}

/// The shards of a stream, and when it was created. Asked in this order, the shards of a stream never go with the creation of
/// an earlier one.
async fn listed_and_described(source: &dyn Source) -> Result<(Option<Timestamp>, Vec<Shard>), SourceError> {
    let shards = source.list_shards().await?;
    Ok((source.describe().await?.created, shards))
}

/// What the calls have shown of the store.
#[derive(Debug, Default)]
struct Signs {
    /// It says which epochs may be given out: it may lose its newest rows.
    tells_floor: AtomicBool,
    /// How many calls have failed. Each may have met a store that started again.
    failures: AtomicU64,
}

/// How a call ended.
#[derive(Debug)]
struct Ended {
    event: Option<Event>,
    /// It is among the failures.
    has_failed: bool,
}

impl Ended {
    fn by<Answer>(answer: Result<Answer, StoreError>, told: impl FnOnce(Result<Answer, StoreError>) -> Event) -> Self {
        let has_failed = is_sign(&answer);
        Self { event: Some(told(answer)), has_failed }
    }

    /// No call to the store was made.
    const fn unsent(event: Event) -> Self {
        Self { event: Some(event), has_failed: false }
    }
}

/// Whether a call has failed so that the store may have started again.
fn is_sign<Answer>(answer: &Result<Answer, StoreError>) -> bool {
    answer.as_ref().is_err_and(StoreError::is_retryable)
}

/// How long a call may take, and what the worker knew when it wanted it.
#[derive(Debug)]
struct Bounds {
    timeout: Duration,
    signs: Arc<Signs>,
    failures_told: u64,
}

impl Bounds {
    /// Whether a call has failed of which the worker did not know when it wanted this one, at a store that may lose its newest rows.
    fn have_failed(&self) -> bool {
        let Signs { tells_floor, failures } = &*self.signs;
        tells_floor.load(Ordering::Relaxed) && failures.load(Ordering::Relaxed) != self.failures_told
    }

    /// Bounds a call in time, and logs what went wrong.
    ///
    /// The worker waits for the answer to each of its commands. So a store that panics is one that did not answer.
    async fn within<Answer>(
        &self,
        kind_when_late: StoreErrorKind,
        operation: StoreOperation,
        call: impl Future<Output = Result<Answer, StoreError>>,
    ) -> Result<Answer, StoreError> {
        let (timeout, caught) = (self.timeout, AssertUnwindSafe(call).catch_unwind());
        let failure = match tokio::time::timeout(timeout, caught).await {
            Ok(Ok(Ok(answer))) => return Ok(answer),
            Ok(Ok(Err(failure))) => failure,
            Ok(Err(panic)) => {
                StoreError::new(kind_when_late, operation, format!("the store panicked: {}", panic_message(&*panic)))
            }
            Err(_late) => StoreError::new(kind_when_late, operation, format!("there was no answer within {timeout:?}")),
        };
        if failure.is_retryable() {
            self.signs.failures.fetch_add(1, Ordering::Relaxed);
            warn!("{failure}");
        } else {
            error!("{failure}");
        }
        Err(failure)
    }
}
