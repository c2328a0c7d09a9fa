//! The lease table, with its rows on the board.

use std::sync::Arc;

use async_trait::async_trait;
use lease_core::{Beat, Change, Expected, Hints, Lease, LeaseKey, LeaseStore, Outcome, StoreError, WorkerRow};

use super::board::Board;

/// A store that shows each applied write on the board.
#[derive(Debug)]
pub(super) struct ObservedStore {
    pub(super) inner: Arc<dyn LeaseStore>,
    pub(super) board: Board,
}

#[async_trait]
impl LeaseStore for ObservedStore {
    async fn list(&self) -> Result<Vec<Lease>, StoreError> {
        self.inner.list().await
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, StoreError> {
        self.inner.get(key).await
    }

    async fn put(&self, expected: Expected, next: &Lease) -> Result<Outcome<Lease>, StoreError> {
        let outcome = self.inner.put(expected, next).await?;
        if outcome == Outcome::Applied {
            self.board.change(|picture| {
                picture.moves += u64::from(next.last_change == Change::Given && !picture.is_over);
                picture.leases.insert(next.key.clone(), next.clone());
            });
        }
        Ok(outcome)
    }

    async fn delete(&self, lease: &Lease) -> Result<Outcome<Lease>, StoreError> {
        let outcome = self.inner.delete(lease).await?;
        if outcome == Outcome::Applied {
            self.board.change(|picture| {
                picture.leases.remove(&lease.key);
            });
        }
        Ok(outcome)
    }

    async fn heartbeat(&self, me: &WorkerRow) -> Result<Beat, StoreError> {
        self.inner.heartbeat(me).await
    }

    async fn forget(&self, worker: &WorkerRow) -> Result<Outcome<WorkerRow>, StoreError> {
        self.inner.forget(worker).await
    }

    fn hints(&self) -> Option<Box<dyn Hints>> {
        self.inner.hints()
    }
}
