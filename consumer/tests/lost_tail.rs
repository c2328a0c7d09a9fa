//! A lease table that may have lost its newest rows, in virtual time: which epochs may be given out, it must say anew.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use consumer::{Consumer, ConsumerSettings, each_batch};
use kinesis_testing::{Clock, Kinesis, Limits, ModelSource};
use lease_core::{
    Beat, Change, Epoch, Expected, Hints, Lease, LeaseKey, LeaseStore, MemoryStore, Outcome, StoreError,
    StoreErrorKind, StoreOperation, WorkerRow,
};
use stream_types::{Name, Timestamp};

/// What the table was asked, in the order of the asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Heartbeat,
    Take,
    FailedTake,
}

/// A table that breaks off the first take.
#[derive(Debug, Clone)]
struct Breaking {
    table: MemoryStore,
    tells_floor: bool,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Breaking {
    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, asked: Asked) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
    }
}

#[async_trait]
impl LeaseStore for Breaking {
    async fn list(&self) -> Result<Vec<Lease>, StoreError> {
        self.table.list().await
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, StoreError> {
        self.table.get(key).await
    }

    async fn put(&self, expected: Expected, next: &Lease) -> Result<Outcome<Lease>, StoreError> {
        if next.last_change == Change::Taken {
            let is_first = !self.asked().iter().any(|asked| *asked != Asked::Heartbeat);
            self.note(if is_first { Asked::FailedTake } else { Asked::Take });
            // The others are wanted meanwhile, and wait for their turn.
            tokio::time::sleep(Duration::from_millis(10)).await;
            if is_first {
                return Err(StoreError::new(StoreErrorKind::Unavailable, StoreOperation::Put, "broken pipe"));
            }
        }
        self.table.put(expected, next).await
    }

    async fn delete(&self, lease: &Lease) -> Result<Outcome<Lease>, StoreError> {
        self.table.delete(lease).await
    }

    async fn heartbeat(&self, me: &WorkerRow) -> Result<Beat, StoreError> {
        self.note(Asked::Heartbeat);
        let floor = if self.tells_floor { Epoch(1_000 * self.asked().len() as u64) } else { Epoch::NEVER_OWNED };
        Ok(match self.table.heartbeat(me).await? {
            Beat::Written { workers, .. } => Beat::Written { workers, epoch_floor: floor },
            replaced @ Beat::Replaced { .. } => replaced,
        })
    }

    async fn forget(&self, worker: &WorkerRow) -> Result<Outcome<WorkerRow>, StoreError> {
        self.table.forget(worker).await
    }

    fn hints(&self) -> Option<Box<dyn Hints>> {
        None
    }
}

/// What was asked right after the take that failed, while three others waited for their turn.
async fn asked_after_a_failed_take(tells_floor: bool) -> Asked {
    let name = |text: &str| Name::new(text).expect("a valid name");
    let clock = Clock::of_the_runtime(Timestamp::from_unix_millis(1_700_000_000_000));
    let kinesis = Kinesis::new(clock, Limits::of_the_service());
    kinesis.create_stream("orders", 4).expect("a new stream");
    let store = Breaking { table: MemoryStore::new(name("application")), tells_floor, asked: Arc::default() };
    let settings = ConsumerSettings { concurrent_writes: 1, ..ConsumerSettings::default() };
    let consumer = Consumer::builder(Arc::new(store.clone()), Arc::new(ModelSource::new(kinesis, name("orders"))))
        .settings(settings)
        .build(each_batch(async |_batch| Ok::<(), std::io::Error>(())))
        .expect("the settings work");
    let all_taken = async {
        while store.asked().iter().filter(|asked| **asked == Asked::Take).count() < 4 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let all_taken = tokio::time::timeout(Duration::from_secs(10), all_taken);
    consumer.run_until(async { all_taken.await.expect("all four are taken") }).await.expect("nothing ends it");
    let asked = store.asked();
    let failed = asked.iter().position(|asked| *asked == Asked::FailedTake).expect("the first fails");
    asked[failed + 1]
}

/// The table may have started again in between, and given out their epochs before, without knowing it any more.
#[tokio::test(start_paused = true)]
async fn takes_that_waited_while_a_call_failed_are_sent_only_after_a_heartbeat() {
    assert_eq!(asked_after_a_failed_take(true).await, Asked::Heartbeat);
}

/// It keeps what it has confirmed: one call that is throttled must not hold up all others.
#[tokio::test(start_paused = true)]
async fn at_a_table_without_a_floor_takes_that_waited_while_a_call_failed_are_sent_at_once() {
    assert_eq!(asked_after_a_failed_take(false).await, Asked::Take);
}
