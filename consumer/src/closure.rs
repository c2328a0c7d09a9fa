//! A processor in one function.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::{EndReached, ProcessorFactory, RecordProcessor, ShardBatch, ShardContext, ShardEnd};

/// Processes every batch of every shard by one function.
///
/// The shards share the function, and call it at the same time.
///
/// ```
/// use consumer::each_batch;
///
/// let print = each_batch(async |batch| {
///     println!("{} records", batch.records().len());
///     Ok::<(), std::io::Error>(())
/// });
/// ```
pub fn each_batch<Function, Answer, Failure>(function: Function) -> EachBatch<Function>
where
    Function: Fn(ShardBatch) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<(), Failure>> + Send,
    Failure: Into<Box<dyn Error + Send + Sync>> + Send,
{
    EachBatch { function: Arc::new(function) }
}

/// What [`each_batch`] makes: the processor of every shard, and what makes it.
pub struct EachBatch<Function> {
    function: Arc<Function>,
}

impl<Function> Clone for EachBatch<Function> {
    fn clone(&self) -> Self {
        Self { function: Arc::clone(&self.function) }
    }
}

impl<Function> fmt::Debug for EachBatch<Function> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EachBatch").finish_non_exhaustive()
    }
}

impl<Function, Answer, Failure> ProcessorFactory for EachBatch<Function>
where
    Function: Fn(ShardBatch) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<(), Failure>> + Send + 'static,
    Failure: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
{
    type Processor = Self;

    fn processor(&self, _shard: &ShardContext) -> Self {
        self.clone()
    }
}

impl<Function, Answer, Failure> RecordProcessor for EachBatch<Function>
where
    Function: Fn(ShardBatch) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<(), Failure>> + Send + 'static,
    Failure: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
{
    type Error = Failure;

    async fn process(&mut self, batch: ShardBatch) -> Result<(), Failure> {
        (self.function)(batch).await
    }

    async fn shard_ended(&mut self, end: ShardEnd) -> Result<EndReached, Failure> {
        Ok(end.reached())
    }
}
