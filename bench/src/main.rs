//! Measurements: `cargo xtask bench plan|endpoint|rest|stores|all`.

mod endpoint;
mod fleet;
mod metered_store;
mod moves;
mod plan;
mod rest;
mod stores;

use std::error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    let what = std::env::args().nth(1).unwrap_or_default();
    let result = match what.as_str() {
        "plan" => plan::run(),
        "endpoint" => endpoint::run(),
        "rest" => rest::run(),
        "stores" => stores::run(),
        "all" => all(),
        other => Err(format!("{other:?} is no measurement: say plan, endpoint, rest, stores, or all").into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn all() -> Result<(), Box<dyn Error>> {
    plan::run()?;
    println!();
    endpoint::run()?;
    println!();
    rest::run()?;
    println!();
    stores::run()
}
