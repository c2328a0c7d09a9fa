//! Kinesis misbehaves, on command: what passes is outlasted without a loss or a repetition, and what does not is said clearly.

use std::time::Duration;

use consumer::{ConsumerError, ShardReport};
use kinesis_source::{ByteBudget, KinesisSource, PollingSettings, Reading, Source};
use kinesis_testing::{Clock, Endpoint, Fault, Kinesis, Limits, Misbehaviour, Operation, ServiceErrorKind};
use stream_types::Position;
use tests::endpoints::client;
use tests::virtual_world::{STREAM, virtual_world};

/// What passes by itself.
fn passing() -> Vec<Misbehaviour> {
    let refused = [
        ServiceErrorKind::ExpiredIterator,
        ServiceErrorKind::InternalFailure,
        ServiceErrorKind::KmsThrottling,
        ServiceErrorKind::LimitExceeded,
        ServiceErrorKind::ProvisionedThroughputExceeded,
        ServiceErrorKind::ServiceUnavailable,
    ];
    let others = [Misbehaviour::LoseReply, Misbehaviour::CutReply, Misbehaviour::Delay(Duration::from_millis(300))];
    refused.map(Misbehaviour::Refuse).into_iter().chain(others).collect()
}

/// What looks as if it would not pass: the shard is tried again after a pause.
fn lasting() -> Vec<Misbehaviour> {
    let refused = [
        ServiceErrorKind::KmsAccessDenied,
        ServiceErrorKind::KmsDisabled,
        ServiceErrorKind::KmsInvalidState,
        ServiceErrorKind::KmsNotFound,
        ServiceErrorKind::KmsOptInRequired,
        ServiceErrorKind::InvalidArgument,
        ServiceErrorKind::ResourceNotFound,
    ];
    refused.map(Misbehaviour::Refuse).into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn a_fleet_outlasts_every_fault_and_loses_and_repeats_nothing() {
    let (kinesis, mut fleet) = virtual_world(4);
    fleet.start("a");
    fleet.start("b");
    fleet.wait_until_level().await;
    for misbehaviour in passing().into_iter().chain(lasting()) {
        for operation in [Operation::GetRecords, Operation::GetShardIterator, Operation::ListShards] {
            kinesis.misbehave(Fault::of(operation, misbehaviour.clone()).after(3).times(4));
        }
        // Iterators are asked for when others have expired.
        let expired = Misbehaviour::Refuse(ServiceErrorKind::ExpiredIterator);
        kinesis.misbehave(Fault::of(Operation::GetRecords, expired).after(8).times(4));
        for _ in 0..10 {
            fleet.produce(&kinesis, STREAM, 50);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        fleet.wait_until_delivered().await;
        kinesis.behave();
        fleet.wait_until_level().await;
    }
    let tally = fleet.ledger.tally();
    assert_eq!((tally.lost, tally.duplicates_planned, tally.out_of_order), (0, 0, 0), "{tally:?}");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_for_ten_minutes_costs_nothing_but_time() {
    let (kinesis, mut fleet) = virtual_world(4);
    fleet.start("a");
    fleet.wait_until_level().await;
    for kind in [ServiceErrorKind::InternalFailure, ServiceErrorKind::KmsDisabled] {
        for operation in [Operation::GetRecords, Operation::GetShardIterator, Operation::ListShards] {
            kinesis.misbehave(Fault::of(operation, Misbehaviour::Refuse(kind)).always());
        }
        fleet.produce(&kinesis, STREAM, 500);
        tokio::time::sleep(Duration::from_secs(600)).await;
        kinesis.behave();
        fleet.wait_until_delivered().await;
    }
    let report = fleet.leave("a").await;
    let tally = fleet.ledger.tally();
    assert_eq!((tally.duplicates_planned, tally.out_of_order), (0, 0), "{tally:?}");
    // Of each kind once, whether the reader outlasts it or is replaced again and again.
    let heard_of = |shard: &ShardReport| shard.counts.stalls == 2 && shard.counts.reader_failures > 0;
    assert!(report.shards.values().all(heard_of), "somebody heard of it: {report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_deleted_ends_its_readers_with_a_clear_error() {
    let (kinesis, mut fleet) = virtual_world(4);
    fleet.start("a");
    fleet.wait_until_level().await;
    kinesis.delete_stream(STREAM).expect("it is there");
    let error = fleet.ended("a").await.expect_err("there is nothing to read");
    assert!(matches!(error, ConsumerError::StreamDeleted { .. }), "{error}");
    assert!(error.to_string().contains("orders is gone"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_takes_the_name_of_a_deleted_one_is_refused() {
    let (kinesis, mut fleet) = virtual_world(4);
    fleet.start("a");
    fleet.wait_until_level().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    kinesis.delete_stream(STREAM).expect("it is there");
    kinesis.create_stream(STREAM, 4).expect("the name is free");
    fleet.produce(&kinesis, STREAM, 10);
    let error = fleet.ended("a").await.expect_err("it is another stream");
    assert!(matches!(error, ConsumerError::StreamRecreated { .. }), "{error}");
    assert_eq!(fleet.ledger.tally().delivered, 0, "nothing of the other stream was delivered");
}

/// Through the SDK, over HTTP.
#[tokio::test]
async fn a_reader_outlasts_what_happens_to_its_requests() {
    let kinesis = Kinesis::new(Clock::system(), Limits::unlimited_rates());
    kinesis.create_stream(STREAM, 1).expect("a new stream");
    let endpoint = Endpoint::start(kinesis.clone(), 0).await.expect("a port is free");
    let polling = PollingSettings { read_limit: 2, ..PollingSettings::default() };
    let source = KinesisSource::new(client(&endpoint.url()), STREAM.parse().expect("a valid name"), polling);
    let shard = source.list_shards().await.expect("the list").remove(0).id;
    for misbehaviour in passing() {
        let mut reader = source.open(&shard, &Position::HORIZON, &ByteBudget::new(u64::MAX)).await.expect("it opens");
        let fault = |operation| Fault::of(operation, misbehaviour.clone()).in_shard(shard.clone());
        kinesis.misbehave(fault(Operation::GetShardIterator));
        kinesis.misbehave(fault(Operation::GetRecords).after(1).times(2));
        let mut seen = Vec::new();
        let entries = 0..6_u32;
        for number in entries.clone() {
            let data = format!("{misbehaviour:?} {number}").into();
            let entry = kinesis_testing::PutEntry { partition_key: "key".into(), explicit_hash_key: None, data };
            kinesis.put_record(STREAM, entry).expect("the record is taken");
        }
        let begins = format!("{misbehaviour:?} ");
        while seen.len() < entries.len() {
            let Reading::Batch(batch) = reader.next().await.expect("it passes") else { panic!("{misbehaviour:?}") };
            let payloads = batch.records.iter().map(|record| String::from_utf8_lossy(&record.data).into_owned());
            seen.extend(payloads.filter(|payload| payload.starts_with(&begins)));
        }
        let expected: Vec<String> = entries.map(|number| format!("{begins}{number}")).collect();
        assert_eq!(seen, expected);
        kinesis.behave();
    }
    endpoint.stop().await;
}
