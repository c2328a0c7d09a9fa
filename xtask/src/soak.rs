//! `cargo xtask soak`: real processes on real servers, disturbed for some minutes.
//!
//! Not built for release: so the overflow checks and debug assertions are on.

use std::process::{Command, Stdio};

use crate::command::{cargo, root, run as run_command, target};

const TABLES: [&str; 3] = ["postgres", "redis", "dynamodb"];

/// All lease tables at the same time, or one.
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    let (mut minutes, mut seed, mut tables) = ("5", "1", TABLES.to_vec());
    for pair in arguments.chunks(2) {
        match *pair {
            ["--minutes", value] => minutes = value,
            ["--seed", value] => seed = value,
            ["--table", value] => tables = vec![value],
            _ => return Err(format!("{pair:?} is unknown: take --minutes, --table or --seed, each with a value")),
        }
    }
    run_command(&mut cargo(&["build", "--workspace", "--all-features", "--bins"]))?;
    let programs = target().join("debug");
    let soaks = tables.iter().map(|table| {
        let mut soak = Command::new(programs.join("soak"));
        soak.arg(programs.join("leasehold")).args([table, minutes, seed]);
        soak.current_dir(root()).stdin(Stdio::null()).spawn().map_err(|error| format!("soak cannot be run: {error}"))
    });
    let soaks: Vec<_> = soaks.collect();
    let mut failed = Vec::new();
    for (table, soak) in tables.iter().zip(soaks) {
        let status = soak?.wait().map_err(|error| error.to_string())?;
        if !status.success() {
            failed.push(*table);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("promises were broken on {}", failed.join(", "))) }
}
