//! An Amazon Kinesis in memory, for tests.
//!
//! [`Kinesis`] is the model: streams, shards with hash ranges and lineage, 56-digit sequence numbers, splits, merges,
//! retention, read and write limits, and a [`Clock`] that tests may own. It is there twice:
//!
//! - [`ModelSource`] is a [`Source`](kinesis_source::Source) on it without any network, for simulations;
//! - [`Endpoint`] serves it over HTTP on loopback, for the real AWS SDK in any language.
//!
//! ```
//! use kinesis_testing::{Clock, Kinesis, Limits, PutEntry};
//!
//! let kinesis = Kinesis::new(Clock::system(), Limits::of_the_service());
//! kinesis.create_stream("orders", 2)?;
//! let entry = PutEntry { partition_key: "customer-7".into(), explicit_hash_key: None, data: "hello".into() };
//! let put = kinesis.put_record("orders", entry)?;
//! assert_eq!(put.sequence_number.as_str().len(), 56);
//! # Ok::<(), kinesis_testing::ServiceError>(())
//! ```
//!
//! It misbehaves on command: [`Kinesis::misbehave`] takes a [`Fault`] by operation, shard and number of the call. Time that passes
//! trims old records under their readers, and lets iterators expire.
//!
//! It is for tests, demos and benchmarks. It keeps everything in memory, checks no signature, and binds to loopback.

mod clock;
mod fault;
mod http;
mod iterator_token;
mod kinesis;
mod ledger;
mod limits;
mod list_shards;
mod model_source;
mod records;
mod reshard;
mod service_error;
mod shard_model;
mod stream_model;

pub use clock::Clock;
pub use fault::{Fault, Misbehaviour, Operation};
pub use http::Endpoint;
pub use iterator_token::IteratorStart;
pub use kinesis::Kinesis;
pub use ledger::{Ledger, Tally};
pub use limits::Limits;
pub use list_shards::{ShardFilter, ShardListing, ShardPage};
pub use model_source::ModelSource;
pub use records::{PutEntry, PutResult, RecordsPage, StoredRecord};
pub use service_error::{ServiceError, ServiceErrorKind};
pub use stream_model::StreamSummary;
