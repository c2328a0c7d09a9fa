//! Fleets of real consumers in a world that is decided by a seed, and checks of every promise.
//!
//! Each process of a fleet has a runtime of its own, whose time stands still between its turns. So a process can be frozen
//! (it gets no turn, and its clock has gone on when it wakes), killed (its runtime is dropped in the middle of anything), and
//! its clock can run faster or slower than the world's. Nothing else is replaced: the consumer, the worker and the plan are those
//! that users run. The lease table and the stream are in memory, reached through weather.
//!
//! A seed decides a [schedule](simulate) of happenings and everything that is random besides: the same seed gives the same
//! trace. After a violation the schedule is cut down to the happenings that it takes.

mod checks;
mod coverage;
mod fnv;
mod lanes;
mod nature;
mod panics;
mod process;
mod run;
mod schedule;
mod settling;
mod shrink;
mod sink;
pub mod small_worlds;
mod trace;
mod weather_store;
mod world;

pub use self::coverage::KINDS;
pub use self::nature::Violation;
pub use self::run::{Outcome, simulate, simulate_only};
pub use self::shrink::{Shrunk, shrunk};
