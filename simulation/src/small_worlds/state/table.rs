//! The lease table of a small world.

use std::collections::BTreeMap;

use lease_core::{Beat, Epoch, Expected, Lease, LeaseKey, Outcome, WorkerRow};

use super::{Checked, State};

impl State {
    pub(super) fn heartbeat(&mut self, row: WorkerRow) -> Beat {
        if let Some(by) = self.registry.get(&row.name).filter(|stored| !row.may_replace(stored)) {
            return Beat::Replaced { by: by.clone() };
        }
        self.registry.change().insert(row.name.clone(), row);
        Beat::Written { workers: self.registry.values().cloned().collect(), epoch_floor: Epoch::NEVER_OWNED }
    }

    pub(super) fn put(&mut self, expected: Expected, next: Lease) -> Outcome<Lease> {
        let current = self.leases.get(&next.key);
        if current.map_or(Expected::Absent, Expected::row) != expected {
            return Outcome::Conflict { current: current.cloned() };
        }
        self.leases.change().insert(next.key.clone(), next);
        Outcome::Applied
    }

    pub(super) fn delete(&mut self, lease: &Lease) -> Outcome<Lease> {
        let current = self.leases.get(&lease.key);
        if current.map(Expected::row) != Some(Expected::row(lease)) {
            return Outcome::Conflict { current: current.cloned() };
        }
        self.leases.change().remove(&lease.key);
        Outcome::Applied
    }

    /// Epochs never go back, and each change of owner has one of its own.
    pub(super) fn check_rows(&self, before: &BTreeMap<LeaseKey, Lease>) -> Checked {
        for (key, after) in self.leases.iter() {
            let Some(before) = before.get(key).filter(|before| *before != after) else { continue };
            let new_owner = after.owner.is_some() && after.owner != before.owner;
            if after.epoch < before.epoch || (new_owner && after.epoch == before.epoch) {
                return Err(format!("{key} goes from {before:?} to {after:?}"));
            }
        }
        Ok(())
    }
}
