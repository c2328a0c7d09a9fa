//! What ends a consumer early.

use kinesis_source::SourceError;
use stream_types::Name;

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
    /// The task that runs the protocol panicked. This is a bug of the library.
    #[error("the consumer's own task failed, which is a bug of the library: {0}")]
    Bug(String),
}
