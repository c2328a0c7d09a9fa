//! The source that is Kinesis, through the AWS SDK over HTTP, against an endpoint that makes it hard.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kinesis_source::{ByteBudget, KinesisSource, PollingSettings, Reading, ShardReader, Source, SourceErrorKind};
use kinesis_testing::{Clock, Endpoint, Kinesis, Limits, PutEntry};
use stream_types::{Position, RecordPosition, ShardId, StartPosition};
use tests::endpoints::client;

const STREAM: &str = "orders";

struct World {
    kinesis: Kinesis,
    endpoint: Endpoint,
    source: KinesisSource,
}

impl World {
    async fn new(shard_count: usize, limits: Limits, polling: PollingSettings) -> Self {
        let kinesis = Kinesis::new(Clock::system(), limits);
        kinesis.create_stream(STREAM, shard_count).expect("a new stream");
        let endpoint = Endpoint::start(kinesis.clone(), 0).await.expect("a port is free");
        let stream = STREAM.parse().expect("a valid name");
        let source = KinesisSource::new(client(&endpoint.url()), stream, polling);
        Self { kinesis, endpoint, source }
    }

    fn put(&self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            let data = number.to_string().into();
            let entry = PutEntry { partition_key: "key".into(), explicit_hash_key: None, data };
            self.kinesis.put_record(STREAM, entry).expect("the record is taken");
        }
    }

    async fn open(&self, shard: usize, from: &Position) -> Box<dyn ShardReader> {
        self.source.open(&shard_id(shard), from, &ByteBudget::new(u64::MAX)).await.expect("the shard opens")
    }
}

fn shard_id(index: usize) -> ShardId {
    ShardId::new(format!("shardId-{index:012}")).expect("a valid id")
}

/// Reads until so many records have come; returns their payloads, and how many readings it took.
async fn read(reader: &mut dyn ShardReader, count: usize) -> (Vec<u32>, u32) {
    let (mut payloads, mut readings) = (Vec::new(), 0);
    while payloads.len() < count {
        let Reading::Batch(batch) = reader.next().await.expect("records") else { panic!("the shard is open") };
        let number = |data: &[u8]| std::str::from_utf8(data).expect("text").parse::<u32>().expect("a number");
        payloads.extend(batch.records.iter().map(|record| number(&record.data)));
        readings += 1;
    }
    (payloads, readings)
}

#[tokio::test]
async fn expired_iterators_are_renewed_behind_the_last_record() {
    // Every iterator is too old by the time of the reader's next look.
    let limits = Limits { iterator_lifetime: Duration::from_millis(150), ..Limits::of_the_service() };
    let world = World::new(1, limits, PollingSettings { read_limit: 4, ..PollingSettings::default() }).await;
    world.put(0..20);
    let mut reader = world.open(0, &Position::HORIZON).await;
    assert_eq!(read(&mut *reader, 20).await.0, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn throttling_is_outlasted() {
    // One read a second, where the reader makes up to five.
    let limits = Limits { reads_per_second: Some(1.0), ..Limits::of_the_service() };
    let world = World::new(1, limits, PollingSettings { read_limit: 4, ..PollingSettings::default() }).await;
    world.put(0..12);
    let mut reader = world.open(0, &Position::HORIZON).await;
    assert_eq!(read(&mut *reader, 12).await.0, (0..12).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_reader_makes_at_most_five_reads_a_second() {
    let polling = PollingSettings { read_limit: 1, tip_pause: Duration::ZERO, ..PollingSettings::default() };
    let world = World::new(1, Limits::unlimited_rates(), polling).await;
    world.put(0..11);
    let mut reader = world.open(0, &Position::HORIZON).await;
    let begun = Instant::now();
    let (_, readings) = read(&mut *reader, 11).await;
    assert!(begun.elapsed() >= Duration::from_millis(200) * (readings - 1), "{readings} in {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_reader_goes_on_behind_the_position_it_is_given() {
    let world = World::new(1, Limits::of_the_service(), PollingSettings::default()).await;
    world.put(0..3);
    let before = world.kinesis.clock().now();
    let mut reader = world.open(0, &Position::HORIZON).await;
    let Reading::Batch(batch) = reader.next().await.unwrap() else { panic!("the shard is open") };
    let second = RecordPosition::whole(batch.records[1].sequence_number.clone());
    let mut behind = world.open(0, &Position::After(second)).await;
    assert_eq!(read(&mut *behind, 1).await.0, [2]);

    tokio::time::sleep(Duration::from_millis(5)).await;
    world.put(3..5);
    let later = before.saturating_add(Duration::from_millis(2));
    let mut from_then = world.open(0, &Position::Start(StartPosition::Timestamp(later))).await;
    assert_eq!(read(&mut *from_then, 2).await.0, [3, 4]);
}

#[tokio::test]
async fn the_end_of_a_shard_names_its_children_whether_or_not_the_answer_does() {
    let world = World::new(1, Limits::of_the_service(), PollingSettings::default()).await;
    world.put(0..2);
    world.kinesis.split_shard(STREAM, &shard_id(0), 1 << 127).unwrap();
    // A reader that starts at the end gets no answer that could name them: the list of shards does.
    for from in [Position::HORIZON, Position::End] {
        let mut reader = world.open(0, &from).await;
        let children = loop {
            if let Reading::End { children } = reader.next().await.unwrap() {
                break children;
            }
        };
        let ids: Vec<ShardId> = children.iter().map(|child| child.id.clone()).collect();
        assert_eq!(ids, [shard_id(1), shard_id(2)], "from {from}");
        assert!(children.iter().all(|child| child.parents == [shard_id(0)]));
    }
}

#[tokio::test]
async fn shards_are_listed_page_by_page_and_streams_may_be_named_by_arn() {
    let world = World::new(1_500, Limits::of_the_service(), PollingSettings::default()).await;
    assert_eq!(world.source.list_shards().await.unwrap().len(), 1_500, "the service lists a thousand at a time");
    let arn = format!("arn:aws:kinesis:us-east-1:000000000000:stream/{STREAM}");
    let by_arn = KinesisSource::new(client(&world.endpoint.url()), arn.parse().unwrap(), PollingSettings::default());
    assert_eq!(by_arn.list_shards().await.unwrap().len(), 1_500);
    assert_eq!(by_arn.describe().await.unwrap(), world.source.describe().await.unwrap());
}

/// As a machine does that starts at the newest records, and whose clock is ahead. The service refuses, until it is there.
#[tokio::test]
async fn a_start_that_the_services_clock_has_not_reached_is_waited_for() {
    let world = World::new(1, Limits::of_the_service(), PollingSettings::default()).await;
    world.put(0..5);
    let ahead = Clock::system().now().saturating_add(Duration::from_millis(1_200));
    let mut reader = world.open(0, &StartPosition::Timestamp(ahead).into()).await;
    let Reading::Batch(batch) = reader.next().await.expect("it passes by itself") else { panic!("the shard is open") };
    assert!(batch.records.is_empty() && Clock::system().now() >= ahead, "{batch:?}");
    world.put(5..8);
    assert_eq!(read(&mut *reader, 3).await.0, [5, 6, 7]);
}

#[tokio::test]
async fn polling_that_cannot_work_is_refused_when_the_stream_is_described() {
    let fine = PollingSettings::default();
    let wrong = [
        (PollingSettings { read_limit: 0, ..fine.clone() }, "read_limit is 0"),
        (PollingSettings { read_limit: 10_001, ..fine.clone() }, "read_limit is 10001"),
        (PollingSettings { tip_pause: Duration::MAX, ..fine.clone() }, "make it at most 240s"),
        (PollingSettings { request_timeout: Duration::ZERO, ..fine.clone() }, "request_timeout is 0"),
    ];
    for (polling, expected) in wrong {
        let world = World::new(1, Limits::of_the_service(), polling).await;
        let error = world.source.describe().await.expect_err("it cannot work");
        assert_eq!(error.kind(), SourceErrorKind::Invalid);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn what_does_not_pass_by_itself_is_an_error_with_its_kind() {
    let world = World::new(1, Limits::of_the_service(), PollingSettings::default()).await;
    let unknown =
        KinesisSource::new(client(&world.endpoint.url()), "nope".parse().unwrap(), PollingSettings::default());
    assert_eq!(unknown.list_shards().await.unwrap_err().kind(), SourceErrorKind::NotFound);
    let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/nope".parse().unwrap();
    let unknown = KinesisSource::new(client(&world.endpoint.url()), arn, PollingSettings::default());
    let error = unknown.describe().await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::NotFound);
    assert!(error.to_string().contains("123456789012:stream/nope"), "{error}");
    let mut reader = world.source.open(&shard_id(7), &Position::HORIZON, &ByteBudget::new(u64::MAX)).await.unwrap();
    assert_eq!(reader.next().await.unwrap_err().kind(), SourceErrorKind::NotFound);
    let source: Arc<dyn Source> = Arc::new(world.source);
    world.endpoint.stop().await;
    let error = source.describe().await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Unavailable);
    assert!(error.to_string().contains("refused"), "{error}");
}
