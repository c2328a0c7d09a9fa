//! `cargo xtask test`: everything that must hold, the quick things first.

use crate::command::{self, cargo};
use crate::rules;
use crate::servers::Servers;
use crate::sim;

pub(crate) fn run() -> Result<(), String> {
    command::run(&mut cargo(&["fmt", "--all", "--", "--check"]))?;
    rules::run()?;
    command::run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]))?;
    let mut docs = cargo(&["doc", "--workspace", "--all-features", "--no-deps"]);
    command::run(docs.env("RUSTDOCFLAGS", "-D warnings"))?;

    sim::check()?;

    // Stopped when dropped, so also after a failure.
    let servers = Servers::start()?;
    let mut tests = cargo(&["test", "--workspace", "--all-features", "--no-fail-fast"]);
    command::run(tests.envs(servers.environment()))
}
