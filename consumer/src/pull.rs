//! Shards and batches for those who own the loop.

use std::error::Error;
use std::fmt;
use std::ops::Deref;

use tokio::sync::{mpsc, oneshot};

use crate::{EndReached, ProcessorFactory, RecordProcessor, ShardBatch, ShardContext, ShardEnd};

/// The shards that this worker gets, one after the other, for a loop of your own. Made by
/// [`ConsumerBuilder::build_to_pull`](crate::ConsumerBuilder::build_to_pull).
///
/// The same contract holds as for a [`RecordProcessor`]: a batch that is not committed comes again, and moves wait for the batch in
/// hand.
///
/// ```
/// # use std::sync::Arc;
/// # use consumer::Consumer;
/// # use kinesis_testing::{Clock, Kinesis, Limits, ModelSource, PutEntry};
/// # use lease_core::MemoryStore;
/// # use stream_types::Name;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let kinesis = Kinesis::new(Clock::system(), Limits::of_the_service());
/// # kinesis.create_stream("orders", 1)?;
/// # kinesis.put_record("orders", PutEntry { partition_key: "k".into(), explicit_hash_key: None, data: "hello".into() })?;
/// # let source = Arc::new(ModelSource::new(kinesis, Name::new("orders")?));
/// # let store = Arc::new(MemoryStore::new(Name::new("billing")?));
/// let (consumer, mut shards) = Consumer::builder(store, source).build_to_pull()?;
/// let running = tokio::spawn(consumer.run_until(std::future::pending::<()>()));
/// while let Some(mut shard) = shards.next_shard().await {
///     // Usually a task for each shard.
///     while let Some(batch) = shard.next_batch().await {
///         println!("{}: {} records", batch.shard().key(), batch.records().len());
///         batch.commit();
/// #       running.abort();
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PulledShards {
    shards: mpsc::Receiver<PulledShard>,
}

/// One shard, from the moment this worker gets it until it loses, hands over or finishes it.
#[derive(Debug)]
pub struct PulledShard {
    context: ShardContext,
    asks: mpsc::Sender<Ask>,
}

/// Somebody waits for the shard's next batch. Batches are handed over when they are asked for, so that none lies about
/// that a move would have to wait for.
type Ask = oneshot::Sender<PulledBatch>;

/// A batch that waits to be committed. One that is dropped comes again.
#[must_use = "a batch that is not committed comes again"]
pub struct PulledBatch {
    batch: ShardBatch,
    outcome: oneshot::Sender<Result<(), BoxError>>,
}

type BoxError = Box<dyn Error + Send + Sync>;

/// Nobody has committed a batch. That says nothing against its records: it comes again, whatever the failure policy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotCommitted {
    #[error("the batch was dropped without a commit")]
    Dropped,
    #[error("nobody pulls shards any more: end the consumer when you stop pulling")]
    NobodyThere,
    #[error("nobody has asked for the batch before the shard was to be drained")]
    NotAskedFor,
}

impl PulledShards {
    /// The next shard of this worker that has records; nothing once the consumer has ended. A shard that was dropped comes again.
    pub async fn next_shard(&mut self) -> Option<PulledShard> {
        self.shards.recv().await
    }
}

impl PulledShard {
    /// The shard.
    #[must_use]
    pub const fn shard(&self) -> &ShardContext {
        &self.context
    }

    /// The next batch. Nothing once the shard is handed over, lost, or read to its end. Dropping this future loses no batch.
    pub async fn next_batch(&mut self) -> Option<PulledBatch> {
        loop {
            let (ask, batch) = oneshot::channel();
            self.asks.send(ask).await.ok()?;
            if let Ok(batch) = batch.await {
                return Some(batch);
            }
        }
    }
}

impl PulledBatch {
    /// The whole batch is done.
    pub fn commit(self) {
        // A shard that was lost meanwhile is processed again elsewhere.
        let _unheard = self.outcome.send(Ok(()));
    }

    /// The batch could not be processed: what happens now, the consumer's [`FailurePolicy`](crate::FailurePolicy) says.
    pub fn fail(self, error: impl Into<Box<dyn Error + Send + Sync>>) {
        let _unheard = self.outcome.send(Err(error.into()));
    }
}

impl Deref for PulledBatch {
    type Target = ShardBatch;

    fn deref(&self) -> &ShardBatch {
        &self.batch
    }
}

impl fmt::Debug for PulledBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PulledBatch").field(&self.batch).finish()
    }
}

/// Hands shards and batches to whoever pulls them.
#[derive(Debug)]
pub struct PullFactory {
    shards: mpsc::Sender<PulledShard>,
}

/// Hands the batches of one shard over.
#[derive(Debug)]
pub struct PullProcessor {
    context: ShardContext,
    shards: mpsc::Sender<PulledShard>,
    /// Absent until somebody has the shard.
    asks: Option<mpsc::Receiver<Ask>>,
}

/// How many shards may wait to be pulled.
const WAITING_SHARDS: usize = 16;

/// A factory, and where its shards come out.
pub(crate) fn pulled() -> (PullFactory, PulledShards) {
    let (sender, shards) = mpsc::channel(WAITING_SHARDS);
    (PullFactory { shards: sender }, PulledShards { shards })
}

impl ProcessorFactory for PullFactory {
    type Processor = PullProcessor;

    fn processor(&self, shard: &ShardContext) -> PullProcessor {
        PullProcessor { context: shard.clone(), shards: self.shards.clone(), asks: None }
    }
}

impl PullProcessor {
    /// Hands a batch over, and the shard before it if nobody has that.
    async fn hand_over(&mut self, mut batch: PulledBatch) -> Result<(), NotCommitted> {
        loop {
            let mut asks = match self.asks.take() {
                Some(asks) => asks,
                None => {
                    let (sender, asks) = mpsc::channel(1);
                    let shard = PulledShard { context: self.context.clone(), asks: sender };
                    self.shards.send(shard).await.map_err(|_| NotCommitted::NobodyThere)?;
                    asks
                }
            };
            // Nothing is asked where the shard was dropped: somebody else may pull it.
            if let Some(ask) = asks.recv().await {
                self.asks = Some(asks);
                match ask.send(batch) {
                    Ok(()) => return Ok(()),
                    Err(returned) => batch = returned,
                }
            }
        }
    }
}

impl RecordProcessor for PullProcessor {
    type Error = BoxError;

    async fn process(&mut self, batch: ShardBatch) -> Result<(), BoxError> {
        let (outcome, committed) = oneshot::channel();
        let drain = self.context.drain().clone();
        tokio::select! {
            biased;
            handed_over = self.hand_over(PulledBatch { batch, outcome }) => handed_over?,
            () = drain.cancelled() => return Err(NotCommitted::NotAskedFor.into()),
        }
        committed.await.map_err(|_| NotCommitted::Dropped)?
    }

    async fn shard_ended(&mut self, end: ShardEnd) -> Result<EndReached, BoxError> {
        Ok(end.reached())
    }
}
