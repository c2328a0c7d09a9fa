//! Reads the shards of an Amazon Kinesis stream.
//!
//! A [`Source`] is one stream: it lists its shards and opens one of them at a position; the [`ShardReader`] then brings
//! batches of records in order, and at last the end of the shard with its children. It knows nothing of workers and
//! leases: who reads which shard is decided elsewhere.
//!
//! [`KinesisSource`] is the source that is Kinesis, through the AWS SDK. It keeps to the limits of the service (per
//! shard 5 reads and 2 MB a second), backs off with jitter when it is throttled, renews expired iterators behind the
//! last record, and passes over nothing.
//!
//! [`Aggregates`] says what happens to records in which the Kinesis Producer Library has put many user records together.

mod aggregate;
mod backoff;
mod batch;
mod byte_budget;
mod kinesis_source;
mod pace;
mod polling_reader;
mod resumption;
mod sdk_error;
mod source;
mod source_error;
mod stream_reference;
mod user_records;

pub use batch::{Batch, Reading, Record};
pub use byte_budget::{ByteBudget, Expectation, Reservation};
pub use kinesis_source::{InvalidPollingSettings, KinesisSource, PollingSettings};
pub use resumption::{Gap, Resumption};
pub use source::{ShardReader, Source, StreamDescription};
pub use source_error::{SourceError, SourceErrorKind};
pub use stream_reference::{InvalidStreamReference, StreamReference};
pub use user_records::Aggregates;
