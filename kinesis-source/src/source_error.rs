//! What can go wrong between a reader and its stream.

use std::error::Error;
use std::fmt;

use stream_types::{Position, StartPosition};

/// A stream could not do what was asked.
///
/// ```
/// use kinesis_source::{SourceError, SourceErrorKind};
///
/// let error = SourceError::new(SourceErrorKind::NotFound, "ListShards", "stream orders");
/// assert!(!error.is_retryable());
/// assert_eq!(error.to_string(), "ListShards found nothing: stream orders");
/// ```
#[derive(Debug)]
pub struct SourceError {
    kind: SourceErrorKind,
    operation: &'static str,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What the caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SourceErrorKind {
    /// The stream asks for fewer requests; try again later.
    Throttled,
    /// The stream cannot be reached, or is busy; try again.
    Unavailable,
    /// The iterator is too old; get a new one.
    Expired,
    /// There is no such stream or shard.
    NotFound,
    /// The credentials are missing, wrong, or do not allow it.
    Denied,
    /// The request is refused, and always will be.
    Invalid,
}

impl SourceError {
    /// An error of that operation, with a message that says what it was about.
    pub fn new(kind: SourceErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        Self { kind, operation, message: message.into(), source: None }
    }

    /// The same error with the error that caused it.
    #[must_use]
    pub fn caused_by(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> SourceErrorKind {
        self.kind
    }

    /// The same error, of a request to start reading there: a time that the service's clock has not reached is refused as
    /// invalid, and passes by itself.
    ///
    /// "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis", it says; its API reference does not.
    /// A machine whose clock is ahead meets it when it starts at the newest records.
    #[must_use]
    pub fn at_start(self, from: &Position) -> Self {
        match from {
            Position::Start(StartPosition::Timestamp(time)) if self.kind == SourceErrorKind::Invalid => {
                let message =
                    format!("{}; should {time} lie in the future of the service, reading starts then", self.message);
                Self { kind: SourceErrorKind::Unavailable, message, ..self }
            }
            _ => self,
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, SourceErrorKind::Throttled | SourceErrorKind::Unavailable)
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, operation, message, .. } = self;
        let what = match kind {
            SourceErrorKind::Throttled => "was throttled",
            SourceErrorKind::Unavailable => "did not get through",
            SourceErrorKind::Expired => "came too late for its iterator",
            SourceErrorKind::NotFound => "found nothing",
            SourceErrorKind::Denied => "is not allowed",
            SourceErrorKind::Invalid => "is refused",
        };
        write!(f, "{operation} {what}: {message}")
    }
}

impl Error for SourceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
