//! What is going on, as all parts of the demo see it.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kinesis_testing::Ledger;
use lease_core::{Epoch, Lease, LeaseKey};
use tokio::sync::watch;

/// The shared picture. Clones show the same.
#[derive(Debug, Clone)]
pub(super) struct Board {
    started: Instant,
    pub(super) ledger: Ledger,
    picture: Arc<Mutex<Picture>>,
    ice: Arc<Ice>,
    changes: watch::Sender<u64>,
}

/// Holds up the thread of one worker.
#[derive(Debug, Default)]
struct Ice {
    frozen: Mutex<Option<String>>,
    thawed: Condvar,
}

/// The picture at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Picture {
    pub(super) elapsed: Duration,
    pub(super) target_records: u64,
    pub(super) produced: u64,
    pub(super) delivered: u64,
    pub(super) first_record: Option<Duration>,
    pub(super) workers: BTreeMap<String, WorkerPicture>,
    pub(super) leases: BTreeMap<LeaseKey, Lease>,
    /// Who reads which shard under which epoch.
    pub(super) readers: BTreeMap<LeaseKey, (String, Epoch)>,
    /// How many leases a living worker gave to another, while the story lasted.
    pub(super) moves: u64,
    /// The story is over: what happens now is only that everybody leaves.
    pub(super) is_over: bool,
    pub(super) lines: Vec<String>,
    /// The highest fencing token that the sink has seen, by shard. It refuses lower ones.
    pub(super) tokens: BTreeMap<LeaseKey, Epoch>,
    /// How many records the sink has refused.
    pub(super) late_effects: u64,
    /// How many processors learned that their lease was lost.
    pub(super) leases_lost: u64,
    /// A worker stands still in the middle of a batch.
    pub(super) is_frozen_now: bool,
    /// Counts what happens to shards, to tell what came first.
    turns: u64,
    begun: BTreeMap<LeaseKey, u64>,
    ended: BTreeMap<LeaseKey, u64>,
    /// When a shard last brought records, and its longest silence so far.
    pub(super) silences: BTreeMap<LeaseKey, (Instant, Duration)>,
    /// How many records were produced that cannot be processed.
    pub(super) poisoned: u64,
    /// What was put away.
    pub(super) dead_letters: Vec<String>,
}

/// A worker as people see it.
#[derive(Debug, Clone)]
pub(super) struct WorkerPicture {
    pub(super) state: WorkerState,
    pub(super) delivered: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkerState {
    Running,
    Leaving,
    Left,
    Crashed,
}

impl Board {
    pub(super) fn new(started: Instant, target_records: u64) -> Self {
        let picture = Picture { target_records, ..Picture::default() };
        let (changes, _) = watch::channel(0);
        Self {
            started,
            ledger: Ledger::default(),
            picture: Arc::new(Mutex::new(picture)),
            ice: Arc::default(),
            changes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Picture> {
        self.picture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Freezes a worker, from the middle of its next batch on, or lets it go.
    pub(super) fn freeze(&self, worker: &str, is_frozen: bool) {
        *self.ice.frozen.lock().unwrap_or_else(PoisonError::into_inner) = is_frozen.then(|| worker.to_owned());
        self.ice.thawed.notify_all();
    }

    /// Holds up this thread while the worker is frozen.
    pub(super) fn stand_still_if_frozen(&self, worker: &str) {
        let frozen = self.ice.frozen.lock().unwrap_or_else(PoisonError::into_inner);
        if frozen.as_deref() == Some(worker) {
            self.change(|picture| picture.is_frozen_now = true);
            drop(self.ice.thawed.wait_while(frozen, |frozen| frozen.as_deref() == Some(worker)));
        }
    }

    /// How long the program has been running.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Changes the picture, and wakes those who wait for a change.
    pub(super) fn change(&self, change: impl FnOnce(&mut Picture)) {
        change(&mut self.lock());
        self.changes.send_modify(|count| *count += 1);
    }

    /// Looks at the picture as it is now.
    pub(super) fn look<Seen>(&self, look: impl FnOnce(&Picture) -> Seen) -> Seen {
        look(&self.lock())
    }

    /// The picture as it is now, with the sums of the ledger.
    pub(super) fn picture(&self) -> Picture {
        let tally = self.ledger.tally();
        let picture = self.lock().clone();
        Picture { elapsed: self.elapsed(), produced: tally.produced, delivered: tally.delivered, ..picture }
    }

    /// Tells the story's next line.
    pub(super) fn tell(&self, line: impl std::fmt::Display) {
        let seconds = self.elapsed().as_secs_f64();
        self.change(|picture| picture.lines.push(format!("{seconds:7.2} s  {line}")));
    }

    pub(super) fn set_state(&self, worker: &str, state: WorkerState) {
        self.change(|picture| {
            let new = WorkerPicture { state, delivered: 0 };
            picture.workers.entry(worker.into()).or_insert(new).state = state;
        });
    }

    /// Waits until the picture meets the condition; says whether it did before the deadline.
    pub(super) async fn wait_until(&self, deadline: Duration, condition: impl Fn(&Picture) -> bool) -> bool {
        let mut changes = self.changes.subscribe();
        let met = async {
            while !self.look(&condition) {
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout(deadline, met).await.is_ok()
    }
}

impl Picture {
    /// The leases that may run: not finished, all parents finished or gone.
    pub(super) fn runnable(&self) -> impl Iterator<Item = &Lease> {
        let is_done = |key: &LeaseKey| self.leases.get(key).is_none_or(Lease::is_finished);
        self.leases.values().filter(move |lease| {
            !lease.is_finished() && lease.parents.iter().all(|parent| is_done(&lease.key.sibling(parent.clone())))
        })
    }

    /// How many runnable leases each running worker owns and reads.
    pub(super) fn counts(&self) -> BTreeMap<&str, usize> {
        let running = self.workers.iter().filter(|(_, worker)| worker.state == WorkerState::Running);
        let mut counts: BTreeMap<&str, usize> = running.map(|(name, _)| (name.as_str(), 0)).collect();
        for lease in self.runnable() {
            let reader = self.readers.get(&lease.key).filter(|(_, epoch)| *epoch == lease.epoch);
            let owner = lease.owner.as_ref().map(|owner| owner.name.as_str());
            if let Some(count) = reader.filter(|(reader, _)| Some(reader.as_str()) == owner).and(owner) {
                counts.entry(count).and_modify(|count| *count += 1);
            }
        }
        counts
    }

    /// Whether every runnable lease is read by a running worker, and their counts differ by at most one.
    pub(super) fn is_level(&self) -> bool {
        let counts = self.counts();
        let all_read = counts.values().sum::<usize>() == self.runnable().count();
        let (least, most) = (counts.values().min(), counts.values().max());
        all_read && !self.leases.is_empty() && most <= least.map(|least| least + 1).as_ref()
    }

    /// The unfinished leases whose rows say that a worker has them.
    pub(super) fn owned_by<'picture>(&'picture self, worker: &'picture str) -> impl Iterator<Item = &'picture Lease> {
        let owner = move |lease: &&Lease| lease.owner.as_ref().is_some_and(|owner| owner.name.as_str() == worker);
        self.leases.values().filter(|lease| !lease.is_finished()).filter(owner)
    }

    /// A shard's reading begins.
    pub(super) fn begins(&mut self, key: &LeaseKey, worker: &str, epoch: Epoch) {
        self.turns += 1;
        self.begun.entry(key.clone()).or_insert(self.turns);
        self.readers.insert(key.clone(), (worker.to_owned(), epoch));
        let highest = self.tokens.entry(key.clone()).or_insert(epoch);
        *highest = epoch.max(*highest);
    }

    /// All records of a shard are done.
    pub(super) fn ends(&mut self, key: &LeaseKey) {
        self.turns += 1;
        self.ended.entry(key.clone()).or_insert(self.turns);
    }

    /// How many shards were begun before all their parents had ended.
    pub(super) fn begun_too_early(&self) -> u64 {
        let is_early = |lease: &&Lease| {
            let begun = self.begun.get(&lease.key);
            let ended = lease.parents.iter().map(|parent| self.ended.get(&lease.key.sibling(parent.clone())));
            begun.is_some() && ended.into_iter().any(|ended| ended.is_none() || ended > begun)
        };
        self.leases.values().filter(is_early).count() as u64
    }

    /// A shard has brought records.
    pub(super) fn is_heard_of(&mut self, key: &LeaseKey) {
        let now = Instant::now();
        let (last, longest) = self.silences.entry(key.clone()).or_insert((now, Duration::ZERO));
        *longest = now.duration_since(*last).max(*longest);
        *last = now;
    }

    /// Silences count from now on.
    pub(super) fn listens_anew(&mut self) {
        let now = Instant::now();
        self.silences.values_mut().for_each(|silence| *silence = (now, Duration::ZERO));
    }

    /// Whether every shard that may be read has brought records since then.
    pub(super) fn has_heard_all_since(&self, moment: Instant) -> bool {
        let last = |lease: &Lease| self.silences.get(&lease.key).map(|(last, _)| *last);
        self.runnable().all(|lease| last(lease) > Some(moment))
    }

    /// The longest silence of any shard.
    pub(super) fn longest_silence(&self) -> Duration {
        self.silences.values().map(|(_, longest)| *longest).max().unwrap_or_default()
    }

    /// The leases that a worker reads, in order.
    pub(super) fn read_by<'picture>(&'picture self, worker: &'picture str) -> impl Iterator<Item = &'picture LeaseKey> {
        self.readers.iter().filter(move |(_, (reader, _))| reader == worker).map(|(key, _)| key)
    }
}
