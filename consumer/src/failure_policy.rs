//! What happens when a processor keeps failing.

use std::error::Error;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use kinesis_source::Record;

use crate::ShardContext;

/// What happens when a processor fails on the same records again and again.
///
/// In each case a batch that fails comes again after a pause, which doubles from 100 ms up to 30 s, and the other shards go
/// on meanwhile. A panic is a failure like any other, after which the shard goes on with a new processor. Every failure
/// is logged, and counted by the [`Monitor`](crate::Monitor).
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum FailurePolicy {
    /// The batch comes again until it succeeds: the default. No record is passed over, and the shard waits as long as it
    /// takes.
    #[default]
    Retry,
    /// After so many tries the shard stops where it stands, and its lease is left to nobody. It is tried again by the next
    /// process that the plan names for it: when this one is restarted, or leaves. While the
    /// counts are level, the plan names this process again and the seat stays empty, so that one poisoned shard does not wander
    /// through the fleet; where another has fewer shards, that one tries it first.
    StopShard {
        /// How many times a batch is tried.
        tries: NonZeroU32,
    },
    /// After so many tries the batch is halved, and its halves again, until the records that fail stand alone. Those that
    /// fail as often by themselves go to the handler; once it has accepted one, the record is done.
    ///
    /// The records of a halved batch may come several times, as after any failure.
    DeadLetter {
        /// How many times a whole batch, and then a single record, is tried.
        tries: NonZeroU32,
        /// Who accepts the records that cannot be processed.
        letters: Arc<dyn DeadLetters>,
    },
}

impl FailurePolicy {
    /// After how many tries the policy acts; absent = never.
    pub(crate) fn tries(&self) -> Option<NonZeroU32> {
        match self {
            Self::Retry => None,
            Self::StopShard { tries } | Self::DeadLetter { tries, .. } => Some(*tries),
        }
    }
}

/// Accepts the records that a processor cannot process, such as a queue or a bucket for people to look at.
///
/// ```
/// use std::error::Error;
/// use std::num::NonZeroU32;
/// use std::sync::Arc;
/// use async_trait::async_trait;
/// use consumer::{DeadLetter, DeadLetters, FailurePolicy};
///
/// #[derive(Debug)]
/// struct Complaints;
///
/// #[async_trait]
/// impl DeadLetters for Complaints {
///     async fn accept(&self, letter: DeadLetter) -> Result<(), Box<dyn Error + Send + Sync>> {
///         eprintln!("{letter}");
///         Ok(())
///     }
/// }
///
/// # const THREE: NonZeroU32 = NonZeroU32::new(3).unwrap();
/// let policy = FailurePolicy::DeadLetter { tries: THREE, letters: Arc::new(Complaints) };
/// ```
#[async_trait]
pub trait DeadLetters: fmt::Debug + Send + Sync + 'static {
    /// Accepts a record. Once this has returned, the record counts as done; after an error the letter comes again, after a
    /// pause, for as long as it takes.
    ///
    /// # Errors
    ///
    /// The record could not be put away safely.
    async fn accept(&self, letter: DeadLetter) -> Result<(), Box<dyn Error + Send + Sync>>;
}

/// A record that cannot be processed, and why.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The shard that it is from.
    pub shard: ShardContext,
    /// The record.
    pub record: Record,
    /// What the processor said the last time, or how it panicked.
    pub error: Arc<dyn Error + Send + Sync>,
}

/// Without the payload, which does not belong into logs.
impl fmt::Display for DeadLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shard, record, error } = self;
        write!(f, "record {} of {} cannot be processed: {error}", record.position(), shard.key())
    }
}

/// A processor panicked.
#[derive(Debug, thiserror::Error)]
#[error("the processor panicked: {message}")]
pub(crate) struct Panicked {
    pub(crate) message: String,
}
