//! Processes beside which another of their name lives, or may still be believed to.
//!
//! Which of them registers first, and is replaced, is open. The one that is left learns of it by a heartbeat; or, if the other one has
//! left and its row is gone, by the list that follows on what other workers' rows then say. So a few heartbeats must have been
//! confirmed to it after the other one's end.

use std::collections::BTreeMap;

use crate::nature::{Observation, ProcessId};

/// The first may have been on its way before the other one registered.
const ENOUGH: u8 = 5;

#[derive(Debug, Default)]
pub(super) struct Twins {
    /// The processes that live, and their names.
    names: BTreeMap<ProcessId, usize>,
    /// Those that have lived beside another of their name, and how many heartbeats were confirmed to them since they live alone.
    confirmed: BTreeMap<ProcessId, u8>,
}

impl Twins {
    pub(super) fn see(&mut self, observation: &Observation<'_>) {
        match *observation {
            Observation::Started { process, name } => {
                self.names.insert(process, name);
                if self.of_that_name(name) > 1 {
                    let both = self.names.iter().filter(|(_, other)| **other == name).map(|(process, _)| (*process, 0));
                    self.confirmed.extend(both);
                }
            }
            Observation::Ended { process, .. } | Observation::Crashed { process } => {
                self.names.remove(&process);
            }
            Observation::Confirmed { process } => {
                let is_alone = self.names.get(&process).is_some_and(|name| self.of_that_name(*name) == 1);
                if let Some(count) = self.confirmed.get_mut(&process).filter(|_| is_alone) {
                    *count += 1;
                }
                self.confirmed.retain(|_, count| *count < ENOUGH);
            }
            _ => {}
        }
    }

    /// Whether that process may not know yet that another one has taken over its name.
    pub(super) fn has(&self, process: ProcessId) -> bool {
        self.confirmed.contains_key(&process)
    }

    fn of_that_name(&self, name: usize) -> usize {
        self.names.values().filter(|other| **other == name).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_is_left_is_no_twin_once_it_must_know() {
        let mut twins = Twins::default();
        for process in [0, 1] {
            twins.see(&Observation::Started { process, name: 0 });
        }
        twins.see(&Observation::Started { process: 2, name: 1 });
        assert!(twins.has(0) && twins.has(1) && !twins.has(2));
        (0..3).for_each(|_| twins.see(&Observation::Confirmed { process: 1 }));
        assert!(twins.has(1), "the other one lives");
        twins.see(&Observation::Ended { process: 0, error: None });
        (1..ENOUGH).for_each(|_| twins.see(&Observation::Confirmed { process: 1 }));
        assert!(twins.has(1));
        twins.see(&Observation::Confirmed { process: 1 });
        assert!(!twins.has(1));
    }
}
