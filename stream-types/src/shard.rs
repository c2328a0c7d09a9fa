//! Shards and their lineage.

use std::fmt;
use std::str::FromStr;

use crate::{HashRange, InvalidName, Name};

/// The id of a shard within its stream, such as `shardId-000000000003`.
///
/// A [`Name`] without a slash, so that `stream/shard` can be taken apart again.
///
/// ```
/// use stream_types::ShardId;
///
/// let shard = ShardId::new("shardId-000000000003")?;
/// assert_eq!(shard.to_string(), "shardId-000000000003");
/// # Ok::<(), stream_types::InvalidShardId>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(Name);

impl ShardId {
    /// Checks the text and makes it a shard id.
    ///
    /// # Errors
    ///
    /// The text is no [`Name`], or has a slash.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidShardId> {
        let name = Name::new(text)?;
        if name.as_str().contains('/') {
            return Err(InvalidShardId::Slash { text: name });
        }
        Ok(Self(name))
    }

    /// The text of the id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for ShardId {
    type Err = InvalidShardId;

    fn from_str(text: &str) -> Result<Self, InvalidShardId> {
        Self::new(text)
    }
}

/// The text is no [`ShardId`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidShardId {
    /// It is not even a name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// It has a slash.
    #[error("{text} cannot be a shard id: it has a slash")]
    Slash {
        /// The refused text.
        text: Name,
    },
}

/// A shard as its stream lists it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shard {
    /// Its id.
    pub id: ShardId,
    /// The shards that it came from: none, one (a split) or two (a merge). The stream may no longer have them.
    pub parents: Vec<ShardId>,
    /// The hash keys that it serves, where the stream tells.
    pub hash_range: Option<HashRange>,
}
