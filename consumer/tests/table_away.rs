//! What processors learn while the lease table is out of reach, in virtual time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use consumer::{CheckpointError, Checkpoints, Consumer, ConsumerSettings, ShardBatch, Warning, each_batch};
use kinesis_testing::{Clock, Kinesis, Limits, ModelSource, PutEntry};
use lease_core::{
    Beat, Change, Expected, Hints, Lease, LeaseKey, LeaseStore, MemoryStore, Outcome, StoreError, StoreErrorKind,
    StoreOperation, WorkerRow,
};
use stream_types::{Name, Position, RecordPosition, SequenceNumber, Timestamp};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

fn name(text: &str) -> Name {
    Name::new(text).expect("a valid name")
}

/// A table whose network can be cut.
#[derive(Debug, Clone)]
struct Remote {
    table: MemoryStore,
    is_cut: Arc<AtomicBool>,
    /// New leases alone do not get through.
    refuses_new: Arc<AtomicBool>,
}

impl Remote {
    fn new() -> Self {
        let table = MemoryStore::new(name("application"));
        Self { table, is_cut: Arc::default(), refuses_new: Arc::default() }
    }

    fn reach(&self, operation: StoreOperation) -> Result<&MemoryStore, StoreError> {
        if self.is_cut.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, operation, "the network is cut"));
        }
        Ok(&self.table)
    }
}

#[async_trait]
impl LeaseStore for Remote {
    async fn list(&self) -> Result<Vec<Lease>, StoreError> {
        self.reach(StoreOperation::List)?.list().await
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, StoreError> {
        self.reach(StoreOperation::Get)?.get(key).await
    }

    async fn put(&self, expected: Expected, next: &Lease) -> Result<Outcome<Lease>, StoreError> {
        let is_refused = self.refuses_new.load(Ordering::SeqCst) && next.last_change == Change::Created;
        if is_refused {
            return Err(StoreError::new(StoreErrorKind::Unavailable, StoreOperation::Put, "no new leases"));
        }
        self.reach(StoreOperation::Put)?.put(expected, next).await
    }

    async fn delete(&self, lease: &Lease) -> Result<Outcome<Lease>, StoreError> {
        self.reach(StoreOperation::Delete)?.delete(lease).await
    }

    async fn heartbeat(&self, me: &WorkerRow) -> Result<Beat, StoreError> {
        self.reach(StoreOperation::Heartbeat)?.heartbeat(me).await
    }

    async fn forget(&self, worker: &WorkerRow) -> Result<Outcome<WorkerRow>, StoreError> {
        self.reach(StoreOperation::Forget)?.forget(worker).await
    }

    fn hints(&self) -> Option<Box<dyn Hints>> {
        None
    }
}

fn one_shard_with_a_record() -> Kinesis {
    let clock = Clock::of_the_runtime(Timestamp::from_unix_millis(1_700_000_000_000));
    let kinesis = Kinesis::new(clock, Limits::of_the_service());
    kinesis.create_stream("orders", 1).expect("a new stream");
    let entry = PutEntry { partition_key: "key".into(), explicit_hash_key: None, data: "one".into() };
    kinesis.put_record("orders", entry).expect("the record is taken");
    kinesis
}

/// The checkpoint waits as long as the lease is good. Then it is told that nobody knows, the batch is dropped, and once the
/// table is back it comes again, to the same worker.
#[tokio::test(start_paused = true)]
async fn a_checkpoint_waits_for_the_table_and_tells_a_table_away_from_a_lost_lease() {
    let kinesis = one_shard_with_a_record();
    let store = Remote::new();
    let settings = ConsumerSettings { checkpoints: Checkpoints::Manual, ..ConsumerSettings::default() };
    let lease_duration = settings.worker.lease_duration;

    let (batches, mut received) = mpsc::channel::<ShardBatch>(1);
    let consumer = Consumer::builder(Arc::new(store.clone()), Arc::new(ModelSource::new(kinesis, name("orders"))))
        .settings(settings)
        .build(each_batch(move |batch| {
            let batches = batches.clone();
            async move {
                // Somebody else checkpoints it, as those do who gather several batches.
                batches.send(batch).await.map_err(io::Error::other)?;
                std::future::pending::<io::Result<()>>().await
            }
        }))
        .expect("the settings work");
    let leave = CancellationToken::new();
    let asked = leave.clone();
    let running = async move { consumer.run_until(asked.cancelled()).await.expect("nothing ends the consumer") };
    let story = async {
        let batch = received.recv().await.expect("a batch");
        store.is_cut.store(true, Ordering::SeqCst);
        let cut = tokio::time::Instant::now();
        assert_eq!(batch.checkpoint().await, Err(CheckpointError::StoreUnavailable));
        assert!(cut.elapsed() > lease_duration / 2 && cut.elapsed() < lease_duration, "{:?}", cut.elapsed());
        store.is_cut.store(false, Ordering::SeqCst);

        let again = received.recv().await.expect("it comes again");
        assert!(again.shard().fencing_token() > batch.shard().fencing_token(), "taken anew");
        assert_eq!(batch.checkpoint().await, Err(CheckpointError::LeaseLost), "of the old one");
        store.is_cut.store(true, Ordering::SeqCst);
        let back = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            store.is_cut.store(false, Ordering::SeqCst);
        };
        assert_eq!(tokio::join!(again.checkpoint(), back).0, Ok(()), "a short trouble is outlasted");
        leave.cancel();
    };
    let (report, ()) = tokio::join!(running, story);
    assert!(matches!(report.warnings[..], [Warning::HeartbeatLate { .. }]), "{:?}", report.warnings);
}

/// A lease is finished once the children of its shard have leases, and its process may end before they do.
#[tokio::test(start_paused = true)]
async fn what_was_done_of_an_ended_shard_is_stored_before_its_children_have_leases() {
    let kinesis = one_shard_with_a_record();
    let store = Remote::new();
    let checkpoints = Checkpoints::Automatic { every: Duration::from_secs(3_600) };
    let settings = ConsumerSettings { checkpoints, ..ConsumerSettings::default() };
    let (done, mut received) = mpsc::channel::<SequenceNumber>(1);
    let source = ModelSource::new(kinesis.clone(), name("orders"));
    let consumer = Consumer::builder(Arc::new(store.clone()), Arc::new(source))
        .settings(settings)
        .build(each_batch(move |batch: ShardBatch| {
            let (done, last) = (done.clone(), batch.records().last().map(|record| record.sequence_number.clone()));
            async move { done.send(last.expect("no batch is empty")).await.map_err(io::Error::other) }
        }))
        .expect("the settings work");
    let leave = CancellationToken::new();
    let asked = leave.clone();
    let running = async move { consumer.run_until(asked.cancelled()).await.expect("nothing ends the consumer") };
    let story = async {
        let last = received.recv().await.expect("a batch");
        store.refuses_new.store(true, Ordering::SeqCst);
        let parent = store.table.list().await.expect("memory does not fail").swap_remove(0);
        kinesis.split_shard("orders", &parent.key.shard, 1).expect("it is open");
        let is_stored = async {
            let stored = Position::After(RecordPosition::whole(last));
            while store.table.get(&parent.key).await.expect("memory does not fail").expect("it is there").position
                != stored
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), is_stored).await.expect("it is stored within a minute");
        leave.cancel();
    };
    let _ = tokio::join!(running, story);
    let leases = store.table.list().await.expect("memory does not fail");
    assert_eq!(leases.len(), 1, "the children have none: {leases:?}");
}
