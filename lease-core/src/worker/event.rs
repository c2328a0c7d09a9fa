//! What a worker is told.

use std::time::Duration;

use stream_types::{Name, Position, Shard, Timestamp};

use crate::{Beat, Epoch, Lease, LeaseKey, Outcome, StoreErrorKind, StreamFacts};

/// Something that happened. Each is given to [`Worker::on`](super::Worker::on) with the moment at which it did.
///
/// Every [`Command`](super::Command) that asks the store or the stream something is answered by exactly one event,
/// however late, and with an error when no answer came.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "an event lives for one call")]
pub enum Event {
    /// The moment of [`Worker::next_wake`](super::Worker::next_wake) has come. Also the first event of all.
    TimePassed,
    /// The store pushed a wake-up.
    Hinted,
    /// The answer to [`Command::Heartbeat`](super::Command::Heartbeat).
    HeartbeatAnswered(Result<Beat, StoreErrorKind>),
    /// The answer to [`Command::ListLeases`](super::Command::ListLeases).
    LeasesListed(Result<Vec<Lease>, StoreErrorKind>),
    /// The answer to [`Command::Put`](super::Command::Put), or how the transaction ended that a row was lent to: an error
    /// when it was given up, or nobody knows.
    PutAnswered {
        /// The lease whose row was to be written.
        key: LeaseKey,
        /// How it ended.
        answer: Result<Outcome<Lease>, StoreErrorKind>,
    },
    /// The answer to [`Command::Delete`](super::Command::Delete).
    DeleteAnswered {
        /// The lease whose row was to be removed.
        key: LeaseKey,
        /// How it ended.
        answer: Result<Outcome<Lease>, StoreErrorKind>,
    },
    /// A [`Command::Forget`](super::Command::Forget) did not get through. Nothing depends on it; but the store may have started
    /// again, without its newest rows.
    ForgetFailed,
    /// The answer to [`Command::ListShards`](super::Command::ListShards); nothing when the stream did not answer.
    ShardsListed {
        /// Which stream.
        stream: Name,
        /// When it was created, if it says so.
        created: Option<Timestamp>,
        /// All shards that it still has.
        shards: Option<Vec<Shard>>,
    },
    /// The other answer to [`Command::ListShards`](super::Command::ListShards): there is no such stream any more.
    StreamNotFound {
        /// Which stream.
        stream: Name,
    },
    /// The reader of a shard wants a position stored.
    CheckpointAsked {
        /// Which shard.
        key: LeaseKey,
        /// Under which epoch it reads.
        epoch: Epoch,
        /// Up to where all is done.
        position: Position,
    },
    /// The reader of a shard wants to store a position itself, in a transaction of its own. Answered by one
    /// [`Command::LendRow`](super::Command::LendRow), unless the shard is stopped before. A position that is stored already
    /// is refused: the reader would do once more what was done.
    RowAsked {
        /// Which shard.
        key: LeaseKey,
        /// Under which epoch it reads.
        epoch: Epoch,
        /// Up to where all is done, once the transaction is.
        position: Position,
    },
    /// The reader of a shard has finished the batch in hand and stopped, as asked.
    Drained {
        /// Which shard.
        key: LeaseKey,
        /// Under which epoch it read.
        epoch: Epoch,
        /// Up to where all is done; absent = up to the last checkpoint.
        position: Option<Position>,
    },
    /// The shard is closed and all of it is processed.
    ShardEnded {
        /// Which shard.
        key: LeaseKey,
        /// Under which epoch it was read.
        epoch: Epoch,
        /// The shards that go on where this one ended.
        children: Vec<Shard>,
    },
    /// The reader of a shard has given up, as its user wants it to when its processor keeps failing: the shard is left to
    /// nobody. This worker leaves it alone until another has had it.
    ShardStopped {
        /// Which shard.
        key: LeaseKey,
        /// Under which epoch it read.
        epoch: Epoch,
        /// Up to where all is done; absent = up to the last checkpoint.
        position: Option<Position>,
    },
    /// The reader of a shard has failed and is gone. It can start again behind what is done.
    ShardFailed {
        /// Which shard.
        key: LeaseKey,
        /// Under which epoch it read.
        epoch: Epoch,
        /// Up to where all is done; absent = up to the last checkpoint.
        position: Option<Position>,
    },
    /// The worker is to read its share of this stream too, or again.
    FollowAsked {
        /// Which stream.
        stream: Name,
        /// As a first worker of the application would store them.
        facts: StreamFacts,
    },
    /// The worker is to hand over all it has of this stream, and to leave it to the others. Answered by
    /// [`Command::DropStream`](super::Command::DropStream).
    UnfollowAsked {
        /// Which stream.
        stream: Name,
    },
    /// The worker is to hand over all it has and leave.
    LeaveAsked {
        /// How much time it has. With little, it does not wait until the receivers of its leases are on the look-out.
        within: Duration,
    },
    /// The time for leaving is nearly over: what has no certain receiver is left to nobody instead of waiting for one.
    LeaveOverdue,
    /// The worker is to store what is done and end, and keep its leases for another process of its name.
    ReturnAsked {
        /// Within which time that process is back. Until then the others leave the leases alone.
        within: Duration,
    },
}
