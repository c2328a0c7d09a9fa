//! How the story went, and whether it kept the promises.

use std::time::Duration;

use kinesis_testing::Tally;
use serde_json::{Value, json};

use crate::arguments::DemoOptions;

/// The figures of a story.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) options: DemoOptions,
    pub(super) heartbeat: Duration,
    pub(super) tally: Tally,
    pub(super) first_record_seconds: Option<f64>,
    pub(super) level_seconds: LevelSeconds,
    pub(super) moves: u64,
    pub(super) moves_fewest: u64,
}

/// How long it took after each event until every shard was read and the counts differed by at most one.
#[derive(Debug, Clone, Copy)]
pub(super) struct LevelSeconds {
    pub(super) start: f64,
    pub(super) join: f64,
    pub(super) split: f64,
    pub(super) crash: f64,
    pub(super) leave: f64,
}

/// By when the first record must have come, counted from the start of the program.
const FIRST_RECORD_SECONDS: f64 = 2.0;

impl Outcome {
    /// What was promised and not kept, a sentence each.
    pub(super) fn broken_promises(&self) -> Vec<String> {
        let Self { tally, level_seconds, moves, moves_fewest, .. } = self;
        let two_heartbeats = self.heartbeat.as_secs_f64() * 2.0;
        let lease_duration = self.options.lease_duration.as_secs_f64();
        let first = self.first_record_seconds.unwrap_or(f64::INFINITY);
        let promises = [
            (tally.lost == 0, format!("{} records were lost", tally.lost)),
            (tally.unknown == 0, format!("{} records came that nobody produced", tally.unknown)),
            (tally.out_of_order == 0, format!("{} records came out of order", tally.out_of_order)),
            (
                tally.duplicates_planned == 0,
                format!("{} records were repeated without a crash", tally.duplicates_planned),
            ),
            (moves == moves_fewest, format!("{moves} leases were moved where {moves_fewest} would do")),
            (
                first <= FIRST_RECORD_SECONDS,
                format!("the first record took {first:.2} s, more than {FIRST_RECORD_SECONDS} s"),
            ),
            within("the join", level_seconds.join, two_heartbeats),
            within("the leave", level_seconds.leave, two_heartbeats),
            within("the crash", level_seconds.crash, lease_duration + two_heartbeats),
        ];
        promises.into_iter().filter(|(kept, _)| !kept).map(|(_, sentence)| sentence).collect()
    }

    pub(super) fn to_json(&self) -> Value {
        let Self { options, tally, level_seconds, moves, moves_fewest, .. } = self;
        let broken = self.broken_promises();
        json!({
            "workers": options.workers,
            "shards": options.shards,
            "seed": options.seed,
            "lease_duration_seconds": rounded(options.lease_duration.as_secs_f64()),
            "heartbeat_seconds": rounded(self.heartbeat.as_secs_f64()),
            "produced": tally.produced,
            "delivered": tally.delivered,
            "lost": tally.lost,
            "out_of_order": tally.out_of_order,
            "duplicates_planned": tally.duplicates_planned,
            "duplicates_crash": tally.duplicates_crash,
            "first_record_seconds": self.first_record_seconds.map(rounded),
            "level_seconds": {
                "start": rounded(level_seconds.start),
                "join": rounded(level_seconds.join),
                "split": rounded(level_seconds.split),
                "crash": rounded(level_seconds.crash),
                "leave": rounded(level_seconds.leave),
            },
            "moves": moves,
            "moves_fewest": moves_fewest,
            "promises_kept": broken.is_empty(),
            "promises_broken": broken,
        })
    }

    /// The figures for people.
    pub(super) fn summary(&self) -> String {
        let Self { tally, level_seconds, moves, moves_fewest, .. } = self;
        let first = self.first_record_seconds.unwrap_or(f64::NAN);
        let LevelSeconds { start, join, split, crash, leave } = level_seconds;
        format!(
            "records     {} produced, {} delivered, {} lost, {} out of order\n\
             repeated    {} by planned moves, {} by the crash (what it had not checkpointed)\n\
             first one   after {first:.2} s\n\
             level       start {start:.2} s, join {join:.2} s, split {split:.2} s, crash {crash:.2} s, leave {leave:.2} s\n\
             moves       {moves}, the fewest possible being {moves_fewest}",
            tally.produced,
            tally.delivered,
            tally.lost,
            tally.out_of_order,
            tally.duplicates_planned,
            tally.duplicates_crash,
        )
    }
}

fn within(what: &str, seconds: f64, bound: f64) -> (bool, String) {
    (seconds <= bound, format!("{what} was level after {seconds:.2} s, more than {bound:.2} s"))
}

/// To the millisecond.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1_000.0).round() / 1_000.0
}
