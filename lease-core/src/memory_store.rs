//! The lease table in memory: the reference for all others.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use async_trait::async_trait;
use stream_types::Name;

use crate::{Beat, Epoch, Expected, Hints, Lease, LeaseKey, LeaseStore, Outcome, StoreError, WorkerRow};

/// A lease table that lives and dies with its process: for tests, demos, and fleets within one process.
///
/// It is also the reference: whatever another store answers, this one answers too. Clones share their rows.
///
/// ```
/// use lease_core::MemoryStore;
/// use stream_types::Name;
///
/// let store = MemoryStore::new(Name::new("billing")?);
/// let of_another_worker = store.clone();
/// # Ok::<(), stream_types::InvalidName>(())
/// ```
#[derive(Debug, Clone)]
pub struct MemoryStore {
    application: Name,
    tables: Arc<Mutex<Tables>>,
}

type Tables = BTreeMap<Name, Table>;

#[derive(Debug, Default)]
struct Table {
    leases: BTreeMap<LeaseKey, Lease>,
    workers: BTreeMap<Name, WorkerRow>,
    /// Counts what hints are given for, so that a waiter sees what happened before it waited.
    changes: u64,
    waiting: Vec<Waker>,
}

impl Table {
    fn hint(&mut self) {
        self.changes += 1;
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

impl MemoryStore {
    /// An empty table of leases for one application.
    #[must_use]
    pub fn new(application: Name) -> Self {
        Self { application, tables: Arc::default() }
    }

    /// The same memory, as another application sees it.
    #[must_use]
    pub fn for_application(&self, application: Name) -> Self {
        Self { application, tables: Arc::clone(&self.tables) }
    }

    /// All rows as they are now, in a memory of their own.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn copied(&self) -> Self {
        let copied =
            |table: &Table| Table { leases: table.leases.clone(), workers: table.workers.clone(), ..Table::default() };
        let tables =
            lock(&self.tables).iter().map(|(application, table)| (application.clone(), copied(table))).collect();
        Self { application: self.application.clone(), tables: Arc::new(Mutex::new(tables)) }
    }

    /// Has the rows of an earlier copy again, as a table that has lost its newest writes. Nobody is told.
    #[cfg(feature = "testing")]
    pub fn go_back_to(&self, copy: &Self) {
        let copied = copy.copied();
        let mut earlier = std::mem::take(&mut *lock(&copied.tables));
        for (application, table) in lock(&self.tables).iter_mut() {
            let Table { leases, workers, .. } = earlier.remove(application).unwrap_or_default();
            (table.leases, table.workers) = (leases, workers);
        }
    }

    fn with_table<Answer>(&self, act: impl FnOnce(&mut Table) -> Answer) -> Answer {
        let mut tables = lock(&self.tables);
        act(tables.entry(self.application.clone()).or_default())
    }
}

/// No code panics while it holds the lock, and if it did, each row would still be whole.
fn lock(tables: &Mutex<Tables>) -> MutexGuard<'_, Tables> {
    tables.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl LeaseStore for MemoryStore {
    async fn list(&self) -> Result<Vec<Lease>, StoreError> {
        Ok(self.with_table(|table| table.leases.values().cloned().collect()))
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, StoreError> {
        Ok(self.with_table(|table| table.leases.get(key).cloned()))
    }

    async fn put(&self, expected: Expected, next: &Lease) -> Result<Outcome<Lease>, StoreError> {
        StoreError::check_successor(expected, next)?;
        Ok(self.with_table(|table| {
            let current = table.leases.get(&next.key);
            if current.map_or(Expected::Absent, Expected::row) != expected {
                return Outcome::Conflict { current: current.cloned() };
            }
            table.leases.insert(next.key.clone(), next.clone());
            if next.last_change.is_news() {
                table.hint();
            }
            Outcome::Applied
        }))
    }

    async fn delete(&self, lease: &Lease) -> Result<Outcome<Lease>, StoreError> {
        Ok(self.with_table(|table| {
            let current = table.leases.get(&lease.key);
            if current.map(Expected::row) != Some(Expected::row(lease)) {
                return Outcome::Conflict { current: current.cloned() };
            }
            table.leases.remove(&lease.key);
            Outcome::Applied
        }))
    }

    async fn heartbeat(&self, me: &WorkerRow) -> Result<Beat, StoreError> {
        Ok(self.with_table(|table| {
            let stored = table.workers.get(&me.name);
            if let Some(by) = stored.filter(|stored| !me.may_replace(stored)) {
                return Beat::Replaced { by: by.clone() };
            }
            table.workers.insert(me.name.clone(), me.clone());
            if me.is_news() {
                table.hint();
            }
            let workers = table.workers.values().cloned().collect();
            Beat::Written { workers, epoch_floor: Epoch::NEVER_OWNED }
        }))
    }

    async fn forget(&self, worker: &WorkerRow) -> Result<Outcome<WorkerRow>, StoreError> {
        Ok(self.with_table(|table| {
            let stored = table.workers.get(&worker.name);
            if stored != Some(worker) {
                return Outcome::Conflict { current: stored.cloned() };
            }
            table.workers.remove(&worker.name);
            table.hint();
            Outcome::Applied
        }))
    }

    fn hints(&self) -> Option<Box<dyn Hints>> {
        let seen = self.with_table(|table| table.changes);
        Some(Box::new(MemoryHints { store: self.clone(), seen }))
    }
}

/// Wakes up when the table's count of changes has grown.
#[derive(Debug)]
struct MemoryHints {
    store: MemoryStore,
    seen: u64,
}

#[async_trait]
impl Hints for MemoryHints {
    async fn next(&mut self) {
        poll_fn(|context| {
            self.store.with_table(|table| {
                if table.changes != self.seen {
                    self.seen = table.changes;
                    return Poll::Ready(());
                }
                if !table.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                    table.waiting.push(context.waker().clone());
                }
                Poll::Pending
            })
        })
        .await;
    }
}
