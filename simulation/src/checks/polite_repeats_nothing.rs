//! Where every departure is polite and every write arrives, no record is done twice.
//!
//! Joins, leaves, deployments and reshards move shards only after they were drained and their positions stored, in the very
//! write that hands them over. Lost replies change nothing: a write that is sent again is found to be one's own. Only where so many
//! are lost that a heartbeat comes too late, others may have taken over.

use std::collections::BTreeMap;

use stream_types::ShardId;

use super::Check;
use crate::nature::Observation;
use crate::schedule::Kind;

#[derive(Debug)]
pub(crate) struct PoliteRepeatsNothing {
    kind: Kind,
    done: BTreeMap<ShardId, usize>,
    is_excused: bool,
}

impl PoliteRepeatsNothing {
    pub(crate) const fn of(kind: Kind) -> Self {
        Self { kind, done: BTreeMap::new(), is_excused: false }
    }
}

impl Check for PoliteRepeatsNothing {
    fn name(&self) -> &'static str {
        "polite repeats nothing"
    }

    fn see(&mut self, observation: &Observation<'_>) -> Option<String> {
        if matches!(observation, Observation::Lapsed) {
            self.is_excused = true;
            return (self.kind == Kind::Polite).then(|| "a heartbeat is late although nothing holds it up".into());
        }
        let Observation::Done { process, key, epoch, first, last, .. } = observation else { return None };
        let done = self.done.entry(key.shard.clone()).or_default();
        let before = *done;
        *done = before.max(last + 1);
        (*first < before && !self.is_excused).then(|| {
            format!("process {process} does record {first} of {key} again, under epoch {epoch}: {before} were done")
        })
    }
}
