//! What a processor can rely on whose own transactions store its checkpoints, in virtual time.

mod common;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use common::World;
use consumer::{CheckpointError, Checkpoints, OpenCheckpoint, ShardBatch};
use lease_core::{LeaseStore, MemoryStore, Outcome};
use stream_types::Position;

/// A user's database: how often each record was counted. It has the lease table in it.
#[derive(Clone)]
struct Database {
    leases: MemoryStore,
    counts: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl Database {
    fn of(world: &World) -> Self {
        Self { leases: world.store.clone(), counts: Arc::default() }
    }

    /// One transaction: the counts and the row, or neither.
    async fn count(&self, batch: &ShardBatch, checkpoint: &OpenCheckpoint) -> io::Result<Outcome<lease_core::Lease>> {
        let outcome = self.leases.put(checkpoint.expected(), checkpoint.next()).await.map_err(io::Error::other)?;
        if outcome == Outcome::Applied {
            let mut counts = self.counts.lock().expect("no test panics with the lock");
            for record in batch.records() {
                *counts.entry(String::from_utf8_lossy(&record.data).into_owned()).or_default() += 1;
            }
        }
        Ok(outcome)
    }

    fn counts(&self) -> Vec<(String, u32)> {
        self.counts.lock().expect("no test panics with the lock").clone().into_iter().collect()
    }
}

/// The whole of it, as the documentation shows it.
async fn count_exactly(database: &Database, batch: &ShardBatch) -> io::Result<()> {
    let Some(checkpoint) = batch.begin_checkpoint().await.map_err(io::Error::other)? else { return Ok(()) };
    match database.count(batch, &checkpoint).await? {
        Outcome::Applied => checkpoint.committed(),
        Outcome::Conflict { current } => checkpoint.conflicted(current).map_err(io::Error::other)?,
    }
    Ok(())
}

fn manual() -> World {
    let mut world = World::new();
    world.settings.checkpoints = Checkpoints::Manual;
    world
}

fn once(payloads: &[&str]) -> Vec<(String, u32)> {
    payloads.iter().map(|payload| ((*payload).to_owned(), 1)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_committed_transaction_is_the_checkpoint_and_the_next_batch_follows_it() {
    let world = manual();
    let database = Database::of(&world);
    let acting = database.clone();
    let (stop, running) = world.start(move |batch: ShardBatch, _attempt: u32| {
        let database = acting.clone();
        async move { count_exactly(&database, &batch).await }
    });
    for payload in ["one", "two", "three"] {
        world.put(payload);
        world.wait_until_noted(&format!("{payload}: done")).await;
    }
    stop.cancel();
    let report = running.await.unwrap();
    assert!(report.left_in_time);
    assert_eq!(database.counts(), once(&["one", "three", "two"]));
    assert!(matches!(world.lease(0).await.position, Position::After(_)));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_checkpoint_stores_nothing_and_the_batch_comes_again() {
    let world = manual();
    let database = Database::of(&world);
    let acting = database.clone();
    world.put("one");
    let (stop, running) = world.start(move |batch: ShardBatch, attempt: u32| {
        let database = acting.clone();
        async move {
            if attempt < 3 {
                let checkpoint = batch.begin_checkpoint().await.map_err(io::Error::other)?;
                drop(checkpoint);
                return Err(io::Error::other("the transaction was rolled back"));
            }
            assert_eq!(database.leases.list().await.map_err(io::Error::other)?[0].position, Position::HORIZON);
            count_exactly(&database, &batch).await
        }
    });
    world.wait_until_noted("one: done").await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(world.notes()[..3], ["one: failed", "one: failed", "one: done"]);
    assert_eq!(database.counts(), once(&["one"]));
}

/// Whether the worker has found out by itself or not, the batch is not counted again.
#[tokio::test(start_paused = true)]
async fn a_transaction_whose_commit_was_not_heard_of_is_not_done_twice() {
    let world = manual();
    let database = Database::of(&world);
    let acting = database.clone();
    world.put("one");
    let (stop, running) = world.start(move |batch: ShardBatch, attempt: u32| {
        let database = acting.clone();
        async move {
            if attempt > 1 {
                return count_exactly(&database, &batch).await;
            }
            let checkpoint = batch.begin_checkpoint().await.map_err(io::Error::other)?.expect("nothing is done yet");
            let outcome = database.count(&batch, &checkpoint).await?;
            assert_eq!(outcome, Outcome::Applied);
            Err(io::Error::other("the connection broke before the answer came"))
        }
    });
    world.wait_until_noted("one: done").await;
    world.put("two");
    world.wait_until_noted("two: done").await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(database.counts(), once(&["one", "two"]));
}

/// A shard has one row, so its transactions come one after the other.
#[tokio::test(start_paused = true)]
async fn of_two_checkpoints_begun_at_once_each_is_told_the_truth() {
    let world = manual();
    world.put("one");
    world.put("two");
    let (stop, running) = world.start(async |batch: ShardBatch, _attempt: u32| {
        let [first, second] = batch.records() else { panic!("two records in one batch") };
        let held = batch.shard().begin_checkpoint(first).await.map_err(io::Error::other)?.expect("nothing is done yet");
        let waits = batch.shard().begin_checkpoint(second);
        let overtakes = async {
            let answer = batch.shard().begin_checkpoint(second).await;
            assert!(matches!(answer, Ok(Some(_))), "{answer:?}");
        };
        let give_up = async {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            drop(held);
        };
        let (superseded, (), ()) = tokio::join!(waits, overtakes, give_up);
        assert!(matches!(superseded, Err(CheckpointError::Superseded)), "{superseded:?}");
        Ok(())
    });
    world.wait_until_noted("one two: done").await;
    stop.cancel();
    running.await.unwrap();
}

/// The transaction of a worker that has lost its lease is not committed.
#[tokio::test(start_paused = true)]
async fn a_lost_lease_refuses_the_transaction() {
    let world = manual();
    let database = Database::of(&world);
    let acting = database.clone();
    world.put("one");
    let (stop, running) = world.start(move |batch: ShardBatch, _attempt: u32| {
        let database = acting.clone();
        async move {
            let checkpoint = batch.begin_checkpoint().await.map_err(io::Error::other)?.expect("nothing is done yet");
            let thief = lease_core::testing::worker("thief");
            let lease = database.leases.list().await.map_err(io::Error::other)?.remove(0);
            let stolen = database.leases.put(checkpoint.expected(), &lease.taken_by(&thief)).await;
            assert_eq!(stolen.map_err(io::Error::other)?, Outcome::Applied);
            match database.count(&batch, &checkpoint).await? {
                Outcome::Applied => panic!("the row was another's"),
                Outcome::Conflict { current } => checkpoint.conflicted(current).map_err(io::Error::other),
            }
        }
    });
    world.wait_until_noted("lost").await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(database.counts(), []);
    assert_eq!(world.lease(0).await.position, Position::HORIZON);
}
