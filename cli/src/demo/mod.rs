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

    refuse_what_cannot_be_told(&options)?;
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

/// Some stories take a stage of a certain size, and would wait in vain on another.
fn refuse_what_cannot_be_told(options: &DemoOptions) -> Result<(), Failure> {
    let DemoOptions { story, workers, shards, records, .. } = *options;
    let least_records = producer::SECOND_POISON + 1;
    match story {
        StoryName::Zombie if shards <= workers => Err(Failure::new(format!(
            "--story zombie: with {shards} shards and {workers} workers the zombie may have nothing to read: give more --shards \
             than --workers"
        ))),
        StoryName::Poison if u64::from(records) < least_records => Err(Failure::new(format!(
            "--story poison: one record in a thousand is poisoned, and it takes two: give at least {least_records} --records, not \
             {records}"
        ))),
        _ => Ok(()),
    }
}
