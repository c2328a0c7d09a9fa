//! A consumer ends only as it was asked to, because another process bears its name, or because it cannot even begin.
//!
//! A stream that does not answer at the start ends the process with an error that says so: somebody may have mistyped an address. Everything else that may happen here passes by itself, and must be outlasted.

use super::Check;
use crate::nature::Observation;

#[derive(Debug)]
pub(crate) struct NoBug;

impl Check for NoBug {
    fn name(&self) -> &'static str {
        "no bug"
    }

    fn see(&mut self, observation: &Observation<'_>) -> Option<String> {
        match observation {
            Observation::Ended { process, error: Some(error) } => {
                let is_honest = ["another process took over", "DescribeStreamSummary did not get through"];
                let is_bug = !is_honest.iter().any(|text| error.contains(text));
                is_bug.then(|| format!("process {process} ended: {error}"))
            }
            _ => None,
        }
    }
}
