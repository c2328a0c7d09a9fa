//! What a reader brings.

use std::time::Duration;

use bytes::Bytes;
use stream_types::{Position, RecordPosition, SequenceNumber, Shard, Timestamp};

/// A record of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number within the shard.
    pub sequence_number: SequenceNumber,
    /// The key by which the producer assigned it to a shard.
    pub partition_key: String,
    /// When the stream took it, as the service tells (to the millisecond, without a guarantee).
    pub arrival: Option<Timestamp>,
    /// The payload.
    pub data: Bytes,
}

impl Record {
    /// Where reading stands when this record is done.
    #[must_use]
    pub fn position(&self) -> RecordPosition {
        RecordPosition::whole(self.sequence_number.clone())
    }
}

/// Records of one shard, in order; none when nothing new was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The records, ascending by sequence number.
    pub records: Vec<Record>,
    /// How far the end of the batch lies behind the newest record of the shard, as the service tells.
    pub behind_latest: Option<Duration>,
}

impl Batch {
    /// Where reading stands when the whole batch is done; absent when it is empty.
    #[must_use]
    pub fn end_position(&self) -> Option<Position> {
        self.records.last().map(|record| Position::After(record.position()))
    }
}

/// What a reader brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// The next records.
    Batch(Batch),
    /// The shard is closed, and everything in it was brought.
    End {
        /// The shards that go on where this one ended.
        children: Vec<Shard>,
    },
}
