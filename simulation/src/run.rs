//! One world from its beginning to its end.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Violation;
use crate::nature::Nature;
use crate::schedule::Schedule;
use crate::world::World;

/// What came of a world.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Which world.
    pub seed: u64,
    /// The promises that were broken, in the order in which it was seen.
    pub violations: Vec<Violation>,
    /// How many things happened, calls to the table and batches included.
    pub events: u64,
    /// All of them, hashed.
    pub trace_hash: u64,
    /// All of them as text, if asked for.
    pub trace: Vec<String>,
    /// How long the world lived, by its own clock.
    pub lived: Duration,
    /// How often each kind of thing befell a process, a call, or the stream.
    pub kinds: BTreeMap<&'static str, u64>,
    /// What was made to happen, as text.
    pub schedule: Vec<String>,
}

/// Lets the world of that seed live.
#[must_use]
pub fn simulate(seed: u64, keeps_trace: bool) -> Outcome {
    live(seed, &Schedule::of_seed(seed), keeps_trace)
}

/// The same, but of all that would be made to happen, only these take place.
#[must_use]
pub fn simulate_only(seed: u64, kept: &[usize], keeps_trace: bool) -> Outcome {
    live(seed, &Schedule::of_seed(seed).only(kept), keeps_trace)
}

fn live(seed: u64, schedule: &Schedule, keeps_trace: bool) -> Outcome {
    crate::panics::watch();
    let nature = Nature::new(schedule, keeps_trace);
    let mut world = World::new(seed, schedule, nature.clone());
    world.live(schedule);
    let lived = world.now();
    drop(world);
    let mut violations = std::mem::take(&mut nature.facts().violations);
    let at_the_end = |what| Violation { check: "no bug", at: lived, what };
    violations.extend(crate::panics::take().into_iter().map(at_the_end));
    let kinds = std::mem::take(&mut nature.facts().kinds);
    let trace = nature.into_trace();
    Outcome {
        seed,
        violations,
        events: trace.lines(),
        trace_hash: trace.hash(),
        trace: trace.into_kept(),
        lived,
        kinds,
        schedule: schedule.happenings.iter().map(ToString::to_string).collect(),
    }
}
