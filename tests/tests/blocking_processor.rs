//! A processor that blocks its thread, against all advice, holds up its own shard and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use consumer::{Consumer, ShardBatch, each_batch};
use consumer_testing::quick_settings;
use kinesis_testing::{Clock, Kinesis, Limits, ModelSource, PutEntry};
use lease_core::{LeaseStore, MemoryStore};
use stream_types::Name;
use tokio_util::sync::CancellationToken;

const STREAM: &str = "orders";
const DEADLINE: Duration = Duration::from_secs(60);

fn put(kinesis: &Kinesis, shard: u128, data: &str) {
    let entry =
        PutEntry { partition_key: "key".into(), explicit_hash_key: Some(shard << 127), data: data.to_owned().into() };
    kinesis.put_record(STREAM, entry).expect("the model takes the record");
}

async fn wait_until(what: &str, condition: impl AsyncFn() -> bool) {
    let met = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, met).await.is_ok(), "it never came about that {what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_processor_that_blocks_its_thread_keeps_its_lease_and_the_other_shard_goes_on() {
    let kinesis = Kinesis::new(Clock::system(), Limits::of_the_service());
    kinesis.create_stream(STREAM, 2).expect("a new stream");
    let store = MemoryStore::new(Name::new("application").expect("a valid name"));
    let settings = quick_settings();
    let blocked_for = settings.worker.lease_duration * 2;
    let (delivered, blocking) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (count, block) = (Arc::clone(&delivered), Arc::clone(&blocking));
    let process = move |batch: ShardBatch| {
        let (count, block) = (Arc::clone(&count), Arc::clone(&block));
        async move {
            if batch.records().iter().any(|record| *record.data == *b"block") {
                block.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(blocked_for);
                block.fetch_add(1, Ordering::SeqCst);
            }
            count.fetch_add(batch.records().len() as u64, Ordering::SeqCst);
            Ok::<(), std::io::Error>(())
        }
    };
    let source = ModelSource::new(kinesis.clone(), Name::new(STREAM).expect("a valid name"));
    let consumer = Consumer::builder(Arc::new(store.clone()), Arc::new(source)).settings(settings);
    let consumer = consumer.build(each_batch(process)).expect("the settings work");
    let leave = CancellationToken::new();
    let asked = leave.clone();
    let running = tokio::spawn(async move { consumer.run_until(asked.cancelled()).await });

    // Each shard's first record leads to a checkpoint, whose end wakes the driver just before the thread is blocked.
    put(&kinesis, 0, "first");
    put(&kinesis, 1, "first of the other");
    wait_until("both shards are read", async || delivered.load(Ordering::SeqCst) == 2).await;
    put(&kinesis, 0, "block");
    wait_until("a thread is blocked", async || blocking.load(Ordering::SeqCst) == 1).await;
    for number in 0..10 {
        put(&kinesis, 1, &format!("{number}"));
        wait_until("the other shard goes on", async || delivered.load(Ordering::SeqCst) == 3 + number).await;
    }
    assert_eq!(blocking.load(Ordering::SeqCst), 1, "the thread is blocked still");
    wait_until("the thread is free", async || delivered.load(Ordering::SeqCst) == 13).await;
    for lease in store.list().await.expect("memory does not fail") {
        assert_eq!(lease.epoch.0, 1, "nobody lost {}", lease.key);
    }
    leave.cancel();
    let report = running.await.expect("no task panics").expect("the worker leaves");
    assert!(report.left_in_time, "{report:?}");
    assert_eq!(report.records_processed, 13);
}
