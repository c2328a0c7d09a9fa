//! What a worker wants done.

use std::time::Duration;

use stream_types::{HashRange, Name, Position, Timestamp};

use crate::{Epoch, Expected, Incarnation, Lease, LeaseKey, WorkerId, WorkerRow};

/// Something to be done, in any order and at the same time as others, unless it concerns the same lease.
#[derive(Debug, Clone, PartialEq, Hash)]
#[allow(clippy::large_enum_variant, reason = "a command lives until it is carried out")]
pub enum Command {
    /// Write this row and read those of all workers.
    Heartbeat(WorkerRow),
    /// List the leases.
    ListLeases,
    /// Write a lease row. There is at most one write under way per lease.
    Put {
        /// What must be there.
        expected: Expected,
        /// The row to write.
        next: Lease,
    },
    /// Remove this lease row, of a shard that its stream no longer has.
    Delete(Lease),
    /// Remove a worker's row. Nothing depends on it: answered only when it fails.
    Forget(WorkerRow),
    /// List the shards of a stream.
    ListShards {
        /// Which stream.
        stream: Name,
    },
    /// Read the shard from the lease's position on, under its epoch.
    StartShard(Lease),
    /// Finish the batch in hand, stop reading, and tell by [`Event::Drained`](super::Event::Drained).
    DrainShard {
        /// Which shard.
        key: LeaseKey,
        /// Under which epoch it is read.
        epoch: Epoch,
    },
    /// Stop reading at once and deliver nothing more. Not answered.
    StopShard {
        /// Which shard.
        key: LeaseKey,
        /// Under which epoch it was read.
        epoch: Epoch,
        /// Why.
        reason: StopReason,
    },
    /// Tell the reader of a shard how its checkpoint went.
    ReportCheckpoint {
        /// Which shard.
        key: LeaseKey,
        /// Under which epoch it is read.
        epoch: Epoch,
        /// The position that is stored now, or why the asked one was refused.
        result: Result<Position, CheckpointError>,
    },
    /// Lend the reader of a shard the row that its own transaction is to put, or tell it why not. Until the loan is
    /// answered, as a put is, nothing else writes the lease.
    LendRow {
        /// Which shard.
        key: LeaseKey,
        /// Under which epoch it is read.
        epoch: Epoch,
        /// What to put, and what must be there; nothing where all that it would store is stored already.
        row: Result<Option<(Expected, Lease)>, CheckpointError>,
    },
    /// Nothing of the stream is read, listed or handed over any more, until the worker is asked to follow it again.
    DropStream {
        /// Which stream.
        stream: Name,
    },
    /// Tell people of something that they may have to do something about.
    Warn(Warning),
    /// The worker has ended; no command follows.
    End(Ending),
}

/// Something that people should know.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// The stream has forgotten a shard before all of it was read, by its retention.
    #[error(
        "shard {key} was read only to {position} before the stream forgot it: what came later is lost; its children are \
         read now; a longer retention, or faster processing, prevents this"
    )]
    ShardForgotten {
        /// Which shard.
        key: LeaseKey,
        /// How far it was read.
        position: Position,
    },
    /// No heartbeat was confirmed for so long that others may believe the worker dead. It stopped reading; what it had not
    /// stored is repeated.
    #[error(
        "no heartbeat was confirmed within {validity:?}, so that others may take this worker's leases: it stopped reading, and \
         what was not checkpointed is repeated; if this happens often, make the lease duration longer, or look why the \
         process or its lease table is slow"
    )]
    HeartbeatLate {
        /// For how long a confirmed heartbeat is good.
        validity: Duration,
    },
    /// Two lists of a stream's shards in a row have none for some hash keys: records with such keys come to nobody.
    #[error(
        "no open shard of stream {stream} covers the hash keys {range}: their records come to nobody; the stream's own list of \
         shards says so, twice"
    )]
    HoleInHashRange {
        /// Which stream.
        stream: Name,
        /// The first such range.
        range: HashRange,
    },
    /// The application has leases of a stream that none of its workers follows.
    #[error(
        "the application has leases of stream {stream}, and none of its workers follows that stream: nobody reads it; follow it \
         again to go on where it stopped, or delete its leases"
    )]
    StreamUnread {
        /// Which stream.
        stream: Name,
    },
    /// Some shards fit nowhere: every worker that follows their stream has all the leases that its capacity allows.
    #[error(
        "{count} shards, such as {first}, are read by nobody, since every worker that follows their stream is full: start \
         another worker, or raise WorkerSettings::capacity"
    )]
    ShardsUnplaced {
        /// How many.
        count: usize,
        /// One of them.
        first: LeaseKey,
    },
    /// Rows of leases that were not finished are gone from the table. They are made anew.
    #[error(
        "the rows of {count} leases, such as {first}, are gone from the lease table: somebody deleted them, or the table lost \
         them; they are made anew, and their shards are read from where the application started"
    )]
    LeasesVanished {
        /// How many.
        count: usize,
        /// One of them.
        first: LeaseKey,
    },
    /// One of the worker's streams was deleted.
    #[error("the stream {stream} is gone, so that this worker gives it up; its other streams go on")]
    StreamDeleted {
        /// Which stream.
        stream: Name,
    },
    /// The leases of one of the worker's streams are for an earlier stream of its name.
    #[error(
        "the leases of stream {stream} are for one created at {leased}, and the stream of that name was created at {found}, so \
         that this worker gives it up; its other streams go on; delete those leases to read the new stream"
    )]
    StreamRecreated {
        /// The stream.
        stream: Name,
        /// When the stream was created that the leases are for.
        leased: Timestamp,
        /// When the stream was created that is there now.
        found: Timestamp,
    },
    /// A shard's processor failed too often, and its user wants the shard to stop then.
    #[error(
        "shard {key} stops at {position}, because its processor keeps failing: nobody reads it until this process is \
         restarted or another one is given it; its other shards go on"
    )]
    ShardStopped {
        /// Which shard.
        key: LeaseKey,
        /// How far it was processed.
        position: Position,
    },
}

/// Why a shard's reader must stop at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// The lease row says that somebody else may read the shard.
    LeaseLost,
    /// The worker's heartbeat could not be confirmed in time: others may soon take the lease.
    HeartbeatLate,
    /// The worker has ended.
    WorkerEnded,
}

/// Why a checkpoint was not stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The worker no longer has the lease. Stop working on the shard: its records go to another worker.
    #[error("the lease is lost, so that another worker may read the shard: what is not stored yet is repeated there")]
    LeaseLost,
    /// The lease table was out of reach for so long that others may take the lease. The checkpoint may or may not be stored. Stop
    /// working on the shard: this worker goes on with it, or another does, from what is stored.
    #[error(
        "the lease table was out of reach for too long: the checkpoint may or may not be stored, and another worker may read \
         the shard; what is not stored is repeated"
    )]
    StoreUnavailable,
    /// Another transaction of the same shard began before this one was given the row. There is one at a time.
    #[error("another checkpoint of this shard was begun while this one waited: begin one after the other")]
    Superseded,
}

/// How a worker's life ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ending {
    /// It handed over all it had, as it was asked to.
    Left,
    /// Another process registered under the worker's name.
    Replaced {
        /// This worker.
        worker: WorkerId,
        /// The other process.
        by: Incarnation,
    },
    /// The store refuses the worker's registration, and always will.
    Refused,
    /// The stream was deleted.
    StreamDeleted {
        /// Which stream.
        stream: Name,
    },
    /// The leases are for an earlier stream of the same name.
    StreamRecreated {
        /// The stream.
        stream: Name,
        /// When the stream was created that the leases are for.
        leased: Timestamp,
        /// When the stream was created that is there now.
        found: Timestamp,
    },
}
