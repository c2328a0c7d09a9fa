//! A worker that is cut off stops by itself, in time.
//!
//! It may begin a batch only while its last confirmed heartbeat, counted from its sending on its own clock, is younger than the
//! lease duration less the margin. What is observed here is independent of what the worker believes: the moments at which its
//! store was called, and answered.

use super::Check;
use crate::nature::Observation;

#[derive(Debug)]
pub(crate) struct StopsInTime;

impl Check for StopsInTime {
    fn name(&self) -> &'static str {
        "stops in time"
    }

    fn see(&mut self, observation: &Observation<'_>) -> Option<String> {
        match observation {
            Observation::Silence { process, silence, validity } if silence > validity => Some(format!(
                "process {process} begins a batch {silence:?} after its last confirmed heartbeat was sent"
            )),
            _ => None,
        }
    }
}
