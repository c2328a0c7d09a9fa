//! What a stream must be able to do.

use std::fmt;

use async_trait::async_trait;
use stream_types::{Name, Position, Shard, ShardId, Timestamp};

use crate::{ByteBudget, Reading, SourceError};

/// One stream of shards.
#[async_trait]
pub trait Source: fmt::Debug + Send + Sync + 'static {
    /// The stream's name, as it is used in lease keys.
    fn name(&self) -> &Name;

    /// What the stream says of itself.
    ///
    /// # Errors
    ///
    /// The stream does not exist, or cannot be reached.
    async fn describe(&self) -> Result<StreamDescription, SourceError>;

    /// All shards that the stream still has, closed ones included.
    ///
    /// # Errors
    ///
    /// The stream does not exist, or cannot be reached. There is no partial list.
    async fn list_shards(&self) -> Result<Vec<Shard>, SourceError>;

    /// A reader of that shard, from that position on. What it brings counts against the budget, for as long as somebody has it.
    ///
    /// # Errors
    ///
    /// The shard does not exist, or cannot be reached.
    async fn open(
        &self,
        shard: &ShardId,
        from: &Position,
        budget: &ByteBudget,
    ) -> Result<Box<dyn ShardReader>, SourceError>;
}

/// Reads one shard.
#[async_trait]
pub trait ShardReader: fmt::Debug + Send {
    /// The next records, or the end of the shard.
    ///
    /// Waits as long as the stream's limits ask for, and outlasts whatever may pass by itself: throttling, expired
    /// iterators, a service out of reach. Dropping the future loses no record: the next call brings it.
    ///
    /// # Errors
    ///
    /// Something that will not pass by itself: the stream or the shard is gone, or may not be read.
    async fn next(&mut self) -> Result<Reading, SourceError>;
}

/// What a stream says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamDescription {
    /// Its name.
    pub name: Name,
    /// When it was created. A stream deleted and created again under its name is another stream.
    pub created: Option<Timestamp>,
}
