//! Processors that show all they are given, and are as slow, or as faulty, as nature wants them.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use consumer::{
    Checkpoints, DeadLetter, DeadLetters, EndReached, ProcessorFactory, RecordProcessor, ShardBatch, ShardContext,
    ShardEnd,
};
use lease_core::{Epoch, LeaseKey};
use tokio::time::sleep;

use crate::lanes::Lanes;
use crate::nature::{Nature, Observation, ProcessId};
use crate::schedule::{DeliveryKind, Traits};
use crate::weather_store::WeatherStore;

/// What a processor panics with, so that its panics can be told from others.
#[derive(Debug)]
pub(crate) struct PlannedPanic;

/// Where the records of one process go.
#[derive(Debug, Clone)]
pub(crate) struct Sink {
    pub(crate) process: ProcessId,
    pub(crate) nature: Nature,
    pub(crate) store: Arc<WeatherStore>,
    pub(crate) validity: Duration,
    pub(crate) traits: Traits,
}

/// The processor of one shard.
#[derive(Debug)]
pub(crate) struct ShardSink {
    sink: Sink,
    /// Where records go one by one.
    lanes: Option<Lanes>,
}

/// Records that a processor was given.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    key: LeaseKey,
    epoch: Epoch,
    /// How often the process had been frozen by then.
    freezes: u32,
}

/// How a call of a processor ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextOutcome {
    Done,
    Failure,
    Panic,
}

impl NextOutcome {
    /// Ends so.
    pub(crate) fn come_about(self) -> io::Result<()> {
        match self {
            Self::Done => Ok(()),
            Self::Failure => Err(io::Error::other("it was to fail")),
            Self::Panic => std::panic::panic_any(PlannedPanic),
        }
    }
}

impl Sink {
    /// A processor is given all of a batch.
    pub(crate) fn given(&self, batch: &ShardBatch) -> Given {
        let numbers = numbers(batch);
        let (key, epoch, process) = (batch.shard().key(), batch.shard().fencing_token(), self.process);
        let mut facts = self.nature.facts();
        if let (Some(first), Some(last)) = (numbers.first(), numbers.last()) {
            let (first, last) = (facts.place(*first), facts.place(*last));
            facts.note(format_args!("process {process} begins {first} to {last} of {key} e{epoch}"));
        }
        facts.see(&Observation::Begun { process, key, epoch });
        let freezes = facts.freezes_of(process);
        drop(facts);
        self.show_silence("begins");
        Given { key: key.clone(), epoch, freezes }
    }

    /// Whether the user's database takes what it is given: it refuses who comes too late.
    pub(crate) fn admits(&self, Given { key, epoch, .. }: &Given) -> io::Result<()> {
        if self.nature.facts().admits(key, *epoch) { Ok(()) } else { Err(io::Error::other("a higher token was seen")) }
    }

    /// A processor is done with these records, which lie one behind the other in their shard.
    pub(crate) fn is_done(&self, given: &Given, numbers: RangeInclusive<u64>) {
        let Given { key, epoch, freezes } = given;
        let (process, epoch) = (self.process, *epoch);
        let mut facts = self.nature.facts();
        let (first, last) = (facts.place(*numbers.start()), facts.place(*numbers.end()));
        facts.note(format_args!("process {process} is done with {first} to {last} of {key} e{epoch}"));
        facts.have_done(key, first..=last);
        // Who was frozen learns only with time that it was, and goes on with what it had in hand until then.
        let is_awake = facts.freezes_of(process) == *freezes;
        facts.see(&Observation::Done { process, key, epoch, first, last, is_awake });
        drop(facts);
        if is_awake {
            self.show_silence("is done with");
        }
    }

    fn show_silence(&self, when: &'static str) {
        let silence = self.store.silence().unwrap_or(Duration::MAX);
        let Self { process, validity, .. } = *self;
        self.nature.facts().see(&Observation::Silence { process, when, silence, validity });
    }

    pub(crate) fn next_outcome(&self) -> NextOutcome {
        self.nature.facts().next_outcome()
    }

    /// How long processors take for a batch now.
    pub(crate) fn slowness(&self) -> Duration {
        self.nature.facts().slowness
    }
}

impl ProcessorFactory for Sink {
    type Processor = ShardSink;

    fn processor(&self, shard: &ShardContext) -> ShardSink {
        let mut facts = self.nature.facts();
        facts.note(format_args!("process {} gets {} e{}", self.process, shard.key(), shard.fencing_token()));
        let outcome = facts.next_start();
        drop(facts);
        outcome.come_about().expect("it panics or it does not");
        let lanes = (self.traits.delivery == DeliveryKind::ByKey).then(|| Lanes::new(self.clone(), shard));
        ShardSink { sink: self.clone(), lanes }
    }
}

impl RecordProcessor for ShardSink {
    type Error = io::Error;

    async fn process(&mut self, batch: ShardBatch) -> io::Result<()> {
        let given = self.sink.given(&batch);
        if let Some(lanes) = &mut self.lanes {
            return lanes.process(given, batch).await;
        }
        let outcome = self.sink.next_outcome();
        let pause = self.sink.slowness();
        if !pause.is_zero() {
            sleep(pause).await;
        }
        outcome.come_about()?;
        self.sink.admits(&given)?;
        if let (Some(first), Some(last)) = (numbers(&batch).first(), numbers(&batch).last()) {
            self.sink.is_done(&given, *first..=*last);
        }
        if self.sink.traits.checkpoints == Checkpoints::Manual {
            batch.checkpoint().await.map_err(io::Error::other)?;
        }
        Ok(())
    }

    async fn shard_ended(&mut self, end: ShardEnd) -> io::Result<EndReached> {
        let mut facts = self.sink.nature.facts();
        facts.note(format_args!("process {} reaches the end of {}", self.sink.process, end.shard().key()));
        let outcome = facts.next_outcome();
        drop(facts);
        outcome.come_about()?;
        Ok(end.reached())
    }
}

/// Records that are put away are done with.
#[async_trait]
impl DeadLetters for Sink {
    async fn accept(&self, letter: DeadLetter) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let freezes = self.nature.facts().freezes_of(self.process);
        let (key, epoch) = (letter.shard.key().clone(), letter.shard.fencing_token());
        let number = number(&letter.record.data);
        let given = Given { key, epoch, freezes };
        self.admits(&given)?;
        self.is_done(&given, number..=number);
        self.nature.facts().count("a record is put away");
        Ok(())
    }
}

/// The numbers of a batch's records.
pub(crate) fn numbers(batch: &ShardBatch) -> Vec<u64> {
    batch.records().iter().map(|record| number(&record.data)).collect()
}

/// The payload of a record is its number.
pub(crate) fn number(payload: &[u8]) -> u64 {
    std::str::from_utf8(payload).ok().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
}
