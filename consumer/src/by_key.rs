//! Many partition keys of a shard at once, each in order.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use kinesis_source::Record;
use stream_types::{Position, RecordPosition};
use tokio::time::Instant;

use crate::deadline::sleep_until_some;
use crate::{
    CheckpointError, Checkpoints, EndReached, ProcessorFactory, RecordProcessor, ShardBatch, ShardContext, ShardEnd,
};

/// Processes single records, those of one partition key in order and up to so many keys of a shard at the same time.
///
/// A key whose record fails stops there; the others go on to the end of the batch. When the batch comes again, only what was not
/// done is: what was is remembered.
///
/// Everything up to the first record that is not done is checkpointed while the batch is under way, as often as
/// [`Checkpoints::Automatic`] says, but once a second at most, and at once when a record has failed: so that a crash repeats
/// little, though one record takes long. As the function cannot checkpoint by itself, [`Checkpoints::Manual`] means for it:
/// every 5 s, and after each batch.
///
/// ```
/// use std::num::NonZeroUsize;
/// use consumer::each_record_by_key;
///
/// const LANES: NonZeroUsize = NonZeroUsize::new(16).unwrap();
/// let process = each_record_by_key(LANES, async |record| {
///     println!("{}: {} bytes", record.partition_key, record.data.len());
///     Ok::<(), std::io::Error>(())
/// });
/// ```
pub fn each_record_by_key<Function, Answer, Failure>(lanes: NonZeroUsize, function: Function) -> ByKey<Function>
where
    Function: Fn(Record) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<(), Failure>> + Send + 'static,
    Failure: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
{
    ByKey { lanes, function: Arc::new(function) }
}

/// What [`each_record_by_key`] makes: it makes the processor of every shard.
pub struct ByKey<Function> {
    lanes: NonZeroUsize,
    function: Arc<Function>,
}

impl<Function> fmt::Debug for ByKey<Function> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByKey").field("lanes", &self.lanes).finish_non_exhaustive()
    }
}

/// The processor of one shard.
pub struct ByKeyProcessor<Function> {
    lanes: NonZeroUsize,
    function: Arc<Function>,
    /// What is done of a batch that comes again.
    done: BTreeSet<RecordPosition>,
}

impl<Function> fmt::Debug for ByKeyProcessor<Function> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByKeyProcessor")
            .field("lanes", &self.lanes)
            .field("done", &self.done.len())
            .finish_non_exhaustive()
    }
}

impl<Function, Answer, Failure> ProcessorFactory for ByKey<Function>
where
    Function: Fn(Record) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<(), Failure>> + Send + 'static,
    Failure: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
{
    type Processor = ByKeyProcessor<Function>;

    fn processor(&self, _shard: &ShardContext) -> Self::Processor {
        ByKeyProcessor { lanes: self.lanes, function: Arc::clone(&self.function), done: BTreeSet::new() }
    }
}

impl<Function, Answer, Failure> RecordProcessor for ByKeyProcessor<Function>
where
    Function: Fn(Record) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<(), Failure>> + Send + 'static,
    Failure: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
{
    type Error = Box<dyn Error + Send + Sync>;

    async fn process(&mut self, batch: ShardBatch) -> Result<(), Self::Error> {
        let mut lanes = BTreeMap::<Arc<str>, Vec<Record>>::new();
        for record in batch.records().iter().filter(|record| !self.done.contains(&record.position())) {
            lanes.entry(Arc::clone(&record.partition_key)).or_default().push(record.clone());
        }
        let lanes = lanes.into_values().map(|records| lane(Arc::clone(&self.function), records));
        let mut steps = stream::iter(lanes).flatten_unordered(self.lanes.get());
        let (mut front, mut stored_at) = (Front::of(&batch, &self.done), Instant::now());
        let mut first_failure = None;
        loop {
            let due = stored_at.checked_add(interval(&batch)).filter(|_| front.is_unstored());
            // Also where the function never waits, and so the timer below gets no turn.
            if due.is_some_and(|due| due <= Instant::now()) {
                front.store().await?;
                stored_at = Instant::now();
                continue;
            }
            tokio::select! {
                biased;
                step = steps.next() => match step {
                    Some(Ok(done)) => {
                        self.done.insert(done);
                        front.advance(&self.done);
                    }
                    Some(Err(failure)) => {
                        first_failure = first_failure.or(Some(failure));
                        front.store().await?;
                    }
                    None => break,
                },
                () = sleep_until_some(due) => {}
            }
        }
        if let Some(failure) = first_failure {
            front.store().await?;
            return Err(failure);
        }
        if batch.shard().checkpoints() == Checkpoints::Manual {
            batch.checkpoint().await?;
        }
        for record in batch.records() {
            self.done.remove(&record.position());
        }
        Ok(())
    }

    async fn shard_ended(&mut self, end: ShardEnd) -> Result<EndReached, Self::Error> {
        Ok(end.reached())
    }
}

/// How often what is done of a batch is stored while it is under way.
fn interval(batch: &ShardBatch) -> Duration {
    match batch.shard().checkpoints() {
        Checkpoints::Automatic { every } => every.max(Duration::from_secs(1)),
        Checkpoints::Manual => Duration::from_secs(5),
    }
}

/// How far a batch is done without a gap.
struct Front<'batch> {
    batch: &'batch ShardBatch,
    done: usize,
    stored: usize,
}

impl<'batch> Front<'batch> {
    fn of(batch: &'batch ShardBatch, done: &BTreeSet<RecordPosition>) -> Self {
        let mut front = Self { batch, done: 0, stored: 0 };
        front.advance(done);
        // An earlier try has stored as much.
        front.stored = front.done;
        front
    }

    fn advance(&mut self, done: &BTreeSet<RecordPosition>) {
        let next = &self.batch.records()[self.done..];
        self.done += next.iter().take_while(|record| done.contains(&record.position())).count();
    }

    const fn is_unstored(&self) -> bool {
        self.stored < self.done
    }

    /// Asks for a checkpoint, and does not wait for it.
    async fn store(&mut self) -> Result<(), CheckpointError> {
        if self.is_unstored() {
            let last = self.batch.records()[self.done - 1].position();
            self.batch.shard().ask_for_checkpoint(Position::After(last)).await?;
            self.stored = self.done;
        }
        Ok(())
    }
}

/// The records of one key, in order, up to the first that fails: what is done, then perhaps a failure.
fn lane<Function, Answer, Failure>(
    function: Arc<Function>,
    records: Vec<Record>,
) -> BoxStream<'static, Result<RecordPosition, Box<dyn Error + Send + Sync>>>
where
    Function: Fn(Record) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<(), Failure>> + Send + 'static,
    Failure: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
{
    let steps = stream::try_unfold(records.into_iter(), move |mut records| {
        let function = Arc::clone(&function);
        async move {
            let Some(record) = records.next() else { return Ok(None) };
            let position = record.position();
            function(record).await.map_err(Into::into)?;
            Ok(Some((position, records)))
        }
    });
    steps.boxed()
}
