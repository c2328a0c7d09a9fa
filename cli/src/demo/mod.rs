//! `leasehold demo`: a fleet in one process, a story, and the proof that it went as promised.

mod board;
mod fleet;
mod observed_store;
mod outcome;
mod processor;
mod producer;
mod screen;
mod stage;
mod stories;
mod view;

use std::io::IsTerminal;
use std::time::Instant;

use board::Board;
use stage::Stage;

use crate::arguments::{DemoOptions, StoryName};
use crate::failure::Failure;
use screen::Screen;

/// Plays the story, shows it, and fails if a promise was broken.
pub(crate) async fn run(options: DemoOptions, started: Instant) -> Result<(), Failure> {
    let settings = fleet::settings(options.lease_duration);
    settings.validate().map_err(|error| Failure::new(format!("--lease-duration: {error}")))?;

    let board = Board::new(started, u64::from(options.records));
    let live = !options.json && !options.plain && std::io::stdout().is_terminal();
    // Those who join later need a line too.
    let lines = if options.story == StoryName::Deploy { options.workers * 2 } else { options.workers + 1 };
    let screen = if options.json { Screen::silent() } else { Screen::open(live, board.clone(), lines) };
    let outcome = Stage::play(&options, settings, &board).await;
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
