//! The demo tells its story, and its figures hold.

use std::process::{Command, Stdio};

use serde_json::Value;

fn demo(arguments: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    command.arg("demo").args(arguments).stdin(Stdio::null());
    let output = command.output().expect("the command runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.success(), text(output.stdout), text(output.stderr))
}

/// The figures of a story. Only counts are asserted here: the times are the demo's own promises, and this machine may be busy
/// with other tests.
fn figures(story: &str, arguments: &[&str]) -> Value {
    let all = [&["--json", "--story", story, "--records", "3000", "--seed", "7", "--lease-duration", "3s"], arguments];
    let (_, output, error) = demo(&all.concat());
    let figures: Value = serde_json::from_str(&output).unwrap_or_else(|_| panic!("no JSON: {output}{error}"));
    assert_eq!(figures["story"], story);
    assert_eq!((&figures["produced"], &figures["delivered"]), (&3_000.into(), &3_000.into()), "{output}");
    for nothing in ["lost", "out_of_order", "duplicates_planned"] {
        assert_eq!(figures[nothing], 0, "{nothing}: {output}");
    }
    let broken = figures["promises_broken"].as_array().expect("a list");
    let about_times = |sentence: &Value| sentence.as_str().is_some_and(|sentence| sentence.contains(" s, more than"));
    assert!(broken.iter().all(about_times), "{output}");
    figures
}

#[test]
fn a_fleet_goes_through_everything_by_the_fewest_moves() {
    let figures = figures("fleet", &["--shards", "12", "--workers", "3"]);
    assert_eq!(figures["moves"], figures["moves_fewest"], "{figures}");
    for event in ["start", "join", "split", "crash", "leave"] {
        assert!(figures["level_seconds"][event].is_f64(), "{event}: {figures}");
    }
}

#[test]
fn no_child_is_read_before_its_parents_through_sixty_reshards() {
    let figures = figures("reshard", &["--shards", "6", "--workers", "3"]);
    assert_eq!(figures["children_before_parents"], 0);
    let count = |name: &str| figures[name].as_u64().expect("a count");
    assert_eq!(count("splits") + count("merges"), 60);
    assert!(count("shards_read") > 60, "{figures}");
}

#[test]
fn a_deployment_repeats_nothing_and_under_names_that_stay_moves_nothing() {
    let figures = figures("deploy", &["--shards", "12", "--workers", "3"]);
    assert_eq!((&figures["duplicates_crash"], &figures["moves_under_names_that_stay"]), (&0.into(), &0.into()));
}

#[test]
fn a_zombie_is_fenced_and_comes_back_to_life() {
    let figures = figures("zombie", &["--shards", "12", "--workers", "3"]);
    let count = |name: &str| figures[name].as_u64().expect("a count");
    let (sent, refused) = (count("late_writes_sent_in_its_name"), count("late_writes_refused"));
    assert!(sent > 0 && sent == refused, "{figures}");
    assert!(count("late_records_refused_by_the_sink") > 0, "{figures}");
    assert!(count("shards_of_the_zombie_at_the_end") > 0, "{figures}");
}

#[test]
fn only_poisoned_records_are_put_away() {
    let figures = figures("poison", &["--shards", "4", "--workers", "2"]);
    assert_eq!((&figures["poisoned"], &figures["dead_letters"]), (&3.into(), &3.into()));
    assert_eq!(figures["healthy_records_put_away"], 0);
}

#[test]
fn without_a_terminal_the_story_is_told_in_plain_lines() {
    let (_, output, _) = demo(&["--shards", "4", "--workers", "2", "--records", "500", "--lease-duration", "2s"]);
    for part in ["2 workers start", "worker-3 joins", "is split in two", "crashes with", "leaves politely", "moves"] {
        assert!(output.contains(part), "{part:?} is missing: {output}");
    }
    assert!(!output.contains('\u{1b}'), "no control characters: {output:?}");
}
