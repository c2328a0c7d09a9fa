//! Processors that show all they are given, and are as slow, or as faulty, as nature wants them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use consumer::{EndReached, ProcessorFactory, RecordProcessor, ShardBatch, ShardContext, ShardEnd};
use tokio::time::sleep;

use crate::nature::{Nature, Observation, ProcessId};
use crate::weather_store::WeatherStore;

/// What a processor panics with, so that its panics can be told from others.
#[derive(Debug)]
pub(crate) struct PlannedPanic;

/// The processors of one process.
#[derive(Debug, Clone)]
pub(crate) struct Sink {
    pub(crate) process: ProcessId,
    pub(crate) nature: Nature,
    pub(crate) store: Arc<WeatherStore>,
    pub(crate) validity: Duration,
}

impl ProcessorFactory for Sink {
    type Processor = Self;

    fn processor(&self, shard: &ShardContext) -> Self {
        let mut facts = self.nature.facts();
        facts.note(format_args!("process {} gets {} e{}", self.process, shard.key(), shard.fencing_token()));
        self.clone()
    }
}

impl RecordProcessor for Sink {
    type Error = io::Error;

    async fn process(&mut self, batch: ShardBatch) -> io::Result<()> {
        let numbers: Vec<u64> = batch.records().iter().map(|record| number(&record.data)).collect();
        let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else { return Ok(()) };
        let (key, epoch, process) = (batch.shard().key(), batch.shard().fencing_token(), self.process);
        let (pause, outcome, range) = {
            let silence = self.store.silence().unwrap_or(Duration::MAX);
            let mut facts = self.nature.facts();
            let (first, last) = (facts.place(*first), facts.place(*last));
            facts.note(format_args!("process {process} begins {first} to {last} of {key} e{epoch}"));
            facts.see(&Observation::Silence { process, silence, validity: self.validity });
            facts.see(&Observation::Begun { process, key, epoch });
            let outcome = facts.next_outcome();
            (facts.slowness, outcome, (first, last))
        };
        if !pause.is_zero() {
            sleep(pause).await;
        }
        match outcome {
            NextOutcome::Done => {}
            NextOutcome::Failure => return Err(io::Error::other("it was to fail")),
            NextOutcome::Panic => std::panic::panic_any(PlannedPanic),
        }
        let mut facts = self.nature.facts();
        let (first, last) = range;
        facts.note(format_args!("process {process} is done with {first} to {last} of {key} e{epoch}"));
        numbers.iter().for_each(|number| facts.has_done(*number));
        facts.see(&Observation::Done { process, key, epoch, first, last });
        Ok(())
    }

    async fn shard_ended(&mut self, end: ShardEnd) -> io::Result<EndReached> {
        let mut facts = self.nature.facts();
        facts.note(format_args!("process {} reaches the end of {}", self.process, end.shard().key()));
        drop(facts);
        Ok(end.reached())
    }
}

/// How a call of a processor ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextOutcome {
    Done,
    Failure,
    Panic,
}

/// The payload of a record is its number.
fn number(payload: &[u8]) -> u64 {
    std::str::from_utf8(payload).ok().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
}
