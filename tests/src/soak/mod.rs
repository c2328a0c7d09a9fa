//! Real processes on real servers, disturbed for as long as one likes, by a program that keeps the truth.
//!
//! `cargo xtask soak --minutes M` runs it. A stream in memory is served over HTTP; processes of `leasehold consume` share it by a
//! lease table on a private server, each behind networks of its own. Processes are killed, frozen and restarted, networks cut,
//! slowed and broken, the table's server restarted or its disk filled, and Kinesis refuses. What each process printed is kept
//! with its time, and compared in the end with what was produced.

mod disturbance;
mod figures;
mod fleet;
mod run;
mod table;
mod truth;

pub use run::{Options, soak};
