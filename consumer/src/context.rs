//! What a processor sees of its shard.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use kinesis_source::{Batch, Record};
use lease_core::worker::CheckpointError;
use lease_core::{Epoch, LeaseKey};
use stream_types::{Name, Position, ShardId};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{Checkpoints, OpenCheckpoint};

/// A shard in this worker's hands, under one epoch of its lease. Clones are cheap.
#[derive(Debug, Clone)]
pub struct ShardContext {
    key: LeaseKey,
    epoch: Epoch,
    checkpoints: Checkpoints,
    drain: CancellationToken,
    requests: mpsc::Sender<CheckpointRequest>,
}

/// A checkpoint on its way to the driver.
#[derive(Debug)]
pub(crate) struct CheckpointRequest {
    pub(crate) key: LeaseKey,
    pub(crate) epoch: Epoch,
    pub(crate) position: Position,
    pub(crate) reply: Reply,
}

/// Who waits for a checkpoint.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Nobody: it is an automatic one.
    Unheard,
    /// A processor, until it is stored.
    Stored(oneshot::Sender<Result<(), CheckpointError>>),
    /// A processor that will store it itself.
    Lent(oneshot::Sender<Result<Option<OpenCheckpoint>, CheckpointError>>),
}

impl ShardContext {
    pub(crate) const fn new(
        key: LeaseKey,
        epoch: Epoch,
        checkpoints: Checkpoints,
        drain: CancellationToken,
        requests: mpsc::Sender<CheckpointRequest>,
    ) -> Self {
        Self { key, epoch, checkpoints, drain, requests }
    }

    /// Who stores how far reading has got.
    pub(crate) const fn checkpoints(&self) -> Checkpoints {
        self.checkpoints
    }

    /// Cancelled once the shard is to be drained.
    pub(crate) const fn drain(&self) -> &CancellationToken {
        &self.drain
    }

    /// The lease's key.
    #[must_use]
    pub const fn key(&self) -> &LeaseKey {
        &self.key
    }

    /// The stream.
    #[must_use]
    pub const fn stream(&self) -> &Name {
        &self.key.stream
    }

    /// The shard.
    #[must_use]
    pub const fn shard(&self) -> &ShardId {
        &self.key.shard
    }

    /// The **fencing token**: it grows with every change of the shard's owner. Write it beside your results, and refuse
    /// what comes with a lower one than is already there.
    #[must_use]
    pub const fn fencing_token(&self) -> Epoch {
        self.epoch
    }

    /// Stores that everything up to the record, itself included, is done. Returns once that is certain; at once where it is
    /// stored already, as for the first records of a batch that comes again after a failure.
    ///
    /// # Errors
    ///
    /// The lease is lost. While the lease table is out of reach this waits, for as long as the worker's heartbeats are good;
    /// then it tells that the table is unavailable.
    pub async fn checkpoint(&self, record: &Record) -> Result<(), CheckpointError> {
        self.checkpoint_at(Position::After(record.position())).await
    }

    /// Begins a checkpoint that your own transaction stores, together with your results: everything up to the record,
    /// itself included, is done once it is committed.
    ///
    /// Nothing comes back where all of that is stored already, by an earlier try of yours: then there is nothing to do.
    /// A batch that comes again must be cut at the same records as before, or a part of it would be done twice.
    ///
    /// # Errors
    ///
    /// The lease is lost, or the lease table unavailable.
    pub async fn begin_checkpoint(&self, record: &Record) -> Result<Option<OpenCheckpoint>, CheckpointError> {
        self.begin_checkpoint_at(Position::After(record.position())).await
    }

    pub(crate) async fn begin_checkpoint_at(
        &self,
        position: Position,
    ) -> Result<Option<OpenCheckpoint>, CheckpointError> {
        let (reply, answer) = oneshot::channel();
        self.send(position, Reply::Lent(reply)).await?;
        answer.await.unwrap_or(Err(CheckpointError::LeaseLost))
    }

    pub(crate) async fn checkpoint_at(&self, position: Position) -> Result<(), CheckpointError> {
        let (reply, answer) = oneshot::channel();
        self.send(position, Reply::Stored(reply)).await?;
        answer.await.unwrap_or(Err(CheckpointError::LeaseLost))
    }

    /// Asks for a checkpoint without waiting for it.
    pub(crate) async fn ask_for_checkpoint(&self, position: Position) -> Result<(), CheckpointError> {
        self.send(position, Reply::Unheard).await
    }

    async fn send(&self, position: Position, reply: Reply) -> Result<(), CheckpointError> {
        let request = CheckpointRequest { key: self.key.clone(), epoch: self.epoch, position, reply };
        self.requests.send(request).await.map_err(|_| CheckpointError::LeaseLost)
    }
}

/// Records of one shard, in order, at least one. Clones are cheap.
#[derive(Clone)]
pub struct ShardBatch {
    context: ShardContext,
    batch: Arc<Batch>,
    /// Which of the records.
    range: Range<usize>,
}

impl ShardBatch {
    pub(crate) fn new(context: ShardContext, batch: Batch) -> Self {
        Self { context, range: 0..batch.records.len(), batch: Arc::new(batch) }
    }

    /// The first and the second half, if there is more than one record.
    pub(crate) fn halves(&self) -> Option<(Self, Self)> {
        let Range { start, end } = self.range;
        let middle = start + (end - start) / 2;
        let part = |range| Self { range, ..self.clone() };
        (middle > start).then(|| (part(start..middle), part(middle..end)))
    }

    /// The shard that the records are from.
    #[must_use]
    pub const fn shard(&self) -> &ShardContext {
        &self.context
    }

    /// The records, ascending by sequence number.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.batch.records[self.range.clone()]
    }

    /// How far the end of the batch lies behind the newest record of the shard, as the stream tells.
    #[must_use]
    pub fn behind_latest(&self) -> Option<Duration> {
        self.batch.behind_latest
    }

    /// Stores that the whole batch is done. Returns once that is certain.
    ///
    /// # Errors
    ///
    /// Those of [`ShardContext::checkpoint`].
    pub async fn checkpoint(&self) -> Result<(), CheckpointError> {
        match self.end_position() {
            Some(position) => self.context.checkpoint_at(position).await,
            None => Ok(()),
        }
    }

    /// Begins a checkpoint that your own transaction stores, together with your results: the whole batch is done once it
    /// is committed.
    ///
    /// Nothing comes back where the batch is stored as done already, by an earlier try of yours: then there is nothing to
    /// do.
    ///
    /// # Errors
    ///
    /// The lease is lost, or the lease table unavailable.
    pub async fn begin_checkpoint(&self) -> Result<Option<OpenCheckpoint>, CheckpointError> {
        // A processor only ever sees batches with records.
        let position = self.end_position().ok_or(CheckpointError::LeaseLost)?;
        self.context.begin_checkpoint_at(position).await
    }

    pub(crate) fn end_position(&self) -> Option<Position> {
        self.records().last().map(|record| Position::After(record.position()))
    }
}

/// Without the records: payloads do not belong into logs.
impl fmt::Debug for ShardBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { context, range, .. } = self;
        let mut debug = f.debug_struct("ShardBatch");
        debug.field("key", &context.key).field("epoch", &context.epoch).field("records", &range.len());
        debug.finish_non_exhaustive()
    }
}
