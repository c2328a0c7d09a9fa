//! A name that every store, log and terminal can carry.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a stream, a worker, an application: 1 to [`Name::MAX_BYTES`] bytes without control characters.
///
/// The limits are the narrowest of what the stores behind a lease table take: DynamoDB refuses empty keys, Postgres
/// refuses the NUL character, and a control character in a name would reach people's terminals through the logs.
///
/// Cloning is cheap: the text is shared.
///
/// ```
/// use stream_types::Name;
///
/// let orders = Name::new("orders")?;
/// assert_eq!(orders.as_str(), "orders");
/// assert!(Name::new("").is_err());
/// # Ok::<(), stream_types::InvalidName>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 256;

    /// Checks the text and makes it a name.
    ///
    /// # Errors
    ///
    /// The text is empty, longer than [`Name::MAX_BYTES`] bytes, or has a control character.
    pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidName> {
        let text = text.as_ref();
        let reason = if text.is_empty() {
            "it is empty"
        } else if text.len() > Self::MAX_BYTES {
            "it is longer than 256 bytes"
        } else if text.chars().any(char::is_control) {
            "it has a control character"
        } else {
            return Ok(Self(text.into()));
        };
        let shown: String = text.chars().take(Self::SHOWN_CHARS).collect();
        Err(InvalidName { text: shown, reason })
    }

    /// How much of a refused name an error repeats.
    const SHOWN_CHARS: usize = 64;

    /// The text of the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

/// The text is no [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} cannot be a name: {reason}")]
pub struct InvalidName {
    text: String,
    reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_printable() {
        assert!(Name::new("orders: Größe/2 + 漢字").is_ok());
        assert!(Name::new("a".repeat(256)).is_ok());
        for bad in [String::new(), "a".repeat(257), "a\nb".into(), "a\0b".into()] {
            assert!(Name::new(&bad).is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn the_error_names_the_value_and_the_reason() {
        let error = Name::new("a\u{1b}b").unwrap_err();
        assert_eq!(error.to_string(), "\"a\\u{1b}b\" cannot be a name: it has a control character");
    }
}
