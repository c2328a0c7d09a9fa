//! A child shard is read after all of its parents.
//!
//! Otherwise the records of a partition key would come out of order over a reshard: the key's later records are in the child,
//! its earlier ones in the parent. A child of a merge has two parents.

use std::collections::BTreeMap;

use stream_types::ShardId;

use super::Check;
use crate::nature::Observation;

#[derive(Debug, Default)]
pub(crate) struct ChildrenAfterParents {
    parents: BTreeMap<ShardId, Vec<ShardId>>,
    put: BTreeMap<ShardId, usize>,
    done: BTreeMap<ShardId, usize>,
}

impl Check for ChildrenAfterParents {
    fn name(&self) -> &'static str {
        "children after parents"
    }

    fn see(&mut self, observation: &Observation<'_>) -> Option<String> {
        match observation {
            Observation::Produced { shard } => {
                *self.put.entry((*shard).clone()).or_default() += 1;
                None
            }
            Observation::Resharded { children } => {
                self.parents.extend(children.iter().cloned());
                None
            }
            Observation::Done { key, last, .. } => {
                let done = self.done.entry(key.shard.clone()).or_default();
                *done = (*done).max(last + 1);
                None
            }
            Observation::Begun { process, key, .. } => {
                let count = |counts: &BTreeMap<ShardId, usize>, shard| counts.get(shard).copied().unwrap_or_default();
                let parents = self.parents.get(&key.shard)?;
                let early = parents.iter().find(|parent| count(&self.done, parent) < count(&self.put, parent))?;
                Some(format!("process {process} begins {key}, and its parent {early} is not done"))
            }
            _ => None,
        }
    }
}
