//! The contract between the workers and the lease table.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Epoch, Lease, LeaseKey, StoreError, Version, WorkerRow};

/// The lease table of **one application**: the leases of its shards, and the registry of its workers.
///
/// A store does as little as possible. What the rows mean is decided by the pure functions of this crate; a store
/// keeps rows, compares two numbers, and tells the loser of a race what is there instead.
///
/// # Contract
///
/// Each line is a check of the conformance suite ([`testing`](crate::testing), feature `testing`), whose name starts
/// with the same number.
///
/// 1. `put` with [`Expected::Absent`] writes only where the key has no row.
/// 2. `put` with [`Expected::Row`] writes only over a row of that version and that epoch. A table that has lost its newest
///    rows comes to a version a second time; to an epoch it does not, if it tells a floor ([`Beat::Written`]).
/// 3. A write that loses is `Ok(Outcome::Conflict)`, writes nothing, and brings the row that is there instead.
/// 4. `put` refuses, as [`Invalid`](crate::StoreErrorKind::Invalid), a row that does not follow from what is expected:
///    its version is [`Version::FIRST`] after absent, else the expected version's successor, and its epoch is no lower
///    than the expected one.
/// 5. After `Applied`, everybody's `get` and `list` return the row, every field as it was written.
/// 6. Of several writers that expect the same, exactly one is applied.
/// 7. A write sent again after its reply was lost is a conflict whose current row equals the row to be written. So
///    whoever finds `current == next` knows that the write was his own.
/// 8. `list` is complete, however many rows there are, and ascending by key.
/// 9. `delete` removes only a row of the given row's version and epoch; where there is no row, it is a conflict with
///    nothing.
/// 10. `heartbeat` writes the worker's row and returns all rows, its own included, ascending by name.
/// 11. `heartbeat` writes exactly where [`WorkerRow::may_replace`] allows it or the name has no row; elsewhere it
///     answers [`Beat::Replaced`] and writes nothing.
/// 12. `forget` removes a worker's row only if it still equals the given one.
/// 13. Two applications in one table never see each other's rows.
/// 14. Nothing expires: the store reads no clock.
///
/// Besides, what no single check can show: all calls are linearizable per row; reads see the newest write (no reads
/// from replicas that lag); dropping a call's future leaves the row as it was before or as it is after. A list need not
/// be a snapshot of one moment, though: it may be read page by page while others write.
#[async_trait]
pub trait LeaseStore: fmt::Debug + Send + Sync + 'static {
    /// All leases, ascending by key.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or cannot read its rows. There is no partial list.
    async fn list(&self) -> Result<Vec<Lease>, StoreError>;

    /// One lease.
    ///
    /// # Errors
    ///
    /// The store cannot be reached or cannot read the row.
    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, StoreError>;

    /// Writes `next` if the row is as expected.
    ///
    /// # Errors
    ///
    /// The store cannot be reached, or refuses `next` (contract line 4). A lost race is no error.
    async fn put(&self, expected: Expected, next: &Lease) -> Result<Outcome<Lease>, StoreError>;

    /// Removes a lease's row if it still has the version and the epoch of this one.
    ///
    /// # Errors
    ///
    /// The store cannot be reached. A lost race is no error.
    async fn delete(&self, lease: &Lease) -> Result<Outcome<Lease>, StoreError>;

    /// Writes the worker's own row and reads all of them.
    ///
    /// # Errors
    ///
    /// The store cannot be reached.
    async fn heartbeat(&self, me: &WorkerRow) -> Result<Beat, StoreError>;

    /// Removes the row of a worker that left, or that has long been dead.
    ///
    /// # Errors
    ///
    /// The store cannot be reached. A row that changed meanwhile is no error.
    async fn forget(&self, worker: &WorkerRow) -> Result<Outcome<WorkerRow>, StoreError>;

    /// Wake-ups pushed by the store when an owner or the set of workers changed, where it has such a thing.
    ///
    /// They only make things faster: nothing may depend on one arriving.
    fn hints(&self) -> Option<Box<dyn Hints>>;
}

/// A stream of wake-ups without content.
#[async_trait]
pub trait Hints: fmt::Debug + Send {
    /// Waits for the next wake-up. Dropping the future loses none.
    async fn next(&mut self);
}

/// What a conditional write expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expected {
    /// No row.
    Absent,
    /// A row of this version and this epoch.
    Row {
        /// How often the row has been written.
        version: Version,
        /// Under which the lease was owned last. It tells apart what a table came to before and after it lost its newest
        /// rows.
        epoch: Epoch,
    },
}

impl Expected {
    /// That row, as it was read, and not written since.
    #[must_use]
    pub const fn row(lease: &Lease) -> Self {
        Self::Row { version: lease.version, epoch: lease.epoch }
    }

    /// The version that a row must have to be written where this is expected.
    #[must_use]
    pub const fn next_version(self) -> Version {
        match self {
            Self::Absent => Version::FIRST,
            Self::Row { version, .. } => version.next(),
        }
    }

    /// Whether that row, written where this is expected, gives out another epoch: the lease changes hands.
    #[must_use]
    pub fn changes_epoch(self, next: &Lease) -> bool {
        matches!(self, Self::Row { epoch, .. } if epoch != next.epoch)
    }

    /// Whether that row may be written where this is expected: its version follows, and its epoch does not go back.
    #[must_use]
    pub fn is_followed_by(self, next: &Lease) -> bool {
        let epoch_before = match self {
            Self::Absent => Epoch::NEVER_OWNED,
            Self::Row { epoch, .. } => epoch,
        };
        next.version == self.next_version() && next.epoch >= epoch_before
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("no row"),
            Self::Row { version, epoch } => write!(f, "version {version} of epoch {epoch}"),
        }
    }
}

/// How a conditional write ended.
#[must_use = "a lost race is not an error: look whether the write was applied"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<Row> {
    /// The write took place.
    Applied,
    /// Something else was there, and nothing was written.
    Conflict {
        /// What is there instead.
        current: Option<Row>,
    },
}

/// The answer to a heartbeat.
#[must_use = "a worker that was replaced must stop"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beat {
    /// The row was written.
    Written {
        /// All workers' rows, ascending by name.
        workers: Vec<WorkerRow>,
        /// Epochs given out from now on must be at least this.
        ///
        /// For stores that may lose their newest rows and go on with older ones, such as a Redis that fails over: what
        /// they would count on from was given out already. They answer a number that never goes back although their
        /// rows do, such as the time. A store that keeps what it has confirmed answers [`Epoch::NEVER_OWNED`].
        epoch_floor: Epoch,
    },
    /// Another incarnation bears the name; nothing was written.
    Replaced {
        /// Its row.
        by: WorkerRow,
    },
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<Store: LeaseStore + ?Sized> LeaseStore for Arc<Store> {
    async fn list(&self) -> Result<Vec<Lease>, StoreError> {
        (**self).list().await
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, StoreError> {
        (**self).get(key).await
    }

    async fn put(&self, expected: Expected, next: &Lease) -> Result<Outcome<Lease>, StoreError> {
        (**self).put(expected, next).await
    }

    async fn delete(&self, lease: &Lease) -> Result<Outcome<Lease>, StoreError> {
        (**self).delete(lease).await
    }

    async fn heartbeat(&self, me: &WorkerRow) -> Result<Beat, StoreError> {
        (**self).heartbeat(me).await
    }

    async fn forget(&self, worker: &WorkerRow) -> Result<Outcome<WorkerRow>, StoreError> {
        (**self).forget(worker).await
    }

    fn hints(&self) -> Option<Box<dyn Hints>> {
        (**self).hints()
    }
}

/// The trait must stay usable as `dyn LeaseStore`.
const _: fn(&dyn LeaseStore) = |_| {};
