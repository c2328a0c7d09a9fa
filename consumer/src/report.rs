//! What a consumer has done.

use std::collections::BTreeMap;

use lease_core::LeaseKey;
use lease_core::worker::Warning;

use crate::ShardCounts;

/// What a consumer has done, told when it ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// How many records were processed.
    pub records_processed: u64,
    /// What became of each shard that this consumer read.
    pub shards: BTreeMap<LeaseKey, ShardReport>,
    /// What people should know, in the order in which it happened: the last thousand, if there was more.
    pub warnings: Vec<Warning>,
    /// How many times a shard's processor panicked.
    pub panics: u64,
    /// Whether everything was handed over in time. If not, other workers wait for the lease duration to pass.
    pub left_in_time: bool,
}

/// What became of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardReport {
    /// How reading ended the last time.
    pub outcome: ShardOutcome,
    /// What happened in all the times that this consumer read the shard.
    pub counts: ShardCounts,
}

/// How reading of a shard ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShardOutcome {
    /// The batch in hand was finished. Position and shard were handed over, or, where
    /// [`Report::left_in_time`] is false, may not have been.
    Drained,
    /// The batch in hand took longer than [`ConsumerSettings::drain_deadline`](crate::ConsumerSettings::drain_deadline), or
    /// than leaving may take: it was dropped and comes again, and the shard was handed over from what was done before.
    CutShort,
    /// The shard was closed, and all of it was processed.
    Finished,
    /// Its processor failed too often, and [`FailurePolicy::StopShard`](crate::FailurePolicy::StopShard) stopped it.
    Stopped,
    /// The lease was lost, or the heartbeat was late.
    Lost,
    /// Its reader failed.
    Failed,
    /// The deadline for leaving came, and its processor did not let go of its thread.
    Cancelled,
}
