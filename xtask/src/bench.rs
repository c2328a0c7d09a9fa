//! `cargo xtask bench`: measurements, built for release.

use crate::command::{cargo, run as run_command};
use crate::servers::Servers;

pub(crate) fn run(what: &str) -> Result<(), String> {
    let mut bench = cargo(&["run", "--quiet", "--release", "--package", "bench", "--", what]);
    if !["stores", "all"].contains(&what) {
        return run_command(&mut bench);
    }
    // Stopped when dropped, so also after a failure.
    let servers = Servers::start_databases()?;
    run_command(bench.envs(servers.environment()))
}
