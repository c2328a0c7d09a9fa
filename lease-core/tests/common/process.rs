//! One process of the world: a worker, its readers, and the weather between it and the store.

use std::collections::BTreeMap;
use std::time::Duration;

use lease_core::testing::block_on_ready;
use lease_core::worker::{CheckpointError, Command, Ending, Event, StopReason, Warning, Worker};
use lease_core::{Epoch, Expected, Lease, LeaseKey, LeaseStore, MemoryStore, Moment, StoreErrorKind};
use stream_types::{Name, Position, Shard};

use super::rows::after;

/// What may go wrong with a worker's calls to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    Fair,
    /// The store cannot be reached.
    Cut,
    /// Writes are carried out, but every second reply is lost.
    RepliesLost,
    /// Writes are carried out, but no reply comes.
    NoReplies,
}

/// One process of the fleet.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) worker: Worker,
    pub(crate) weather: Weather,
    /// Time stands still for it: it gets nothing and does nothing.
    pub(crate) frozen: bool,
    pub(crate) readers: BTreeMap<LeaseKey, Epoch>,
    /// Its readers ask for a checkpoint whenever the last one is stored.
    pub(crate) is_busy: bool,
    /// Its readers never come to the end of the batch in hand.
    pub(crate) never_drains: bool,
    /// How much longer than others an answer to a put takes.
    pub(crate) put_delay: Duration,
    pub(crate) calls: Calls,
    pub(crate) ending: Option<Ending>,
    pub(crate) stops: Vec<StopReason>,
    pub(crate) warnings: Vec<Warning>,
    /// The streams that its worker has given up.
    pub(crate) dropped: Vec<Name>,
    pub(crate) started_at: BTreeMap<LeaseKey, Position>,
    /// The rows that were lent to its readers, or why not.
    pub(crate) loans: BTreeMap<LeaseKey, Loan>,
    /// What the next list shows, instead of what is there.
    pub(crate) next_list: Option<Vec<Lease>>,
}

/// A row to be put by a transaction of the reader, and what must be there.
pub(crate) type Loan = Result<Option<(Expected, Lease)>, CheckpointError>;

/// How often a process called the store.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) heartbeats: u64,
    pub(crate) lists: u64,
    pub(crate) others: u64,
    /// Of the stream, not of the store.
    pub(crate) shard_lists: u64,
}

impl Process {
    pub(crate) fn new(worker: Worker) -> Self {
        Self {
            worker,
            weather: Weather::Fair,
            frozen: false,
            readers: BTreeMap::new(),
            is_busy: false,
            never_drains: false,
            put_delay: Duration::ZERO,
            calls: Calls::default(),
            ending: None,
            stops: Vec::new(),
            warnings: Vec::new(),
            dropped: Vec::new(),
            started_at: BTreeMap::new(),
            loans: BTreeMap::new(),
            next_list: None,
        }
    }

    /// Does what the worker wants, and returns the answer that is on its way.
    pub(crate) fn carry_out(
        &mut self,
        command: Command,
        store: &MemoryStore,
        shards: Option<Vec<Shard>>,
        letters: u64,
    ) -> Option<Event> {
        match command {
            Command::ListShards { stream } => {
                self.calls.shard_lists += 1;
                Some(Event::ShardsListed { stream, created: None, shards })
            }
            Command::StartShard(_)
            | Command::DrainShard { .. }
            | Command::StopShard { .. }
            | Command::ReportCheckpoint { .. } => self.tell_reader(command, letters),
            Command::LendRow { key, row, .. } => {
                self.loans.insert(key, row);
                None
            }
            Command::DropStream { stream } => {
                self.dropped.push(stream);
                None
            }
            Command::Warn(warning) => {
                self.warnings.push(warning);
                None
            }
            Command::End(ending) => {
                self.ending = Some(ending);
                None
            }
            call => self.call(call, store, letters),
        }
    }

    /// A call to the store, through the weather.
    fn call(&mut self, command: Command, store: &MemoryStore, letters: u64) -> Option<Event> {
        let weather = self.weather;
        let lost = weather == Weather::NoReplies || (weather == Weather::RepliesLost && letters.is_multiple_of(2));
        match command {
            Command::Heartbeat(row) => {
                self.calls.heartbeats += 1;
                let answer = through(weather, lost, || block_on_ready(store.heartbeat(&row)));
                Some(Event::HeartbeatAnswered(answer))
            }
            Command::ListLeases => {
                self.calls.lists += 1;
                let slipped = self.next_list.take();
                let list = || slipped.map_or_else(|| block_on_ready(store.list()), Ok);
                Some(Event::LeasesListed(through(weather, false, list)))
            }
            Command::Put { expected, next } => {
                self.calls.others += 1;
                let answer = through(weather, lost, || block_on_ready(store.put(expected, &next)));
                Some(Event::PutAnswered { key: next.key, answer })
            }
            Command::Delete(lease) => {
                self.calls.others += 1;
                let answer = through(weather, lost, || block_on_ready(store.delete(&lease)));
                Some(Event::DeleteAnswered { key: lease.key, answer })
            }
            Command::Forget(row) => {
                self.calls.others += 1;
                let _unheard = through(weather, lost, || block_on_ready(store.forget(&row)));
                None
            }
            other => unreachable!("{other:?} is no call"),
        }
    }

    fn tell_reader(&mut self, command: Command, letters: u64) -> Option<Event> {
        match command {
            Command::StartShard(lease) => {
                self.readers.insert(lease.key.clone(), lease.epoch);
                self.started_at.insert(lease.key.clone(), lease.position);
                self.is_busy.then(|| next_checkpoint(lease.key, lease.epoch, letters))
            }
            Command::DrainShard { .. } if self.never_drains => None,
            Command::DrainShard { key, epoch } => {
                self.readers.remove(&key);
                Some(Event::Drained { key, epoch, position: Some(furthest(letters)) })
            }
            Command::StopShard { key, reason, .. } => {
                self.readers.remove(&key);
                self.stops.push(reason);
                None
            }
            Command::ReportCheckpoint { key, epoch, .. } => {
                let reads_on = self.is_busy && self.readers.get(&key) == Some(&epoch);
                reads_on.then(|| next_checkpoint(key, epoch, letters))
            }
            other => unreachable!("{other:?} is not for readers"),
        }
    }

    /// The shards that the process may deliver from. One that is frozen delivers nothing.
    pub(crate) fn valid_readers(&self, now: Moment) -> impl Iterator<Item = &LeaseKey> {
        let valid = !self.frozen && self.worker.valid_until().is_some_and(|until| now < until);
        self.readers.keys().filter(move |_| valid)
    }
}

/// What comes back of a call in that weather.
fn through<Answer>(
    weather: Weather,
    reply_is_lost: bool,
    call: impl FnOnce() -> Result<Answer, lease_core::StoreError>,
) -> Result<Answer, StoreErrorKind> {
    if weather == Weather::Cut {
        return Err(StoreErrorKind::Unavailable);
    }
    let answer = call().map_err(|error| error.kind());
    if reply_is_lost { Err(StoreErrorKind::Ambiguous) } else { answer }
}

/// A position that lies behind all that were made before.
fn furthest(letters: u64) -> Position {
    after(letters + 1)
}

fn next_checkpoint(key: LeaseKey, epoch: Epoch, letters: u64) -> Event {
    Event::CheckpointAsked { key, epoch, position: furthest(letters) }
}
