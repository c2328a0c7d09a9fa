//! All that is true of a world, whatever its processes believe; shared by everything in it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lease_core::{Epoch, Lease, LeaseKey};
use stream_types::ShardId;

use crate::checks::{Check, all_checks};
use crate::schedule::{Schedule, Weather};
use crate::sink::NextOutcome;
use crate::trace::Trace;

/// Which process, counted from the first that was started. A name may have several, one after the other.
pub(crate) type ProcessId = usize;

/// Something that can be seen from outside.
#[derive(Debug)]
pub(crate) enum Observation<'a> {
    /// A process started under that name.
    Started { process: ProcessId, name: usize },
    /// A record was put: the next one of its shard.
    Produced { shard: &'a ShardId },
    /// These shards go on where those ended.
    Resharded { children: &'a [(ShardId, Vec<ShardId>)] },
    /// A processor is given records: the first and the last, by their number in the shard.
    Begun { process: ProcessId, key: &'a LeaseKey, epoch: Epoch },
    /// How long ago, by its own clock, the process sent the last heartbeat that was confirmed to it; at the begin of a batch.
    Silence { process: ProcessId, silence: Duration, validity: Duration },
    /// A process could not confirm a heartbeat in time, by its own clock: what it had not stored comes again.
    Lapsed,
    /// A processor is done with records.
    Done { process: ProcessId, key: &'a LeaseKey, epoch: Epoch, first: usize, last: usize },
    /// A lease row was written, or removed.
    Written { before: Option<&'a Lease>, after: Option<&'a Lease> },
    /// A process ended, and what its consumer returned.
    Ended { process: ProcessId, error: Option<&'a str> },
    /// The world is at its end.
    Finished { unlike: Option<&'a str> },
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which check says so.
    pub check: &'static str,
    /// When, counted from the start of the world.
    pub at: Duration,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:.3} s: {}", self.check, self.at.as_secs_f64(), self.what)
    }
}

/// The shared truth. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Nature(Arc<Mutex<Facts>>);

#[derive(Debug)]
pub(crate) struct Facts {
    /// The time of the world.
    pub(crate) now: Duration,
    pub(crate) trace: Trace,
    pub(crate) violations: Vec<Violation>,
    checks: Vec<Box<dyn Check>>,
    /// The weather of each process.
    pub(crate) weather: BTreeMap<ProcessId, Weather>,
    /// The table is out of everybody's reach.
    pub(crate) outage: bool,
    /// How long processors take for a batch.
    pub(crate) slowness: Duration,
    /// How many calls of processors still fail, and panic.
    pub(crate) failures: u32,
    pub(crate) panics: u32,
    /// Where each record lies: its shard, and its number there.
    places: BTreeMap<u64, (ShardId, usize)>,
    lengths: BTreeMap<ShardId, usize>,
    done: u64,
    is_done: Vec<bool>,
}

impl Nature {
    pub(crate) fn new(schedule: &Schedule, keeps_lines: bool) -> Self {
        Self(Arc::new(Mutex::new(Facts {
            now: Duration::ZERO,
            trace: Trace::new(keeps_lines),
            violations: Vec::new(),
            checks: all_checks(schedule),
            weather: BTreeMap::new(),
            outage: false,
            slowness: Duration::ZERO,
            failures: 0,
            panics: 0,
            places: BTreeMap::new(),
            lengths: BTreeMap::new(),
            done: 0,
            is_done: Vec::new(),
        })))
    }

    pub(crate) fn facts(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The trace, once the world is gone.
    pub(crate) fn into_trace(self) -> Trace {
        std::mem::replace(&mut self.facts().trace, Trace::new(false))
    }
}

impl Facts {
    /// Notes a line in the trace.
    pub(crate) fn note(&mut self, line: fmt::Arguments<'_>) {
        self.trace.note(self.now, line);
    }

    /// Shows something to all checks.
    pub(crate) fn see(&mut self, observation: &Observation<'_>) {
        for check in &mut self.checks {
            if let Some(what) = check.see(observation) {
                self.trace.note(self.now, format_args!("VIOLATION of {}: {what}", check.name()));
                self.violations.push(Violation { check: check.name(), at: self.now, what });
            }
        }
    }

    /// A record was put into that shard.
    pub(crate) fn produced(&mut self, number: u64, shard: &ShardId) {
        let length = self.lengths.entry(shard.clone()).or_default();
        self.places.insert(number, (shard.clone(), *length));
        *length += 1;
        self.is_done.push(false);
        self.see(&Observation::Produced { shard });
    }

    /// Where a record lies in its shard.
    pub(crate) fn place(&self, number: u64) -> usize {
        self.places.get(&number).map_or(usize::MAX, |(_, index)| *index)
    }

    pub(crate) fn has_done(&mut self, number: u64) {
        let slot = usize::try_from(number).ok().and_then(|index| self.is_done.get_mut(index));
        if let Some(done) = slot.filter(|done| !**done) {
            *done = true;
            self.done += 1;
        }
    }

    /// Whether every record is done.
    pub(crate) fn all_done(&self) -> bool {
        self.done == self.places.len() as u64
    }

    /// How the next call of a processor ends.
    pub(crate) fn next_outcome(&mut self) -> NextOutcome {
        if self.failures > 0 {
            self.failures -= 1;
            return NextOutcome::Failure;
        }
        if self.panics > 0 {
            self.panics -= 1;
            return NextOutcome::Panic;
        }
        NextOutcome::Done
    }

    pub(crate) fn weather_of(&self, process: ProcessId) -> Weather {
        if self.outage {
            return Weather::Cut;
        }
        self.weather.get(&process).copied().unwrap_or(Weather::Fair)
    }
}
