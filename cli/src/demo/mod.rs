//! `leasehold demo`: a fleet in one process, a story, and the proof that it went as promised.

mod board;
mod fleet;
mod observed_store;
mod outcome;
mod processor;
mod producer;
mod screen;
mod story;
mod view;

use std::io::IsTerminal;
use std::time::Instant;

use board::Board;
use story::Story;

use crate::arguments::DemoOptions;
use crate::failure::Failure;
use screen::Screen;

/// Plays the story, shows it, and fails if a promise was broken.
pub(crate) async fn run(options: DemoOptions, started: Instant) -> Result<(), Failure> {
    let settings = fleet::settings(options.lease_duration);
    settings.validate().map_err(|error| Failure::new(format!("--lease-duration: {error}")))?;

    let board = Board::new(started, u64::from(options.records));
    let live = !options.json && !options.plain && std::io::stdout().is_terminal();
    let screen = if options.json { Screen::silent() } else { Screen::open(live, board.clone(), options.workers) };
    let outcome = Story::play(&options, settings, &board).await;
    screen.close().await;
    let outcome = outcome?;

    if options.json {
        println!("{:#}", outcome.to_json());
    } else {
        println!("\n{}", outcome.summary());
    }
    match outcome.broken_promises() {
        broken if broken.is_empty() => Ok(()),
        broken => Err(Failure::new(format!("a promise was broken: {}", broken.join("; ")))),
    }
}
