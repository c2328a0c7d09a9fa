//! A store that counts the calls of one worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use lease_core::{Beat, Expected, Hints, Lease, LeaseKey, LeaseStore, Outcome, StoreError, WorkerRow};

use crate::moves::Moves;

/// Counts what goes to the store behind it.
#[derive(Debug)]
pub(crate) struct MeteredStore {
    pub(crate) inner: Arc<dyn LeaseStore>,
    pub(crate) calls: Arc<Calls>,
    pub(crate) moves: Arc<Moves>,
}

/// How often each verb was called.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    pub(crate) heartbeats: AtomicU64,
    pub(crate) lists: AtomicU64,
    pub(crate) others: AtomicU64,
}

impl Calls {
    /// Heartbeats, lists, and everything else, since the last look.
    pub(crate) fn take(&self) -> (u64, u64, u64) {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::SeqCst);
        (take(&self.heartbeats), take(&self.lists), take(&self.others))
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::SeqCst);
}

#[async_trait]
impl LeaseStore for MeteredStore {
    async fn list(&self) -> Result<Vec<Lease>, StoreError> {
        count(&self.calls.lists);
        self.inner.list().await
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, StoreError> {
        count(&self.calls.others);
        self.inner.get(key).await
    }

    async fn put(&self, expected: Expected, next: &Lease) -> Result<Outcome<Lease>, StoreError> {
        count(&self.calls.others);
        self.moves.sent(next);
        let outcome = self.inner.put(expected, next).await;
        self.moves.answered(next, matches!(outcome, Ok(Outcome::Applied)));
        outcome
    }

    async fn delete(&self, lease: &Lease) -> Result<Outcome<Lease>, StoreError> {
        count(&self.calls.others);
        self.inner.delete(lease).await
    }

    async fn heartbeat(&self, me: &WorkerRow) -> Result<Beat, StoreError> {
        count(&self.calls.heartbeats);
        self.inner.heartbeat(me).await
    }

    async fn forget(&self, worker: &WorkerRow) -> Result<Outcome<WorkerRow>, StoreError> {
        count(&self.calls.others);
        self.inner.forget(worker).await
    }

    fn hints(&self) -> Option<Box<dyn Hints>> {
        self.inner.hints()
    }
}
