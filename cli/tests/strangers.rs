//! Records put by the AWS SDK for Python come out of `leasehold consume` complete and in order per shard, through a
//! split and a merge: on our endpoint as a process of its own, and on one that others wrote.

mod common;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Puts 600 records while the stream's first shard is split and its last two are merged, and then 100 in five aggregates;
/// prints what went where.
const PRODUCER: &str = r#"
import json, sys, time
import boto3
from aws_kinesis_agg.aggregator import RecordAggregator

kinesis = boto3.client("kinesis", endpoint_url=sys.argv[1], region_name="us-east-1",
                       aws_access_key_id="stranger", aws_secret_access_key="stranger")
stream = sys.argv[2]
kinesis.create_stream(StreamName=stream, ShardCount=3)

def wait_until_active():
    while kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamStatus"] != "ACTIVE":
        time.sleep(0.02)

def put(numbers):
    entries = [{"PartitionKey": f"key-{n % 50}", "Data": f"größe {n}".encode()} for n in numbers]
    answer = kinesis.put_records(StreamName=stream, Records=entries)
    assert answer["FailedRecordCount"] == 0, answer
    for n, record in zip(numbers, answer["Records"]):
        print(json.dumps({"shard": record["ShardId"], "sequence_number": record["SequenceNumber"], "data": f"größe {n}"}))

wait_until_active()
put(range(0, 200))
shards = sorted(kinesis.list_shards(StreamName=stream)["Shards"], key=lambda s: int(s["HashKeyRange"]["StartingHashKey"]))
first = shards[0]["HashKeyRange"]
middle = (int(first["StartingHashKey"]) + int(first["EndingHashKey"])) // 2
kinesis.split_shard(StreamName=stream, ShardToSplit=shards[0]["ShardId"], NewStartingHashKey=str(middle))
wait_until_active()
put(range(200, 400))
kinesis.merge_shards(StreamName=stream, ShardToMerge=shards[1]["ShardId"], AdjacentShardToMerge=shards[2]["ShardId"])
wait_until_active()
put(range(400, 600))

def put_together(key, numbers):
    aggregator = RecordAggregator()
    for n in numbers:
        aggregator.add_user_record(key, f"größe {n}".encode())
    _, _, data = aggregator.clear_and_get().get_contents()
    record = kinesis.put_record(StreamName=stream, PartitionKey=key, Data=data)
    for n in numbers:
        print(json.dumps({"shard": record["ShardId"], "sequence_number": record["SequenceNumber"], "data": f"größe {n}"}))

for start in range(600, 700, 20):
    put_together(f"key-{start}", range(start, start + 20))
"#;

/// A variable that `cargo xtask test` sets when it could have what the variable names.
fn required(variable: &str) -> Option<String> {
    let value = std::env::var(variable).ok();
    if value.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{variable} is not set: run the tests by cargo xtask test");
        println!("SKIPPED: {variable} is not set: run the tests by cargo xtask test");
    }
    value
}

/// Per shard, the records in order: sequence number and payload.
type Records = BTreeMap<String, Vec<(String, String)>>;

fn records(lines: &str) -> Records {
    let mut records = Records::new();
    for line in lines.lines() {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        let text = |member: &str| record[member].as_str().unwrap_or_else(|| panic!("no {member}: {line}")).to_owned();
        records.entry(text("shard")).or_default().push((text("sequence_number"), text("data")));
    }
    records
}

fn put_by_python_and_consumed(python: &str, url: &str) {
    let stream = format!("stranger-{}", std::process::id());
    let produced = Command::new(python).args(["-c", PRODUCER, url, &stream]).stdin(Stdio::null()).output();
    let produced = produced.expect("Python runs");
    assert!(produced.status.success(), "{}", String::from_utf8_lossy(&produced.stderr));
    let truth = records(&String::from_utf8(produced.stdout).expect("text"));
    assert_eq!(truth.len(), 6, "three shards, two of a split, one of a merge");

    let consume = ["consume", "--stream", &stream, "--endpoint-url", url, "--max-records", "700"];
    let consumed = Command::new(env!("CARGO_BIN_EXE_leasehold")).args(consume).stdin(Stdio::null()).output();
    let consumed = consumed.expect("the command runs");
    assert!(consumed.status.success(), "{}", String::from_utf8_lossy(&consumed.stderr));
    assert_eq!(records(&String::from_utf8(consumed.stdout).expect("text")), truth);
}

#[test]
fn what_python_puts_into_our_endpoint_comes_out_complete_and_in_order() {
    let Some(python) = required("LEASEHOLD_TEST_PYTHON") else { return };
    put_by_python_and_consumed(&python, &common::kinesis(&[]).url);
}

#[test]
fn what_python_puts_into_kinesis_local_comes_out_complete_and_in_order() {
    let Some(python) = required("LEASEHOLD_TEST_PYTHON") else { return };
    let Some(url) = required("LEASEHOLD_TEST_KINESIS_LOCAL") else { return };
    put_by_python_and_consumed(&python, &url);
}
