//! Two deployments under load: first each worker is replaced by one of another name, then each is restarted under its own.

use std::time::Duration;

use consumer::Departure;
use serde_json::json;

use crate::demo::outcome::{Findings, Promise, rounded, seconds_within};
use crate::demo::stage::Stage;
use crate::failure::Failure;

/// How long a worker that is restarted may be away.
const GRACE: Duration = Duration::from_secs(30);

/// The longest that a shard may be silent.
const LONGEST_SILENCE_SECONDS: f64 = 1.0;

/// Plays the story.
pub(in crate::demo) async fn play(stage: &mut Stage<'_>, worker_count: u16) -> Result<Findings, Failure> {
    let _seconds = stage.start(worker_count).await?;
    stage.breathe().await;
    stage.board.tell("a deployment under new names: each worker leaves, and a new one joins");
    stage.board.change(|picture| picture.silences.clear());
    for (number, worker) in stage.fleet.names().into_iter().enumerate() {
        stage.fleet.leave(&worker, Departure::ForGood).await?;
        stage.fleet.start(&format!("new-{}", number + 1))?;
        let _seconds = stage.level("the replacement", std::time::Instant::now()).await?;
    }
    let (replacing_moves, replacing_silence) = stage.board.look(|picture| (picture.moves, picture.longest_silence()));

    stage.board.tell("a deployment under names that stay: each worker says that it returns");
    for worker in stage.fleet.names() {
        stage.fleet.leave(&worker, Departure::ToReturn { within: GRACE }).await?;
        stage.fleet.start(&worker)?;
        let _seconds = stage.level("the restart", std::time::Instant::now()).await?;
    }
    let silence = stage.board.look(crate::demo::board::Picture::longest_silence).as_secs_f64();
    let moves = stage.board.look(|picture| picture.moves) - replacing_moves;
    stage
        .board
        .tell(format_args!("{replacing_moves} leases were moved by the first deployment, {moves} by the second"));
    Ok(Findings {
        figures: vec![
            ("moves_under_new_names", json!(replacing_moves)),
            ("moves_under_names_that_stay", json!(moves)),
            ("longest_silence_seconds", json!(rounded(silence))),
        ],
        promises: vec![
            Promise::none(moves, "leases were moved although all names stayed"),
            seconds_within("the most silent shard was heard of".into(), silence, LONGEST_SILENCE_SECONDS),
        ],
        lines: vec![
            format!("moves       {replacing_moves} under new names, {moves} under names that stay"),
            format!(
                "silence     {silence:.2} s at most in any shard ({:.2} s under new names)",
                replacing_silence.as_secs_f64()
            ),
        ],
    })
}
