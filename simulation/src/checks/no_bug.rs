//! A consumer ends only as it was asked to, because another process bears its name, or because it cannot even begin; and nothing
//! in it panics but what was to.
//!
//! A stream that does not answer at the start ends the process with an error that says so: somebody may have mistyped an address.
//! Everything else that may happen here passes by itself, and must be outlasted.
//!
//! A table that has gone back may show a process an earlier one of its name, and if the name was free in between, one of a higher
//! number: numbers begin anew then. That looks as if another process had taken over.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use super::twins::Twins;
use crate::nature::{Observation, ProcessId};

#[derive(Debug, Default)]
pub(crate) struct NoBug {
    twins: Twins,
    asked: BTreeSet<ProcessId>,
    /// The name of each process.
    names: BTreeMap<ProcessId, usize>,
    /// Those that had started when the table went back, after another process of their name.
    shown_a_predecessor: BTreeSet<ProcessId>,
}

impl Check for NoBug {
    fn name(&self) -> &'static str {
        "no bug"
    }

    fn see(&mut self, observation: &Observation<'_>) -> Option<String> {
        self.twins.see(observation);
        match *observation {
            Observation::Started { process, name } => {
                self.names.insert(process, name);
                None
            }
            Observation::WentBack => {
                let is_later = |(process, name): &(&ProcessId, &usize)| {
                    self.names.range(..*process).any(|(_, earlier)| earlier == *name)
                };
                let later = self.names.iter().filter(is_later).map(|(process, _)| *process);
                self.shown_a_predecessor.extend(later);
                None
            }
            Observation::Asked { process } => {
                self.asked.insert(process);
                None
            }
            Observation::Ended { process, error } => self.wrong_end(process, error),
            Observation::Panicked { process, message } => Some(format!("process {process}: {message}")),
            _ => None,
        }
    }
}

/// Whether the error names two incarnations, the lower number first.
fn goes_by_a_higher_number(error: &str) -> bool {
    let numbers: Vec<u64> = error
        .split("incarnation ")
        .skip(1)
        .filter_map(|rest| rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok())
        .collect();
    matches!(numbers[..], [own, other] if own < other)
}

impl NoBug {
    fn wrong_end(&self, process: ProcessId, error: Option<&str>) -> Option<String> {
        let Some(error) = error else {
            let is_wrong = !self.asked.contains(&process);
            return is_wrong.then(|| format!("process {process} ended, and nobody has asked it to"));
        };
        let may_seem_replaced = || self.shown_a_predecessor.contains(&process) && goes_by_a_higher_number(error);
        let is_replaced =
            error.contains("another process took over") && (self.twins.has(process) || may_seem_replaced());
        let is_honest = is_replaced || error.contains("DescribeStreamSummary did not get through");
        (!is_honest).then(|| format!("process {process} ended: {error}"))
    }
}
