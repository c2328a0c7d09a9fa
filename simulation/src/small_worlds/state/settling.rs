//! After the last fault: the fleet must settle, from wherever it stands.

use std::collections::BTreeSet;
use std::time::Duration;

use lease_core::{Epoch, Lease, LeaseKey};

use super::{Checked, LEASE_DURATION, Move, Process, State, has_calls};

/// How long a fleet may take to settle after its last fault.
const SETTLE_WITHIN: Duration = Duration::from_secs(60);

impl State {
    /// Nothing bad happens any more: within a bound all is read, level, by workers that are valid, and then nothing moves.
    pub(crate) fn settles(mut self) -> Checked {
        self.bounds.length = Duration::MAX;
        for index in 0..self.processes.len() {
            match &self.processes[index] {
                None => self.start(index),
                Some(process) if process.is_frozen => self.set_frozen(index, false),
                Some(_) => {}
            }
        }
        let deadline = self.now + SETTLE_WITHIN;
        while self.now < deadline {
            self.step_kindly()?;
            if self.is_level() {
                let before: Vec<Epoch> = self.leases.values().map(|lease| lease.epoch).collect();
                let until = self.now + LEASE_DURATION * 2;
                while self.now < until {
                    self.step_kindly()?;
                }
                let after: Vec<Epoch> = self.leases.values().map(|lease| lease.epoch).collect();
                return if before == after { Ok(()) } else { Err("leases move although the fleet was level".into()) };
            }
        }
        Err(format!("the fleet does not settle: {:?}", self.leases))
    }

    fn step_kindly(&mut self) -> Checked {
        let step = self.indices(has_calls).first().map_or(Move::Wait, |index| Move::Answer(*index));
        let result = self.take(step);
        self.path.pop();
        for index in self.indices(Option::is_none) {
            self.start(index);
        }
        result
    }

    fn is_level(&self) -> bool {
        let reads = |process: &Process, lease: &Lease| process.readers.get(&lease.key) == Some(&lease.epoch);
        let open: BTreeSet<&LeaseKey> =
            self.leases.values().filter(|lease| !lease.is_finished()).map(|lease| &lease.key).collect();
        let counts: Vec<usize> = self
            .processes
            .iter()
            .flatten()
            .map(|process| self.leases.values().filter(|lease| !lease.is_finished() && reads(process, lease)).count())
            .collect();
        let shards = self.bounds.shards;
        let level = counts.iter().max() <= counts.iter().min().map(|least| least + 1).as_ref();
        open.len() == shards && counts.iter().sum::<usize>() == shards && level
    }
}
