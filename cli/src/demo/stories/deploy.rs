//! Two deployments under load: first each worker is replaced by one of another name, then each is restarted under its own.

use std::time::{Duration, Instant};

use consumer::Departure;
use serde_json::json;

use crate::demo::board::Picture;
use crate::demo::outcome::{Findings, Promise, rounded, seconds_within};
use crate::demo::stage::{PATIENCE, Stage};
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
    stage.board.change(Picture::listens_anew);
    for (number, worker) in stage.fleet.names().into_iter().enumerate() {
        stage.fleet.leave(&worker, Departure::ForGood).await?;
        stage.fleet.start(&format!("new-{}", number + 1))?;
        hear_all(stage, "the replacement").await?;
    }
    let replacing = stage.board.look(Deployment::seen_in);

    stage.board.tell("a deployment under names that stay: each worker says that it returns");
    stage.board.change(Picture::listens_anew);
    for worker in stage.fleet.names() {
        stage.fleet.leave(&worker, Departure::ToReturn { within: GRACE }).await?;
        stage.fleet.start(&worker)?;
        hear_all(stage, "the restart").await?;
    }
    let returning = stage.board.look(Deployment::seen_in);
    let moves = returning.moves - replacing.moves;
    let told = format!("{} leases were moved by the first deployment, {moves} by the second", replacing.moves);
    stage.board.tell(told);
    Ok(Findings {
        figures: vec![
            ("moves_under_new_names", json!(replacing.moves)),
            ("moves_under_names_that_stay", json!(moves)),
            ("longest_silence_seconds_under_new_names", json!(rounded(replacing.silence_seconds))),
            ("longest_silence_seconds_under_names_that_stay", json!(rounded(returning.silence_seconds))),
        ],
        promises: vec![
            Promise::none(moves, "leases were moved although all names stayed"),
            heard_of("under new names", &replacing),
            heard_of("under names that stay", &returning),
        ],
        lines: vec![
            format!("moves       {} under new names, {moves} under names that stay", replacing.moves),
            format!(
                "silence     {:.2} s at most in any shard under new names, {:.2} s under names that stay",
                replacing.silence_seconds, returning.silence_seconds
            ),
        ],
    })
}

/// What a deployment cost.
struct Deployment {
    /// All moves so far.
    moves: u64,
    silence_seconds: f64,
}

impl Deployment {
    fn seen_in(picture: &Picture) -> Self {
        Self { moves: picture.moves, silence_seconds: picture.longest_silence().as_secs_f64() }
    }
}

fn heard_of(when: &str, deployment: &Deployment) -> Promise {
    seconds_within(
        format!("the most silent shard {when} was heard of"),
        deployment.silence_seconds,
        LONGEST_SILENCE_SECONDS,
    )
}

/// Waits until the fleet is level, and every shard has brought records since: a silence that has not ended is not measured.
async fn hear_all(stage: &mut Stage<'_>, after: &str) -> Result<(), Failure> {
    let _seconds = stage.level(after, Instant::now()).await?;
    let level = Instant::now();
    if stage.board.wait_until(PATIENCE, |picture| picture.has_heard_all_since(level)).await {
        return Ok(());
    }
    Err(Failure::new(format!(
        "after {after} a shard brought nothing any more: it fell silent, or the records were used up (give more --records)"
    )))
}
