//! `cargo xtask sim`: worlds decided by seeds, built for release.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::command::{cargo, output_of, run as run_command};

/// For how long the test command simulates worlds of fixed seeds, and then of fresh ones.
const SECONDS_EACH: &str = "30";

pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    run_command(&mut sim(arguments))
}

/// All that can happen in small worlds.
pub(crate) fn explore(arguments: &[&str]) -> Result<(), String> {
    run_command(&mut program("explore", arguments))
}

/// What the test command does: first, that the same seed is the same world in two processes.
pub(crate) fn check() -> Result<(), String> {
    println!("== the same seed in two processes");
    let world = ["--seed", "7", "--trace"];
    let (one, two) = (output_of(&mut sim(&world))?, output_of(&mut sim(&world))?);
    if one != two {
        let differs = one.lines().zip(two.lines()).find(|(one, two)| one != two);
        return Err(format!("seed 7 gave two different worlds: {differs:?}"));
    }
    println!("{}", one.lines().rev().find(|line| line.starts_with("trace hash")).unwrap_or("no trace hash"));
    explore(&["1"])?;
    let bounded = ["--seconds", SECONDS_EACH, "--seeds", "1000000"];
    run(&bounded)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    run(&[&bounded[..], &["--from", &(now << 20).to_string()]].concat())
}

fn sim(arguments: &[&str]) -> std::process::Command {
    program("sim", arguments)
}

fn program(name: &str, arguments: &[&str]) -> std::process::Command {
    let mut command = cargo(&["run", "--quiet", "--release", "--package", "simulation", "--bin", name, "--"]);
    command.args(arguments);
    command
}
