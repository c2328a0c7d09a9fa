//! A worker that is cut off stops by itself, in time.
//!
//! It may begin a batch, and go on with one, only while its last confirmed heartbeat, counted from its sending on its own clock,
//! is younger than the lease duration less the margin. What is observed here is independent of what the worker believes: the
//! moments at which its store was called, and answered.

use std::time::Duration;

use super::Check;
use crate::nature::Observation;

/// Timers that are due in one millisecond go off in any order.
const AT_ONCE: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub(crate) struct StopsInTime;

impl Check for StopsInTime {
    fn name(&self) -> &'static str {
        "stops in time"
    }

    fn see(&mut self, observation: &Observation<'_>) -> Option<String> {
        match observation {
            Observation::Silence { process, when, silence, validity } if *silence > *validity + AT_ONCE => Some(
                format!("process {process} {when} a batch {silence:?} after its last confirmed heartbeat was sent"),
            ),
            _ => None,
        }
    }
}
