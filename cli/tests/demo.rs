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

/// Only counts are asserted here. The times are the demo's own promises, and this machine may be busy with other tests.
#[test]
fn the_figures_of_the_story_hold() {
    let (_, output, error) = demo(&["--json", "--shards", "12", "--workers", "3", "--records", "3000", "--seed", "7"]);
    let figures: Value = serde_json::from_str(&output).unwrap_or_else(|_| panic!("no JSON: {output}{error}"));
    assert_eq!(figures["produced"], 3_000);
    assert_eq!(figures["delivered"], 3_000);
    for nothing in ["lost", "out_of_order", "duplicates_planned"] {
        assert_eq!(figures[nothing], 0, "{nothing}: {output}");
    }
    assert_eq!(figures["moves"], figures["moves_fewest"], "{output}");
    for event in ["start", "join", "split", "crash", "leave"] {
        assert!(figures["level_seconds"][event].is_f64(), "{event}: {output}");
    }
    let broken = figures["promises_broken"].as_array().expect("a list");
    let about_times = |sentence: &Value| sentence.as_str().is_some_and(|sentence| sentence.contains(" s, more than"));
    assert!(broken.iter().all(about_times), "{output}");
}

#[test]
fn without_a_terminal_the_story_is_told_in_plain_lines() {
    let (_, output, _) = demo(&["--shards", "4", "--workers", "2", "--records", "500", "--lease-duration", "2s"]);
    for part in ["2 workers start", "worker-3 joins", "is split in two", "crashes with", "leaves politely", "moves"] {
        assert!(output.contains(part), "{part:?} is missing: {output}");
    }
    assert!(!output.contains('\u{1b}'), "no control characters: {output:?}");
}
