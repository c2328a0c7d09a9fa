//! Where every departure is polite and every write arrives, no record is done twice.
//!
//! Joins, leaves, deployments and reshards move shards only after they were drained and their positions stored, in the very
//! write that hands them over.

use std::collections::BTreeMap;

use stream_types::ShardId;

use super::Check;
use crate::nature::Observation;

#[derive(Debug, Default)]
pub(crate) struct PoliteRepeatsNothing {
    done: BTreeMap<ShardId, usize>,
}

impl Check for PoliteRepeatsNothing {
    fn name(&self) -> &'static str {
        "polite repeats nothing"
    }

    fn see(&mut self, observation: &Observation<'_>) -> Option<String> {
        let Observation::Done { process, key, epoch, first, last } = observation else { return None };
        let done = self.done.entry(key.shard.clone()).or_default();
        let before = *done;
        *done = before.max(last + 1);
        (*first < before).then(|| {
            format!("process {process} does record {first} of {key} again, under epoch {epoch}: {before} were done")
        })
    }
}
