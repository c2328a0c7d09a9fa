//! A store that does not keep one field of its rows, to prove that the conformance suite finds it.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use lease_core::testing::{StoreFactory, lease, worker, worker_row};
use lease_core::{
    Beat, Expected, Hints, Lease, LeaseKey, LeaseStore, MemoryStore, Outcome, RowFields, StoreError, WorkerRow,
};
use stream_types::Name;

/// How a field is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oblivion {
    /// It is not stored at all.
    NeverStored,
    /// It is stored with a new row, and left out when the row is written over.
    NotUpdated,
}

/// Makes stores that lose that field.
#[derive(Debug)]
pub struct ForgetfulFactory {
    table: MemoryStore,
    registry: Registry,
    field: String,
    oblivion: Oblivion,
}

/// The workers' rows as they were written last, by application.
type Registry = Arc<Mutex<BTreeMap<(Name, Name), WorkerRow>>>;

/// A memory store that loses a field.
#[derive(Debug)]
struct ForgetfulStore {
    honest: MemoryStore,
    application: Name,
    registry: Registry,
    field: String,
    oblivion: Oblivion,
}

impl ForgetfulFactory {
    /// A fresh table that loses the field of that name, in the form in which backends store rows.
    #[must_use]
    pub fn new(field: &str, oblivion: Oblivion) -> Self {
        let table = MemoryStore::new(worker("any").name);
        Self { table, registry: Registry::default(), field: field.to_owned(), oblivion }
    }
}

#[async_trait]
impl StoreFactory for ForgetfulFactory {
    async fn open(&self, application: Name) -> Arc<dyn LeaseStore> {
        Arc::new(ForgetfulStore {
            honest: self.table.for_application(application.clone()),
            application,
            registry: Arc::clone(&self.registry),
            field: self.field.clone(),
            oblivion: self.oblivion,
        })
    }

    fn block_on(&self, check: Pin<Box<dyn Future<Output = ()> + '_>>) {
        lease_core::testing::block_on_ready(check);
    }
}

impl ForgetfulStore {
    /// The fields to be stored, with the forgotten one as it is in the other row.
    fn stored(&self, next: &RowFields, before: Option<RowFields>, bare: RowFields) -> RowFields {
        let other = match self.oblivion {
            Oblivion::NeverStored => bare,
            Oblivion::NotUpdated => before.unwrap_or_else(|| next.clone()),
        };
        let kept = next.iter().filter(|(field, _)| *field != self.field);
        let forgotten = other.iter().filter(|(field, _)| *field == self.field);
        kept.chain(forgotten).map(|(field, value)| (field.to_owned(), value.clone())).collect()
    }
}

#[async_trait]
impl LeaseStore for ForgetfulStore {
    async fn list(&self) -> Result<Vec<Lease>, StoreError> {
        self.honest.list().await
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, StoreError> {
        self.honest.get(key).await
    }

    async fn put(&self, expected: Expected, next: &Lease) -> Result<Outcome<Lease>, StoreError> {
        let before = self.honest.get(&next.key).await?.map(|row| row.to_fields());
        let bare = Lease { parents: Vec::new(), hash_range: None, ..lease("bare") }.taken_by(&worker("bare"));
        let stored = self.stored(&next.to_fields(), before, bare.to_fields());
        // Without one of the fields of its owner, the row could not be read, and the check would have it too easy.
        self.honest.put(expected, &Lease::from_fields(&stored).unwrap_or_else(|_| next.clone())).await
    }

    async fn delete(&self, lease: &Lease) -> Result<Outcome<Lease>, StoreError> {
        self.honest.delete(lease).await
    }

    async fn heartbeat(&self, me: &WorkerRow) -> Result<Beat, StoreError> {
        let key = (self.application.clone(), me.name.clone());
        let before = self.registry.lock().expect("no test panics with the lock").get(&key).map(WorkerRow::to_fields);
        let bare = WorkerRow::registering(worker("bare"), None);
        let stored = self.stored(&me.to_fields(), before, bare.to_fields());
        let row = WorkerRow::from_fields(&stored).unwrap_or_else(|_| me.clone());
        let beat = self.honest.heartbeat(&row).await?;
        if matches!(beat, Beat::Written { .. }) {
            self.registry.lock().expect("no test panics with the lock").insert(key, row);
        }
        Ok(beat)
    }

    async fn forget(&self, worker: &WorkerRow) -> Result<Outcome<WorkerRow>, StoreError> {
        self.honest.forget(worker).await
    }

    fn hints(&self) -> Option<Box<dyn Hints>> {
        None
    }
}

/// The names of all fields of a lease's row that a store may lose without losing the row.
#[must_use]
pub fn lease_fields() -> Vec<String> {
    let row = lease("any").taken_by(&worker("any"));
    named(&row.to_fields(), &["stream", "shard", "version"])
}

/// The same for a worker's row.
#[must_use]
pub fn worker_fields() -> Vec<String> {
    named(&worker_row("any").to_fields(), &["name"])
}

fn named(fields: &RowFields, keys: &[&str]) -> Vec<String> {
    fields.iter().map(|(field, _)| field.to_owned()).filter(|field| !keys.contains(&field.as_str())).collect()
}
