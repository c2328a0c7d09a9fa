//! Share the shards of a stream, or of several, among a fleet of processes.
//!
//! Each process runs a [`Consumer`]. Together they read every shard of the stream, each shard by one process at a time,
//! level among them as they come and go. You write a [`RecordProcessor`]; you choose the lease table, any
//! [`LeaseStore`](lease_core::LeaseStore), through which the processes agree.
//!
//! ```
//! use std::sync::Arc;
//! use consumer::{Consumer, ConsumerSettings, each_batch};
//! use kinesis_testing::{Clock, Kinesis, Limits, ModelSource};
//! use lease_core::MemoryStore;
//! use stream_types::Name;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let kinesis = Kinesis::new(Clock::system(), Limits::of_the_service());
//! # kinesis.create_stream("orders", 2)?;
//! # let source = Arc::new(ModelSource::new(kinesis, Name::new("orders")?));
//! let store = Arc::new(MemoryStore::new(Name::new("billing")?));
//! let consumer = Consumer::builder(store, source)
//!     .worker_name(Name::new("pod-1")?)
//!     .settings(ConsumerSettings::default())
//!     .build(each_batch(async |batch| {
//!         for record in batch.records() {
//!             println!("{}: {} bytes", record.partition_key, record.data.len());
//!         }
//!         Ok::<(), std::io::Error>(())
//!     }))?;
//!
//! // Until a signal comes; here, at once.
//! let report = consumer.run_until(async {}).await?;
//! assert_eq!(report.records_processed, 0);
//! # Ok(())
//! # }
//! ```
//!
//! Besides whole batches by a function, there are processors with state per shard ([`RecordProcessor`]), single records with many
//! partition keys at once ([`each_record_by_key`]), and shards and batches to pull in a loop of your own
//! ([`ConsumerBuilder::build_to_pull`]). Further streams come by [`ConsumerBuilder::follow`], or by [`Streams`] while the consumer runs.
//!
//! # What you can rely on
//!
//! - Records come at least once, in order within a shard; a child shard starts after all its parents.
//! - A planned move (a process joins, leaves, is deployed) repeats nothing: the shard is drained and checkpointed first.
//!   A crash repeats what was not checkpointed, and nothing else.
//! - A processor that fails gets the same batch again, until it succeeds, unless you choose another [`FailurePolicy`]. No
//!   record is passed over but by that. A panic is a failure of its shard alone.
//! - Heartbeats run on a task of their own: a slow processor does not lose its lease, as long as a thread of the runtime is
//!   free. Work that blocks its thread belongs into `spawn_blocking`: where all threads are blocked, which in a runtime with one
//!   thread is one, no heartbeat is sent, and others take the leases.
//! - [`ShardContext::fencing_token`] grows with each change of owner. A sink that refuses lower tokens than it has seen
//!   is safe from a process that was frozen, lost its shard, and woke up.

mod builder;
mod by_key;
mod calls;
mod closure;
mod consumer;
mod context;
mod deadline;
mod delivery;
mod departure;
mod driver;
mod error;
mod failure_policy;
mod monitor;
mod open_checkpoint;
mod processor;
mod pull;
mod report;
mod settings;
mod shard_task;
mod shards;
mod streams;
mod validity;
mod vitals;

pub use kinesis_source::Aggregates;
pub use lease_core::worker::{CheckpointError, Warning};

pub use self::builder::ConsumerBuilder;
pub use self::by_key::{ByKey, ByKeyProcessor, each_record_by_key};
pub use self::closure::{EachBatch, each_batch};
pub use self::consumer::Consumer;
pub use self::context::{ShardBatch, ShardContext};
pub use self::departure::Departure;
pub use self::error::ConsumerError;
pub use self::failure_policy::{DeadLetter, DeadLetters, FailurePolicy};
pub use self::monitor::{Monitor, ShardActivity, ShardCounts, ShardStatus};
pub use self::open_checkpoint::OpenCheckpoint;
pub use self::processor::{EndReached, ProcessorFactory, RecordProcessor, ShardEnd};
pub use self::pull::{PullFactory, PullProcessor, PulledBatch, PulledShard, PulledShards};
pub use self::report::{Report, ShardOutcome, ShardReport};
pub use self::settings::{Checkpoints, ConsumerSettings, InvalidConsumerSettings, StartingPosition};
pub use self::streams::{Streams, StreamsError};
