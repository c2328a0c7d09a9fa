//! What the model does as time passes, under a clock that the test owns.

use std::time::Duration;

use kinesis_testing::{Clock, IteratorStart, Kinesis, Limits, PutEntry, ServiceErrorKind, ShardFilter};
use stream_types::{ShardId, Timestamp};

const HOUR: Duration = Duration::from_secs(3_600);

fn kinesis(shard_count: usize) -> (Clock, Kinesis) {
    let clock = Clock::manual(Timestamp::from_unix_millis(1_700_000_000_000));
    let kinesis = Kinesis::new(clock.clone(), Limits::of_the_service());
    kinesis.create_stream("s", shard_count).expect("a new stream");
    (clock, kinesis)
}

fn shard(index: usize) -> ShardId {
    ShardId::new(format!("shardId-{index:012}")).expect("a valid id")
}

fn put(kinesis: &Kinesis, data: &str) {
    let entry = PutEntry { partition_key: "key".into(), explicit_hash_key: None, data: data.to_owned().into() };
    kinesis.put_record("s", entry).expect("the record is taken");
}

fn iterator(kinesis: &Kinesis, start: &IteratorStart) -> String {
    kinesis.shard_iterator("s", &shard(0), start).expect("an iterator")
}

#[test]
fn an_iterator_expires_after_five_minutes() {
    let (clock, kinesis) = kinesis(1);
    let iterator = iterator(&kinesis, &IteratorStart::TrimHorizon);
    clock.advance(Duration::from_secs(300));
    assert!(kinesis.get_records(&iterator, None).is_ok());
    clock.advance(Duration::from_secs(1));
    let error = kinesis.get_records(&iterator, None).unwrap_err();
    assert_eq!(error.kind(), ServiceErrorKind::ExpiredIterator);
}

#[test]
fn a_page_token_expires_after_five_minutes() {
    let (clock, kinesis) = kinesis(3);
    let page = kinesis.list_shards("s", ShardFilter::FromTrimHorizon, None, 2).unwrap();
    let token = page.next_token.unwrap();
    clock.advance(Duration::from_secs(301));
    let error = kinesis.list_more_shards(&token, 2).unwrap_err();
    assert_eq!(error.kind(), ServiceErrorKind::ExpiredNextToken);
}

#[test]
fn retention_trims_records_under_a_reader() {
    let (clock, kinesis) = kinesis(1);
    put(&kinesis, "old");
    clock.advance(HOUR);
    put(&kinesis, "new");
    clock.advance(HOUR * 23 + Duration::from_secs(1));
    let page = kinesis.get_records(&iterator(&kinesis, &IteratorStart::TrimHorizon), None).unwrap();
    let payloads: Vec<&[u8]> = page.records.iter().map(|record| &*record.data).collect();
    assert_eq!(payloads, [b"new"], "the old record is a day old");
}

#[test]
fn a_closed_shard_is_forgotten_when_its_last_record_could_be_trimmed() {
    let (clock, kinesis) = kinesis(1);
    kinesis.split_shard("s", &shard(0), 1 << 127).unwrap();
    let listed = |filter| kinesis.list_shards("s", filter, None, 100).unwrap().shards.len();
    assert_eq!((listed(ShardFilter::FromTrimHorizon), listed(ShardFilter::AtLatest)), (3, 2));
    assert_eq!(listed(ShardFilter::AtTrimHorizon), 2, "the parent was closed the moment it was created");
    clock.advance(HOUR * 24 + Duration::from_secs(1));
    assert_eq!(listed(ShardFilter::FromTrimHorizon), 2);
    let error = kinesis.shard_iterator("s", &shard(0), &IteratorStart::TrimHorizon).unwrap_err();
    assert_eq!(error.kind(), ServiceErrorKind::ResourceNotFound);
}

#[test]
fn the_sixth_read_within_a_second_is_refused() {
    let (clock, kinesis) = kinesis(1);
    let mut iterator = iterator(&kinesis, &IteratorStart::Latest);
    for _ in 0..5 {
        iterator = kinesis.get_records(&iterator, None).unwrap().next_iterator.unwrap();
    }
    let error = kinesis.get_records(&iterator, None).unwrap_err();
    assert_eq!(error.kind(), ServiceErrorKind::ProvisionedThroughputExceeded);
    clock.advance(Duration::from_millis(200));
    assert!(kinesis.get_records(&iterator, None).is_ok());
}

#[test]
fn an_iterator_of_a_stream_that_was_created_again_is_refused() {
    let (clock, kinesis) = kinesis(1);
    let iterator = iterator(&kinesis, &IteratorStart::TrimHorizon);
    kinesis.delete_stream("s").unwrap();
    clock.advance(Duration::from_secs(1));
    kinesis.create_stream("s", 1).unwrap();
    let error = kinesis.get_records(&iterator, None).unwrap_err();
    assert_eq!(error.kind(), ServiceErrorKind::InvalidArgument);
}

#[test]
fn a_reader_behind_the_tip_is_told_how_far() {
    let (clock, kinesis) = kinesis(1);
    put(&kinesis, "one");
    put(&kinesis, "two");
    clock.advance(Duration::from_secs(30));
    let first = kinesis.get_records(&iterator(&kinesis, &IteratorStart::TrimHorizon), Some(1)).unwrap();
    assert_eq!(first.millis_behind_latest, 30_000);
    let second = kinesis.get_records(&first.next_iterator.unwrap(), None).unwrap();
    assert_eq!((second.records.len(), second.millis_behind_latest), (1, 0));
}
