//! A store with one planted fault, to prove that the conformance suite finds it.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use lease_core::testing::{StoreFactory, put_in_place};
use lease_core::{Beat, Expected, Hints, Lease, LeaseKey, LeaseStore, MemoryStore, Outcome, StoreError, WorkerRow};
use stream_types::Name;

/// What the store gets wrong. Most of these were seen in published libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each name says what goes wrong")]
pub enum Fault {
    CreationOverwrites,
    StaleWriteCreates,
    LastWriterWins,
    OnlyVersionsAreCompared,
    ConflictWithoutCurrent,
    AnyNextVersionIsTaken,
    EpochsMayFall,
    ListIsStale,
    CheckThenWriteRaces,
    CheckThenCreateRaces,
    RepeatedWriteIsApplied,
    ListIsTruncated,
    ListIsOnePage,
    KeysAreFolded,
    WorkerNamesAreTrimmed,
    ApplicationNamesAreCut,
    ListIsOrderedAsText,
    DeleteIgnoresTheRow,
    DeleteIgnoresTheEpoch,
    HeartbeatOmitsOwnRow,
    HeartbeatOverwritesAnybody,
    NameIsNeverTakenOver,
    ForgottenStayForgotten,
    ForgetIgnoresTheRow,
    ApplicationsAreMixed,
    SilentWorkersExpire,
}

/// A memory store with one fault.
#[derive(Debug)]
struct FaultyStore {
    honest: MemoryStore,
    fault: Fault,
    first_list: Mutex<Option<Vec<Lease>>>,
    forgotten: Mutex<Vec<Name>>,
}

/// Makes stores with that fault.
#[derive(Debug)]
pub struct FaultyFactory {
    table: MemoryStore,
    fault: Fault,
}

impl FaultyFactory {
    /// A fresh table with that fault.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self { table: MemoryStore::new(lease_core::testing::worker("any").name), fault }
    }
}

#[async_trait]
impl StoreFactory for FaultyFactory {
    async fn open(&self, application: Name) -> Arc<dyn LeaseStore> {
        let honest = match self.fault {
            Fault::ApplicationsAreMixed => self.table.clone(),
            Fault::ApplicationNamesAreCut => {
                let cut = application.as_str().split(['/', ':']).next().unwrap_or_default();
                self.table.for_application(Name::new(cut).unwrap_or(application.clone()))
            }
            _ => self.table.for_application(application),
        };
        Arc::new(FaultyStore { honest, fault: self.fault, first_list: Mutex::default(), forgotten: Mutex::default() })
    }

    fn block_on(&self, check: Pin<Box<dyn Future<Output = ()> + '_>>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
        runtime.block_on(check);
    }
}

impl FaultyStore {
    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// Looks first and writes later, as if nothing could happen in between.
    async fn check_then_write(&self, expected: Expected, next: &Lease) -> Result<Outcome<Lease>, StoreError> {
        let there = self.honest.get(&next.key).await?;
        if there.as_ref().map_or(Expected::Absent, Expected::row) != expected {
            return Ok(Outcome::Conflict { current: there });
        }
        tokio::task::yield_now().await;
        put_in_place(&self.honest, next).await
    }
}

#[async_trait]
impl LeaseStore for FaultyStore {
    async fn list(&self) -> Result<Vec<Lease>, StoreError> {
        let mut leases = self.honest.list().await?;
        match self.fault {
            Fault::ListIsStale => {
                let mut first = self.first_list.lock().expect("no test panics with the lock");
                leases = first.get_or_insert(leases).clone();
            }
            Fault::ListIsTruncated => leases.truncate(100),
            Fault::ListIsOnePage => leases.truncate(600),
            Fault::ListIsOrderedAsText => leases.sort_by_key(|lease| lease.key.to_string()),
            _ => {}
        }
        Ok(leases)
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, StoreError> {
        if self.has(Fault::KeysAreFolded) {
            return self.honest.get(&folded(key)).await;
        }
        self.honest.get(key).await
    }

    async fn put(&self, expected: Expected, next: &Lease) -> Result<Outcome<Lease>, StoreError> {
        if self.has(Fault::KeysAreFolded) {
            return self.honest.put(expected, &Lease { key: folded(&next.key), ..next.clone() }).await;
        }
        let there = self.honest.get(&next.key).await?;
        let follows = expected.is_followed_by(next);
        match (self.fault, expected) {
            (Fault::CreationOverwrites, Expected::Absent) if follows => return put_in_place(&self.honest, next).await,
            (Fault::StaleWriteCreates, Expected::Row { .. }) if there.is_none() && follows => {
                return put_in_place(&self.honest, next).await;
            }
            (Fault::LastWriterWins, Expected::Row { .. }) if there.is_some() && follows => {
                return put_in_place(&self.honest, next).await;
            }
            (Fault::OnlyVersionsAreCompared, Expected::Row { version, .. })
                if follows && there.as_ref().is_some_and(|there| there.version == version) =>
            {
                return put_in_place(&self.honest, next).await;
            }
            (Fault::EpochsMayFall, _) if next.version == expected.next_version() && !follows => {
                return put_in_place(&self.honest, next).await;
            }
            (Fault::AnyNextVersionIsTaken, _) if !follows => return put_in_place(&self.honest, next).await,
            (Fault::CheckThenWriteRaces, Expected::Row { .. }) | (Fault::CheckThenCreateRaces, Expected::Absent)
                if follows =>
            {
                return self.check_then_write(expected, next).await;
            }
            (Fault::RepeatedWriteIsApplied, _) if there.as_ref() == Some(next) => return Ok(Outcome::Applied),
            _ => {}
        }
        let outcome = self.honest.put(expected, next).await?;
        match outcome {
            Outcome::Conflict { .. } if self.has(Fault::ConflictWithoutCurrent) => {
                Ok(Outcome::Conflict { current: None })
            }
            outcome => Ok(outcome),
        }
    }

    async fn delete(&self, lease: &Lease) -> Result<Outcome<Lease>, StoreError> {
        let is_ignored = |there: &Lease| match self.fault {
            Fault::DeleteIgnoresTheRow => true,
            Fault::DeleteIgnoresTheEpoch => there.version == lease.version,
            _ => false,
        };
        let there = self.honest.get(&lease.key).await?.filter(is_ignored);
        self.honest.delete(there.as_ref().unwrap_or(lease)).await
    }

    async fn heartbeat(&self, me: &WorkerRow) -> Result<Beat, StoreError> {
        if self.has(Fault::WorkerNamesAreTrimmed) {
            let name = Name::new(me.name.as_str().trim()).expect("no check uses blank names");
            return self.honest.heartbeat(&WorkerRow { name, ..me.clone() }).await;
        }
        let was_forgotten = self.forgotten.lock().expect("no test panics with the lock").contains(&me.name);
        let mut beat = self.honest.heartbeat(me).await?;
        match (self.fault, &mut beat) {
            (Fault::ForgottenStayForgotten, Beat::Written { .. }) if was_forgotten => {
                beat = Beat::Replaced { by: me.clone() };
            }
            (Fault::HeartbeatOverwritesAnybody, Beat::Replaced { by }) => {
                let by = by.clone();
                let _gone = self.honest.forget(&by).await?;
                beat = self.honest.heartbeat(me).await?;
            }
            (Fault::NameIsNeverTakenOver, Beat::Written { .. }) if me.incarnation.number > 1 => {
                beat = Beat::Replaced { by: me.clone() };
            }
            (Fault::HeartbeatOmitsOwnRow, Beat::Written { workers, .. }) => workers.retain(|row| row.name != me.name),
            (Fault::SilentWorkersExpire, Beat::Written { workers, .. }) if me.heartbeat > 10 => {
                workers.retain(|row| row.name == me.name);
            }
            _ => {}
        }
        Ok(beat)
    }

    async fn forget(&self, worker: &WorkerRow) -> Result<Outcome<WorkerRow>, StoreError> {
        let outcome = self.honest.forget(worker).await?;
        self.forgotten.lock().expect("no test panics with the lock").push(worker.name.clone());
        match outcome {
            Outcome::Conflict { current: Some(there) } if self.has(Fault::ForgetIgnoresTheRow) => {
                self.honest.forget(&there).await
            }
            outcome => Ok(outcome),
        }
    }

    fn hints(&self) -> Option<Box<dyn Hints>> {
        None
    }
}

/// A key as a database sees it that takes capitals for the same letters.
fn folded(key: &LeaseKey) -> LeaseKey {
    key.to_string().to_lowercase().parse().expect("a key in small letters is a key")
}
