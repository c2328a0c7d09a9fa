//! All that is true of a world, whatever its processes believe; shared by everything in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lease_core::{Epoch, Lease, LeaseKey};
use stream_types::ShardId;

use crate::checks::{Check, all_checks};
use crate::coverage::KINDS;
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
    /// A process was asked to leave, or to return.
    Asked { process: ProcessId },
    /// A record was put: the next one of its shard.
    Produced { shard: &'a ShardId },
    /// These shards go on where those ended.
    Resharded { children: &'a [(ShardId, Vec<ShardId>)] },
    /// A processor is given records: the first and the last, by their number in the shard.
    Begun { process: ProcessId, key: &'a LeaseKey, epoch: Epoch },
    /// How long ago, by its own clock, the process sent the last heartbeat that was confirmed to it; when a processor is given
    /// records, and when it is done with them, unless the process was frozen meanwhile.
    Silence { process: ProcessId, when: &'static str, silence: Duration, validity: Duration },
    /// A heartbeat was confirmed to a process.
    Confirmed { process: ProcessId },
    /// A process could not confirm a heartbeat in time, by its own clock: what it had not stored comes again.
    Lapsed,
    /// A processor is done with records; awake, if its process was not frozen since it was given them.
    Done { process: ProcessId, key: &'a LeaseKey, epoch: Epoch, first: usize, last: usize, is_awake: bool },
    /// A lease row was written, or removed.
    Written { before: Option<&'a Lease>, after: Option<&'a Lease> },
    /// The lease table has lost its newest rows.
    WentBack,
    /// A process was answered a list of the leases that it had asked for since the table last lost rows, and waits for the answer
    /// to no write.
    Listed { process: ProcessId },
    /// A process ended, and what its consumer returned.
    Ended { process: ProcessId, error: Option<&'a str> },
    /// A process is gone without a word.
    Crashed { process: ProcessId },
    /// Something panicked that no schedule has asked to.
    Panicked { process: ProcessId, message: &'a str },
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

impl Violation {
    /// Whether the same promise was broken in the same way: what is said before the first name or number is the same.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let way = |violation: &Self| {
            let said = violation.what.split(|letter: char| letter.is_ascii_digit() || "\"{[".contains(letter)).next();
            said.map(str::to_owned)
        };
        self.check == other.check && way(self) == way(other)
    }
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
    /// How often each kind of thing befell a process, a call or the stream.
    pub(crate) kinds: BTreeMap<&'static str, u64>,
    /// How often each process was frozen.
    pub(crate) freezes: BTreeMap<ProcessId, u32>,
    /// The weather of the processes of each name.
    pub(crate) weather: BTreeMap<usize, Weather>,
    /// The table is out of everybody's reach.
    pub(crate) outage: bool,
    /// How often the table has lost its newest rows, if it may.
    pub(crate) losses: Option<u32>,
    /// The processes whose connections to the table broke when it last did, and that have not noticed.
    pub(crate) cut: BTreeSet<ProcessId>,
    /// The highest epoch that the sinks have seen of each lease.
    tokens: BTreeMap<LeaseKey, Epoch>,
    /// How long processors take for a batch.
    pub(crate) slowness: Duration,
    /// How many calls of processors still fail, and panic.
    pub(crate) failures: u32,
    pub(crate) panics: u32,
    /// How many calls for a new processor still panic.
    pub(crate) panics_at_start: u32,
    /// Where each record lies in its shard.
    places: BTreeMap<u64, usize>,
    /// How many records were put into each shard, and which of them are not done.
    lengths: BTreeMap<ShardId, usize>,
    undone: BTreeSet<(ShardId, usize)>,
}

impl Nature {
    pub(crate) fn new(schedule: &Schedule, keeps_lines: bool) -> Self {
        Self(Arc::new(Mutex::new(Facts {
            now: Duration::ZERO,
            trace: Trace::new(keeps_lines),
            violations: Vec::new(),
            checks: all_checks(schedule),
            kinds: BTreeMap::new(),
            freezes: BTreeMap::new(),
            weather: BTreeMap::new(),
            outage: false,
            losses: schedule.is_forgetful.then_some(0),
            cut: BTreeSet::new(),
            tokens: BTreeMap::new(),
            slowness: Duration::ZERO,
            failures: 0,
            panics: 0,
            panics_at_start: 0,
            places: BTreeMap::new(),
            lengths: BTreeMap::new(),
            undone: BTreeSet::new(),
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

    /// Counts that something of that kind has happened.
    pub(crate) fn count(&mut self, kind: &'static str) {
        self.count_times(kind, 1);
    }

    /// Counts that it has happened so many times.
    pub(crate) fn count_times(&mut self, kind: &'static str, times: usize) {
        debug_assert!(KINDS.contains(&kind), "{kind} is missing among the kinds");
        *self.kinds.entry(kind).or_default() += times as u64;
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
        self.places.insert(number, *length);
        self.undone.insert((shard.clone(), *length));
        *length += 1;
        self.see(&Observation::Produced { shard });
    }

    /// Where a record lies in its shard.
    pub(crate) fn place(&self, number: u64) -> usize {
        self.places.get(&number).copied().unwrap_or(usize::MAX)
    }

    pub(crate) fn have_done(&mut self, key: &LeaseKey, records: RangeInclusive<usize>) {
        for record in records {
            self.undone.remove(&(key.shard.clone(), record));
        }
    }

    /// Whether a sink takes what comes under that epoch. Where the table may lose rows, it refuses what is lower than it has seen.
    pub(crate) fn admits(&mut self, key: &LeaseKey, epoch: Epoch) -> bool {
        let highest = self.tokens.entry(key.clone()).or_insert(epoch);
        *highest = epoch.max(*highest);
        self.losses.is_none() || epoch == *highest
    }

    /// Whether every record is done.
    pub(crate) fn all_done(&self) -> bool {
        self.undone.is_empty()
    }

    pub(crate) fn freezes_of(&self, process: ProcessId) -> u32 {
        self.freezes.get(&process).copied().unwrap_or_default()
    }

    /// How the next call for a processor ends.
    pub(crate) fn next_start(&mut self) -> NextOutcome {
        if self.panics_at_start == 0 {
            return NextOutcome::Done;
        }
        self.panics_at_start -= 1;
        self.count("a factory panics");
        NextOutcome::Panic
    }

    /// How the next call of a processor ends.
    pub(crate) fn next_outcome(&mut self) -> NextOutcome {
        if self.failures > 0 {
            self.failures -= 1;
            self.count("a processor fails");
            return NextOutcome::Failure;
        }
        if self.panics > 0 {
            self.panics -= 1;
            self.count("a processor panics");
            return NextOutcome::Panic;
        }
        NextOutcome::Done
    }

    pub(crate) fn weather_of(&self, name: usize) -> Weather {
        if self.outage {
            return Weather::Cut;
        }
        self.weather.get(&name).copied().unwrap_or(Weather::Fair)
    }
}
