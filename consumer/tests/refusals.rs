//! What ends a consumer that cannot do its work, instead of leaving it silent, in virtual time.

use std::sync::Arc;

use async_trait::async_trait;
use consumer::{Consumer, ConsumerError, each_batch};
use kinesis_testing::{Clock, Kinesis, Limits, ModelSource};
use lease_core::{
    Beat, Expected, Hints, Lease, LeaseKey, LeaseStore, MemoryStore, Outcome, StoreError, StoreErrorKind,
    StoreOperation, WorkerRow,
};
use stream_types::{Name, Timestamp};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

fn name(text: &str) -> Name {
    Name::new(text).expect("a valid name")
}

type Ended = Result<consumer::Report, ConsumerError>;

/// Starts a consumer of the stream, which is there.
fn start(kinesis: &Kinesis, store: Arc<dyn LeaseStore>, stream: &str) -> (CancellationToken, JoinHandle<Ended>) {
    let source = ModelSource::new(kinesis.clone(), name(stream));
    let consumer = Consumer::builder(store, Arc::new(source))
        .build(each_batch(async |_batch| Ok::<(), std::io::Error>(())))
        .expect("the settings work");
    let leave = CancellationToken::new();
    let asked = leave.clone();
    #[expect(clippy::disallowed_methods, reason = "the test joins it")]
    let running = tokio::spawn(async move { consumer.run_until(asked.cancelled()).await });
    (leave, running)
}

fn kinesis(streams: &[&str]) -> Kinesis {
    let clock = Clock::of_the_runtime(Timestamp::from_unix_millis(1_700_000_000_000));
    let kinesis = Kinesis::new(clock, Limits::of_the_service());
    streams.iter().for_each(|stream| kinesis.create_stream(stream, 2).expect("a new stream"));
    kinesis
}

/// A table that may only be read, or not even that.
#[derive(Debug)]
struct Denied {
    table: MemoryStore,
    may_be_read: bool,
}

fn denied(operation: StoreOperation) -> StoreError {
    StoreError::new(StoreErrorKind::Invalid, operation, "permission denied; grant it")
}

#[async_trait]
impl LeaseStore for Denied {
    async fn list(&self) -> Result<Vec<Lease>, StoreError> {
        if self.may_be_read { self.table.list().await } else { Err(denied(StoreOperation::List)) }
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, StoreError> {
        self.table.get(key).await
    }

    async fn put(&self, _expected: Expected, _next: &Lease) -> Result<Outcome<Lease>, StoreError> {
        Err(denied(StoreOperation::Put))
    }

    async fn delete(&self, _lease: &Lease) -> Result<Outcome<Lease>, StoreError> {
        Err(denied(StoreOperation::Delete))
    }

    async fn heartbeat(&self, _me: &WorkerRow) -> Result<Beat, StoreError> {
        Err(denied(StoreOperation::Heartbeat))
    }

    async fn forget(&self, _worker: &WorkerRow) -> Result<Outcome<WorkerRow>, StoreError> {
        Err(denied(StoreOperation::Forget))
    }

    fn hints(&self) -> Option<Box<dyn Hints>> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_table_that_refuses_the_worker_ends_the_consumer_and_says_why() {
    for (may_be_read, verb) in [(true, "heartbeat"), (false, "list")] {
        let store = Denied { table: MemoryStore::new(name("application")), may_be_read };
        let (_leave, running) = start(&kinesis(&["orders"]), Arc::new(store), "orders");
        let error = running.await.expect("no task panics").expect_err("it cannot work");
        assert!(matches!(error, ConsumerError::LeaseTable(_)), "{error}");
        assert_eq!(error.to_string(), format!("the lease store refuses a {verb}: permission denied; grant it"));
    }
}
