//! The `leasehold` command: see a fleet share a stream, read any stream, serve one for tests.

mod arguments;
mod aws;
mod consume;
mod demo;
mod duration;
mod failure;
#[cfg(test)]
mod fuzz;
mod kinesis;
mod leases;
mod signals;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Instant;

use arguments::{Arguments, Task};
use failure::Failure;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

fn main() -> ExitCode {
    let started = Instant::now();
    match Arguments::read().and_then(|arguments| run(arguments, started)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("leasehold: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments, started: Instant) -> Result<(), Failure> {
    log_to_standard_error(&arguments.task);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("the runtime cannot start: {error}")))?;
    let ended = runtime.block_on(async {
        match arguments.task {
            Task::Demo(options) => demo::run(options, started).await,
            Task::Consume(options) => consume::run(options).await,
            Task::Schema(options) => leases::print_schema(&options),
            Task::Kinesis(options) => kinesis::run(options).await,
        }
    });
    // What still blocks a thread, such as a line that nobody reads, is not waited for.
    runtime.shutdown_background();
    ended
}

/// Logs go to standard error, so that standard output can be piped; `RUST_LOG` says what is logged.
fn log_to_standard_error(task: &Task) {
    let wanted = std::env::var("RUST_LOG").ok().and_then(|wanted| wanted.parse().ok());
    let quiet = || match task {
        // It tells what happens itself.
        Task::Demo(_) => Targets::new().with_default(LevelFilter::OFF),
        _ => Targets::new().with_default(LevelFilter::ERROR).with_target("consumer", LevelFilter::WARN),
    };
    let filter: Targets = wanted.unwrap_or_else(quiet);
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}
