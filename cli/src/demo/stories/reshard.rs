//! The stream splits and merges all the time, and every child is read after its parents.

use std::time::Duration;

use serde_json::json;

use crate::demo::outcome::{Findings, Promise};
use crate::demo::stage::{PATIENCE, STREAM, Stage};
use crate::failure::Failure;

/// How many splits and merges there are.
const RESHARDS: usize = 60;

/// The pause between two of them.
const PAUSE: Duration = Duration::from_millis(100);

/// Plays the story.
pub(in crate::demo) async fn play(stage: &mut Stage<'_>, worker_count: u16) -> Result<Findings, Failure> {
    let _seconds = stage.start(worker_count).await?;
    let shard_count = stage.board.look(|picture| picture.runnable().count());
    stage.board.tell(format_args!("the stream splits and merges {RESHARDS} times"));
    let (mut splits, mut merges) = (0_u32, 0_u32);
    for _ in 0..RESHARDS {
        if reshard(stage, shard_count).await? {
            splits += 1;
        } else {
            merges += 1;
        }
        tokio::time::sleep(PAUSE).await;
    }
    stage.board.tell(format_args!("{splits} splits and {merges} merges are over"));
    let open = open_shards(stage).await?.len();
    let only_open = |picture: &crate::demo::board::Picture| {
        picture.leases.values().filter(|lease| !lease.is_finished()).count() == open && picture.is_level()
    };
    if !stage.board.wait_until(PATIENCE, only_open).await {
        return Err(Failure::new("the closed shards were never read to their ends"));
    }
    stage.board.tell(format_args!("all closed shards are read to their ends; {open} are open"));
    let (read, too_early) = stage.board.look(|picture| (picture.leases.len(), picture.begun_too_early()));
    Ok(Findings {
        figures: vec![
            ("splits", json!(splits)),
            ("merges", json!(merges)),
            ("shards_read", json!(read)),
            ("children_before_parents", json!(too_early)),
        ],
        promises: vec![Promise::none(too_early, "shards were begun before all their parents were done")],
        lines: vec![format!(
            "reshards    {splits} splits, {merges} merges, {read} shards, {too_early} before their parents"
        )],
    })
}

/// The open shards, in the order of their ranges: where each begins and ends, and its name.
async fn open_shards(stage: &Stage<'_>) -> Result<Vec<(u128, u128, String)>, Failure> {
    let answer = stage.client.list_shards().stream_name(STREAM).send().await;
    let answer = answer.map_err(|error| Failure::new(format!("the shards cannot be listed: {error}")))?;
    let mut open = Vec::new();
    for shard in answer.shards.unwrap_or_default() {
        let is_open = shard.sequence_number_range.is_some_and(|range| range.ending_sequence_number.is_none());
        let range = shard.hash_key_range.filter(|_| is_open);
        if let Some(range) = range {
            let bound = |text: &str| text.parse::<u128>().map_err(|error| Failure::new(error.to_string()));
            open.push((bound(&range.starting_hash_key)?, bound(&range.ending_hash_key)?, shard.shard_id));
        }
    }
    open.sort_unstable();
    Ok(open)
}

/// Splits a shard, or merges two neighbours, so that their number stays near that one. Returns whether it was a split.
async fn reshard(stage: &mut Stage<'_>, shard_count: usize) -> Result<bool, Failure> {
    let open = open_shards(stage).await?;
    let refused = |error: String| Failure::new(format!("the stream cannot be resharded: {error}"));
    let splits = open.len() == 1 || stage.rng.usize(..shard_count * 2) >= open.len();
    let index = stage.rng.usize(..if splits { open.len() } else { open.len() - 1 });
    let (start, end, shard) = &open[index];
    if splits {
        let middle = start + (end - start) / 2 + 1;
        let request = stage.client.split_shard().stream_name(STREAM).shard_to_split(shard);
        let request = request.new_starting_hash_key(middle.to_string());
        request.send().await.map_err(|error| refused(error.to_string()))?;
    } else {
        let request = stage.client.merge_shards().stream_name(STREAM).shard_to_merge(shard);
        let request = request.adjacent_shard_to_merge(&open[index + 1].2);
        request.send().await.map_err(|error| refused(error.to_string()))?;
    }
    Ok(splits)
}
