//! Many partition keys of a shard at once, each in order.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;
use kinesis_source::Record;
use stream_types::RecordPosition;

use crate::{CheckpointError, EndReached, ProcessorFactory, RecordProcessor, ShardBatch, ShardContext, ShardEnd};

/// Processes single records, those of one partition key in order and up to so many keys of a shard at the same time.
///
/// A key whose record fails stops there; the others go on to the end of the batch. When the batch comes again, only what was not
/// done is: what was is remembered, and everything up to the first record that is not done is checkpointed at once, so
/// that a crash meanwhile repeats little.
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
        let function = &self.function;
        let running = lanes.into_values().map(|records| lane(Arc::clone(function), records));
        let mut ended = stream::iter(running).buffer_unordered(self.lanes.get());
        let mut first_failure = None;
        while let Some((done, failure)) = ended.next().await {
            self.done.extend(done);
            first_failure = first_failure.or(failure);
        }
        drop(ended);
        match first_failure {
            None => {
                for record in batch.records() {
                    self.done.remove(&record.position());
                }
                Ok(())
            }
            Some(failure) => {
                self.store_what_is_done(&batch).await?;
                Err(failure)
            }
        }
    }

    async fn shard_ended(&mut self, end: ShardEnd) -> Result<EndReached, Self::Error> {
        Ok(end.reached())
    }
}

impl<Function> ByKeyProcessor<Function> {
    /// Checkpoints up to the first record that is not done.
    async fn store_what_is_done(&self, batch: &ShardBatch) -> Result<(), CheckpointError> {
        let done = batch.records().iter().take_while(|record| self.done.contains(&record.position()));
        let Some(last) = done.last() else { return Ok(()) };
        match batch.shard().checkpoint(last).await {
            // An earlier try has stored as much.
            Ok(()) | Err(CheckpointError::Backwards { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The records of one key, in order, up to the first that fails. Returns what is done, and the failure.
async fn lane<Function, Answer, Failure>(
    function: Arc<Function>,
    records: Vec<Record>,
) -> (Vec<RecordPosition>, Option<Box<dyn Error + Send + Sync>>)
where
    Function: Fn(Record) -> Answer,
    Answer: Future<Output = Result<(), Failure>>,
    Failure: Into<Box<dyn Error + Send + Sync>>,
{
    let mut done = Vec::with_capacity(records.len());
    for record in records {
        let position = record.position();
        if let Err(failure) = function(record).await {
            return (done, Some(failure.into()));
        }
        done.push(position);
    }
    (done, None)
}
