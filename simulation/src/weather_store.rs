//! The lease table as one process reaches it: through the weather.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use fastrand::Rng;
use lease_core::testing::block_on_ready;
use lease_core::{
    Beat, Epoch, Expected, Hints, Lease, LeaseKey, LeaseStore, MemoryStore, Outcome, StoreError, StoreErrorKind,
    StoreOperation, WorkerRow,
};
use tokio::time::{Instant, sleep};

use crate::fnv::Fnv;
use crate::nature::{Nature, Observation, ProcessId};
use crate::process::validity;
use crate::schedule::{Traits, Weather};

/// How long an answer takes at the least: as long as the step in which processes take turns, so that all calls of a step may
/// as well have taken place at its end, one after the other.
pub(crate) const STEP: Duration = Duration::from_millis(50);

/// For about as long a consumer waits for an answer.
const PATIENCE: Duration = Duration::from_millis(2_400);

/// One memory table, and what happens to the calls of one process.
#[derive(Debug)]
pub(crate) struct WeatherStore {
    table: MemoryStore,
    nature: Nature,
    process: ProcessId,
    name: usize,
    validity: Duration,
    has_hints: bool,
    random: Mutex<Rng>,
    late: LateWrites,
    /// How many writes of leases wait for their answers.
    writes: AtomicUsize,
    /// When the last heartbeat that was confirmed to the process was sent, on its own clock.
    confirmed: Arc<Mutex<Option<Instant>>>,
}

/// Writes that are still under way although nobody waits for them: the world carries them out.
#[derive(Debug, Clone, Default)]
pub(crate) struct LateWrites(Arc<Mutex<Vec<LateWrite>>>);

/// Such a write, and when it arrives.
#[derive(Debug)]
pub(crate) struct LateWrite {
    pub(crate) at: Duration,
    call: LateCall,
}

#[derive(Debug)]
enum LateCall {
    Put(Expected, Lease),
    Delete(Lease),
    Heartbeat(WorkerRow),
}

/// What becomes of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered(Duration),
    /// It is long under way, but its caller still waits.
    Delayed(Duration),
    NeverSent(Duration),
    ReplyLost(Duration),
    Late(Duration),
    LostInSilence,
    CarriedOutInSilence,
}

impl Fate {
    /// What went wrong, for the coverage.
    const fn kind(self) -> Option<&'static str> {
        match self {
            Self::Answered(_) => None,
            Self::Delayed(_) => Some("a call is long under way"),
            Self::NeverSent(_) => Some("a call is not sent"),
            Self::ReplyLost(_) => Some("a reply is lost"),
            Self::Late(_) => Some("a write is late"),
            Self::LostInSilence => Some("a call is lost, without a word"),
            Self::CarriedOutInSilence => Some("a reply is lost, without a word"),
        }
    }
}

impl LateWrites {
    /// The writes that have arrived by then, in the order of their sending.
    pub(crate) fn arrived(&self, now: Duration) -> Vec<LateWrite> {
        let mut writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writes.extract_if(.., |write| write.at <= now).collect()
    }

    /// None of them arrives.
    pub(crate) fn lose(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn send(&self, write: LateWrite) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(write);
    }
}

/// A write that arrives late is carried out like any other.
pub(crate) fn carry_out_late(table: &MemoryStore, nature: &Nature, write: LateWrite) {
    match write.call {
        LateCall::Put(expected, next) => drop(put(table, nature, expected, &next)),
        LateCall::Delete(lease) => drop(delete(table, nature, &lease)),
        LateCall::Heartbeat(row) => drop(block_on_ready(table.heartbeat(&row))),
    }
}

fn put(table: &MemoryStore, nature: &Nature, expected: Expected, next: &Lease) -> Result<Outcome<Lease>, StoreError> {
    let before = block_on_ready(table.get(&next.key))?;
    let outcome = block_on_ready(table.put(expected, next))?;
    let mut facts = nature.facts();
    let (key, change, position) = (&next.key, next.last_change.as_str(), &next.position);
    let applied = outcome == Outcome::Applied;
    facts.note(format_args!("{key} {change} v{} e{} {position} applied={applied}", next.version, next.epoch));
    if applied {
        facts.see(&Observation::Written { before: before.as_ref(), after: Some(next) });
    }
    Ok(outcome)
}

fn delete(table: &MemoryStore, nature: &Nature, lease: &Lease) -> Result<Outcome<Lease>, StoreError> {
    let key = &lease.key;
    let before = block_on_ready(table.get(key))?;
    let outcome = block_on_ready(table.delete(lease))?;
    if outcome == Outcome::Applied {
        let mut facts = nature.facts();
        facts.note(format_args!("{key} removed"));
        facts.see(&Observation::Written { before: before.as_ref(), after: None });
    }
    Ok(outcome)
}

impl WeatherStore {
    pub(crate) fn new(
        table: MemoryStore,
        nature: Nature,
        (process, name): (ProcessId, usize),
        traits: Traits,
        has_hints: bool,
        seed: u64,
        late: LateWrites,
    ) -> Self {
        let random = Mutex::new(Rng::with_seed(seed));
        Self {
            table,
            nature,
            process,
            name,
            validity: validity(traits),
            has_hints,
            random,
            late,
            writes: AtomicUsize::new(0),
            confirmed: Arc::default(),
        }
    }

    /// How long ago the last confirmed heartbeat was sent.
    pub(crate) fn silence(&self) -> Option<Duration> {
        let confirmed = *self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        confirmed.map(|sent| sent.elapsed())
    }

    fn fate(&self) -> Fate {
        let (weather, is_cut) = {
            let mut facts = self.nature.facts();
            (facts.weather_of(self.name), facts.cut.remove(&self.process))
        };
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let mut millis = |from: u64, to: u64| Duration::from_millis(random.u64(from..to));
        let usual = STEP + millis(0, 100);
        let long = STEP + millis(100, 9_000);
        match (weather, random.bool()) {
            _ if is_cut => Fate::NeverSent(usual),
            (Weather::Cut, _) => Fate::NeverSent(usual),
            (Weather::RepliesLost, true) => Fate::ReplyLost(usual),
            (Weather::Silent, true) => Fate::CarriedOutInSilence,
            (Weather::Silent, false) => Fate::LostInSilence,
            (Weather::Late, true) => Fate::Late(long),
            (Weather::Slow, true) => Fate::Answered(long.min(PATIENCE)),
            (Weather::Slow, false) => Fate::Delayed(long.min(PATIENCE)),
            (Weather::Fair | Weather::RepliesLost | Weather::Late, _) => Fate::Answered(usual),
        }
    }

    /// Carries a call out, or not, and lets its reply through, or not.
    async fn call<Answer>(
        &self,
        operation: StoreOperation,
        late: Option<LateCall>,
        act: impl FnOnce() -> Result<Answer, StoreError>,
    ) -> Result<Answer, StoreError> {
        let fate = self.fate();
        let losses = self.nature.facts().losses;
        // A call that is under way when the table starts again ends with its connection.
        let is_cut = || {
            let mut facts = self.nature.facts();
            let is_cut = facts.losses != losses;
            if is_cut {
                // The process knows by that that its connection is broken.
                facts.cut.remove(&self.process);
            }
            is_cut
        };
        {
            let mut facts = self.nature.facts();
            facts.note(format_args!("process {} {operation:?} {fate:?}", self.process));
            fate.kind().into_iter().for_each(|kind| facts.count(kind));
        }
        let ambiguous = || StoreError::new(StoreErrorKind::Ambiguous, operation, "the reply was lost");
        let unavailable = || StoreError::new(StoreErrorKind::Unavailable, operation, "out of reach");
        match (fate, late) {
            (Fate::Answered(latency), _) => {
                let answer = act();
                sleep(latency).await;
                if is_cut() { Err(ambiguous()) } else { answer }
            }
            (Fate::Delayed(delay), _) => {
                sleep(delay).await;
                if is_cut() {
                    return Err(ambiguous());
                }
                let answer = act();
                sleep(STEP).await;
                if is_cut() { Err(ambiguous()) } else { answer }
            }
            (Fate::NeverSent(latency), _) => {
                sleep(latency).await;
                Err(unavailable())
            }
            (Fate::ReplyLost(latency), _) => {
                let _unheard = act();
                sleep(latency).await;
                Err(ambiguous())
            }
            (Fate::Late(delay), Some(call)) => {
                let at = self.nature.facts().now + delay;
                self.late.send(LateWrite { at, call });
                std::future::pending().await
            }
            (Fate::CarriedOutInSilence, _) => {
                let _unheard = act();
                std::future::pending().await
            }
            (Fate::LostInSilence | Fate::Late(_), _) => std::future::pending().await,
        }
    }

    /// A table that may lose rows tells its time, as Redis does.
    fn beat(&self, me: &WorkerRow) -> Result<Beat, StoreError> {
        let mut beat = block_on_ready(self.table.heartbeat(me))?;
        let facts = self.nature.facts();
        if let Beat::Written { epoch_floor, .. } = &mut beat
            && facts.losses.is_some()
        {
            *epoch_floor = Epoch(u64::try_from(facts.now.as_millis()).unwrap_or(u64::MAX));
        }
        Ok(beat)
    }

    /// Every second list, at random, is read in two pages, with a pause between them in which others may write, as a table of many
    /// rows is: of each row it shows what was there at the one moment or the other.
    fn pages(&self) -> Option<(u64, Duration)> {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        random.bool().then(|| (random.u64(..), Duration::from_millis(random.u64(..1_000))))
    }

    async fn list_by_pages(&self) -> Result<Vec<Lease>, StoreError> {
        let Some((list, pause)) = self.pages() else {
            return self.call(StoreOperation::List, None, || block_on_ready(self.table.list())).await;
        };
        let page = |is_first: bool| {
            move || {
                let mut leases = block_on_ready(self.table.list())?;
                leases.retain(|lease| is_on_first_page(&lease.key, list) == is_first);
                Ok(leases)
            }
        };
        let mut leases = self.call(StoreOperation::List, None, page(true)).await?;
        let before: Vec<Lease> = leases.clone();
        sleep(pause).await;
        leases.extend(self.call(StoreOperation::List, None, page(false)).await?);
        let is_torn = page(true)()? != before;
        if is_torn {
            self.nature.facts().count("a list shows two moments");
        }
        leases.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(leases)
    }
}

/// Counts a write for as long as it waits for its answer.
struct Waiting<'writes>(&'writes AtomicUsize);

impl<'writes> Waiting<'writes> {
    fn of(writes: &'writes AtomicUsize) -> Self {
        writes.fetch_add(1, Ordering::Relaxed);
        Self(writes)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether a row is on the first of two pages, which differ from list to list.
fn is_on_first_page(key: &LeaseKey, list: u64) -> bool {
    let mut hash = Fnv::default();
    hash.take(format_args!("{list} {key}"));
    // Keys that differ in their last letter alone have hashes that differ in few bits.
    Rng::with_seed(hash.value()).bool()
}

#[async_trait]
impl LeaseStore for WeatherStore {
    async fn list(&self) -> Result<Vec<Lease>, StoreError> {
        let losses = self.nature.facts().losses;
        let leases = self.list_by_pages().await?;
        let mut facts = self.nature.facts();
        if facts.losses == losses && self.writes.load(Ordering::Relaxed) == 0 {
            facts.see(&Observation::Listed { process: self.process });
        }
        Ok(leases)
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, StoreError> {
        self.call(StoreOperation::Get, None, || block_on_ready(self.table.get(key))).await
    }

    async fn put(&self, expected: Expected, next: &Lease) -> Result<Outcome<Lease>, StoreError> {
        let late = LateCall::Put(expected, next.clone());
        let _waits = Waiting::of(&self.writes);
        self.call(StoreOperation::Put, Some(late), || put(&self.table, &self.nature, expected, next)).await
    }

    async fn delete(&self, lease: &Lease) -> Result<Outcome<Lease>, StoreError> {
        let late = LateCall::Delete(lease.clone());
        self.call(StoreOperation::Delete, Some(late), || delete(&self.table, &self.nature, lease)).await
    }

    async fn heartbeat(&self, me: &WorkerRow) -> Result<Beat, StoreError> {
        let sent = Instant::now();
        let late = LateCall::Heartbeat(me.clone());
        let beat = self.call(StoreOperation::Heartbeat, Some(late), || self.beat(me)).await?;
        if let Beat::Written { .. } = beat {
            self.nature.facts().see(&Observation::Confirmed { process: self.process });
            let before = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner).replace(sent);
            if before.is_some_and(|before| before.elapsed() >= self.validity) {
                let mut facts = self.nature.facts();
                facts.count("a worker lapses");
                facts.see(&Observation::Lapsed);
            }
        }
        Ok(beat)
    }

    async fn forget(&self, worker: &WorkerRow) -> Result<Outcome<WorkerRow>, StoreError> {
        self.call(StoreOperation::Forget, None, || block_on_ready(self.table.forget(worker))).await
    }

    fn hints(&self) -> Option<Box<dyn Hints>> {
        if self.has_hints { self.table.hints() } else { None }
    }
}
