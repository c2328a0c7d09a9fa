//! How a consumer behaves.

use std::time::{Duration, SystemTime};

use kinesis_source::Aggregates;
use lease_core::worker::{InvalidSettings, WorkerSettings};
use stream_types::{InvalidName, Name, StartPosition, Timestamp};

/// The settings of a consumer, apart from its components. Checked as a whole when the consumer is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerSettings {
    /// The times that the worker lives by. Others wait for it by what it says of them, so that they may differ within a fleet, as
    /// while a change is rolled out.
    pub worker: WorkerSettings,
    /// Where an application starts that has never read a stream, unless the stream has a starting position of its own.
    /// Default: the horizon.
    pub starting_position: StartingPosition,
    /// Who stores how far reading has got. Default: automatically, every 5 s.
    pub checkpoints: Checkpoints,
    /// What happens to records in which a producer has put many user records together. Default: they come apart.
    pub aggregates: Aggregates,
    /// How many bytes of all shards together may be read and not yet processed. A shard whose turn would exceed it waits; so
    /// does everything while batches in the hands of processors use it up. Default 256 MiB.
    pub byte_budget: u64,
    /// How long a shard that moves to another worker may take to finish its batch. After that the batch is dropped, so that
    /// some records are repeated, and the shard moves. Default 5 minutes.
    pub drain_deadline: Duration,
    /// After how much time without progress a shard is reported in logs and by the [`Monitor`](crate::Monitor): the stream
    /// does not answer, the processor does not return, or it keeps failing. Default 60 s.
    pub stall_after: Duration,
    /// How long leaving may take. What is not drained after nine tenths of it is cut short as by
    /// [`drain_deadline`](Self::drain_deadline), so that there is time to release it; what blocks its thread even then is
    /// cancelled. On a lease table without hints, up to a tenth of it, and at most about a heartbeat interval, passes before
    /// shards are drained, so that their next readers are ready. Default 30 s.
    pub leave_deadline: Duration,
    /// How many writes to the lease table may be under way at once. Default 32.
    pub concurrent_writes: usize,
}

impl Default for ConsumerSettings {
    fn default() -> Self {
        Self {
            worker: WorkerSettings::default(),
            starting_position: StartingPosition::Horizon,
            checkpoints: Checkpoints::Automatic { every: Duration::from_secs(5) },
            aggregates: Aggregates::default(),
            byte_budget: 256 * 1024 * 1024,
            drain_deadline: Duration::from_secs(300),
            stall_after: Duration::from_secs(60),
            leave_deadline: Duration::from_secs(30),
            concurrent_writes: 32,
        }
    }
}

/// Where an application starts that has never read the stream. One that has goes on where it stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartingPosition {
    /// The oldest record that the stream still has.
    Horizon,
    /// The records that arrive from now on. "Now" is the time on this machine's clock when the application starts for
    /// the first time; it is stored, so that a crash before the first checkpoint skips nothing. Where the clock is ahead of the
    /// service's, reading starts once that is there.
    Latest,
    /// The first record that arrived at that time or later.
    Timestamp(Timestamp),
}

impl StartingPosition {
    /// The place that it names at that time.
    pub(crate) fn resolve(self, now: SystemTime) -> StartPosition {
        match self {
            Self::Horizon => StartPosition::Horizon,
            Self::Latest => StartPosition::Timestamp(now.into()),
            Self::Timestamp(timestamp) => StartPosition::Timestamp(timestamp),
        }
    }
}

/// Who stores how far reading has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkpoints {
    /// The consumer, after a batch was processed, but no more often than this for each shard, and always when a shard is
    /// drained. Zero means after every batch.
    ///
    /// A crash repeats what was processed since; each checkpoint is one write to the lease table.
    Automatic {
        /// The shortest time between two checkpoints of a shard.
        every: Duration,
    },
    /// The processor, by [`ShardContext::checkpoint`](crate::ShardContext::checkpoint). A planned move, too, repeats
    /// what the processor did not checkpoint; it is told in time by
    /// [`RecordProcessor::draining`](crate::RecordProcessor::draining).
    Manual,
}

impl ConsumerSettings {
    /// Refuses settings that cannot work.
    ///
    /// # Errors
    ///
    /// Those of [`WorkerSettings::validate`]; no write may be under way, or no byte be read, at all; leaving, draining, or making progress may
    /// take no time.
    pub fn validate(&self) -> Result<(), InvalidConsumerSettings> {
        self.worker.validate()?;
        if self.concurrent_writes == 0 {
            return Err(InvalidConsumerSettings::NoWrites);
        }
        if self.byte_budget == 0 {
            return Err(InvalidConsumerSettings::NoBytes);
        }
        if self.leave_deadline.is_zero() {
            return Err(InvalidConsumerSettings::NoTimeToLeave);
        }
        if self.drain_deadline.is_zero() {
            return Err(InvalidConsumerSettings::NoTimeToDrain);
        }
        if self.stall_after.is_zero() {
            return Err(InvalidConsumerSettings::NoTimeToProgress);
        }
        Ok(())
    }
}

/// Settings that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidConsumerSettings {
    /// The worker's settings cannot work.
    #[error(transparent)]
    Worker(#[from] InvalidSettings),
    /// The worker has no name that can be written.
    #[error(transparent)]
    WorkerName(#[from] InvalidName),
    /// Two streams of one name, perhaps of two accounts, would have the same leases.
    #[error("the stream {stream} is given twice: follow it once; streams of one name need applications of their own")]
    StreamTwice {
        /// Its name.
        stream: Name,
    },
    /// Without a write, no lease can be taken.
    #[error("concurrent_writes is 0: allow at least 1 write to the lease table at a time")]
    NoWrites,
    /// Nothing could be read.
    #[error("byte_budget is 0: allow some bytes to be read, such as 268435456 (256 MiB)")]
    NoBytes,
    /// Every shard would be cancelled instead of drained.
    #[error("leave_deadline is 0: give leaving some time, such as 30s")]
    NoTimeToLeave,
    /// Every move would repeat records.
    #[error("drain_deadline is 0: give a batch some time to be finished, such as 5m")]
    NoTimeToDrain,
    /// Every shard would be reported all the time.
    #[error("stall_after is 0: give shards some time to make progress, such as 60s")]
    NoTimeToProgress,
}
