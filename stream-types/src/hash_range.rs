//! The part of the hash space that a shard serves.

use std::fmt;
use std::str::FromStr;

/// The 128-bit hash keys that a shard serves, both ends included.
///
/// A record belongs to the shard whose range holds the MD5 hash of its partition key, read as a number.
///
/// ```
/// use stream_types::HashRange;
///
/// let lower_half = HashRange::new(0, u128::MAX / 2)?;
/// assert!(lower_half.contains(7));
/// assert!(!lower_half.contains(u128::MAX));
/// # Ok::<(), stream_types::InvalidHashRange>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashRange {
    start: u128,
    end: u128,
}

impl HashRange {
    /// The whole hash space.
    pub const FULL: Self = Self { start: 0, end: u128::MAX };

    /// The range from `start` to `end`, both included.
    ///
    /// # Errors
    ///
    /// `start` lies behind `end`.
    pub fn new(start: u128, end: u128) -> Result<Self, InvalidHashRange> {
        if start <= end { Ok(Self { start, end }) } else { Err(InvalidHashRange { text: format!("{start}-{end}") }) }
    }

    /// The first hash key of the range.
    #[must_use]
    pub const fn start(self) -> u128 {
        self.start
    }

    /// The last hash key of the range.
    #[must_use]
    pub const fn end(self) -> u128 {
        self.end
    }

    /// Whether the range holds this hash key.
    #[must_use]
    pub const fn contains(self, hash_key: u128) -> bool {
        self.start <= hash_key && hash_key <= self.end
    }
}

impl fmt::Display for HashRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start, self.end)
    }
}

impl FromStr for HashRange {
    type Err = InvalidHashRange;

    /// Reads what `Display` writes: two decimal numbers with a hyphen between them.
    fn from_str(text: &str) -> Result<Self, InvalidHashRange> {
        let invalid = || InvalidHashRange { text: text.chars().take(100).collect() };
        let (start, end) = text.split_once('-').ok_or_else(invalid)?;
        let start = start.parse().map_err(|_| invalid())?;
        let end = end.parse().map_err(|_| invalid())?;
        Self::new(start, end)
    }
}

/// The text is no [`HashRange`], or its start lies behind its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no hash range: it takes two numbers below 2^128, the smaller one first")]
pub struct InvalidHashRange {
    text: String,
}
