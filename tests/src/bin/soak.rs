//! `cargo xtask soak`: one lease table, for some minutes.

use std::process::ExitCode;
use std::time::Duration;

use tests::soak::{Options, soak};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [program, table, minutes, seed] = &arguments[..] else {
        eprintln!("usage: cargo xtask soak --minutes MINUTES [--table postgres|redis|dynamodb] [--seed SEED]");
        return ExitCode::FAILURE;
    };
    let (Ok(minutes), Ok(seed)) = (minutes.parse::<u64>(), seed.parse()) else {
        eprintln!("soak: minutes and seeds are whole numbers, not {minutes:?} and {seed:?}");
        return ExitCode::FAILURE;
    };
    let length = Duration::from_secs(minutes * 60);
    match soak(Options { program: program.into(), table: table.clone(), length, seed }).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("soak: {reason}");
            ExitCode::FAILURE
        }
    }
}
