//! Small worlds, explored completely: every order in which requests reach the table, and every place for a few faults.
//!
//! Workers here are lease-core's state machines alone. A call is carried out and answered at one moment, but in any order among the
//! calls of different workers; time passes only when no call is under way, unless its worker is frozen. Within these bounds
//! nothing is left to chance: all states that can be reached are, each once.

mod shared;
mod state;

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use self::state::State;
pub use self::state::{Bounds, Move};

/// What a search has found.
#[derive(Debug, Clone, Default)]
pub struct Explored {
    /// How many different states were reached.
    pub states: u64,
    /// How many steps led from one to another.
    pub steps: u64,
    /// How many of the states lay at the end of their time, and were followed until the fleet had settled.
    pub ends: u64,
    /// The first broken promise, and the way to it.
    pub violation: Option<(String, Vec<Move>)>,
}

/// Visits every state within these bounds, or until a promise is broken.
#[must_use]
pub fn explore(bounds: Bounds) -> Explored {
    let mut explored = Explored::default();
    let mut seen = BTreeSet::new();
    let mut open = vec![State::new(bounds)];
    while let Some(state) = open.pop() {
        if !seen.insert(fingerprint(&state)) {
            continue;
        }
        explored.states += 1;
        let moves = state.moves();
        if moves.is_empty() {
            explored.ends += 1;
            if let Err(violation) = state.clone().settles() {
                explored.violation = Some((violation, state.path().to_vec()));
                return explored;
            }
        }
        for step in moves {
            explored.steps += 1;
            let mut next = state.clone();
            if let Err(violation) = next.take(step) {
                explored.violation = Some((violation, next.path().to_vec()));
                return explored;
            }
            open.push(next);
        }
    }
    explored
}

/// The way to a state, told step by step, with the calls that were answered.
#[must_use]
pub fn told(bounds: Bounds, path: &[Move]) -> Vec<String> {
    let mut state = State::new(bounds);
    let mut told = Vec::new();
    for step in path {
        told.push(state.told(*step));
        // The last step is the one that breaks a promise.
        let _broken = state.take(*step);
    }
    told
}

/// Two states that look the same are the same: all that they are made of is ordered.
fn fingerprint(state: &State) -> u64 {
    let mut hash = DefaultHasher::new();
    state.hash(&mut hash);
    hash.finish()
}
