//! Once nothing bad happens any more, within a bound the fleet is level, all is done, and nothing moves.
//!
//! A lease that changes hands after that would do so for ever: the plan of a balanced snapshot moves nothing.

use super::Check;
use crate::nature::Observation;

#[derive(Debug)]
pub(crate) struct Settles;

impl Check for Settles {
    fn name(&self) -> &'static str {
        "settles"
    }

    fn see(&mut self, observation: &Observation<'_>) -> Option<String> {
        match observation {
            Observation::Finished { unlike: Some(unlike) } => Some((*unlike).to_owned()),
            _ => None,
        }
    }
}
