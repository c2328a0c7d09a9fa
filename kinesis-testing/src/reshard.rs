//! Splits, merges, and changes of the number of shards.

use stream_types::{HashRange, ShardId, Timestamp};

use crate::shard_model::ShardModel;
use crate::stream_model::{StreamModel, uniform_ranges};
use crate::{ServiceError, ServiceErrorKind};

impl StreamModel {
    /// Splits an open shard in two, the second of which starts at the given hash key.
    pub(crate) fn split(&mut self, id: &ShardId, second_start: u128, now: Timestamp) -> Result<(), ServiceError> {
        let index = self.index_of(id, now)?;
        let range = self.shards[index].range;
        self.require_open(index)?;
        if second_start <= range.start() || second_start > range.end() {
            return Err(ServiceError::invalid(format!(
                "NewStartingHashKey {second_start} used in SplitShard() on shard {id} in stream {} under account \
                 000000000000 is not both greater than one plus the shard's StartingHashKey {} and less than the \
                 shard's EndingHashKey {}.",
                self.name,
                range.start(),
                range.end(),
            )));
        }
        let first = HashRange::new(range.start(), second_start - 1).expect("checked above");
        let second = HashRange::new(second_start, range.end()).expect("checked above");
        self.shards[index].closed = Some(now);
        self.add(vec![index], first, now);
        self.add(vec![index], second, now);
        Ok(())
    }

    /// Merges two adjacent open shards into one.
    pub(crate) fn merge(&mut self, id: &ShardId, adjacent: &ShardId, now: Timestamp) -> Result<(), ServiceError> {
        let (one, two) = (self.index_of(id, now)?, self.index_of(adjacent, now)?);
        self.require_open(one)?;
        self.require_open(two)?;
        let (a, b) = (self.shards[one].range, self.shards[two].range);
        let (lower, upper) = if a.start() < b.start() { (a, b) } else { (b, a) };
        if lower.end().checked_add(1) != Some(upper.start()) {
            return Err(ServiceError::invalid(format!(
                "Shards {id} and {adjacent} in stream {} under account 000000000000 are not an adjacent pair of \
                 shards eligible for merging",
                self.name,
            )));
        }
        let range = HashRange::new(lower.start(), upper.end()).expect("ordered above");
        self.shards[one].closed = Some(now);
        self.shards[two].closed = Some(now);
        self.add(vec![one, two], range, now);
        Ok(())
    }

    /// Brings the stream to so many open shards of equal width, by splits at the new bounds and merges between them,
    /// so that every shard keeps its lineage.
    pub(crate) fn update_count(&mut self, target: usize, now: Timestamp) -> Result<(), ServiceError> {
        for target in uniform_ranges(target) {
            for bound in [Some(target.start()), target.end().checked_add(1)].into_iter().flatten() {
                let cut = self.open_shards().find(|shard| shard.range.start() < bound && bound <= shard.range.end());
                if let Some(id) = cut.map(ShardModel::id) {
                    self.split(&id, bound, now)?;
                }
            }
            while let Some((lower, upper)) = self.pair_within(target) {
                self.merge(&lower, &upper, now)?;
            }
        }
        Ok(())
    }

    /// The first two adjacent open shards within a range.
    fn pair_within(&self, range: HashRange) -> Option<(ShardId, ShardId)> {
        let inside = |shard: &&ShardModel| range.start() <= shard.range.start() && shard.range.end() <= range.end();
        let mut shards: Vec<&ShardModel> = self.open_shards().filter(inside).collect();
        shards.sort_by_key(|shard| shard.range.start());
        match shards[..] {
            [lower, upper, ..] => Some((lower.id(), upper.id())),
            _ => None,
        }
    }

    fn require_open(&self, index: usize) -> Result<(), ServiceError> {
        if self.shards[index].is_open() {
            return Ok(());
        }
        let id = self.shards[index].id();
        let message = format!("Shard {id} in stream {} under account 000000000000 is closed.", self.name);
        Err(ServiceError::new(ServiceErrorKind::InvalidArgument, message))
    }

    fn add(&mut self, parents: Vec<usize>, range: HashRange, now: Timestamp) {
        let index = self.shards.len();
        self.shards.push(ShardModel::new(index, parents, range, &self.limits, now));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Limits;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_700_000_000_000);

    fn open_ranges(stream: &StreamModel) -> Vec<HashRange> {
        let mut ranges: Vec<HashRange> = stream.open_shards().map(|shard| shard.range).collect();
        ranges.sort_unstable();
        ranges
    }

    fn covers_everything_once(stream: &StreamModel) -> bool {
        let ranges = open_ranges(stream);
        let joined = ranges.windows(2).all(|pair| pair[0].end() + 1 == pair[1].start());
        joined && ranges.first().unwrap().start() == 0 && ranges.last().unwrap().end() == u128::MAX
    }

    proptest! {
        #[test]
        fn open_shards_cover_the_hash_space_once_after_any_changes_of_count(counts in prop::collection::vec(1..12_usize, 1..6)) {
            let mut stream = StreamModel::new("s", 3, Limits::of_the_service(), NOW);
            for count in counts {
                stream.update_count(count, NOW).unwrap();
                prop_assert!(covers_everything_once(&stream));
                prop_assert_eq!(open_ranges(&stream), uniform_ranges(count));
                for shard in &stream.shards {
                    prop_assert!(shard.parents.iter().all(|parent| *parent < shard.index && !stream.shards[*parent].is_open()));
                    prop_assert!(shard.parents.len() <= 2);
                }
            }
        }
    }

    #[test]
    fn children_have_larger_sequence_numbers_than_their_parents() {
        let mut stream = StreamModel::new("s", 1, Limits::of_the_service(), NOW);
        stream.split(&ShardModel::id_of(0), u128::MAX / 2, NOW).unwrap();
        let last_of_parent = stream.shards[0].sequence_number(u64::MAX);
        assert_eq!(last_of_parent.as_str().len(), 56);
        assert!(last_of_parent < stream.shards[1].sequence_number(0));
    }
}
