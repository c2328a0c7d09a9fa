//! A worker is frozen in the middle of its work for longer than a lease lasts, and wakes up when others have its shards.

use lease_core::{Expected, Lease, Outcome};
use serde_json::json;

use crate::demo::board::Picture;
use crate::demo::outcome::{Findings, Promise};
use crate::demo::stage::{PATIENCE, Stage};
use crate::failure::Failure;

const ZOMBIE: &str = "zombie";

/// Plays the story.
pub(in crate::demo) async fn play(stage: &mut Stage<'_>, worker_count: u16) -> Result<Findings, Failure> {
    let _seconds = stage.start(worker_count).await?;
    stage.board.tell(format_args!("the {ZOMBIE} joins, on a thread of its own that can be frozen"));
    stage.fleet.start_on_its_own_thread(ZOMBIE)?;
    let _seconds = stage.level("the join", std::time::Instant::now()).await?;
    stage.breathe().await;

    stage.board.freeze(ZOMBIE, true);
    let patience = PATIENCE + stage.settings.worker.lease_duration * 2;
    if !stage.board.wait_until(PATIENCE, |picture| picture.is_frozen_now).await {
        return Err(Failure::new("the zombie never came to a record at which it could freeze"));
    }
    let held: Vec<Lease> = stage.board.look(|picture| picture.owned_by(ZOMBIE).cloned().collect());
    // To the others it is a crash: they will repeat what it had not checkpointed.
    stage.board.ledger.crashed(ZOMBIE, stage.fleet.checkpoints_of(ZOMBIE));
    stage.board.tell(format_args!("it is frozen in the middle of a batch, with {} shards in its hands", held.len()));
    // The zombie's own reader is still there: what counts is one under the newest epoch, of which the sink has heard.
    let is_read = |picture: &Picture, lease: &Lease| {
        picture.readers.get(&lease.key).is_some_and(|(_, epoch)| *epoch == lease.epoch)
    };
    let others_have_all = |picture: &Picture| {
        picture.owned_by(ZOMBIE).next().is_none() && picture.runnable().all(|lease| is_read(picture, lease))
    };
    if !stage.board.wait_until(patience, others_have_all).await {
        return Err(Failure::new("nobody took the shards of the frozen worker"));
    }
    let late_writes_refused = write_late(stage, &held).await?;
    stage
        .board
        .tell(format_args!("{late_writes_refused} writes that it may have had under way are refused by the table"));

    stage.board.freeze(ZOMBIE, false);
    stage.board.tell("it wakes up, and does what it was about to do");
    if !stage.board.wait_until(PATIENCE, |picture| picture.late_effects > 0 && picture.leases_lost > 0).await {
        return Err(Failure::new("the zombie never learned that its leases were lost"));
    }
    let _seconds = stage.level("the awakening", std::time::Instant::now()).await?;
    let (late, lost) = stage.board.look(|picture| (picture.late_effects, picture.leases_lost));
    let share = stage.board.look(|picture| picture.counts().get(ZOMBIE).copied().unwrap_or_default());
    stage
        .board
        .tell(format_args!("{late} late records were refused by their fencing token; it has {share} shards again"));
    Ok(Findings {
        figures: vec![
            ("late_writes_sent_in_its_name", json!(held.len())),
            ("late_writes_refused", json!(late_writes_refused)),
            ("late_records_refused_by_the_sink", json!(late)),
            ("processors_told_that_the_lease_is_lost", json!(lost)),
            ("shards_of_the_zombie_at_the_end", json!(share)),
        ],
        promises: vec![
            Promise::new(late_writes_refused == held.len(), "a late write was applied".into()),
            Promise::new(late > 0, "nothing came late, so that nothing was shown".into()),
            Promise::new(lost > 0, "no processor learned that its lease was lost".into()),
            Promise::new(share > 0, "the zombie got no shards again".into()),
        ],
        lines: vec![format!(
            "zombie      {late_writes_refused} of {} late writes refused, {late} late records refused, {lost} processors \
             told, {share} shards again",
            held.len()
        )],
    })
}

/// Sends what the zombie may have had on its way when it froze: writes that expect its rows as they were. Returns how many are
/// refused.
async fn write_late(stage: &Stage<'_>, held: &[Lease]) -> Result<usize, Failure> {
    let mut refused = 0;
    for row in held {
        let zombie = row.owner.clone().ok_or_else(|| Failure::new("a row without its owner"))?;
        let late = row.checkpointed(row.position.clone(), &zombie);
        let outcome = stage.fleet.put(Expected::row(row), &late).await?;
        refused += usize::from(matches!(outcome, Outcome::Conflict { .. }));
    }
    Ok(refused)
}
