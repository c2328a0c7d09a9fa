//! Records on their way in and out.

use bytes::Bytes;
use md5::{Digest, Md5};
use stream_types::{SequenceNumber, Shard, ShardId, Timestamp};

/// A record to be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutEntry {
    /// Decides by its hash which shard takes the record.
    pub partition_key: String,
    /// Decides instead of the partition key's hash, where given.
    pub explicit_hash_key: Option<u128>,
    /// The payload.
    pub data: Bytes,
}

impl PutEntry {
    /// The most bytes of payload and partition key together.
    const MAX_BYTES: usize = 1024 * 1024;

    pub(crate) fn hash_key(&self) -> u128 {
        let hashed = || u128::from_be_bytes(Md5::digest(self.partition_key.as_bytes()).into());
        self.explicit_hash_key.unwrap_or_else(hashed)
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.data.len() + self.partition_key.len()
    }

    /// Why the service would refuse the record whatever the load, if it would.
    pub(crate) fn objection(&self) -> Option<String> {
        let characters = self.partition_key.chars().count();
        if !(1..=256).contains(&characters) {
            return Some(format!("PartitionKey must have 1 to 256 characters, not {characters}"));
        }
        let bytes = self.size_bytes();
        (bytes > Self::MAX_BYTES).then(|| format!("Data and PartitionKey have {bytes} bytes, more than 1048576"))
    }
}

/// Where a record was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutResult {
    /// The shard that took it.
    pub shard: ShardId,
    /// The number that it got.
    pub sequence_number: SequenceNumber,
}

/// A record in a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its number within the shard.
    pub sequence_number: SequenceNumber,
    /// The key that it was put with.
    pub partition_key: String,
    /// When it was put.
    pub arrival: Timestamp,
    /// The payload.
    pub data: Bytes,
}

impl StoredRecord {
    pub(crate) fn size_bytes(&self) -> usize {
        self.data.len() + self.partition_key.len()
    }
}

/// The answer to a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordsPage {
    /// The records, ascending by sequence number.
    pub records: Vec<StoredRecord>,
    /// Where to read on; absent at the end of a closed shard.
    pub next_iterator: Option<String>,
    /// How old the next unread record is; 0 at the tip.
    pub millis_behind_latest: u64,
    /// At the end of a closed shard, the shards that go on.
    pub children: Vec<Shard>,
}
