//! The shortest schedule that still breaks a promise.

use crate::Violation;
use crate::run::{Outcome, simulate_only};
use crate::schedule::Schedule;

/// A violation with all cut away that it does not take.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// Which of the world's happenings are left, counted from 0.
    pub kept: Vec<usize>,
    /// What comes of them.
    pub outcome: Outcome,
}

/// Leaves out one happening after the other, as long as the first promise that is broken is the same, in the same way.
#[must_use]
pub fn shrunk(outcome: &Outcome) -> Shrunk {
    let seed = outcome.seed;
    let first = outcome.violations.first();
    let mut kept: Vec<usize> = (0..Schedule::of_seed(seed).happenings.len()).collect();
    let mut least = outcome.clone();
    let mut goes_on = true;
    while goes_on {
        goes_on = false;
        for index in (0..kept.len()).rev() {
            let mut fewer = kept.clone();
            fewer.remove(index);
            let outcome = simulate_only(seed, &fewer, false);
            let is_like = |(one, other): (&Violation, &Violation)| one.is_like(other);
            if first.zip(outcome.violations.first()).is_some_and(is_like) {
                (kept, least, goes_on) = (fewer, outcome, true);
            }
        }
    }
    Shrunk { kept, outcome: least }
}
