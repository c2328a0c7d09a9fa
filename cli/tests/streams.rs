//! One process that consumes several streams.

mod common;

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

#[test]
fn consume_prints_the_records_of_several_streams_by_name_or_arn() {
    let server = common::kinesis(&["--stream", "orders:2", "--stream", "payments:2", "--produce", "50"]);
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/payments";
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    command.args(["consume", "--stream", "orders", "--stream", arn, "--endpoint-url", &server.url]);
    command.args(["--max-records", "200", "--poll-interval", "200ms"]).stdin(Stdio::null());
    let output = command.output().expect("the command runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8_lossy(&output.stdout);
    let records = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let streams: BTreeSet<String> = records.map(|record| record["stream"].to_string()).collect();
    assert_eq!(streams.into_iter().collect::<Vec<_>>(), ["\"orders\"", "\"payments\""]);
}

#[test]
fn a_stream_that_is_given_twice_is_refused() {
    let server = common::kinesis(&["--stream", "orders:2"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    command.args(["consume", "--stream", "orders", "--stream", "orders", "--endpoint-url", &server.url]);
    let output = command.stdin(Stdio::null()).output().expect("the command runs");
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("the stream orders is given twice"), "{error}");
}
