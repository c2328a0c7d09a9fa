//! At most one worker reads a shard within its own validity.
//!
//! An owner that others believe dead has stopped before they may take its leases: its validity ends earlier on its own clock
//! than their patience on theirs, whatever the delays. So once a batch was begun under one epoch of a lease, none is begun under
//! an earlier one, nor one that was begun before gone on with; and under one epoch, all are begun by one process.
//!
//! But of two processes under one name, which is a mistake of whoever started them, the older learns by its own heartbeat that
//! it was replaced. Until then, it may read what the younger has taken, or given on; each does so under an epoch of its own.
//! And where the table has lost its newest rows, two may read until both have learned of it, under epochs of their own too.

use std::collections::BTreeMap;

use lease_core::{Epoch, LeaseKey};

use super::Check;
use super::twins::Twins;
use super::unaware::Unaware;
use crate::nature::{Observation, ProcessId};

#[derive(Debug, Default)]
pub(crate) struct OneOwner {
    newest: BTreeMap<LeaseKey, (Epoch, ProcessId)>,
    twins: Twins,
    unaware: Unaware,
}

impl Check for OneOwner {
    fn name(&self) -> &'static str {
        "one owner"
    }

    fn see(&mut self, observation: &Observation<'_>) -> Option<String> {
        self.twins.see(observation);
        self.unaware.see(observation);
        match *observation {
            Observation::Begun { process, key, epoch } => self.begun(process, key, epoch),
            Observation::Done { process, key, epoch, is_awake: true, .. } => self.gone_on(process, key, epoch),
            _ => None,
        }
    }
}

impl OneOwner {
    fn is_excused(&self, process: ProcessId) -> bool {
        self.twins.has(process) || self.unaware.has(process)
    }

    fn begun(&mut self, process: ProcessId, key: &LeaseKey, epoch: Epoch) -> Option<String> {
        let (newest, other) = *self.newest.entry(key.clone()).or_insert((epoch, process));
        self.newest.entry(key.clone()).and_modify(|newest| *newest = (*newest).max((epoch, process)));
        if newest > epoch && !self.is_excused(process) {
            let before = format!("after process {other} began one under {newest}");
            Some(format!("process {process} begins a batch of {key} under epoch {epoch}, {before}"))
        } else if newest == epoch && other != process {
            Some(format!("processes {process} and {other} both read {key} under epoch {epoch}"))
        } else {
            None
        }
    }

    fn gone_on(&self, process: ProcessId, key: &LeaseKey, epoch: Epoch) -> Option<String> {
        let (newest, other) = *self.newest.get(key)?;
        (newest > epoch && !self.is_excused(process)).then(|| {
            format!("process {process} goes on with a batch of {key} under epoch {epoch}, although process {other} began one under {newest}")
        })
    }
}
