//! Where reading stands.

use std::fmt;
use std::str::FromStr;

use crate::{SequenceNumber, Timestamp};

/// Where reading of a shard stands: all that lies before is done.
///
/// `Display` and `FromStr` are each other's inverse, so that a store may keep a position as text:
/// `horizon`, `timestamp:1700000000000`, `after:4959…8898:0`, `end`.
///
/// ```
/// use stream_types::Position;
///
/// let position: Position = "timestamp:1700000000000".parse()?;
/// assert_eq!(position.to_string(), "timestamp:1700000000000");
/// # Ok::<(), stream_types::InvalidPosition>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Position {
    /// Nothing was read yet: reading starts here.
    Start(StartPosition),
    /// This record and all before it are done.
    After(RecordPosition),
    /// The shard is closed, and all of it is done.
    End,
}

/// Where the first reader of a shard starts.
///
/// "Latest" is missing on purpose: it names another place at every look, so that a crash before the first checkpoint
/// would lose records. It is resolved to a timestamp when it is first met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StartPosition {
    /// The oldest record that the stream still has.
    Horizon,
    /// The first record that arrived at this time or later.
    Timestamp(Timestamp),
}

/// A record, and the place within it if it is an aggregate of several user records.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordPosition {
    /// The number of the record.
    pub sequence_number: SequenceNumber,
    /// Which of its user records; [`RecordPosition::WHOLE`] when the whole record is meant.
    pub sub_sequence_number: u64,
}

impl RecordPosition {
    /// The sub-sequence number that stands behind all user records of a record.
    pub const WHOLE: u64 = u64::MAX;

    /// The position of a whole record, whether or not it is an aggregate.
    #[must_use]
    pub const fn whole(sequence_number: SequenceNumber) -> Self {
        Self { sequence_number, sub_sequence_number: Self::WHOLE }
    }
}

impl Position {
    /// The oldest record that the stream still has.
    pub const HORIZON: Self = Self::Start(StartPosition::Horizon);

    /// Whether moving from here to `next` keeps the rule that a position never goes back.
    ///
    /// Staying is allowed, and so is replacing one start by another: nothing was read yet.
    #[must_use]
    pub fn may_advance_to(&self, next: &Self) -> bool {
        match (self, next) {
            (Self::Start(_), _) | (_, Self::End) => true,
            (Self::After(here), Self::After(there)) => here <= there,
            (Self::After(_), Self::Start(_)) | (Self::End, _) => false,
        }
    }
}

impl Position {
    /// The one of two positions that lies further on.
    #[must_use]
    pub fn furthest(self, other: Self) -> Self {
        if self.may_advance_to(&other) { other } else { self }
    }
}

impl From<StartPosition> for Position {
    fn from(start: StartPosition) -> Self {
        Self::Start(start)
    }
}

impl fmt::Display for StartPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Horizon => f.write_str("horizon"),
            Self::Timestamp(timestamp) => write!(f, "timestamp:{}", timestamp.unix_millis()),
        }
    }
}

/// The sequence number, and behind a colon the sub-sequence number where there is one.
impl fmt::Display for RecordPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sub_sequence_number {
            Self::WHOLE => self.sequence_number.fmt(f),
            sub_sequence_number => write!(f, "{}:{sub_sequence_number}", self.sequence_number),
        }
    }
}

impl FromStr for StartPosition {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        if text == "horizon" {
            return Ok(Self::Horizon);
        }
        let unix_millis = text.strip_prefix("timestamp:").and_then(|millis| millis.parse().ok());
        let unix_millis = unix_millis.ok_or_else(|| InvalidPosition::of(text))?;
        Ok(Self::Timestamp(Timestamp::from_unix_millis(unix_millis)))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(start) => start.fmt(f),
            Self::After(record) => write!(f, "after:{record}"),
            Self::End => f.write_str("end"),
        }
    }
}

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let invalid = || InvalidPosition::of(text);
        if text == "end" {
            return Ok(Self::End);
        }
        let Some(record) = text.strip_prefix("after:") else {
            return text.parse().map(Self::Start);
        };
        let (sequence_number, sub_sequence_number) = match record.split_once(':') {
            None => (record, RecordPosition::WHOLE),
            Some((number, sub)) => (number, sub.parse().map_err(|_| invalid())?),
        };
        let sequence_number = sequence_number.parse().map_err(|_| invalid())?;
        Ok(Self::After(RecordPosition { sequence_number, sub_sequence_number }))
    }
}

/// The text is no [`Position`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no position: it takes horizon, timestamp:MILLISECONDS, after:SEQUENCE_NUMBER[:SUB] or end")]
pub struct InvalidPosition {
    text: String,
}

impl InvalidPosition {
    fn of(text: &str) -> Self {
        Self { text: text.chars().take(200).collect() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_position() -> impl Strategy<Value = Position> {
        prop_oneof![
            Just(Position::HORIZON),
            Just(Position::End),
            any::<u64>().prop_map(|millis| StartPosition::Timestamp(Timestamp::from_unix_millis(millis)).into()),
            (0..50_u64, prop_oneof![0..3_u64, Just(RecordPosition::WHOLE)]).prop_map(|(number, sub)| {
                let sequence_number = number.to_string().parse().unwrap();
                Position::After(RecordPosition { sequence_number, sub_sequence_number: sub })
            }),
        ]
    }

    proptest! {
        #[test]
        fn the_text_of_a_position_reads_back_as_itself(position in any_position()) {
            prop_assert_eq!(position.to_string().parse::<Position>(), Ok(position));
        }

        #[test]
        fn any_text_is_a_position_or_refused(text in "\\PC*") {
            if let Ok(position) = text.parse::<Position>() {
                prop_assert_eq!(position.to_string().parse(), Ok(position));
            }
        }

        #[test]
        fn of_two_different_positions_at_most_one_follows_the_other_unless_nothing_was_read(
            a in any_position(),
            b in any_position(),
        ) {
            let both_ways = a.may_advance_to(&b) && b.may_advance_to(&a);
            let unread = matches!((&a, &b), (Position::Start(_), Position::Start(_)));
            prop_assert_eq!(both_ways, a == b || unread);
        }

        #[test]
        fn advancing_is_transitive(a in any_position(), b in any_position(), c in any_position()) {
            if a.may_advance_to(&b) && b.may_advance_to(&c) {
                prop_assert!(a.may_advance_to(&c));
            }
        }
    }
}
