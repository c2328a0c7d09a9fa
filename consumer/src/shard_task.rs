//! One shard's task: read, process, checkpoint, until drained, stopped, or finished.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use kinesis_source::{ByteBudget, Reading, ShardReader, Source, SourceError};
use stream_types::{HashRange, Position, Shard};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::delivery::{Delivered, Delivery};
use crate::validity::Validity;
use crate::vitals::Vitals;
use crate::{Checkpoints, ConsumerSettings, FailurePolicy, ProcessorFactory, ShardContext};

/// What a shard's task needs.
pub(crate) struct ShardTask {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) settings: Arc<ConsumerSettings>,
    pub(crate) policy: FailurePolicy,
    pub(crate) context: ShardContext,
    pub(crate) position: Position,
    pub(crate) hash_range: Option<HashRange>,
    pub(crate) budget: ByteBudget,
    pub(crate) vitals: Vitals,
    pub(crate) validity: Validity,
    pub(crate) stop: CancellationToken,
    /// The time for leaving runs out: what is not drained yet is not waited for.
    pub(crate) cut_short: CancellationToken,
}

/// How a shard's task ended.
pub(crate) enum TaskEnd {
    /// As asked, with the batch in hand finished. The position is to be stored; absent if that is the user's business.
    Drained { position: Option<Position> },
    /// As asked, but the batch in hand took too long and was dropped.
    CutShort { position: Option<Position> },
    /// The processor failed too often.
    Stopped { position: Option<Position> },
    /// The shard is closed, and all of it is processed.
    Finished { children: Vec<Shard> },
    /// The shard cannot be read.
    Failed { error: SourceError, position: Option<Position> },
    /// Neither the user's code nor the source may panic, but where one did, what was done before is done.
    Panicked { panic: Box<dyn Any + Send>, position: Option<Position> },
    /// Stopped from outside.
    Lost,
}

/// A shard's task at work.
struct Running<Factory: ProcessorFactory> {
    task: ShardTask,
    delivery: Delivery<Factory>,
    saved_at: Instant,
    saved: Option<Position>,
}

impl ShardTask {
    pub(crate) async fn run<Factory: ProcessorFactory>(self, factory: Arc<Factory>) -> TaskEnd {
        let (validity, vitals) = (self.validity.clone(), self.vitals.clone());
        let delivery = Delivery::new(factory, self.context.clone(), self.policy.clone(), validity, vitals);
        let (stop, drain, cut_short) = (self.stop.clone(), self.context.drain().clone(), self.cut_short.clone());
        let deadline = self.settings.drain_deadline;
        let mut running = Running { task: self, delivery, saved_at: Instant::now(), saved: None };
        let overdue = async {
            drain.cancelled().await;
            tokio::select! {
                biased;
                () = cut_short.cancelled() => {}
                () = sleep(deadline) => {}
            }
        };
        let end = tokio::select! {
            biased;
            () = stop.cancelled() => TaskEnd::Lost,
            end = AssertUnwindSafe(running.read_on()).catch_unwind() => match end {
                Ok(end) => end,
                Err(panic) => TaskEnd::Panicked { panic, position: running.position() },
            },
            () = overdue => TaskEnd::CutShort { position: running.position() },
        };
        match end {
            TaskEnd::Lost => running.delivery.lease_lost().await,
            TaskEnd::CutShort { .. } => {
                let key = running.task.context.key();
                warn!(%key, "draining takes too long: the batch in hand is dropped, and comes again elsewhere");
            }
            _ => {}
        }
        end
    }
}

impl<Factory: ProcessorFactory> Running<Factory> {
    async fn read_on(&mut self) -> TaskEnd {
        let ShardTask { source, position, settings, hash_range, .. } = &self.task;
        let shard = self.task.context.shard();
        let mut reader = match source.open(shard, position, &self.task.budget).await {
            Ok(reader) => settings.aggregates.reader(reader, shard, *hash_range, position),
            Err(error) => return TaskEnd::Failed { error, position: None },
        };
        loop {
            let Some(reading) = self.next_reading(&mut *reader).await else { return self.drained().await };
            let delivered = match reading {
                Ok(Reading::Batch(batch)) => {
                    self.task.vitals.has_read(batch.behind_latest);
                    self.delivery.batch(batch).await
                }
                Ok(Reading::Gap(gap)) => {
                    error!(key = %self.task.context.key(), "{gap}");
                    self.task.vitals.has_gap();
                    continue;
                }
                Ok(Reading::End { children }) => match self.delivery.end().await {
                    Delivered::Yes => {
                        // The lease is finished only once all children have leases, which may take longer than the process lives.
                        self.save_after(Duration::ZERO).await;
                        return TaskEnd::Finished { children };
                    }
                    no => no,
                },
                Err(error) => return TaskEnd::Failed { error, position: self.position() },
            };
            match delivered {
                Delivered::Yes => self.save_when_due().await,
                Delivered::DrainedInstead => return self.drained().await,
                Delivered::Stopped => return TaskEnd::Stopped { position: self.position() },
            }
        }
    }

    /// The next reading, or nothing when the shard is to be drained.
    async fn next_reading(&mut self, reader: &mut dyn ShardReader) -> Option<Result<Reading, SourceError>> {
        tokio::select! {
            biased;
            () = self.task.context.drain().cancelled() => None,
            reading = reader.next() => Some(reading),
        }
    }

    async fn save_when_due(&mut self) {
        if let Checkpoints::Automatic { every } = self.task.settings.checkpoints {
            self.save_after(every).await;
        }
    }

    /// Asks for a checkpoint of what is done since the last one, unless that is younger. Manual ones are the processor's business.
    async fn save_after(&mut self, every: Duration) {
        if self.task.settings.checkpoints == Checkpoints::Manual {
            return;
        }
        let done = &self.delivery.done;
        let Some(position) = done.clone().filter(|_| *done != self.saved && self.saved_at.elapsed() >= every) else {
            return;
        };
        // Refused only when the lease is lost; then the driver stops this task.
        let _refused = self.task.context.ask_for_checkpoint(position.clone()).await;
        self.saved_at = Instant::now();
        self.saved = Some(position);
    }

    async fn drained(&mut self) -> TaskEnd {
        self.delivery.draining().await;
        TaskEnd::Drained { position: self.position() }
    }

    /// Up to where all is done, as far as that is not the user's business.
    fn position(&self) -> Option<Position> {
        match self.task.settings.checkpoints {
            Checkpoints::Automatic { .. } => self.delivery.done.clone(),
            Checkpoints::Manual => None,
        }
    }
}
