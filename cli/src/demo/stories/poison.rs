//! Some records cannot be processed: one kind fails for ever, the other makes the processor panic. They go to the dead letters,
//! alone, and everything else goes on.

use serde_json::json;

use crate::demo::outcome::{Findings, Promise};
use crate::demo::processor::PLANNED_PANIC;
use crate::demo::stage::{PATIENCE, Stage};
use crate::failure::Failure;

/// Plays the story.
pub(in crate::demo) async fn play(stage: &mut Stage<'_>, worker_count: u16) -> Result<Findings, Failure> {
    keep_quiet_about_planned_panics();
    stage.fleet.puts_poison_away();
    let _seconds = stage.start(worker_count).await?;
    stage
        .board
        .tell("one record in a thousand is poisoned: half of those fail for ever, half make the processor panic");
    let lease_duration = stage.settings.worker.lease_duration;
    let patience = PATIENCE + lease_duration * 2;
    if !stage.board.wait_until(patience, |picture| picture.dead_letters.len() >= 2).await {
        return Err(Failure::new("no poisoned record became a dead letter"));
    }
    let ledger = stage.board.ledger.clone();
    stage.board.tell("the first dead letters are put away, and the shards go on behind them");
    let target = stage.board.look(|picture| picture.target_records);
    let all_came = stage.board.wait_until(patience, |_| {
        let tally = ledger.tally();
        tally.produced == target && tally.lost == 0
    });
    // Records that never come are counted as lost, by the outcome.
    let _all_came = all_came.await;
    let totals = stage.fleet.totals();
    let (letters, healthy) = stage.board.look(|picture| {
        let letters = picture.dead_letters.clone();
        let healthy = letters.iter().filter(|letter| !letter.contains("poison")).count() as u64;
        (letters, healthy)
    });
    let poisoned = stage.board.look(|picture| picture.poisoned);
    let (put_away, failures, panics) = (letters.len() as u64, totals.failures, totals.panics);
    stage
        .board
        .tell(format_args!("{put_away} of {poisoned} poisoned records were put away, after {failures} failures"));
    Ok(Findings {
        figures: vec![
            ("poisoned", json!(poisoned)),
            ("dead_letters", json!(put_away)),
            ("healthy_records_put_away", json!(healthy)),
            ("failures", json!(failures)),
            ("panics", json!(panics)),
        ],
        promises: vec![
            Promise::new(put_away == poisoned, format!("{put_away} of {poisoned} poisoned records were put away")),
            Promise::none(healthy, "healthy records were put away"),
            Promise::new(panics > 0, "no processor panicked, so that nothing was shown".into()),
        ],
        lines: vec![format!(
            "poison      {put_away} of {poisoned} poisoned records put away, {healthy} healthy ones; {failures} failures, \
             {panics} of them panics"
        )],
    })
}

/// They are part of the story; any other panic is told as ever.
fn keep_quiet_about_planned_panics() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let is_planned = panic.payload().downcast_ref::<String>().is_some_and(|message| message == PLANNED_PANIC);
        if !is_planned {
            tell(panic);
        }
    }));
}
