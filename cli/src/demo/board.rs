//! What is going on, as all parts of the demo see it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    changes: watch::Sender<u64>,
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
        Self { started, ledger: Ledger::default(), picture: Arc::new(Mutex::new(picture)), changes }
    }

    fn lock(&self) -> MutexGuard<'_, Picture> {
        self.picture.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// The leases that a worker reads, in order.
    pub(super) fn read_by<'picture>(&'picture self, worker: &'picture str) -> impl Iterator<Item = &'picture LeaseKey> {
        self.readers.iter().filter(move |(_, (reader, _))| reader == worker).map(|(key, _)| key)
    }
}
