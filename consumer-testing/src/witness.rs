//! Between a consumer and the processors of a test: notes what happens.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use consumer::{EndReached, ProcessorFactory, RecordProcessor, ShardBatch, ShardContext, ShardEnd};
use kinesis_testing::Ledger;
use lease_core::{Epoch, LeaseKey};
use stream_types::ShardId;

/// Processors that do nothing: their records are only counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct OnlyCounted;

impl ProcessorFactory for OnlyCounted {
    type Processor = Self;

    fn processor(&self, _shard: &ShardContext) -> Self {
        Self
    }
}

impl RecordProcessor for OnlyCounted {
    type Error = Infallible;

    async fn process(&mut self, _batch: ShardBatch) -> Result<(), Infallible> {
        Ok(())
    }

    async fn shard_ended(&mut self, end: ShardEnd) -> Result<EndReached, Infallible> {
        Ok(end.reached())
    }
}

/// What happened to a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Begun,
    Ended,
    /// The lease was lost.
    Lost,
}

/// Who reads what, and what happened before. Clones share their pages.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notebook(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    readers: BTreeMap<LeaseKey, (String, Epoch)>,
    /// In the order in which it happened.
    history: Vec<(Turn, ShardId, String)>,
}

impl Notebook {
    /// The pages stay readable when a test has failed in the middle of a line.
    fn with<Answer>(&self, act: impl FnOnce(&mut Pages) -> Answer) -> Answer {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn readers(&self) -> BTreeMap<LeaseKey, (String, Epoch)> {
        self.with(|pages| pages.readers.clone())
    }

    pub(crate) fn history(&self) -> Vec<(Turn, ShardId, String)> {
        self.with(|pages| pages.history.clone())
    }
}

/// Makes a witness for each processor of a worker.
pub(crate) struct Witnesses<Factory> {
    pub(crate) worker: String,
    pub(crate) factory: Arc<Factory>,
    pub(crate) ledger: Ledger,
    pub(crate) notebook: Notebook,
}

impl<Factory: ProcessorFactory> ProcessorFactory for Witnesses<Factory> {
    type Processor = Witness<Factory::Processor>;

    fn processor(&self, shard: &ShardContext) -> Self::Processor {
        let reader = (self.worker.clone(), shard.fencing_token());
        self.notebook.with(|pages| pages.readers.insert(shard.key().clone(), reader));
        let witness = Witness {
            worker: self.worker.clone(),
            shard: shard.clone(),
            processor: self.factory.processor(shard),
            ledger: self.ledger.clone(),
            notebook: self.notebook.clone(),
        };
        witness.note(Turn::Begun);
        witness
    }
}

/// Lets the processor of the test do its work, and tells the ledger of each record that is done.
pub(crate) struct Witness<Processor> {
    worker: String,
    shard: ShardContext,
    processor: Processor,
    ledger: Ledger,
    notebook: Notebook,
}

impl<Processor> Witness<Processor> {
    fn note(&self, turn: Turn) {
        self.notebook.with(|pages| pages.history.push((turn, self.shard.shard().clone(), self.worker.clone())));
    }
}

impl<Processor: RecordProcessor> RecordProcessor for Witness<Processor> {
    type Error = Processor::Error;

    async fn process(&mut self, batch: ShardBatch) -> Result<(), Self::Error> {
        self.processor.process(batch.clone()).await?;
        for record in batch.records() {
            self.ledger.delivered(&self.worker, self.shard.shard(), record);
        }
        Ok(())
    }

    async fn shard_ended(&mut self, end: ShardEnd) -> Result<EndReached, Self::Error> {
        let reached = self.processor.shard_ended(end).await?;
        self.note(Turn::Ended);
        Ok(reached)
    }

    async fn draining(&mut self, shard: &ShardContext) {
        self.processor.draining(shard).await;
    }

    async fn lease_lost(&mut self, shard: &ShardContext) {
        self.note(Turn::Lost);
        self.processor.lease_lost(shard).await;
    }
}

impl<Processor> Drop for Witness<Processor> {
    fn drop(&mut self) {
        let reader = (self.worker.clone(), self.shard.fencing_token());
        self.notebook.with(|pages| {
            if pages.readers.get(self.shard.key()) == Some(&reader) {
                pages.readers.remove(self.shard.key());
            }
        });
    }
}
