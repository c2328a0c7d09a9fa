//! The operations, from arguments to answers.

use serde_json::json;

use super::answer;
use super::request::Arguments;
use crate::list_shards::DEFAULT_MAX_RESULTS;
use crate::{Kinesis, ServiceError, ServiceErrorKind, ShardFilter};

/// Carries out the operation of that name and returns the body of the answer.
pub(super) fn carry_out(kinesis: &Kinesis, operation: &str, arguments: &Arguments) -> Result<Vec<u8>, ServiceError> {
    let nothing = || answer::of(&json!({}));
    match operation {
        "CreateStream" => {
            let shard_count = arguments.count("ShardCount")?.unwrap_or(4);
            kinesis.create_stream(arguments.required_text("StreamName")?, shard_count).map(|()| Vec::new())
        }
        "DeleteStream" => kinesis.delete_stream(arguments.stream()?).map(|()| Vec::new()),
        "DescribeStream" => describe_stream(kinesis, arguments),
        "DescribeStreamSummary" => {
            Ok(answer::of(&answer::stream_summary(&kinesis.describe_stream(arguments.stream()?)?)))
        }
        "GetRecords" => {
            let iterator = arguments.required_text("ShardIterator")?;
            Ok(answer::records(&kinesis.get_records(iterator, arguments.count("Limit")?)?))
        }
        "GetShardIterator" => {
            let (stream, shard) = (arguments.stream()?, arguments.shard("ShardId")?);
            let iterator = kinesis.shard_iterator(stream, &shard, &arguments.iterator_start()?)?;
            Ok(answer::of(&json!({ "ShardIterator": iterator })))
        }
        "IncreaseStreamRetentionPeriod" | "DecreaseStreamRetentionPeriod" => {
            kinesis.set_retention(arguments.stream()?, arguments.retention()?).map(|()| Vec::new())
        }
        "ListShards" => list_shards(kinesis, arguments),
        "ListStreams" => {
            let names = kinesis.list_streams();
            Ok(answer::of(&json!({ "StreamNames": names, "HasMoreStreams": false })))
        }
        "MergeShards" => {
            let (shard, adjacent) = (arguments.shard("ShardToMerge")?, arguments.shard("AdjacentShardToMerge")?);
            kinesis.merge_shards(arguments.stream()?, &shard, &adjacent).map(|()| Vec::new())
        }
        "PutRecord" => {
            let put = kinesis.put_record(arguments.stream()?, arguments.entry()?)?;
            Ok(answer::of(&answer::put(&put)))
        }
        "PutRecords" => {
            let puts = kinesis.put_records(arguments.stream()?, arguments.entries()?)?;
            Ok(answer::of(&answer::puts(&puts)))
        }
        "SplitShard" => {
            let (shard, start) = (arguments.shard("ShardToSplit")?, arguments.hash_key("NewStartingHashKey")?);
            let start = start.ok_or_else(|| ServiceError::invalid("NewStartingHashKey must be given"))?;
            kinesis.split_shard(arguments.stream()?, &shard, start).map(|()| Vec::new())
        }
        "UpdateShardCount" => update_shard_count(kinesis, arguments),
        "AddTagsToStream" | "RemoveTagsFromStream" => kinesis.describe_stream(arguments.stream()?).map(|_| nothing()),
        _ => {
            let message = format!("this endpoint does not know the operation {operation}");
            Err(ServiceError::new(ServiceErrorKind::UnknownOperation, message))
        }
    }
}

fn list_shards(kinesis: &Kinesis, arguments: &Arguments) -> Result<Vec<u8>, ServiceError> {
    let max_results = arguments.count("MaxResults")?.unwrap_or(DEFAULT_MAX_RESULTS);
    let page = match arguments.text("NextToken")? {
        Some(_) if arguments.stream().is_ok() => {
            return Err(ServiceError::invalid("NextToken and StreamName cannot be provided together."));
        }
        Some(token) => kinesis.list_more_shards(token, max_results)?,
        None => {
            let (filter, after) = (arguments.filter()?, arguments.exclusive_start()?);
            kinesis.list_shards(arguments.stream()?, filter, after.as_ref(), max_results)?
        }
    };
    let shards: Vec<_> = page.shards.iter().map(answer::shard).collect();
    let mut body = json!({ "Shards": shards });
    if let Some(token) = page.next_token {
        body["NextToken"] = token.into();
    }
    Ok(answer::of(&body))
}

/// The older way to ask for a stream and its shards, a hundred at a time.
fn describe_stream(kinesis: &Kinesis, arguments: &Arguments) -> Result<Vec<u8>, ServiceError> {
    let stream = arguments.stream()?;
    let limit = arguments.count("Limit")?.unwrap_or(100);
    let after = arguments.optional_shard("ExclusiveStartShardId")?;
    let page = kinesis.list_shards(stream, ShardFilter::FromTrimHorizon, after.as_ref(), limit)?;
    let summary = answer::stream_summary(&kinesis.describe_stream(stream)?);
    let mut description = summary["StreamDescriptionSummary"].clone();
    description["Shards"] = page.shards.iter().map(answer::shard).collect();
    description["HasMoreShards"] = page.next_token.is_some().into();
    Ok(answer::of(&json!({ "StreamDescription": description })))
}

fn update_shard_count(kinesis: &Kinesis, arguments: &Arguments) -> Result<Vec<u8>, ServiceError> {
    let (stream, target) = (arguments.stream()?, arguments.required_count("TargetShardCount")?);
    let before = kinesis.describe_stream(stream)?;
    kinesis.update_shard_count(stream, target)?;
    Ok(answer::of(&json!({
        "StreamName": before.name,
        "StreamARN": before.arn,
        "CurrentShardCount": before.open_shards,
        "TargetShardCount": target,
    })))
}
