//! One shard's task: read, process, checkpoint, until drained, stopped, or finished.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kinesis_source::{Aggregates, Batch, Reading, ShardReader, Source, SourceError};
use stream_types::{HashRange, Position, Shard};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::validity::Validity;
use crate::{Checkpoints, ProcessorFactory, RecordProcessor, ShardBatch, ShardContext, ShardEnd};

/// What a shard's task needs.
pub(crate) struct ShardTask {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) context: ShardContext,
    pub(crate) position: Position,
    pub(crate) hash_range: Option<HashRange>,
    pub(crate) aggregates: Aggregates,
    pub(crate) checkpoints: Checkpoints,
    /// Counts the records that all shards of the process have processed.
    pub(crate) processed: Arc<AtomicU64>,
    pub(crate) validity: Validity,
    pub(crate) drain: CancellationToken,
    pub(crate) stop: CancellationToken,
}

/// How a shard's task ended.
pub(crate) enum TaskEnd {
    /// As asked, with the batch in hand finished. The position is to be stored; absent if that is the user's business.
    Drained { position: Option<Position> },
    /// The shard is closed, and all of it is processed.
    Finished { children: Vec<Shard> },
    /// The shard cannot be read.
    Failed { error: SourceError },
    /// Stopped from outside.
    Lost,
}

/// A shard's task at work.
struct Running<Processor> {
    task: ShardTask,
    processor: Processor,
    /// Behind the last batch that was processed.
    done: Option<Position>,
    saved_at: Instant,
    is_saved: bool,
}

impl ShardTask {
    pub(crate) async fn run<Factory: ProcessorFactory>(self, factory: &Factory) -> TaskEnd {
        let processor = factory.processor(&self.context);
        let mut running = Running { task: self, processor, done: None, saved_at: Instant::now(), is_saved: true };
        let stop = running.task.stop.clone();
        let end = tokio::select! {
            biased;
            () = stop.cancelled() => TaskEnd::Lost,
            end = running.read_on() => end,
        };
        if matches!(end, TaskEnd::Lost) {
            running.lease_lost().await;
        }
        end
    }
}

impl<Processor: RecordProcessor> Running<Processor> {
    /// The pause before a failing processor gets its batch again, doubled with each failure up to the longest.
    const FIRST_PAUSE: Duration = Duration::from_millis(100);
    const LONGEST_PAUSE: Duration = Duration::from_secs(30);

    /// How often a task looks whether the process may deliver again, while it may not.
    const VALIDITY_PAUSE: Duration = Duration::from_millis(20);

    /// How long a processor may take to put things away once the lease is lost.
    const LOST_DEADLINE: Duration = Duration::from_secs(10);

    async fn read_on(&mut self) -> TaskEnd {
        let ShardTask { source, position, aggregates, hash_range, .. } = &self.task;
        let shard = self.task.context.shard();
        let mut reader = match source.open(shard, position).await {
            Ok(reader) => aggregates.reader(reader, shard, *hash_range, position),
            Err(error) => return TaskEnd::Failed { error },
        };
        loop {
            let Some(reading) = self.next_reading(&mut *reader).await else { return self.drained().await };
            let delivered = match reading {
                Ok(Reading::Batch(batch)) => self.deliver(batch).await,
                Ok(Reading::End { children }) => match self.end().await {
                    Delivered::Yes => return TaskEnd::Finished { children },
                    no => no,
                },
                Err(error) => return TaskEnd::Failed { error },
            };
            if matches!(delivered, Delivered::DrainedInstead) {
                return self.drained().await;
            }
            self.save_when_due().await;
        }
    }

    /// The next reading, or nothing when the shard is to be drained.
    async fn next_reading(&mut self, reader: &mut dyn ShardReader) -> Option<Result<Reading, SourceError>> {
        tokio::select! {
            biased;
            () = self.task.drain.cancelled() => None,
            reading = reader.next() => Some(reading),
        }
    }

    async fn deliver(&mut self, batch: Batch) -> Delivered {
        if batch.records.is_empty() {
            return Delivered::Yes;
        }
        let batch = ShardBatch::new(self.task.context.clone(), batch);
        let mut pause = Self::FIRST_PAUSE;
        loop {
            self.wait_until_valid().await;
            match self.processor.process(batch.clone()).await {
                Ok(()) => {
                    self.task.processed.fetch_add(batch.records().len() as u64, Ordering::Relaxed);
                    self.done = batch.end_position();
                    self.is_saved = false;
                    return Delivered::Yes;
                }
                Err(error) => {
                    if !self.tries_again_after(error.into(), &mut pause).await {
                        return Delivered::DrainedInstead;
                    }
                }
            }
        }
    }

    /// Tells the processor of the shard's end until it takes note.
    async fn end(&mut self) -> Delivered {
        let mut pause = Self::FIRST_PAUSE;
        loop {
            self.wait_until_valid().await;
            match self.processor.shard_ended(ShardEnd::new(self.task.context.clone())).await {
                Ok(_reached) => return Delivered::Yes,
                Err(error) => {
                    if !self.tries_again_after(error.into(), &mut pause).await {
                        return Delivered::DrainedInstead;
                    }
                }
            }
        }
    }

    /// Waits after a failure of the processor. Returns whether it is to try again; the other way is to be drained.
    async fn tries_again_after(&mut self, error: Box<dyn Error + Send + Sync>, pause: &mut Duration) -> bool {
        let key = self.task.context.key();
        warn!(%key, error = %error, ?pause, "the processor failed; it gets the same records again");
        let again = tokio::select! {
            biased;
            () = self.task.drain.cancelled() => false,
            () = sleep(*pause) => true,
        };
        *pause = (*pause * 2).min(Self::LONGEST_PAUSE);
        again
    }

    /// Delivers nothing while others may believe this process dead. The driver stops the task soon.
    async fn wait_until_valid(&mut self) {
        while !self.task.validity.is_valid() {
            sleep(Self::VALIDITY_PAUSE).await;
        }
    }

    async fn save_when_due(&mut self) {
        let Checkpoints::Automatic { every } = self.task.checkpoints else { return };
        let Some(position) = self.done.clone().filter(|_| !self.is_saved && self.saved_at.elapsed() >= every) else {
            return;
        };
        // Refused only when the lease is lost; then the driver stops this task.
        let _refused = self.task.context.ask_for_checkpoint(position).await;
        self.saved_at = Instant::now();
        self.is_saved = true;
    }

    async fn drained(&mut self) -> TaskEnd {
        self.processor.draining(&self.task.context).await;
        match self.task.checkpoints {
            Checkpoints::Automatic { .. } => TaskEnd::Drained { position: self.done.take() },
            Checkpoints::Manual => TaskEnd::Drained { position: None },
        }
    }

    async fn lease_lost(&mut self) {
        let key = self.task.context.key().clone();
        let told = self.processor.lease_lost(&self.task.context);
        if tokio::time::timeout(Self::LOST_DEADLINE, told).await.is_err() {
            warn!(%key, deadline = ?Self::LOST_DEADLINE, "the processor takes too long over a lost lease: it is dropped");
        }
    }
}

enum Delivered {
    Yes,
    /// The processor failed, and while it waited the shard was to be drained.
    DrainedInstead,
}
