//! The key of a lease: a stream and one of its shards.

use std::fmt;
use std::str::FromStr;

use stream_types::{InvalidShardId, Name, ShardId};

/// Which shard of which stream a lease is for, shown as `stream/shard`.
///
/// Ordered by stream, then by shard.
///
/// ```
/// use lease_core::LeaseKey;
///
/// let key: LeaseKey = "orders/shardId-000000000003".parse()?;
/// assert_eq!(key.stream.as_str(), "orders");
/// assert_eq!(key.shard.as_str(), "shardId-000000000003");
/// assert_eq!(format!("{key} {key:?}"), "orders/shardId-000000000003 orders/shardId-000000000003");
/// # Ok::<(), lease_core::InvalidLeaseKey>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseKey {
    /// The name of the stream.
    pub stream: Name,
    /// The id of the shard.
    pub shard: ShardId,
}

impl LeaseKey {
    /// The key of that shard of that stream.
    #[must_use]
    pub const fn new(stream: Name, shard: ShardId) -> Self {
        Self { stream, shard }
    }

    /// The key of another shard of the same stream.
    #[must_use]
    pub fn sibling(&self, shard: ShardId) -> Self {
        Self { stream: self.stream.clone(), shard }
    }
}

impl fmt::Display for LeaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stream, self.shard)
    }
}

impl fmt::Debug for LeaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for LeaseKey {
    type Err = InvalidLeaseKey;

    /// Takes the text apart at its last slash: a shard id has none.
    fn from_str(text: &str) -> Result<Self, InvalidLeaseKey> {
        let (stream, shard) = text.rsplit_once('/').ok_or(InvalidLeaseKey::NoSlash)?;
        Ok(Self { stream: Name::new(stream).map_err(InvalidShardId::from)?, shard: shard.parse()? })
    }
}

/// The text is no [`LeaseKey`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidLeaseKey {
    /// It has no slash between stream and shard.
    #[error("a lease key is written stream/shard, and this text has no slash")]
    NoSlash,
    /// The stream's or the shard's part is refused.
    #[error(transparent)]
    Part(#[from] InvalidShardId),
}
