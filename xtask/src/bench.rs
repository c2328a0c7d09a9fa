//! `cargo xtask bench`: measurements, built for release.

use crate::command::{cargo, run as run_command};

pub(crate) fn run(what: &str) -> Result<(), String> {
    run_command(&mut cargo(&["run", "--quiet", "--release", "--package", "bench", "--", what]))
}
