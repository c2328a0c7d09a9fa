//! What ends a consumer early.

use kinesis_source::SourceError;
use lease_core::StoreError;
use stream_types::{Name, Timestamp};

/// A consumer ended although nobody asked it to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumerError {
    /// The stream does not exist, or cannot be reached.
    #[error(transparent)]
    Stream(#[from] SourceError),
    /// Another process registered under the same worker name. Give each process a name of its own.
    #[error(
        "another process took over the worker name {worker}: this one (incarnation {older}) ends in favour of \
         incarnation {newer}; give each process a name of its own"
    )]
    Replaced {
        /// The name that both have.
        worker: Name,
        /// This process.
        older: u64,
        /// The other process.
        newer: u64,
    },
    /// The lease table refuses this worker from the start, and always will: a table is missing, or may not be written.
    #[error(transparent)]
    LeaseTable(#[from] StoreError),
    /// The only stream was deleted while it was read.
    #[error(
        "the stream {stream} is gone: it was deleted while this application read it; if another one is to take its place, give \
         the application another name, or delete its leases"
    )]
    StreamDeleted {
        /// That stream.
        stream: Name,
    },
    /// The leases are for another stream, which had the same name as the only one that is followed. Its checkpoints mean nothing in this one.
    #[error(
        "the leases of this application are for a stream {stream} created at {leased}, and the stream of that name was \
         created at {found}: delete those leases, or use another application name"
    )]
    StreamRecreated {
        /// The stream's name.
        stream: Name,
        /// When the stream was created that the leases are for.
        leased: Timestamp,
        /// When the stream was created that is there now.
        found: Timestamp,
    },
    /// The task that runs the protocol panicked. This is a bug of the library.
    #[error("the consumer's own task failed, which is a bug of the library: {0}")]
    Bug(String),
}
