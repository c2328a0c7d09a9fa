//! What users write.

use std::error::Error;

use crate::{ShardBatch, ShardContext};

/// Processes the records of one shard, from the moment this worker gets the shard until it loses or finishes it.
///
/// ```
/// use consumer::{EndReached, RecordProcessor, ShardBatch, ShardEnd};
///
/// struct Counter {
///     records: u64,
/// }
///
/// impl RecordProcessor for Counter {
///     type Error = std::io::Error;
///
///     async fn process(&mut self, batch: ShardBatch) -> Result<(), Self::Error> {
///         self.records += batch.records().len() as u64;
///         Ok(())
///     }
///
///     async fn shard_ended(&mut self, end: ShardEnd) -> Result<EndReached, Self::Error> {
///         println!("{}: {} records in all", end.shard().key(), self.records);
///         Ok(end.reached())
///     }
/// }
/// ```
///
/// That the end was dealt with cannot be forgotten; this does not compile:
///
/// ```compile_fail,E0308
/// # use consumer::{EndReached, RecordProcessor, ShardBatch, ShardEnd};
/// # struct Counter;
/// # impl RecordProcessor for Counter {
/// #     type Error = std::io::Error;
/// #     async fn process(&mut self, _batch: ShardBatch) -> Result<(), Self::Error> { Ok(()) }
///     async fn shard_ended(&mut self, _end: ShardEnd) -> Result<EndReached, Self::Error> {
///         Ok(())
///     }
/// # }
/// ```
///
/// A future of the processor is dropped at its next `await` when the lease is lost meanwhile.
pub trait RecordProcessor: Send + 'static {
    /// What can go wrong.
    type Error: Into<Box<dyn Error + Send + Sync>> + Send;

    /// Processes a batch. After an error the same batch comes again, after a pause.
    fn process(&mut self, batch: ShardBatch) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The shard is closed, and all of its records were processed.
    ///
    /// Returns the proof that its end may be stored, after which the shard's children are read. Only
    /// [`ShardEnd::reached`] makes one, so that it cannot be forgotten. After an error the end comes again.
    fn shard_ended(&mut self, end: ShardEnd) -> impl Future<Output = Result<EndReached, Self::Error>> + Send;

    /// The shard goes to another worker once this returns. The last chance for a checkpoint if checkpoints are manual;
    /// automatic ones are stored without it.
    fn draining(&mut self, shard: &ShardContext) -> impl Future<Output = ()> + Send {
        let _ = shard;
        async {}
    }

    /// The lease is lost: another worker may already read the shard. Nothing can be stored any more.
    fn lease_lost(&mut self, shard: &ShardContext) -> impl Future<Output = ()> + Send {
        let _ = shard;
        async {}
    }
}

/// Makes a processor for each shard that this worker gets.
///
/// Every function from a shard to a processor is one.
pub trait ProcessorFactory: Send + Sync + 'static {
    /// What it makes.
    type Processor: RecordProcessor;

    /// A processor for that shard.
    fn processor(&self, shard: &ShardContext) -> Self::Processor;
}

impl<Make, Processor> ProcessorFactory for Make
where
    Make: Fn(&ShardContext) -> Processor + Send + Sync + 'static,
    Processor: RecordProcessor,
{
    type Processor = Processor;

    fn processor(&self, shard: &ShardContext) -> Processor {
        self(shard)
    }
}

/// The end of a shard.
#[derive(Debug)]
pub struct ShardEnd {
    context: ShardContext,
}

impl ShardEnd {
    pub(crate) const fn new(context: ShardContext) -> Self {
        Self { context }
    }

    /// The shard that has ended.
    #[must_use]
    pub const fn shard(&self) -> &ShardContext {
        &self.context
    }

    /// All records of the shard are done: its end may be stored.
    #[must_use]
    pub fn reached(self) -> EndReached {
        EndReached { _private: () }
    }
}

/// The proof that a processor has dealt with the end of its shard.
#[derive(Debug)]
pub struct EndReached {
    _private: (),
}
