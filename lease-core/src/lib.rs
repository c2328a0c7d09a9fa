//! Leases over the shards of a stream, without a runtime, a clock, or any I/O.
//!
//! A fleet of workers shares the shards of a stream. Each shard has one row in a table, its [`Lease`]; each worker has
//! one row, its [`WorkerRow`]. All that the workers agree on, they agree on through these rows:
//!
//! 1. **Every write is a compare-and-set on one row** ([`LeaseStore`]). A worker that was declared dead and wakes up
//!    cannot move a checkpoint, because what it expects is no longer there.
//! 2. **The owner gives, the ownerless is taken.** While a worker is alive, only it writes its lease rows. An overloaded
//!    worker gives leases away after draining them; nobody steals. Only the leases of nobody, or of the dead, are taken.
//! 3. **One snapshot, one plan, no leader.** The target ([`plan`]) is a pure function of the rows. Each worker computes
//!    all of it and carries out its own part.
//!
//! The crate has the rows and their transitions, the contract that a lease table must keep, a table in memory
//! ([`MemoryStore`]), a conformance suite for other tables (feature `testing`), liveness by observation
//! ([`Liveness`]), the plan, and the [worker](worker::Worker) as a state machine: events in, commands out.
//! The crate `consumer` carries the commands out.

mod lease;
mod lease_key;
mod liveness;
mod memory_store;
mod moment;
pub mod plan;
mod row_fields;
mod store;
mod store_error;
#[cfg(feature = "testing")]
pub mod testing;
pub mod worker;
mod worker_id;
mod worker_row;

pub use lease::{Change, Epoch, Lease, StreamFacts, Version};
pub use lease_key::{InvalidLeaseKey, LeaseKey};
pub use liveness::Liveness;
pub use memory_store::MemoryStore;
pub use moment::Moment;
pub use row_fields::{FieldValue, RowFields, UnreadableRow};
pub use store::{Beat, Expected, Hints, LeaseStore, Outcome};
pub use store_error::{StoreError, StoreErrorKind, StoreOperation};
pub use worker_id::{Incarnation, WorkerId};
pub use worker_row::WorkerRow;
