//! Versions, epochs, positions, and the owners of one name never go back, and each change of owner has an epoch of its own.
//!
//! The version orders the writes; the epoch is the fencing token of users; a position that went back would repeat what was
//! done, and one that went forward without its records would skip them. A finished lease stays finished until it is removed. And
//! of two processes of one name, the older must have learned that it was replaced before it can find what the younger has taken.

use lease_core::{Epoch, Lease, Version};

use super::Check;
use crate::nature::Observation;

#[derive(Debug)]
pub(crate) struct NeverBack;

impl Check for NeverBack {
    fn name(&self) -> &'static str {
        "never back"
    }

    fn see(&mut self, observation: &Observation<'_>) -> Option<String> {
        match observation {
            Observation::Written { before: None, after: Some(after) } if after.version != Version::FIRST => {
                Some(format!("{} begins at version {}", after.key, after.version))
            }
            Observation::Written { before: Some(before), after: Some(after) } => wrong_step(before, after),
            Observation::Written { before: Some(before), after: None } if !before.is_finished() => {
                Some(format!("{} is removed at {}", before.key, before.position))
            }
            _ => None,
        }
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
    } else if let (Some(from), Some(to)) = (&before.owner, &after.owner)
        && from.name == to.name
        && from.incarnation.number > to.incarnation.number
    {
        Some(format!("{key} goes back to an older process of its owner's name, from {from:?} to {to:?}"))
    } else if after.position != before.position && !before.position.may_advance_to(&after.position) {
        Some(format!("{key} goes back from {} to {}", before.position, after.position))
    } else {
        None
    }
}
