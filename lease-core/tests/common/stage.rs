//! One worker alone with a test that plays the store and the clock, and writes the answers by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use lease_core::worker::{Command, Event, Worker, WorkerSettings};
use lease_core::{Beat, Epoch, Lease, Moment, WorkerId, WorkerRow};

use super::rows::{facts, name};

/// A worker alone with the test, which plays the store and the clock.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) worker: Worker,
    pub(crate) now: Duration,
    /// What the registry shows besides the worker's own row.
    pub(crate) others: Vec<WorkerRow>,
    pub(crate) epoch_floor: Epoch,
    /// The worker has asked for a list.
    pub(crate) wants_leases: bool,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::named("me")
    }

    pub(crate) fn named(text: &str) -> Self {
        let streams = BTreeMap::from([(name("stream"), facts())]);
        let worker = Worker::new(name(text), 7, WorkerSettings::default(), streams);
        Self { worker, now: Duration::ZERO, others: Vec::new(), epoch_floor: Epoch::NEVER_OWNED, wants_leases: false }
    }

    /// The worker has registered, and seen these leases.
    pub(crate) fn set(leases: &[Lease]) -> Self {
        let mut stage = Self::new();
        stage.beat_and_show(leases);
        stage
    }

    /// The worker is told, a millisecond later.
    pub(crate) fn tell(&mut self, event: Event) -> Vec<Command> {
        self.now += Duration::from_millis(1);
        let commands = self.worker.on(event, Moment::from_start(self.now));
        self.wants_leases |= commands.iter().any(|command| matches!(command, Command::ListLeases));
        commands
    }

    /// Time passes until the worker wants to be woken.
    pub(crate) fn wake(&mut self) -> Vec<Command> {
        self.now = self.now.max(self.worker.next_wake().expect("it lives").elapsed());
        self.tell(Event::TimePassed)
    }

    /// The row of the heartbeat that the worker sends next.
    pub(crate) fn heartbeat(&mut self) -> WorkerRow {
        for _ in 0..10 {
            if let Some(row) = sent(self.wake()) {
                return row;
            }
        }
        panic!("it sends no heartbeat");
    }

    /// The next heartbeat is answered. Returns what the worker does about it.
    pub(crate) fn beat(&mut self) -> Vec<Command> {
        let row = self.heartbeat();
        self.written(row)
    }

    /// A heartbeat of that row is answered.
    pub(crate) fn written(&mut self, row: WorkerRow) -> Vec<Command> {
        let workers = self.others.iter().cloned().chain([row]).collect();
        self.tell(Event::HeartbeatAnswered(Ok(Beat::Written { workers, epoch_floor: self.epoch_floor })))
    }

    /// The same, and if the worker then wants to see the leases, it is shown these.
    pub(crate) fn beat_and_show(&mut self, leases: &[Lease]) -> Vec<Command> {
        let mut commands = self.beat();
        if std::mem::take(&mut self.wants_leases) {
            commands.extend(self.tell(Event::LeasesListed(Ok(leases.to_vec()))));
        }
        commands
    }

    pub(crate) fn id(&self) -> WorkerId {
        self.worker.id()
    }
}

/// The rows that the worker wants to take.
pub(crate) fn taken(commands: &[Command]) -> Vec<&Lease> {
    let puts = commands.iter().filter_map(|command| match command {
        Command::Put { next, .. } => Some(next),
        _ => None,
    });
    puts.collect()
}

/// The row of the heartbeat that the worker sends.
pub(crate) fn sent(commands: Vec<Command>) -> Option<WorkerRow> {
    commands.into_iter().find_map(|command| match command {
        Command::Heartbeat(row) => Some(row),
        _ => None,
    })
}
