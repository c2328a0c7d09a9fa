//! The bodies of answers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stream_types::{HashRange, Shard, Timestamp};

use crate::{PutResult, RecordsPage, ServiceError, ServiceErrorKind, ShardListing, StoredRecord, StreamSummary};

pub(super) fn of(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}

pub(super) fn error(error: &ServiceError) -> Vec<u8> {
    of(&json!({ "__type": error.kind().code(), "message": error.message() }))
}

pub(super) fn put(put: &PutResult) -> Value {
    json!({ "ShardId": put.shard.as_str(), "SequenceNumber": put.sequence_number.as_str() })
}

pub(super) fn puts(puts: &[Result<PutResult, ServiceError>]) -> Value {
    let failed = puts.iter().filter(|put| put.is_err()).count();
    let each = |put_or_error: &Result<PutResult, ServiceError>| match put_or_error {
        Ok(taken) => put(taken),
        Err(refused) => json!({ "ErrorCode": code_of(refused), "ErrorMessage": refused.message() }),
    };
    json!({ "FailedRecordCount": failed, "Records": puts.iter().map(each).collect::<Vec<_>>() })
}

fn code_of(error: &ServiceError) -> &'static str {
    match error.kind() {
        ServiceErrorKind::ProvisionedThroughputExceeded => "ProvisionedThroughputExceededException",
        _ => "InternalFailure",
    }
}

pub(super) fn stream_summary(summary: &StreamSummary) -> Value {
    json!({ "StreamDescriptionSummary": {
        "StreamName": summary.name,
        "StreamARN": summary.arn,
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": { "StreamMode": "PROVISIONED" },
        "StreamCreationTimestamp": seconds(summary.created),
        "RetentionPeriodHours": summary.retention.as_secs() / 3_600,
        "OpenShardCount": summary.open_shards,
        "ConsumerCount": 0,
        "EncryptionType": "NONE",
        "EnhancedMonitoring": [{ "ShardLevelMetrics": [] }],
    }})
}

pub(super) fn shard(shard: &ShardListing) -> Value {
    let mut range = json!({ "StartingSequenceNumber": shard.starting_sequence_number.as_str() });
    if let Some(end) = &shard.ending_sequence_number {
        range["EndingSequenceNumber"] = end.as_str().into();
    }
    let mut described = json!({
        "ShardId": shard.id.as_str(),
        "HashKeyRange": hash_range(shard.hash_range),
        "SequenceNumberRange": range,
    });
    for (member, parent) in ["ParentShardId", "AdjacentParentShardId"].into_iter().zip(&shard.parents) {
        described[member] = parent.as_str().into();
    }
    described
}

fn hash_range(range: HashRange) -> Value {
    json!({ "StartingHashKey": range.start().to_string(), "EndingHashKey": range.end().to_string() })
}

fn child(shard: &Shard) -> Value {
    let parents: Vec<&str> = shard.parents.iter().map(stream_types::ShardId::as_str).collect();
    json!({
        "ShardId": shard.id.as_str(),
        "ParentShards": parents,
        "HashKeyRange": hash_range(shard.hash_range.unwrap_or(HashRange::FULL)),
    })
}

/// Written by hand: most of the bytes that the endpoint ever serves pass through here.
pub(super) fn records(page: &RecordsPage) -> Vec<u8> {
    let bytes: usize = page.records.iter().map(|record| record.data.len() * 4 / 3 + 256).sum();
    let mut body = String::with_capacity(bytes + 512);
    body.push_str("{\"Records\":[");
    for (index, record) in page.records.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        push_record(&mut body, record);
    }
    body.push_str("],\"MillisBehindLatest\":");
    body.push_str(&page.millis_behind_latest.to_string());
    if let Some(iterator) = &page.next_iterator {
        body.push_str(",\"NextShardIterator\":\"");
        body.push_str(iterator);
        body.push('"');
    }
    if !page.children.is_empty() {
        let children: Value = page.children.iter().map(child).collect();
        body.push_str(",\"ChildShards\":");
        body.push_str(&children.to_string());
    }
    body.push('}');
    body.into_bytes()
}

fn push_record(body: &mut String, record: &StoredRecord) {
    body.push_str("{\"SequenceNumber\":\"");
    body.push_str(record.sequence_number.as_str());
    body.push_str("\",\"ApproximateArrivalTimestamp\":");
    body.push_str(&seconds(record.arrival).to_string());
    body.push_str(",\"PartitionKey\":");
    body.push_str(&Value::from(record.partition_key.as_str()).to_string());
    body.push_str(",\"Data\":\"");
    STANDARD.encode_string(&record.data, body);
    body.push_str("\"}");
}

/// Seconds since 1970 to the millisecond, as the JSON protocol writes times.
fn seconds(timestamp: Timestamp) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "2^52 ms are 142,000 years")]
    let millis = timestamp.unix_millis() as f64;
    millis / 1_000.0
}
