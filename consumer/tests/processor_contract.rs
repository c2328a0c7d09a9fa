//! What a processor can rely on, in virtual time.

mod common;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::World;
use consumer::{Checkpoints, Report, ShardBatch, ShardOutcome};
use futures_util::FutureExt;
use lease_core::{Beat, LeaseStore, WorkerRow};
use stream_types::{Position, RecordPosition};
use tokio_util::sync::CancellationToken;

fn outcomes(report: &Report) -> Vec<ShardOutcome> {
    report.shards.values().map(|shard| shard.outcome).collect()
}

async fn fine(_batch: ShardBatch, _attempt: u32) -> io::Result<()> {
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_failing_processor_gets_the_same_batch_until_it_succeeds() {
    let world = World::new();
    world.put("one");
    let (stop, running) = world.start(async |_batch: ShardBatch, attempt: u32| match attempt {
        1..=3 => Err(io::Error::other("not yet")),
        _ => Ok(()),
    });
    world.wait_until_noted("one: done").await;
    world.put("two");
    world.wait_until_noted("two: done").await;
    stop.cancel();
    assert!(running.await.unwrap().left_in_time);
    let failed = |payload: &'static str| vec![format!("{payload}: failed"); 3];
    let expected =
        [failed("one"), vec!["one: done".into()], failed("two"), vec!["two: done".into(), "draining".into()]];
    assert_eq!(world.notes(), expected.concat());
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_takes_ten_minutes_keeps_its_lease() {
    let world = World::new();
    world.put("slow");
    let (stop, running) = world.start(async |_batch: ShardBatch, _attempt: u32| {
        tokio::time::sleep(Duration::from_secs(600)).await;
        Ok(())
    });
    world.wait_until_noted("slow: done").await;
    assert_eq!(world.lease(0).await.epoch.0, 1, "nobody took the lease meanwhile");
    stop.cancel();
    running.await.unwrap();
    assert_eq!(world.notes(), ["slow: done", "draining"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_its_shard_alone_and_the_batch_comes_again() {
    let world = World::new();
    let panicked = Arc::new(AtomicBool::new(false));
    world.put("one");
    let (stop, running) = world.start(move |_batch: ShardBatch, _attempt: u32| {
        let first = !panicked.swap(true, Ordering::SeqCst);
        async move {
            assert!(!first, "a planned panic");
            Ok(())
        }
    });
    world.wait_until_noted("one: done").await;
    stop.cancel();
    let report = running.await.unwrap();
    assert_eq!((report.panics, report.records_processed, report.left_in_time), (1, 1, true));
}

#[tokio::test(start_paused = true)]
async fn manual_checkpoints_are_stored_when_they_return_and_never_go_back() {
    let mut world = World::new();
    world.settings.checkpoints = Checkpoints::Manual;
    world.put("one");
    world.put("two");
    let (stop, running) = world.start(async |batch: ShardBatch, _attempt: u32| {
        let [first, .., last] = batch.records() else { panic!("two records in one batch") };
        batch.shard().checkpoint(first).await.map_err(io::Error::other)?;
        batch.shard().checkpoint(last).await.map_err(io::Error::other)?;
        batch.shard().checkpoint(first).await.map_err(io::Error::other)?;
        Ok(())
    });
    world.wait_until_noted("one two: done").await;
    let Position::After(stored) = world.lease(0).await.position else { panic!("a record's position is stored") };
    stop.cancel();
    running.await.unwrap();
    let Position::After(at_the_end) = world.lease(0).await.position else { panic!("a record's position is stored") };
    assert_eq!(stored, at_the_end);
}

/// The shard is to be drained when its processor fails: its task asks for a checkpoint, and ends, at one moment.
#[tokio::test(start_paused = true)]
async fn a_checkpoint_that_was_asked_for_is_stored_though_the_task_ends_before_the_answer() {
    let mut world = World::new();
    world.settings.checkpoints = Checkpoints::Manual;
    let put = world.put("one");
    let (called, fails) = (CancellationToken::new(), CancellationToken::new());
    let (calls, failing) = (called.clone(), fails.clone());
    let (stop, running) = world.start(move |batch: ShardBatch, _attempt: u32| {
        let (calls, failing) = (calls.clone(), failing.clone());
        async move {
            calls.cancel();
            failing.cancelled().await;
            assert_eq!(batch.checkpoint().now_or_never(), None, "it takes longer");
            Err(io::Error::other("it fails"))
        }
    });
    called.cancelled().await;
    stop.cancel();
    tokio::time::sleep(Duration::from_secs(5)).await;
    fails.cancel();
    running.await.unwrap();
    assert_eq!(world.lease(0).await.position, Position::After(RecordPosition::whole(put)));
}

#[tokio::test(start_paused = true)]
async fn without_a_manual_checkpoint_nothing_is_stored() {
    let mut world = World::new();
    world.settings.checkpoints = Checkpoints::Manual;
    world.put("one");
    let (stop, running) = world.start(fine);
    world.wait_until_noted("one: done").await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(world.lease(0).await.position, Position::HORIZON);
}

/// Long before the deadline for draining: leaving has less time, and the shard is released within it.
#[tokio::test(start_paused = true)]
async fn leaving_ends_at_the_deadline_though_a_processor_never_returns_and_stores_what_was_done() {
    let mut world = World::new();
    world.settings.checkpoints = Checkpoints::Automatic { every: Duration::from_secs(3_600) };
    assert!(world.settings.drain_deadline > world.settings.leave_deadline);
    let done = world.put("done");
    let (stop, running) = world.start(async |batch: ShardBatch, _attempt: u32| match &*batch.records()[0].data {
        b"stuck" => std::future::pending().await,
        _ => Ok(()),
    });
    world.wait_until_noted("done: done").await;
    world.put("stuck");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let asked = tokio::time::Instant::now();
    stop.cancel();
    let report = running.await.unwrap();
    assert!(asked.elapsed() <= world.settings.leave_deadline, "{:?}", asked.elapsed());
    assert!(report.left_in_time);
    assert_eq!(outcomes(&report), [ShardOutcome::CutShort]);
    let lease = world.lease(0).await;
    assert_eq!((lease.owner, lease.position), (None, Position::After(RecordPosition::whole(done))));
}

/// Another worker is there and silent: it may live, or be dead. The shard would be read on until that is certain, which is later
/// than there is time for leaving.
#[tokio::test(start_paused = true)]
async fn leaving_ends_in_time_though_it_is_doubtful_whether_the_receiver_lives() {
    let mut world = World::new();
    world.settings.leave_deadline = Duration::from_secs(3);
    let done = world.put("done");
    let (stop, running) = world.start(fine);
    world.wait_until_noted("done: done").await;
    let streams = Some([lease_core::testing::worker("orders").name].into());
    let mut other = WorkerRow { streams, ..WorkerRow::registering(lease_core::testing::worker("other"), None) };
    for _ in 0..5 {
        let beat = world.store.heartbeat(&other).await.expect("memory does not fail");
        assert!(matches!(beat, Beat::Written { .. }), "{beat:?}");
        other.heartbeat += 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    tokio::time::sleep(world.settings.worker.lease_duration / 2).await;
    stop.cancel();
    let report = running.await.unwrap();
    assert!(report.left_in_time, "{report:?}");
    let lease = world.lease(0).await;
    assert_eq!((lease.owner, lease.position), (None, Position::After(RecordPosition::whole(done))));
}

/// Ten minutes in one batch, and the shard has to move: here because the worker leaves.
#[tokio::test(start_paused = true)]
async fn a_drain_that_takes_too_long_is_cut_short_and_the_shard_moves_from_what_was_done() {
    let mut world = World::new();
    world.settings.drain_deadline = Duration::from_secs(7);
    world.put("quick");
    let (stop, running) = world.start(async |batch: ShardBatch, _attempt: u32| {
        if *batch.records()[0].data == *b"slow" {
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
        Ok(())
    });
    world.wait_until_noted("quick: done").await;
    let done = world.lease(0).await.position;
    world.put("slow");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let asked = tokio::time::Instant::now();
    stop.cancel();
    let report = running.await.unwrap();
    assert!((7..9).contains(&asked.elapsed().as_secs()), "{:?}", asked.elapsed());
    assert!(report.left_in_time);
    assert_eq!(outcomes(&report), [ShardOutcome::CutShort]);
    let lease = world.lease(0).await;
    assert_eq!((lease.owner, lease.position), (None, done));

    let (stop, running) = world.start(fine);
    world.wait_until_noted("slow: done").await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_drops_the_batch_in_hand_and_refuses_its_checkpoint() {
    let world = World::new();
    world.put("one");
    let (stop, running) = world.start(async |batch: ShardBatch, _attempt: u32| {
        tokio::time::sleep(Duration::from_secs(5)).await;
        // The automatic checkpoint of nothing yet: this one finds the lease in other hands.
        batch.checkpoint().await.map_err(io::Error::other)?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        panic!("the future is dropped at its next await")
    });
    world
        .wait_until("the lease is taken", async |world| {
            world.store.list().await.expect("memory does not fail").iter().any(|lease| lease.owner.is_some())
        })
        .await;
    let lease = world.lease(0).await;
    let thief = lease_core::testing::worker("thief");
    let stolen = world.store.put(lease_core::Expected::row(&lease), &lease.taken_by(&thief)).await;
    assert_eq!(stolen.unwrap(), lease_core::Outcome::Applied);
    world.wait_until_noted("lost").await;
    assert_eq!(world.lease(0).await.position, Position::HORIZON, "nothing was stored");
    stop.cancel();
    running.await.unwrap();
}

/// Sixteen shards have half a megabyte each, and processors are slow: without a bound they would hold all of it at once.
#[tokio::test(start_paused = true)]
async fn no_more_is_in_the_hands_of_processors_than_the_budget_allows_and_all_is_processed() {
    const RECORDS: usize = 160;
    const RECORD_BYTES: usize = 50_000;
    let mut world = World::of_shards(16);
    world.settings.byte_budget = 2_000_000;
    for number in 0..RECORDS {
        world.put(format!("{number:-<RECORD_BYTES$}"));
    }
    let (held, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let processed = Arc::new(AtomicUsize::new(0));
    let (holding, peak, finished) = (Arc::clone(&held), Arc::clone(&most), Arc::clone(&processed));
    let (stop, running) = world.start(move |batch: ShardBatch, _attempt: u32| {
        let (held, most, processed) = (Arc::clone(&holding), Arc::clone(&peak), Arc::clone(&finished));
        async move {
            let bytes: usize = batch.records().iter().map(|record| record.data.len()).sum();
            most.fetch_max(held.fetch_add(bytes, Ordering::SeqCst) + bytes, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(5)).await;
            held.fetch_sub(bytes, Ordering::SeqCst);
            processed.fetch_add(batch.records().len(), Ordering::SeqCst);
            Ok(())
        }
    });
    // Without a look at the notes, which hold all payloads.
    let all_done = async |_: &World| processed.load(Ordering::SeqCst) == RECORDS;
    world.wait_until("every record is processed", all_done).await;
    stop.cancel();
    let report = running.await.unwrap();
    assert!(report.left_in_time);
    assert_eq!(report.records_processed, RECORDS as u64);
    let most = most.load(Ordering::SeqCst);
    assert!((1_000_000..=2_000_000).contains(&most), "{most} bytes were in the hands of processors at once");
}
