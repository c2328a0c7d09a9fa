//! Misbehaviour on command.

use std::time::Duration;

use stream_types::ShardId;

use crate::ServiceErrorKind;

/// What the service is to do wrong, and when. Handed to [`Kinesis::misbehave`](crate::Kinesis::misbehave).
///
/// ```
/// use kinesis_testing::{Clock, Fault, Kinesis, Limits, Misbehaviour, Operation, ServiceErrorKind};
///
/// let kinesis = Kinesis::new(Clock::system(), Limits::of_the_service());
/// // The third and fourth read of that shard from now on are throttled.
/// let throttled = Misbehaviour::Refuse(ServiceErrorKind::ProvisionedThroughputExceeded);
/// let shard = "shardId-000000000000".parse()?;
/// kinesis.misbehave(Fault::of(Operation::GetRecords, throttled).in_shard(shard).after(2).times(2));
/// # Ok::<(), stream_types::InvalidShardId>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    operation: Operation,
    shard: Option<ShardId>,
    misbehaviour: Misbehaviour,
    /// How many calls go well before.
    spared: u64,
    /// How many calls go wrong; absent = all from then on.
    left: Option<u64>,
}

/// What goes wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// It is refused with that error, and nothing is done.
    Refuse(ServiceErrorKind),
    /// It is carried out, and the connection breaks before the answer: the caller cannot know.
    LoseReply,
    /// It is carried out, and the connection breaks in the middle of the answer.
    CutReply,
    /// It is carried out after that time, on the runtime's clock.
    Delay(Duration),
}

/// The operations that can be told to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names are the service's, and its API reference explains them")]
pub enum Operation {
    DescribeStreamSummary,
    GetRecords,
    GetShardIterator,
    ListShards,
    MergeShards,
    PutRecord,
    PutRecords,
    SplitShard,
    UpdateShardCount,
}

impl Operation {
    const ALL: [Self; 9] = [
        Self::DescribeStreamSummary,
        Self::GetRecords,
        Self::GetShardIterator,
        Self::ListShards,
        Self::MergeShards,
        Self::PutRecord,
        Self::PutRecords,
        Self::SplitShard,
        Self::UpdateShardCount,
    ];

    /// The name in the protocol.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DescribeStreamSummary => "DescribeStreamSummary",
            Self::GetRecords => "GetRecords",
            Self::GetShardIterator => "GetShardIterator",
            Self::ListShards => "ListShards",
            Self::MergeShards => "MergeShards",
            Self::PutRecord => "PutRecord",
            Self::PutRecords => "PutRecords",
            Self::SplitShard => "SplitShard",
            Self::UpdateShardCount => "UpdateShardCount",
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }
}

impl Fault {
    /// The next call of that operation goes wrong like that.
    #[must_use]
    pub const fn of(operation: Operation, misbehaviour: Misbehaviour) -> Self {
        Self { operation, shard: None, misbehaviour, spared: 0, left: Some(1) }
    }

    /// Only calls about that shard: reads of it, and iterators for it.
    #[must_use]
    pub fn in_shard(self, shard: ShardId) -> Self {
        Self { shard: Some(shard), ..self }
    }

    /// So many calls go well before.
    #[must_use]
    pub fn after(self, calls: u64) -> Self {
        Self { spared: calls, ..self }
    }

    /// So many calls go wrong, one after the other.
    #[must_use]
    pub fn times(self, calls: u64) -> Self {
        Self { left: Some(calls), ..self }
    }

    /// Every call goes wrong, until [`Kinesis::behave`](crate::Kinesis::behave).
    #[must_use]
    pub fn always(self) -> Self {
        Self { left: None, ..self }
    }

    fn concerns(&self, operation: Operation, shard: Option<&ShardId>) -> bool {
        self.operation == operation && (self.shard.is_none() || self.shard.as_ref() == shard)
    }

    /// Whether one more call, which the fault concerns, goes wrong.
    fn strikes(&mut self) -> bool {
        if let Some(spared) = self.spared.checked_sub(1) {
            self.spared = spared;
            return false;
        }
        match &mut self.left {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}

/// The faults that are still to come, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// What goes wrong with a call, if anything does. Every fault that concerns the call counts it; the first that strikes is
    /// the one that shows.
    pub(crate) fn next(&mut self, operation: Operation, shard: Option<&ShardId>) -> Option<Misbehaviour> {
        let concerned = self.0.iter_mut().filter(|fault| fault.concerns(operation, shard));
        let struck = concerned.filter_map(|fault| fault.strikes().then(|| fault.misbehaviour.clone()));
        let all: Vec<Misbehaviour> = struck.collect();
        self.0.retain(|fault| fault.left != Some(0));
        all.into_iter().next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(index: u32) -> ShardId {
        ShardId::new(format!("shardId-{index:012}")).unwrap()
    }

    #[test]
    fn a_fault_strikes_the_calls_that_it_names_and_no_other() {
        let mut faults = Faults::default();
        faults.add(Fault::of(Operation::GetRecords, Misbehaviour::LoseReply).in_shard(shard(1)).after(1).times(2));
        let mut call = |operation, index| faults.next(operation, Some(&shard(index))).is_some();
        assert!(!call(Operation::GetRecords, 0) && !call(Operation::GetShardIterator, 1));
        let calls: Vec<bool> = (0..5).map(|_| call(Operation::GetRecords, 1)).collect();
        assert_eq!(calls, [false, true, true, false, false]);
    }

    #[test]
    fn a_fault_for_ever_ends_when_it_is_told_to() {
        let mut faults = Faults::default();
        faults.add(Fault::of(Operation::ListShards, Misbehaviour::CutReply).always());
        assert!((0..100).all(|_| faults.next(Operation::ListShards, None).is_some()));
        faults.clear();
        assert_eq!(faults.next(Operation::ListShards, None), None);
    }
}
