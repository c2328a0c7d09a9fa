//! Records of the Kinesis Producer Library come apart, and a checkpoint may lie in the middle of one.

mod common;

use std::io;

use common::World;
use consumer::{Aggregates, Checkpoints, ShardBatch};
use stream_types::Position;

/// Forty user records, `record 0` to `record 39`, as the published package for Python puts them together.
const AGGREGATE: &[u8] = include_bytes!("../../kinesis-source/tests/vectors/keys-repeat.aggregate");
const USER_RECORDS: usize = 40;

/// Stores the position of one record and fails from then on.
async fn checkpoint_at(batch: ShardBatch, last_done: usize) -> io::Result<()> {
    let record = &batch.records()[last_done];
    assert_eq!(record.sub_sequence_number, u64::try_from(last_done).ok());
    batch.shard().checkpoint(record).await.map_err(io::Error::other)
}

fn joined(records: std::ops::Range<usize>) -> String {
    records.map(|number| format!("record {number}")).collect::<Vec<_>>().join(" ")
}

#[tokio::test(start_paused = true)]
async fn a_restart_behind_any_user_record_brings_the_rest_once() {
    for last_done in 0..USER_RECORDS {
        let mut world = World::new();
        world.settings.checkpoints = Checkpoints::Manual;
        world.put(AGGREGATE);
        let (stop, running) = world.start(move |batch: ShardBatch, _attempt: u32| checkpoint_at(batch, last_done));
        world.wait_until_noted(&format!("{}: done", joined(0..USER_RECORDS))).await;
        stop.cancel();
        running.await.unwrap();
        let Position::After(stored) = world.lease(0).await.position else { panic!("a record's position is stored") };
        assert_eq!(stored.sub_sequence_number, last_done as u64);

        let before = world.notes().len();
        world.put("next");
        let (stop, running) =
            world.start(async |batch: ShardBatch, _attempt: u32| batch.checkpoint().await.map_err(io::Error::other));
        world.wait_until("the next record comes", async |world| world.notes().concat().contains("next: done")).await;
        stop.cancel();
        running.await.unwrap();
        let rest = format!("{} next", joined(last_done + 1..USER_RECORDS));
        assert_eq!(
            world.notes()[before..],
            [format!("{}: done", rest.trim_start()), "draining".into()],
            "behind {last_done}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_aggregate_is_one_record_for_those_who_want_it_whole() {
    let mut world = World::new();
    world.settings.aggregates = Aggregates::Whole;
    world.put(AGGREGATE);
    let (stop, running) = world.start(async |batch: ShardBatch, _attempt: u32| {
        assert_eq!(batch.records().len(), 1);
        assert_eq!(batch.records()[0].data, AGGREGATE);
        Ok(())
    });
    world.wait_until("it is processed", async |world| !world.notes().is_empty()).await;
    stop.cancel();
    assert_eq!(running.await.unwrap().records_processed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_broken_aggregate_is_delivered_as_it_is() {
    let world = World::new();
    let broken = [&AGGREGATE[..AGGREGATE.len() - 1], b"?"].concat();
    world.put(broken.clone());
    let (stop, running) = world.start(move |batch: ShardBatch, _attempt: u32| {
        assert_eq!(batch.records()[0].data, broken);
        async { Ok(()) }
    });
    world.wait_until("it is processed", async |world| !world.notes().is_empty()).await;
    stop.cancel();
    assert_eq!(running.await.unwrap().records_processed, 1);
}

/// As after a split under a producer that has not heard of it yet.
#[tokio::test(start_paused = true)]
async fn user_records_of_other_shards_are_left_out_one_by_one_unless_all_are_wanted() {
    for aggregates in [Aggregates::Split, Aggregates::SplitAll] {
        let mut world = World::of_shards(2);
        world.settings.aggregates = aggregates;
        world.put(AGGREGATE);
        let (stop, running) = world.start(async |_batch: ShardBatch, _attempt: u32| Ok(()));
        world.wait_until("it is processed", async |world| !world.notes().is_empty()).await;
        stop.cancel();
        let processed = running.await.unwrap().records_processed;
        // The five keys are spread over both halves of the range.
        let some_but_not_all = 1..USER_RECORDS as u64;
        match aggregates {
            Aggregates::Split => assert!(some_but_not_all.contains(&processed), "{processed}"),
            _ => assert_eq!(processed, USER_RECORDS as u64),
        }
    }
}
