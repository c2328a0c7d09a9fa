//! What a reader brings.

use std::sync::Arc;
use std::time::Duration;

use crate::{Gap, Reservation};
use bytes::Bytes;
use stream_types::{Position, RecordPosition, SequenceNumber, Shard, Timestamp};

/// A record of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number within the shard. All user records of an aggregate have that of the aggregate.
    pub sequence_number: SequenceNumber,
    /// Which user record of an aggregate it is, from 0; absent for a record that the producer put by itself.
    pub sub_sequence_number: Option<u64>,
    /// The key by which the producer assigned it to a shard. Shared by the user records of an aggregate.
    pub partition_key: Arc<str>,
    /// What the producer of an aggregate gave instead of the partition key's hash. The service does not tell it of other
    /// records.
    pub explicit_hash_key: Option<u128>,
    /// When the stream took it, as the service tells (to the millisecond, without a guarantee).
    pub arrival: Option<Timestamp>,
    /// The payload.
    pub data: Bytes,
}

impl Record {
    /// Where reading stands when this record is done.
    #[must_use]
    pub fn position(&self) -> RecordPosition {
        let sub_sequence_number = self.sub_sequence_number.unwrap_or(RecordPosition::WHOLE);
        RecordPosition { sequence_number: self.sequence_number.clone(), sub_sequence_number }
    }
}

/// Records of one shard, in order; none when nothing new was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The records, ascending by sequence number.
    pub records: Vec<Record>,
    /// How far the end of the batch lies behind the newest record of the shard, as the service tells.
    pub behind_latest: Option<Duration>,
    /// What the batch takes of the process's budget; absent where nobody counts.
    pub reservation: Option<Reservation>,
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
    /// The stream may have forgotten records before they were read. What it still has comes next.
    Gap(Gap),
    /// The shard is closed, and everything in it was brought.
    End {
        /// The shards that go on where this one ended.
        children: Vec<Shard>,
    },
}
