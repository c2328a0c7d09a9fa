//! A fleet comes together, and everything happens to it once: a join, a split, a crash, a leave.

use std::time::{Duration, Instant};

use consumer::Departure;
use serde_json::json;

use crate::demo::outcome::{Findings, Promise, rounded, seconds_within};
use crate::demo::stage::{PATIENCE, STREAM, Stage};
use crate::failure::Failure;

/// Plays the story.
pub(in crate::demo) async fn play(stage: &mut Stage<'_>, worker_count: u16) -> Result<Findings, Failure> {
    let mut moves_fewest = 0;
    let start = stage.start(worker_count).await?;
    stage.breathe().await;
    let join = join(stage, worker_count + 1, &mut moves_fewest).await?;
    stage.breathe().await;
    let split = split(stage).await?;
    stage.breathe().await;
    let crash = crash(stage).await?;
    stage.breathe().await;
    let leave = leave(stage, &mut moves_fewest).await?;
    stage.breathe().await;

    let moves = stage.board.look(|picture| picture.moves);
    let worker = &stage.settings.worker;
    let two_heartbeats = worker.heartbeat_interval * 2;
    let within = |what: &str, seconds: f64, bound: Duration| {
        seconds_within(format!("{what} was level"), seconds, bound.as_secs_f64())
    };
    Ok(Findings {
        figures: vec![
            (
                "level_seconds",
                json!({
                    "start": rounded(start),
                    "join": rounded(join),
                    "split": rounded(split),
                    "crash": rounded(crash),
                    "leave": rounded(leave),
                }),
            ),
            ("moves", json!(moves)),
            ("moves_fewest", json!(moves_fewest)),
        ],
        promises: vec![
            Promise::new(moves == moves_fewest, format!("{moves} leases were moved where {moves_fewest} would do")),
            within("the join", join, two_heartbeats),
            within("the leave", leave, two_heartbeats),
            within("the crash", crash, worker.lease_duration + two_heartbeats),
        ],
        lines: vec![
            format!(
                "level       start {start:.2} s, join {join:.2} s, split {split:.2} s, crash {crash:.2} s, leave {leave:.2} s"
            ),
            format!("moves       {moves}, the fewest possible being {moves_fewest}"),
        ],
    })
}

async fn join(stage: &mut Stage<'_>, number: u16, moves_fewest: &mut u64) -> Result<f64, Failure> {
    let joiner = format!("worker-{number}");
    *moves_fewest += stage.board.look(|picture| {
        let mut counts: Vec<usize> = picture.counts().into_values().collect();
        counts.push(0);
        fewest_moves(counts)
    });
    stage.board.tell(format_args!("{joiner} joins"));
    let began = Instant::now();
    stage.fleet.start(&joiner)?;
    stage.level("the join", began).await
}

async fn split(stage: &mut Stage<'_>) -> Result<f64, Failure> {
    let open: Vec<_> = stage.board.look(|picture| {
        let runnable = picture.runnable().filter_map(|lease| Some((lease.key.shard.clone(), lease.hash_range?)));
        runnable.collect()
    });
    let Some((shard, range)) = stage.rng.choice(open) else { return Err(Failure::new("no shard can be split")) };
    let middle = range.start() + (range.end() - range.start()) / 2 + 1;
    stage.board.tell(format_args!("{shard} is split in two"));
    let began = Instant::now();
    let request = stage.client.split_shard().stream_name(STREAM).shard_to_split(shard.as_str());
    let answer = request.new_starting_hash_key(middle.to_string()).send().await;
    answer.map_err(|error| Failure::new(format!("{shard} cannot be split: {error}")))?;
    let is_finished = stage.board.wait_until(PATIENCE, |picture| {
        picture.leases.values().any(|lease| lease.key.shard == shard && lease.is_finished())
    });
    if !is_finished.await {
        return Err(Failure::new(format!("{shard} was never read to its end")));
    }
    stage.level("the split", began).await
}

async fn crash(stage: &mut Stage<'_>) -> Result<f64, Failure> {
    let victim = stage.any_worker()?;
    let count = stage.board.look(|picture| picture.read_by(&victim).count());
    stage.board.tell(format_args!("{victim} crashes with {count} shards in its hands, and releases nothing"));
    let began = Instant::now();
    stage.fleet.crash(&victim).await?;
    stage.level("the crash", began).await
}

async fn leave(stage: &mut Stage<'_>, moves_fewest: &mut u64) -> Result<f64, Failure> {
    let leaver = stage.any_worker()?;
    *moves_fewest += stage.board.look(|picture| picture.counts()[leaver.as_str()]) as u64;
    stage.board.tell(format_args!("{leaver} leaves politely"));
    let began = Instant::now();
    stage.fleet.leave(&leaver, Departure::ForGood).await?;
    stage.level("the leave", began).await
}

/// The fewest leases that must leave their owners so that the counts differ by at most one.
fn fewest_moves(mut counts: Vec<usize>) -> u64 {
    counts.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
    let total: usize = counts.iter().sum();
    let (base, spare) = (total / counts.len(), total % counts.len());
    let surplus = counts.iter().enumerate().map(|(place, count)| {
        let quota = base + usize::from(place < spare);
        count.saturating_sub(quota) as u64
    });
    surplus.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_moves_of_the_known_situations() {
        assert_eq!(fewest_moves([vec![8; 8], vec![0]].concat()), 7);
        assert_eq!(fewest_moves([vec![20; 50], vec![0; 10]].concat()), 160);
        assert_eq!(fewest_moves(vec![4, 4, 4, 4, 0]), 3);
    }
}
