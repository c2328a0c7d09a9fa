//! A stream, and a fleet that is to read it, without a network and in the time of the runtime.

use std::sync::Arc;

use consumer_testing::Fleet;
use kinesis_testing::{Clock, Kinesis, Limits, ModelSource};
use lease_core::MemoryStore;
use stream_types::{Name, Timestamp};

/// The stream's name.
pub const STREAM: &str = "orders";

/// A stream of so many shards, and a fleet without workers.
///
/// # Panics
///
/// There is no runtime.
#[must_use]
pub fn virtual_world(shard_count: usize) -> (Kinesis, Fleet) {
    let clock = Clock::of_the_runtime(Timestamp::from_unix_millis(1_700_000_000_000));
    let kinesis = Kinesis::new(clock, Limits::of_the_service());
    kinesis.create_stream(STREAM, shard_count).expect("a new stream");
    let source = ModelSource::new(kinesis.clone(), Name::new(STREAM).expect("a valid name"));
    let store = MemoryStore::new(Name::new("application").expect("a valid name"));
    (kinesis, Fleet::over(Arc::new(store), Arc::new(source)))
}
