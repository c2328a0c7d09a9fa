//! What Kinesis does, a function for each behaviour. They panic where an endpoint does otherwise.
#![expect(
    missing_docs,
    clippy::missing_panics_doc,
    reason = "each name says what is checked, and each panics if it is not so"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::primitives::{Blob, DateTime};
use aws_sdk_kinesis::types::{
    PutRecordsRequestEntry, ScalingType, Shard, ShardFilter, ShardFilterType, ShardIteratorType,
};

use crate::reshards::SdkStream;

/// A stream of its own for one check.
struct Stream {
    client: Client,
    name: String,
}

/// Where a record was put.
struct Put {
    shard: String,
    number: String,
}

impl Stream {
    async fn new(client: Client, shard_count: i32) -> Self {
        let name = format!("check-{:016x}", fastrand::u64(..));
        client.create_stream().stream_name(&name).shard_count(shard_count).send().await.expect("a new stream");
        let stream = Self { client, name };
        stream.wait_until_active().await;
        stream
    }

    async fn wait_until_active(&self) {
        SdkStream { client: &self.client, name: &self.name }.wait_until_active().await;
    }

    async fn put(&self, key: &str, data: impl Into<Vec<u8>>) -> Put {
        let request = self.client.put_record().stream_name(&self.name).partition_key(key);
        let answer = request.data(Blob::new(data.into())).send().await.expect("the record is taken");
        Put { shard: answer.shard_id, number: answer.sequence_number }
    }

    async fn shards(&self) -> Vec<Shard> {
        self.client.list_shards().stream_name(&self.name).send().await.expect("a list").shards.expect("shards")
    }

    async fn iterator(&self, shard: &str, kind: ShardIteratorType, number: Option<&str>) -> String {
        let request =
            self.client.get_shard_iterator().stream_name(&self.name).shard_id(shard).shard_iterator_type(kind);
        let answer = request.set_starting_sequence_number(number.map(Into::into)).send().await;
        answer.expect("an iterator").shard_iterator.expect("an iterator")
    }

    async fn read(&self, iterator: &str) -> GetRecordsOutput {
        self.client.get_records().shard_iterator(iterator).send().await.expect("records")
    }

    /// Reads on until at least so many records have come, or the shard has ended.
    async fn read_on(&self, iterator: String, count: usize) -> (Vec<String>, GetRecordsOutput) {
        let mut payloads = Vec::new();
        let mut iterator = iterator;
        loop {
            let answer = self.read(&iterator).await;
            payloads.extend(answer.records.iter().map(|record| text(&record.data)));
            match &answer.next_shard_iterator {
                Some(next) if payloads.len() < count => iterator = next.clone(),
                _ => return (payloads, answer),
            }
            tokio::time::sleep(Duration::from_millis(210)).await;
        }
    }

    async fn split(&self, shard: &str) {
        let request = self.client.split_shard().stream_name(&self.name).shard_to_split(shard);
        request.new_starting_hash_key((1_u128 << 126).to_string()).send().await.expect("a split");
        self.wait_until_active().await;
    }

    /// The stream is not needed any more.
    async fn delete(self) {
        self.client.delete_stream().stream_name(&self.name).send().await.expect("the stream is deleted");
    }
}

fn text(data: &Blob) -> String {
    String::from_utf8(data.as_ref().to_vec()).expect("text")
}

pub async fn a_new_stream_is_described(client: Client) {
    let stream = Stream::new(client, 3).await;
    let answer = stream.client.describe_stream_summary().stream_name(&stream.name).send().await.expect("a summary");
    let summary = answer.stream_description_summary.expect("a summary");
    assert_eq!((summary.stream_name.as_str(), summary.open_shard_count), (stream.name.as_str(), 3));
    assert_eq!(summary.retention_period_hours, 24);
    let mut ranges: Vec<(u128, u128)> = stream.shards().await.iter().map(range).collect();
    ranges.sort_unstable();
    assert_eq!((ranges[0].0, ranges[2].1), (0, u128::MAX), "the whole hash space is served");
    assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "without a hole: {ranges:?}");
    stream.delete().await;
}

fn range(shard: &Shard) -> (u128, u128) {
    let range = shard.hash_key_range.as_ref().expect("a range");
    (range.starting_hash_key.parse().expect("a number"), range.ending_hash_key.parse().expect("a number"))
}

pub async fn an_unknown_stream_is_not_found(client: Client) {
    let error = client.describe_stream_summary().stream_name("no-such-stream").send().await.expect_err("an error");
    assert_eq!(error.code(), Some("ResourceNotFoundException"));
    let error = client.list_shards().stream_name("no-such-stream").send().await.expect_err("an error");
    assert_eq!(error.code(), Some("ResourceNotFoundException"));
}

pub async fn a_stream_is_created_once(client: Client) {
    let stream = Stream::new(client, 1).await;
    let again = stream.client.create_stream().stream_name(&stream.name).shard_count(1).send().await;
    assert_eq!(again.expect_err("an error").code(), Some("ResourceInUseException"));
    stream.delete().await;
}

pub async fn records_come_out_in_the_order_they_went_in(client: Client) {
    let stream = Stream::new(client, 1).await;
    let entry = |number: usize| {
        let entry = PutRecordsRequestEntry::builder().partition_key(format!("key-{}", number % 7));
        entry.data(Blob::new(format!("record {number}"))).build().expect("an entry")
    };
    let entries: Vec<_> = (0..100).map(entry).collect();
    let request = stream.client.put_records().stream_name(&stream.name).set_records(Some(entries));
    let answer = request.send().await.expect("the records are taken");
    assert_eq!(answer.failed_record_count.unwrap_or(0), 0);
    let numbers: Vec<&str> =
        answer.records.iter().map(|put| put.sequence_number.as_deref().expect("a number")).collect();
    assert!(numbers.iter().all(|number| number.len() == 56), "56 digits: {}", numbers[0]);
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "ascending");

    let shard = answer.records[0].shard_id.as_deref().expect("a shard");
    let iterator = stream.iterator(shard, ShardIteratorType::TrimHorizon, None).await;
    let (payloads, last) = stream.read_on(iterator, 100).await;
    let expected: Vec<String> = (0..100).map(|number| format!("record {number}")).collect();
    assert_eq!(payloads, expected);
    assert_eq!(last.millis_behind_latest, Some(0), "everything was read");
    stream.delete().await;
}

pub async fn a_full_shard_refuses_records_one_by_one(client: Client) {
    let stream = Stream::new(client, 1).await;
    let entry = |number: usize| {
        let entry = PutRecordsRequestEntry::builder().partition_key(format!("key-{number}"));
        entry.data(Blob::new(vec![b'x'; 600_000])).build().expect("an entry")
    };
    let request = stream.client.put_records().stream_name(&stream.name).set_records(Some((0..3).map(entry).collect()));
    let answer = request.send().await.expect("the request itself is fine");
    assert_eq!(answer.failed_record_count, Some(2), "one record of 600,000 bytes fits into a mebibyte, three do not");
    assert!(answer.records[0].sequence_number.is_some());
    for refused in &answer.records[1..] {
        assert_eq!(refused.error_code.as_deref(), Some("ProvisionedThroughputExceededException"));
        assert_eq!(refused.sequence_number, None);
    }
    stream.delete().await;
}

pub async fn an_explicit_hash_key_chooses_the_shard(client: Client) {
    let stream = Stream::new(client, 4).await;
    for shard in stream.shards().await {
        let request = stream.client.put_record().stream_name(&stream.name).partition_key("same");
        let request = request.explicit_hash_key(range(&shard).1.to_string()).data(Blob::new("x"));
        assert_eq!(request.send().await.expect("taken").shard_id, shard.shard_id);
    }
    stream.delete().await;
}

pub async fn each_iterator_type_starts_where_it_says(client: Client) {
    let stream = Stream::new(client, 1).await;
    let first = stream.put("key", "first").await;
    let second = stream.put("key", "second").await;
    // The service's times have the resolution of a millisecond.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let between = DateTime::from(std::time::SystemTime::now());
    tokio::time::sleep(Duration::from_millis(50)).await;
    let latest = stream.iterator(&first.shard, ShardIteratorType::Latest, None).await;
    stream.put("key", "third").await;

    let request = stream.client.get_shard_iterator().stream_name(&stream.name).shard_id(&first.shard);
    let request = request.shard_iterator_type(ShardIteratorType::AtTimestamp).timestamp(between);
    let at_timestamp = request.send().await.expect("an iterator").shard_iterator.expect("an iterator");
    let at = stream.iterator(&first.shard, ShardIteratorType::AtSequenceNumber, Some(&second.number)).await;
    let after = stream.iterator(&first.shard, ShardIteratorType::AfterSequenceNumber, Some(&second.number)).await;
    let horizon = stream.iterator(&first.shard, ShardIteratorType::TrimHorizon, None).await;
    for (iterator, expected) in [
        (horizon, &["first", "second", "third"][..]),
        (at, &["second", "third"]),
        (after, &["third"]),
        (at_timestamp, &["third"]),
        (latest, &["third"]),
    ] {
        assert_eq!(stream.read_on(iterator, expected.len()).await.0, expected);
    }
    stream.delete().await;
}

pub async fn a_limit_bounds_a_read_and_the_next_one_goes_on(client: Client) {
    let stream = Stream::new(client, 1).await;
    let mut shard = String::new();
    for number in 0..5 {
        shard = stream.put("key", format!("{number}")).await.shard;
    }
    let iterator = stream.iterator(&shard, ShardIteratorType::TrimHorizon, None).await;
    let answer = stream.client.get_records().shard_iterator(iterator).limit(2).send().await.expect("records");
    assert_eq!(answer.records.len(), 2);
    assert!(answer.millis_behind_latest.is_some_and(|millis| millis > 0), "three records are still to come");
    let (rest, _) = stream.read_on(answer.next_shard_iterator.expect("the shard is open"), 3).await;
    assert_eq!(rest, ["2", "3", "4"]);
    stream.delete().await;
}

pub async fn a_read_brings_at_most_ten_mebibytes(client: Client) {
    let stream = Stream::new(client, 1).await;
    let mut shard = String::new();
    for _ in 0..13 {
        shard = stream.put("key", vec![b'x'; 1_000_000]).await.shard;
        // A shard takes one mebibyte a second.
        tokio::time::sleep(Duration::from_millis(960)).await;
    }
    let iterator = stream.iterator(&shard, ShardIteratorType::TrimHorizon, None).await;
    let answer = stream.read(&iterator).await;
    let bytes: usize = answer.records.iter().map(|record| record.data.as_ref().len()).sum();
    assert_eq!(bytes, 10_000_000, "ten records of a million bytes fit, eleven do not");
    stream.delete().await;
}

pub async fn a_closed_shard_gives_its_rest_then_ends_with_its_children(client: Client) {
    let stream = Stream::new(client, 1).await;
    let parent = stream.put("key", "before the split").await.shard;
    stream.split(&parent).await;
    let children: BTreeSet<String> = stream
        .shards()
        .await
        .into_iter()
        .filter(|shard| shard.parent_shard_id.as_ref() == Some(&parent))
        .map(|shard| shard.shard_id)
        .collect();
    assert_eq!(children.len(), 2);
    let put = stream.put("key", "after the split").await;
    assert!(children.contains(&put.shard));

    let iterator = stream.iterator(&parent, ShardIteratorType::TrimHorizon, None).await;
    let (payloads, last) = stream.read_on(iterator, usize::MAX).await;
    assert_eq!(payloads, ["before the split"]);
    assert_eq!(last.next_shard_iterator, None);
    let named: BTreeSet<String> =
        last.child_shards.unwrap_or_default().into_iter().map(|child| child.shard_id).collect();
    assert_eq!(named, children);
    stream.delete().await;
}

pub async fn a_merged_shard_names_both_parents(client: Client) {
    let stream = Stream::new(client, 2).await;
    let parents: Vec<String> = stream.shards().await.into_iter().map(|shard| shard.shard_id).collect();
    let request = stream.client.merge_shards().stream_name(&stream.name).shard_to_merge(&parents[0]);
    request.adjacent_shard_to_merge(&parents[1]).send().await.expect("a merge");
    stream.wait_until_active().await;
    let shards = stream.shards().await;
    let child = shards.iter().find(|shard| shard.parent_shard_id.is_some()).expect("a child");
    let named = [child.parent_shard_id.clone(), child.adjacent_parent_shard_id.clone()];
    assert_eq!(named.into_iter().flatten().collect::<BTreeSet<_>>(), parents.iter().cloned().collect());

    let iterator = stream.iterator(&parents[0], ShardIteratorType::TrimHorizon, None).await;
    let (_, last) = stream.read_on(iterator, usize::MAX).await;
    let children = last.child_shards.unwrap_or_default();
    assert_eq!(children.len(), 1);
    assert_eq!(children[0].parent_shards.iter().collect::<BTreeSet<_>>(), parents.iter().collect());
    stream.delete().await;
}

pub async fn shards_are_listed_in_pages(client: Client) {
    let stream = Stream::new(client, 5).await;
    let mut page = stream.client.list_shards().stream_name(&stream.name).max_results(2).send().await.expect("a page");
    let mut ids = Vec::new();
    let mut pages = 1;
    loop {
        ids.extend(page.shards.unwrap_or_default().into_iter().map(|shard| shard.shard_id));
        let Some(token) = page.next_token else { break };
        page = stream.client.list_shards().next_token(token).max_results(2).send().await.expect("a page");
        pages += 1;
    }
    let all: Vec<String> = stream.shards().await.into_iter().map(|shard| shard.shard_id).collect();
    assert_eq!((ids, pages), (all.clone(), 3));

    let request = stream.client.list_shards().stream_name(&stream.name).exclusive_start_shard_id(&all[1]);
    let behind = request.send().await.expect("a list").shards.expect("shards");
    assert_eq!(behind.iter().map(|shard| &shard.shard_id).collect::<Vec<_>>(), all[2..].iter().collect::<Vec<_>>());
    stream.delete().await;
}

pub async fn only_open_shards_are_there_at_latest(client: Client) {
    let stream = Stream::new(client, 1).await;
    let parent = stream.shards().await[0].shard_id.clone();
    stream.split(&parent).await;
    let filter = ShardFilter::builder().r#type(ShardFilterType::AtLatest).build().expect("a filter");
    let request = stream.client.list_shards().stream_name(&stream.name).shard_filter(filter);
    let open = request.send().await.expect("a list").shards.expect("shards");
    assert_eq!(open.len(), 2);
    assert!(open.iter().all(|shard| shard.shard_id != parent));
    assert_eq!(stream.shards().await.len(), 3, "without a filter, closed shards are listed too");
    stream.delete().await;
}

pub async fn update_shard_count_keeps_the_lineage(client: Client) {
    let stream = Stream::new(client, 2).await;
    let request = stream.client.update_shard_count().stream_name(&stream.name).target_shard_count(4);
    request.scaling_type(ScalingType::UniformScaling).send().await.expect("a new count");
    stream.wait_until_active().await;
    let shards = stream.shards().await;
    let is_open = |shard: &&Shard| {
        shard.sequence_number_range.as_ref().is_some_and(|range| range.ending_sequence_number.is_none())
    };
    let open: Vec<&Shard> = shards.iter().filter(is_open).collect();
    assert_eq!(open.len(), 4);
    assert!(open.iter().all(|shard| shard.parent_shard_id.is_some()), "every open shard has a parent");
    stream.delete().await;
}

pub async fn a_stream_can_be_named_by_its_arn(client: Client) {
    let stream = Stream::new(client, 1).await;
    let put = stream.put("key", "by name").await;
    let answer = stream.client.describe_stream_summary().stream_name(&stream.name).send().await.expect("a summary");
    let arn = answer.stream_description_summary.expect("a summary").stream_arn;
    assert_eq!(
        stream.client.list_shards().stream_arn(&arn).send().await.expect("a list").shards.expect("shards").len(),
        1
    );
    let request = stream.client.get_shard_iterator().stream_arn(&arn).shard_id(&put.shard);
    let request = request.shard_iterator_type(ShardIteratorType::TrimHorizon);
    let iterator = request.send().await.expect("an iterator").shard_iterator.expect("an iterator");
    let request = stream.client.get_records().stream_arn(&arn).shard_iterator(iterator);
    assert_eq!(request.send().await.expect("records").records.len(), 1);
    stream.delete().await;
}

pub async fn a_sequence_number_of_no_record_is_refused(client: Client) {
    let stream = Stream::new(client, 1).await;
    let shard = stream.put("key", "x").await.shard;
    let request = stream.client.get_shard_iterator().stream_name(&stream.name).shard_id(shard);
    let request = request.shard_iterator_type(ShardIteratorType::AfterSequenceNumber);
    let error = request.starting_sequence_number("12x").send().await.expect_err("an error");
    let code = error.code().expect("a code");
    assert!(["InvalidArgumentException", "ValidationException"].contains(&code), "{code}");
    stream.delete().await;
}

pub async fn reads_beyond_five_a_second_are_refused(client: Client) {
    let stream = Stream::new(client, 1).await;
    let shard = stream.put("key", "x").await.shard;
    // Without the SDK's own retries, which would wait until the read is allowed.
    let config = stream.client.config().to_builder();
    let config = config.retry_config(aws_sdk_kinesis::config::retry::RetryConfig::disabled()).build();
    let hasty = Client::from_conf(config);
    let mut iterator = stream.iterator(&shard, ShardIteratorType::TrimHorizon, None).await;
    for _ in 0..20 {
        match hasty.get_records().shard_iterator(&iterator).send().await {
            Ok(answer) => iterator = answer.next_shard_iterator.expect("the shard is open"),
            Err(error) => {
                assert_eq!(error.code(), Some("ProvisionedThroughputExceededException"));
                return stream.delete().await;
            }
        }
    }
    panic!("twenty reads at once were allowed");
}
