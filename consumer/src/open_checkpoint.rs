//! Checkpoints in the user's own transaction.

use lease_core::worker::CheckpointError;
use lease_core::{Expected, Lease, Outcome};
use tokio::sync::oneshot;

/// A checkpoint that **your own transaction** writes, together with your results: both are stored, or neither is. So a
/// crash at any moment neither repeats nor loses anything in that database.
///
/// Begin it by [`ShardBatch::begin_checkpoint`](crate::ShardBatch::begin_checkpoint), have the transaction put
/// [`next`](Self::next) where [`expected`](Self::expected) is, by the verb that your lease table has for it, and say how it
/// ended. Until then nothing else writes the lease, so be quick. With checkpoints that are
/// [manual](crate::Checkpoints::Manual), no others are made.
///
/// ```
/// # use lease_core::{Expected, Lease, Outcome};
/// # struct Transaction;
/// # impl Transaction {
/// #     async fn insert(&mut self, records: &[kinesis_source::Record]) -> Result<(), std::io::Error> { Ok(()) }
/// #     async fn put(&mut self, e: Expected, n: &Lease) -> Result<Outcome<Lease>, std::io::Error> { Ok(Outcome::Applied) }
/// #     async fn commit(self) -> Result<(), std::io::Error> { Ok(()) }
/// # }
/// # async fn begin_transaction() -> Result<Transaction, std::io::Error> { Ok(Transaction) }
/// use consumer::ShardBatch;
///
/// async fn process(batch: ShardBatch) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
///     let Some(checkpoint) = batch.begin_checkpoint().await? else { return Ok(()) };
///     let mut transaction = begin_transaction().await?;
///     transaction.insert(batch.records()).await?;
///     // Postgres: store.put_in(&mut transaction, …); DynamoDB: store.transaction_item(…); Redis: store.put_with(…)
///     match transaction.put(checkpoint.expected(), checkpoint.next()).await? {
///         Outcome::Applied => {
///             transaction.commit().await?;
///             checkpoint.committed();
///         }
///         // Drops the transaction, which takes it back.
///         Outcome::Conflict { current } => checkpoint.conflicted(current)?,
///     }
///     Ok(())
/// }
/// ```
///
/// When you drop it, because something failed, the checkpoint counts as not made, and the processor gets the batch again.
/// Should the transaction have been committed nevertheless, its reply being lost, the next one meets a conflict, and
/// [`conflicted`](Self::conflicted) finds that the batch was done.
#[derive(Debug)]
#[must_use = "say how the transaction ended, or the checkpoint counts as not made"]
pub struct OpenCheckpoint {
    expected: Expected,
    next: Lease,
    settle: oneshot::Sender<Outcome<Lease>>,
}

impl OpenCheckpoint {
    /// A checkpoint, and where its end will be told.
    pub(crate) fn new(expected: Expected, next: Lease) -> (Self, oneshot::Receiver<Outcome<Lease>>) {
        let (settle, settled) = oneshot::channel();
        (Self { expected, next, settle }, settled)
    }

    /// What must be in the lease table for the transaction to be committed.
    #[must_use]
    pub const fn expected(&self) -> Expected {
        self.expected
    }

    /// The row to put.
    #[must_use]
    pub const fn next(&self) -> &Lease {
        &self.next
    }

    /// The transaction was committed, the row with it.
    pub fn committed(self) {
        // Nobody listens any more when the consumer has ended. What is committed is committed.
        let _unheard = self.settle.send(Outcome::Applied);
    }

    /// The transaction was not committed, because there was another row.
    ///
    /// If it is the very row that was to be put, an earlier try of yours was committed and its reply was lost: all is done,
    /// and this is `Ok`.
    ///
    /// # Errors
    ///
    /// The lease is lost, or was written by an earlier try of yours that went to another position. Return the error: the
    /// records since then come again, here or elsewhere.
    pub fn conflicted(self, current: Option<Lease>) -> Result<(), CheckpointError> {
        let was_done = current.as_ref() == Some(&self.next);
        let _unheard = self.settle.send(Outcome::Conflict { current });
        if was_done { Ok(()) } else { Err(CheckpointError::LeaseLost) }
    }
}
