//! Wrong input ends in one line that names the value and the way out, with an exit code that is not zero.

use std::process::{Command, Output, Stdio};

/// Runs the command as a user without any configuration for AWS would.
fn leasehold(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    for (variable, _) in std::env::vars().filter(|(variable, _)| variable.starts_with("AWS_")) {
        command.env_remove(variable);
    }
    // No credentials from files or from a machine's own service.
    command.env("HOME", "/nonexistent").env("AWS_EC2_METADATA_DISABLED", "true").env_remove("RUST_LOG");
    command.args(arguments).stdin(Stdio::null()).output().expect("the command runs")
}

/// The error must be one line that has all of these.
#[track_caller]
fn refused(arguments: &[&str], must_name: &[&str]) {
    let output = leasehold(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {error}");
    assert_eq!(error.trim_end().lines().count(), 1, "{arguments:?} must say one line: {error}");
    assert!(output.stdout.is_empty(), "{arguments:?} must print nothing: {:?}", output.stdout);
    for part in must_name {
        assert!(error.contains(part), "{arguments:?} must name {part:?}: {error}");
    }
}

/// A port of loopback that nobody listens on.
fn closed_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    format!("http://{}", listener.local_addr().expect("it has an address"))
}

#[test]
fn an_unknown_stream() {
    let server = common::kinesis(&["--stream", "orders:1"]);
    refused(
        &["consume", "--stream", "oders", "--endpoint-url", &server.url],
        &["oders", "ResourceNotFoundException", "check --stream"],
    );
}

#[test]
fn a_stage_too_small_for_the_story() {
    refused(&["demo", "--story", "zombie", "--shards", "3", "--workers", "3"], &["3 shards", "more --shards"]);
    refused(&["demo", "--story", "poison", "--records", "1500"], &["at least 1501", "not 1500"]);
}

#[test]
fn a_wrong_endpoint() {
    let url = closed_port();
    refused(&["consume", "--stream", "orders", "--endpoint-url", &url], &[&url, "--endpoint-url", "refused"]);
    refused(&["consume", "--stream", "orders", "--endpoint-url", "localhost"], &["\"localhost\"", "http://HOST:PORT"]);
}

#[test]
fn no_credentials() {
    refused(
        &["consume", "--stream", "orders", "--region", "eu-central-1"],
        &["no AWS credentials", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"],
    );
}

#[test]
fn no_region() {
    refused(&["consume", "--stream", "orders"], &["region", "--region"]);
}

#[test]
fn a_malformed_timestamp() {
    refused(
        &["consume", "--stream", "orders", "--endpoint-url", &closed_port(), "--from", "yesterday"],
        &["\"yesterday\"", "horizon", "2026-11-23T12:00:00Z"],
    );
}

#[test]
fn a_heartbeat_interval_above_the_lease_duration() {
    refused(
        &["consume", "--stream", "orders", "--heartbeat-interval", "20s", "--lease-duration", "10s"],
        &["20s", "10s", "at most"],
    );
}

#[test]
fn a_duration_without_a_unit() {
    refused(&["demo", "--lease-duration", "10"], &["'10'", "--lease-duration", "500ms"]);
    refused(&["demo", "--lease-duration", "0s"], &["zero"]);
}

#[test]
fn zero_workers() {
    refused(&["demo", "--workers", "0"], &["'0'", "--workers", "2..=64"]);
}

#[test]
fn a_stream_name_that_no_stream_has() {
    refused(&["consume", "--stream", "a b"], &["\"a b\"", "letters, digits"]);
    refused(&["consume", "--stream", "arn:aws:sqs:eu-west-1:1:queue"], &["arn:aws:sqs", "kinesis:REGION"]);
}

#[test]
fn a_lease_table_that_does_not_exist() {
    let leases = "mysql://me:secret-word@host/db";
    let server = common::kinesis(&["--stream", "orders:1"]);
    let consume = ["consume", "--stream", "orders", "--endpoint-url", &server.url, "--leases"];
    refused(&[&consume[..], &[leases]].concat(), &["--leases", "\"mysql\"", "postgres://"]);
    let error = String::from_utf8(leasehold(&[&consume[..], &[leases]].concat()).stderr).expect("text");
    assert!(!error.contains("secret-word"), "a secret is shown: {error}");
}

/// Each names the table and the operation, says what to do, and shows no secret.
#[test]
#[cfg(all(feature = "dynamodb", feature = "postgres", feature = "redis"))]
fn a_lease_table_that_cannot_be_reached_or_read() {
    let server = common::kinesis(&["--stream", "orders:1"]);
    let consume = ["consume", "--stream", "orders", "--endpoint-url", &server.url, "--leases"];
    let dynamodb = tests::backends::DynamodbServer::new();
    let missing = format!("dynamodb://no-such-table?endpoint={}", dynamodb.url());
    let cases: [(&str, &[&str]); 8] = [
        ("postgres://me:secret-word@127.0.0.1:1/db", &["Postgres", "connection", "refused", "the port"]),
        ("postgres://me:secret-word@127.0.0.1:port/db", &["Postgres", "postgres://USER:PASSWORD@HOST:PORT/DATABASE"]),
        ("redis://me:secret-word@127.0.0.1:1", &["Redis", "connection", "refused", "the port"]),
        ("redis-cluster://me:secret-word@127.0.0.1:1", &["Redis", "connection"]),
        ("dynamodb://leases?endpoint=http://127.0.0.1:1", &["DynamoDB", "table leases", "refused", "the endpoint"]),
        (&missing, &["no-such-table", "aws dynamodb create-table", "dynamodb:PutItem"]),
        ("dynamodb://leases?regoin=eu-west-1", &["\"regoin=eu-west-1\"", "dynamodb://TABLE?region="]),
        ("dynamodb:leases", &["names no table", "dynamodb://TABLE?region="]),
    ];
    for (leases, parts) in cases {
        refused(&[&consume[..], &[leases]].concat(), &[&["--leases"], parts].concat());
        let error = leasehold(&[&consume[..], &[leases]].concat()).stderr;
        assert!(!String::from_utf8_lossy(&error).contains("secret-word"), "{leases}: a secret is shown");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn standard_output_that_takes_no_more() {
    let server = common::kinesis(&["--stream", "orders:1", "--produce", "20"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("the device is there");
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    command.args(["consume", "--stream", "orders", "--endpoint-url", &server.url]).stdout(full);
    let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).output().expect("the command runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("standard output takes no more: No space left"), "{error}");
}

/// What is printed can be piped to something that does not read it.
#[test]
#[cfg(all(feature = "dynamodb", feature = "postgres", feature = "redis"))]
fn the_schema_of_each_table_is_printed() {
    for (database, part) in [
        ("postgres", "CREATE TABLE IF NOT EXISTS \"leasehold\".leases"),
        ("dynamodb", "aws dynamodb create-table --table-name leasehold"),
        ("redis", "ACL SETUSER leasehold"),
    ] {
        let output = leasehold(&["schema", database]);
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains(part), "{database}");
        let mut unread = Command::new(env!("CARGO_BIN_EXE_leasehold"));
        unread.args(["schema", database]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut unread = unread.spawn().expect("the command runs");
        drop(unread.stdout.take());
        let ended = unread.wait_with_output().expect("it ends");
        assert_eq!(String::from_utf8_lossy(&ended.stderr), "", "{database}");
    }
    refused(&["schema", "postgres", "--schema", ""], &["--schema", "1 to 63 bytes"]);
    refused(&["schema", "mysql"], &["'mysql'"]);
}

#[test]
fn nothing_at_all_and_unknown_words() {
    refused(&["consume"], &["--stream"]);
    refused(&["consum"], &["'consum'", "consume"]);
    refused(&["kinesis", "--stream", "orders"], &["\"orders\"", "NAME:SHARDS"]);
    refused(&["kinesis", "--port", "0", "--stream", "orders:0"], &["ShardCount 0"]);
}

mod common;
