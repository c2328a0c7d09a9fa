//! Every record of a shard is done, in order, and none is passed over.
//!
//! A record may be done again after a crash; but for the first time it is done right after the one before it in its shard. And
//! no checkpoint lies behind a record that nobody has done, which would lose it.

use std::collections::BTreeMap;

use stream_types::{Position, ShardId};

use super::Check;
use crate::nature::Observation;

#[derive(Debug, Default)]
pub(crate) struct InOrder {
    /// How many records of each shard were put, and how many of them, from the first on, were done.
    shards: BTreeMap<ShardId, Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    put: usize,
    done: usize,
}

impl Check for InOrder {
    fn name(&self) -> &'static str {
        "in order"
    }

    fn see(&mut self, observation: &Observation<'_>) -> Option<String> {
        match observation {
            Observation::Produced { shard } => {
                self.shards.entry((*shard).clone()).or_default().put += 1;
                None
            }
            Observation::Done { process, key, first, last, .. } => {
                let progress = self.shards.entry(key.shard.clone()).or_default();
                let done = progress.done;
                progress.done = done.max(last + 1);
                (*first > done).then(|| {
                    format!("process {process} does record {first} of {key}, and nobody has done record {done} before")
                })
            }
            Observation::Written { after: Some(after), .. } if after.position == Position::End => {
                let progress = self.shards.entry(after.key.shard.clone()).or_default();
                let Progress { put, done } = progress;
                (*done < *put)
                    .then(|| format!("{} is finished, and {} of its records are not done", after.key, *put - *done))
            }
            Observation::Finished { .. } => {
                let undone = self.shards.iter().find(|(_, progress)| progress.done < progress.put)?;
                let (shard, Progress { put, done }) = undone;
                Some(format!("at the end, {done} of {put} records of {shard} are done"))
            }
            _ => None,
        }
    }
}
