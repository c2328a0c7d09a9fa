//! At most one worker reads a shard within its own validity.
//!
//! An owner that others believe dead has stopped before they may take its leases: its validity ends earlier on its own clock
//! than their patience on theirs, whatever the delays. So once a batch was begun under one epoch of a lease, none is begun under
//! an earlier one; and under one epoch, all are begun by one process.
//!
//! But of two processes under one name, which is a mistake of whoever started them, the older learns by its own heartbeat that
//! it was replaced. Until then it may read what the younger has taken, or given on; each does so under an epoch of its own.

use std::collections::BTreeMap;

use lease_core::{Epoch, LeaseKey};

use super::Check;
use crate::nature::{Observation, ProcessId};

#[derive(Debug, Default)]
pub(crate) struct OneOwner {
    newest: BTreeMap<LeaseKey, (Epoch, ProcessId)>,
    /// The youngest process of each name.
    bearers: BTreeMap<usize, ProcessId>,
    replaced: Vec<ProcessId>,
}

impl Check for OneOwner {
    fn name(&self) -> &'static str {
        "one owner"
    }

    fn see(&mut self, observation: &Observation<'_>) -> Option<String> {
        match *observation {
            Observation::Started { process, name } => {
                self.replaced.extend(self.bearers.insert(name, process));
                None
            }
            Observation::Begun { process, key, epoch } => self.begun(process, key, epoch),
            _ => None,
        }
    }
}

impl OneOwner {
    fn begun(&mut self, process: ProcessId, key: &LeaseKey, epoch: Epoch) -> Option<String> {
        let newest = self.newest.entry(key.clone()).or_insert((epoch, process));
        let (newest_epoch, other) = *newest;
        *newest = (*newest).max((epoch, process));
        if newest_epoch > epoch && ![process, other].iter().any(|id| self.replaced.contains(id)) {
            let before = format!("after process {other} began one under {newest_epoch}");
            Some(format!("process {process} begins a batch of {key} under epoch {epoch}, {before}"))
        } else if newest_epoch == epoch && other != process {
            Some(format!("processes {process} and {other} both read {key} under epoch {epoch}"))
        } else {
            None
        }
    }
}
