//! Sequence numbers: decimal, too long for any integer type.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The number of a record within its shard.
///
/// Kinesis numbers have up to 56 decimal digits today (about 186 bits, more than a `u128` holds), and its API allows
/// 129 (the pattern `0|([1-9]\d{0,128})` of the API reference). So the digits are kept as text and ordered as numbers.
/// Clones share them: the user records of an aggregate all have its number.
///
/// ```
/// use stream_types::SequenceNumber;
///
/// let nine: SequenceNumber = "9".parse()?;
/// let ten: SequenceNumber = "10".parse()?;
/// assert!(nine < ten);
/// assert!("010".parse::<SequenceNumber>().is_err());
/// # Ok::<(), stream_types::InvalidSequenceNumber>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SequenceNumber(Arc<str>);

impl SequenceNumber {
    /// The most digits that the service's API allows.
    pub const MAX_DIGITS: usize = 129;

    /// The decimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SequenceNumber {
    type Err = InvalidSequenceNumber;

    fn from_str(text: &str) -> Result<Self, InvalidSequenceNumber> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let canonical = text == "0" || !text.starts_with('0');
        if digits && canonical && text.len() <= Self::MAX_DIGITS {
            Ok(Self(text.into()))
        } else {
            Err(InvalidSequenceNumber { text: text.chars().take(Self::MAX_DIGITS).collect() })
        }
    }
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        // Without leading zeros, the longer number is the larger one.
        self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no [`SequenceNumber`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no sequence number: it takes 1 to 129 decimal digits without leading zeros")]
pub struct InvalidSequenceNumber {
    text: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_order_is_that_of_the_numbers(a: u128, b: u128) {
            let number = |n: u128| n.to_string().parse::<SequenceNumber>().unwrap();
            prop_assert_eq!(number(a).cmp(&number(b)), a.cmp(&b));
        }

        #[test]
        fn whatever_is_accepted_comes_out_as_it_went_in(text in "\\PC{0,140}") {
            if let Ok(number) = text.parse::<SequenceNumber>() {
                prop_assert_eq!(number.to_string(), text);
            }
        }
    }

    #[test]
    fn only_canonical_decimal_digits_are_accepted() {
        for good in ["0", "7", &"9".repeat(129)] {
            assert!(good.parse::<SequenceNumber>().is_ok(), "{good}");
        }
        for bad in ["", "-1", "+1", "01", " 1", "1e5", "LATEST", "٣", &"9".repeat(130)] {
            assert!(bad.parse::<SequenceNumber>().is_err(), "{bad}");
        }
    }
}
