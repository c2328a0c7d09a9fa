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
    pub(super) findings: Findings,
}

/// What one story found out, besides what all of them do.
#[derive(Debug)]
pub(super) struct Findings {
    /// For programs.
    pub(super) figures: Vec<(&'static str, Value)>,
    pub(super) promises: Vec<Promise>,
    /// The figures for people.
    pub(super) lines: Vec<String>,
}

/// A promise, and whether it was kept.
#[derive(Debug)]
pub(super) struct Promise {
    is_kept: bool,
    /// What happened instead, if it was not.
    instead: String,
}

impl Promise {
    pub(super) fn new(is_kept: bool, instead: String) -> Self {
        Self { is_kept, instead }
    }

    /// That there were none of what should not be.
    pub(super) fn none(count: u64, of_what: &str) -> Self {
        Self::new(count == 0, format!("{count} {of_what}"))
    }
}

/// By when the first record must have come, counted from the start of the program.
const FIRST_RECORD_SECONDS: f64 = 2.0;

impl Outcome {
    /// What was promised and not kept, a sentence each.
    pub(super) fn broken_promises(&self) -> Vec<String> {
        let Self { tally, findings, .. } = self;
        let first = self.first_record_seconds.unwrap_or(f64::INFINITY);
        let of_all = [
            Promise::none(tally.lost, "records were lost"),
            Promise::none(tally.unknown, "records came that nobody produced"),
            Promise::none(tally.out_of_order, "records came out of order"),
            Promise::none(tally.duplicates_planned, "records were repeated without a crash"),
            seconds_within("the first record came".into(), first, FIRST_RECORD_SECONDS),
        ];
        let broken = of_all.iter().chain(&findings.promises).filter(|promise| !promise.is_kept);
        broken.map(|promise| promise.instead.clone()).collect()
    }

    pub(super) fn to_json(&self) -> Value {
        let Self { options, tally, findings, .. } = self;
        let broken = self.broken_promises();
        let mut figures = json!({
            "story": options.story.to_string(),
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
            "promises_kept": broken.is_empty(),
            "promises_broken": broken,
        });
        for (name, value) in &findings.figures {
            figures[*name] = value.clone();
        }
        figures
    }

    /// The figures for people.
    pub(super) fn summary(&self) -> String {
        let Self { tally, findings, .. } = self;
        let first = self.first_record_seconds.unwrap_or(f64::NAN);
        let of_all = format!(
            "records     {} produced, {} delivered, {} lost, {} out of order\n\
             repeated    {} by planned moves, {} by a crash (what it had not checkpointed)\n\
             first one   after {first:.2} s",
            tally.produced,
            tally.delivered,
            tally.lost,
            tally.out_of_order,
            tally.duplicates_planned,
            tally.duplicates_crash,
        );
        [vec![of_all], findings.lines.clone()].concat().join("\n")
    }
}

/// That something happened within so many seconds.
pub(super) fn seconds_within(what: String, seconds: f64, bound: f64) -> Promise {
    Promise::new(seconds <= bound, format!("{what} after {seconds:.2} s, more than {bound:.2} s"))
}

/// To the millisecond.
pub(super) fn rounded(seconds: f64) -> f64 {
    (seconds * 1_000.0).round() / 1_000.0
}
