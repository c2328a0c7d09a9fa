//! Versions, epochs, positions, and the owners of one name never go back, and each change of owner has an epoch of its own.
//!
//! The version orders the writes; the epoch is the fencing token of users; a position that went back would repeat what was
//! done, and one that went forward without its records would skip them. A finished lease stays finished until it is removed. And
//! of two processes of one name, the older must have learned that it was replaced before it can find what the younger has taken.
//! Their numbers alone do not tell which is the older: they begin anew once a name was free. Nor does who owned a lease first: a
//! take of the older may have been long under way.

use std::collections::BTreeSet;

use lease_core::{Epoch, Lease, Version, WorkerId};

use super::Check;
use crate::nature::Observation;

#[derive(Debug, Default)]
pub(crate) struct NeverBack {
    /// Whoever was made the owner of a lease.
    owners: BTreeSet<WorkerId>,
    /// Those of them that another of their name has followed.
    followed: BTreeSet<WorkerId>,
}

impl Check for NeverBack {
    fn name(&self) -> &'static str {
        "never back"
    }

    fn see(&mut self, observation: &Observation<'_>) -> Option<String> {
        match observation {
            // What is counted, is counted from the rows on that are there now.
            Observation::WentBack => {
                *self = Self::default();
                None
            }
            Observation::Written { before: None, after: Some(after) } if after.version != Version::FIRST => {
                Some(format!("{} begins at version {}", after.key, after.version))
            }
            Observation::Written { before: Some(before), after: Some(after) } => {
                wrong_step(before, after).or_else(|| self.wrong_owner(before, after))
            }
            Observation::Written { before: Some(before), after: None } if !before.is_finished() => {
                Some(format!("{} is removed at {}", before.key, before.position))
            }
            _ => None,
        }
    }
}

impl NeverBack {
    fn wrong_owner(&mut self, before: &Lease, after: &Lease) -> Option<String> {
        let owner = after.owner.as_ref().filter(|owner| before.owner.as_ref() != Some(*owner))?;
        let from = before.owner.as_ref().filter(|from| from.name == owner.name);
        if self.owners.insert(owner.clone()) {
            let older = self.owners.iter().filter(|other| other.name == owner.name && *other != owner);
            self.followed.extend(older.cloned());
        }
        let is_older = |from: &&WorkerId| from.incarnation.number > owner.incarnation.number;
        let from = from.filter(is_older).filter(|_| self.followed.contains(owner))?;
        Some(format!("{} goes back to an older process of its owner's name, from {from:?} to {owner:?}", after.key))
    }
}

fn wrong_step(before: &Lease, after: &Lease) -> Option<String> {
    let key = &before.key;
    let same_owner = after.owner.is_none() || after.owner == before.owner;
    if after.version != before.version.next() {
        Some(format!("{key} goes from version {} to {}", before.version, after.version))
    } else if after.epoch < before.epoch || (!same_owner && after.epoch <= before.epoch) {
        let (from, to): (Epoch, Epoch) = (before.epoch, after.epoch);
        Some(format!("{key} goes from epoch {from} to {to}, from {:?} to {:?}", before.owner, after.owner))
    } else if after.position != before.position && !before.position.may_advance_to(&after.position) {
        Some(format!("{key} goes back from {} to {}", before.position, after.position))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use lease_core::Incarnation;
    use lease_core::testing::{lease, worker};

    use super::*;

    /// What it says of the takes of these, one after the other.
    fn said_of(takers: &[&WorkerId]) -> Vec<bool> {
        let mut check = NeverBack::default();
        let mut row = lease("shard");
        let mut is_wrong = |owner: &WorkerId| {
            let next = row.taken_by(owner);
            let before = std::mem::replace(&mut row, next);
            check.see(&Observation::Written { before: Some(&before), after: Some(&row) }).is_some()
        };
        takers.iter().map(|owner| is_wrong(owner)).collect()
    }

    #[test]
    fn a_lease_goes_from_process_to_process_of_a_name_in_the_order_of_their_coming() {
        let (first, other) = (worker("one"), worker("other"));
        let of_number = |incarnation| WorkerId { incarnation, ..first.clone() };
        let second = of_number(first.incarnation.successor(2));
        let third = of_number(second.incarnation.successor(3));
        let anew = of_number(Incarnation::first(4));
        assert_eq!(said_of(&[&first, &other, &first, &second, &first]), [false, false, false, false, true]);
        assert_eq!(said_of(&[&third, &anew]), [false, false], "the name was free for a while");
        assert_eq!(said_of(&[&third, &other, &second, &third]), [false; 4], "a take was long under way");
    }
}
