//! Going on behind a record, and noticing what went missing meanwhile.

use stream_types::{Position, RecordPosition, SequenceNumber};

use crate::Record;

/// Checks that reading goes on right behind a record.
///
/// A stream forgets records by their age, and a reader that asks for what comes behind a forgotten record gets whatever is
/// left, without a word. So readers ask for that record itself: while it is there, nothing behind it was forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumption {
    behind: Option<RecordPosition>,
    /// The newest record was reached since, so that what comes now is new.
    has_reached_tip: bool,
}

/// Records may have been forgotten before they were read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the stream no longer has record {behind}, behind which reading was to go on: what came between it and record {next} \
     was lost, unless nothing did; a longer retention, or faster processing, prevents this"
)]
pub struct Gap {
    /// The last record that was read.
    pub behind: SequenceNumber,
    /// The oldest one that the stream still has.
    pub next: SequenceNumber,
}

impl Resumption {
    /// Reading goes on at that position.
    #[must_use]
    pub fn at(position: &Position) -> Self {
        let behind = match position {
            Position::After(record) => Some(record.clone()),
            Position::Start(_) | Position::End => None,
        };
        Self { behind, has_reached_tip: false }
    }

    /// Looks at the records that were read, and removes the one behind which reading goes on; but not if it is an aggregate of
    /// which a part is still to be done.
    pub fn check(&mut self, records: &mut Vec<Record>) -> Option<Gap> {
        let first = records.first()?;
        let behind = self.behind.take()?;
        if first.sequence_number != behind.sequence_number {
            return (!self.has_reached_tip)
                .then_some(Gap { behind: behind.sequence_number, next: first.sequence_number.clone() });
        }
        if behind.sub_sequence_number == RecordPosition::WHOLE {
            records.remove(0);
        }
        None
    }

    /// The newest record was reached: whatever comes from now on is new. Of records that were forgotten before, nothing is left
    /// that could tell: where the record itself never came, it is returned, once.
    pub fn reached_tip(&mut self) -> Option<&RecordPosition> {
        let is_first = !std::mem::replace(&mut self.has_reached_tip, true);
        self.behind.as_ref().filter(|_| is_first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u32) -> Record {
        Record {
            sequence_number: number.to_string().parse().unwrap(),
            sub_sequence_number: None,
            partition_key: "key".into(),
            explicit_hash_key: None,
            arrival: None,
            data: "data".into(),
        }
    }

    fn behind(number: u32, sub_sequence_number: u64) -> Resumption {
        let sequence_number = number.to_string().parse().unwrap();
        Resumption::at(&Position::After(RecordPosition { sequence_number, sub_sequence_number }))
    }

    #[test]
    fn the_record_itself_is_removed_and_what_follows_is_kept() {
        let mut records = vec![record(7), record(8)];
        let mut resumption = behind(7, RecordPosition::WHOLE);
        assert_eq!(resumption.check(&mut Vec::new()), None, "nothing came yet");
        assert_eq!(resumption.check(&mut records), None);
        assert_eq!(records, [record(8)]);
        assert_eq!(resumption.check(&mut records), None);
        assert_eq!(records, [record(8)]);
    }

    #[test]
    fn an_aggregate_of_which_a_part_is_done_is_kept() {
        let mut records = vec![record(7), record(8)];
        assert_eq!(behind(7, 3).check(&mut records), None);
        assert_eq!(records.len(), 2);
    }

    #[test]
    fn a_record_that_is_gone_is_noticed_once() {
        let mut records = vec![record(9)];
        let mut resumption = behind(7, RecordPosition::WHOLE);
        let gap = resumption.check(&mut records).unwrap();
        assert_eq!((gap.behind.as_str(), gap.next.as_str()), ("7", "9"));
        assert_eq!((resumption.check(&mut records), records.len()), (None, 1));
    }

    #[test]
    fn at_the_tip_nothing_is_missing() {
        let mut resumption = behind(7, RecordPosition::WHOLE);
        assert_eq!(resumption.reached_tip().map(|record| record.sequence_number.as_str()), Some("7"));
        assert_eq!(resumption.reached_tip(), None, "it was told");
        assert_eq!(resumption.check(&mut vec![record(9)]), None);
        let mut late = behind(7, RecordPosition::WHOLE);
        assert!(late.reached_tip().is_some());
        let mut records = vec![record(7), record(8)];
        assert_eq!(late.check(&mut records), None);
        assert_eq!(records, [record(8)], "the record itself is passed over whenever it comes");
    }
}
