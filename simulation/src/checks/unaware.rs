//! Processes that may not know yet that the lease table has lost its newest rows.
//!
//! Whoever was given a lease after the rows that are there now were written reads on until it learns of it. Its next call fails with
//! its connection, upon which it looks at everything: from the answer on, it knows, except of a lease that it is just writing.

use std::collections::BTreeSet;

use crate::nature::{Observation, ProcessId};

#[derive(Debug, Default)]
pub(super) struct Unaware {
    alive: BTreeSet<ProcessId>,
    unaware: BTreeSet<ProcessId>,
}

impl Unaware {
    pub(super) fn see(&mut self, observation: &Observation<'_>) {
        match *observation {
            Observation::Started { process, .. } => {
                self.alive.insert(process);
            }
            Observation::Ended { process, .. } | Observation::Crashed { process } => {
                self.alive.remove(&process);
            }
            Observation::WentBack => self.unaware.clone_from(&self.alive),
            Observation::Listed { process } => {
                self.unaware.remove(&process);
            }
            _ => {}
        }
    }

    pub(super) fn has(&self, process: ProcessId) -> bool {
        self.unaware.contains(&process)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_lived_when_the_table_went_back_may_not_know_until_they_have_seen_a_list() {
        let mut unaware = Unaware::default();
        for process in [0, 1, 2] {
            unaware.see(&Observation::Started { process, name: process });
        }
        unaware.see(&Observation::Crashed { process: 2 });
        assert!(!unaware.has(0));
        unaware.see(&Observation::WentBack);
        unaware.see(&Observation::Started { process: 3, name: 3 });
        unaware.see(&Observation::Listed { process: 1 });
        assert_eq!([0, 1, 2, 3].map(|process| unaware.has(process)), [true, false, false, false]);
    }
}
