//! The promises, each in a file of its own with the reason behind it.

mod children_after_parents;
mod in_order;
mod never_back;
mod no_bug;
mod one_owner;
mod polite_repeats_nothing;
mod settles;
mod stops_in_time;
mod twins;
mod unaware;

use std::fmt;

use crate::nature::Observation;
use crate::schedule::{Kind, Schedule};

/// A promise that is watched.
pub(crate) trait Check: fmt::Debug + Send {
    /// What it is called in reports.
    fn name(&self) -> &'static str;

    /// Looks at what was seen, and says what is wrong with it.
    fn see(&mut self, observation: &Observation<'_>) -> Option<String>;
}

/// All of them, for a world with that schedule.
pub(crate) fn all_checks(schedule: &Schedule) -> Vec<Box<dyn Check>> {
    let mut checks: Vec<Box<dyn Check>> = vec![
        Box::new(one_owner::OneOwner::default()),
        Box::new(never_back::NeverBack::default()),
        Box::new(in_order::InOrder::default()),
        Box::new(children_after_parents::ChildrenAfterParents::default()),
        Box::new(stops_in_time::StopsInTime),
        Box::new(settles::Settles),
        Box::new(no_bug::NoBug::default()),
    ];
    if schedule.kind != Kind::Any {
        checks.push(Box::new(polite_repeats_nothing::PoliteRepeatsNothing::of(schedule.kind)));
    }
    checks
}
