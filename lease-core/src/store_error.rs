//! What can go wrong between a worker and its lease table.

use std::error::Error;
use std::fmt;

use crate::{Expected, Lease, UnreadableRow};

/// A store could not do what was asked.
///
/// The kind tells a caller what to do; the message and the source chain tell a person what happened. A lost race is no
/// error but an [`Outcome`](crate::Outcome).
///
/// ```
/// use lease_core::{StoreError, StoreErrorKind, StoreOperation};
///
/// let error = StoreError::new(StoreErrorKind::Throttled, StoreOperation::Put, "table leases: capacity exceeded");
/// assert!(error.is_retryable() && error.has_no_side_effects());
/// assert_eq!(error.to_string(), "the lease store throttled a put: table leases: capacity exceeded");
/// ```
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    operation: StoreOperation,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What the caller of a store can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The store asks for fewer requests. Nothing was written; try again later.
    Throttled,
    /// The store cannot be reached. Nothing was written; try again.
    Unavailable,
    /// The request may or may not have been carried out. Send the very same again: rows tell one's own writes.
    Ambiguous,
    /// The store has a row that cannot be read. A person must look.
    Corrupt,
    /// The store refuses the request, and always will.
    Invalid,
}

/// The verb that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreOperation {
    /// Reaching the store for the first time.
    Connect,
    /// Creating the tables.
    Prepare,
    /// [`LeaseStore::list`](crate::LeaseStore::list)
    List,
    /// [`LeaseStore::get`](crate::LeaseStore::get)
    Get,
    /// [`LeaseStore::put`](crate::LeaseStore::put)
    Put,
    /// [`LeaseStore::delete`](crate::LeaseStore::delete)
    Delete,
    /// [`LeaseStore::heartbeat`](crate::LeaseStore::heartbeat)
    Heartbeat,
    /// [`LeaseStore::forget`](crate::LeaseStore::forget)
    Forget,
}

impl StoreError {
    /// An error with a message that says what happened to which value.
    pub fn new(kind: StoreErrorKind, operation: StoreOperation, message: impl Into<String>) -> Self {
        Self { kind, operation, message: message.into(), source: None }
    }

    /// The error of a store that has found a row which cannot be read.
    #[must_use]
    pub fn unreadable(store: &str, operation: StoreOperation, row: UnreadableRow) -> Self {
        Self::new(StoreErrorKind::Corrupt, operation, format!("{store}: {row}")).caused_by(row)
    }

    /// The error of a `put` whose row does not follow from what is expected, if that is so. The first thing that a store
    /// looks at.
    ///
    /// # Errors
    ///
    /// The version does not follow, or the epoch goes back.
    pub fn check_successor(expected: Expected, next: &Lease) -> Result<(), Self> {
        if expected.is_followed_by(next) {
            return Ok(());
        }
        let Lease { key, version, epoch, .. } = next;
        let message = format!("lease {key}: version {version} of epoch {epoch} does not follow from {expected}");
        Err(Self::new(StoreErrorKind::Invalid, StoreOperation::Put, message))
    }

    /// The same error with the error that caused it.
    #[must_use]
    pub fn caused_by(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// The same error, where a write came before it that may have been carried out.
    #[must_use]
    pub fn after_a_write(self) -> Self {
        if self.is_retryable() { self.with_kind(StoreErrorKind::Ambiguous) } else { self }
    }

    /// The same error of another kind, for who knows more about it.
    #[must_use]
    pub fn with_kind(self, kind: StoreErrorKind) -> Self {
        Self { kind, ..self }
    }

    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// The verb that failed.
    #[must_use]
    pub const fn operation(&self) -> StoreOperation {
        self.operation
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.kind.is_retryable()
    }

    /// Whether the store is certainly as it was before.
    #[must_use]
    pub const fn has_no_side_effects(&self) -> bool {
        !matches!(self.kind, StoreErrorKind::Ambiguous)
    }
}

impl StoreErrorKind {
    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Throttled | Self::Unavailable | Self::Ambiguous)
    }
}

impl fmt::Display for StoreOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connection",
            Self::Prepare => "preparation",
            Self::List => "list",
            Self::Get => "get",
            Self::Put => "put",
            Self::Delete => "delete",
            Self::Heartbeat => "heartbeat",
            Self::Forget => "forget",
        })
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, operation, message, .. } = self;
        match kind {
            StoreErrorKind::Throttled => write!(f, "the lease store throttled a {operation}: {message}"),
            StoreErrorKind::Unavailable => write!(f, "the lease store cannot be reached for a {operation}: {message}"),
            StoreErrorKind::Ambiguous => {
                write!(f, "the reply to a {operation} was lost, so it may or may not have been carried out: {message}")
            }
            StoreErrorKind::Corrupt => write!(f, "a {operation} found a row that cannot be read: {message}"),
            StoreErrorKind::Invalid => write!(f, "the lease store refuses a {operation}: {message}"),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
