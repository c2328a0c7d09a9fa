//! What a consumer has done.

use std::collections::BTreeMap;

use lease_core::LeaseKey;
use lease_core::worker::Warning;

/// What a consumer has done, told when it ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// How many records were processed.
    pub records_processed: u64,
    /// How each shard ended that this consumer read, the last time it did.
    pub shards: BTreeMap<LeaseKey, ShardOutcome>,
    /// What people should know, in the order in which it happened.
    pub warnings: Vec<Warning>,
    /// How many times a shard's processor panicked.
    pub panics: u64,
    /// Whether everything was handed over in time. If not, other workers wait for the lease duration to pass.
    pub left_in_time: bool,
}

/// How reading of a shard ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardOutcome {
    /// The batch in hand was finished and checkpointed, and the shard handed over.
    Drained,
    /// The shard was closed, and all of it was processed.
    Finished,
    /// The lease was lost, or the heartbeat was late.
    Lost,
    /// Its reader failed.
    Failed,
    /// The deadline for leaving came first.
    Cancelled,
}
