//! A fleet of workers over one memory store, in virtual time: the whole protocol without a runtime.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lease_core::testing::block_on_ready;
use lease_core::worker::{Command, Ending, Event, StopReason, Worker, WorkerSettings};
use lease_core::{Epoch, Lease, LeaseKey, LeaseStore, MemoryStore, Moment, StoreErrorKind};
use stream_types::{Position, RecordPosition, Shard};

use super::rows::{facts, name};

pub(crate) const HEARTBEAT: Duration = Duration::from_secs(1);
pub(crate) const LEASE_DURATION: Duration = Duration::from_secs(10);

/// How long an answer takes. A prime number of microseconds, so that workers do not march in step.
const LATENCY: Duration = Duration::from_micros(1_009);

pub(crate) fn settings() -> WorkerSettings {
    WorkerSettings { heartbeat_interval: HEARTBEAT, lease_duration: LEASE_DURATION, ..WorkerSettings::default() }
}

/// What may go wrong with a worker's calls to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    Fair,
    /// The store cannot be reached.
    Cut,
    /// Writes are carried out, but every second reply is lost.
    RepliesLost,
}

/// One process of the fleet.
#[derive(Debug)]
struct Process {
    worker: Worker,
    weather: Weather,
    /// Time stands still for it: it gets nothing and does nothing.
    frozen: bool,
    readers: BTreeMap<LeaseKey, Epoch>,
    calls: Calls,
    ending: Option<Ending>,
    stops: Vec<StopReason>,
}

/// How often a process called the store.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) heartbeats: u64,
    pub(crate) lists: u64,
    pub(crate) others: u64,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) store: MemoryStore,
    now: Moment,
    processes: BTreeMap<String, Process>,
    /// Events on their way, by the moment of their arrival.
    mail: BTreeMap<(Moment, u64), (String, Event)>,
    letters: u64,
    shards: Vec<Shard>,
    /// Who read a shard to its end.
    ended: BTreeSet<LeaseKey>,
}

impl World {
    pub(crate) fn new(shards: Vec<Shard>) -> Self {
        Self {
            store: MemoryStore::new(name("application")),
            now: Moment::START,
            processes: BTreeMap::new(),
            mail: BTreeMap::new(),
            letters: 0,
            shards,
            ended: BTreeSet::new(),
        }
    }

    pub(crate) const fn now(&self) -> Moment {
        self.now
    }

    pub(crate) fn start(&mut self, worker: &str) {
        self.start_with(worker, settings());
    }

    pub(crate) fn start_with(&mut self, worker: &str, settings: WorkerSettings) {
        let nonce = self.letters;
        let streams = BTreeMap::from([(name("stream"), facts())]);
        let process = Process {
            worker: Worker::new(name(worker), nonce, settings, streams),
            weather: Weather::Fair,
            frozen: false,
            readers: BTreeMap::new(),
            calls: Calls::default(),
            ending: None,
            stops: Vec::new(),
        };
        self.processes.insert(worker.into(), process);
        self.deliver(worker, Event::TimePassed);
    }

    /// The process is gone, without a word.
    pub(crate) fn crash(&mut self, worker: &str) {
        self.processes.remove(worker);
        self.mail.retain(|_, (to, _)| to != worker);
    }

    pub(crate) fn leave(&mut self, worker: &str) {
        self.deliver(worker, Event::LeaveAsked);
    }

    pub(crate) fn set_weather(&mut self, worker: &str, weather: Weather) {
        self.process(worker).weather = weather;
    }

    /// Nothing happens in the process until it is thawed; then all that waited happens at once.
    pub(crate) fn freeze(&mut self, worker: &str) {
        self.process(worker).frozen = true;
    }

    pub(crate) fn thaw(&mut self, worker: &str) {
        self.process(worker).frozen = false;
    }

    pub(crate) fn add_shard(&mut self, shard: Shard) {
        self.shards.push(shard);
    }

    /// The stream forgets a shard.
    pub(crate) fn trim(&mut self, shard: &str) {
        self.shards.retain(|known| known.id.as_str() != shard);
    }

    /// The shard is closed, and its reader has come to its end.
    pub(crate) fn end_shard(&mut self, shard: &str, children: Vec<Shard>) {
        let readers = self.processes.iter().flat_map(|(worker, process)| {
            process.readers.iter().map(move |(key, epoch)| (worker.clone(), key.clone(), *epoch))
        });
        let (worker, key, epoch) =
            readers.into_iter().find(|(_, key, _)| key.shard.as_str() == shard).expect("somebody reads it");
        self.process(&worker).readers.remove(&key);
        self.deliver(&worker, Event::ShardEnded { key: key.clone(), epoch, children });
        self.ended.insert(key);
    }

    pub(crate) fn tell(&mut self, worker: &str, event: Event) {
        self.deliver(worker, event);
    }

    pub(crate) fn leases(&self) -> Vec<Lease> {
        block_on_ready(self.store.list()).expect("memory does not fail")
    }

    pub(crate) fn lease(&self, shard: &str) -> Lease {
        self.leases().into_iter().find(|lease| lease.key.shard.as_str() == shard).expect("the shard has a lease")
    }

    /// How many leases each process reads under, itself being valid.
    pub(crate) fn reading(&self) -> BTreeMap<&str, usize> {
        self.processes
            .iter()
            .map(|(worker, process)| (worker.as_str(), process.valid_readers(self.now).count()))
            .collect()
    }

    pub(crate) fn is_reading(&self, worker: &str, shard: &str) -> bool {
        let process = self.processes.get(worker);
        process.is_some_and(|process| process.valid_readers(self.now).any(|key| key.shard.as_str() == shard))
    }

    pub(crate) fn calls(&self, worker: &str) -> Calls {
        self.processes[worker].calls
    }

    pub(crate) fn ending(&self, worker: &str) -> Option<&Ending> {
        self.processes[worker].ending.as_ref()
    }

    pub(crate) fn stops(&self, worker: &str) -> &[StopReason] {
        &self.processes[worker].stops
    }

    /// Whether all runnable shards are read, and the readers' counts differ by at most one.
    pub(crate) fn is_level(&self) -> bool {
        let counts: Vec<usize> = self.reading().into_values().collect();
        let all_read = counts.iter().sum::<usize>() == self.shards.len() - self.ended.len();
        all_read && counts.iter().max() <= counts.iter().min().map(|min| min + 1).as_ref()
    }

    /// Lets time pass until the condition holds; returns how long that took.
    pub(crate) fn run_until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) -> Duration {
        let start = self.now;
        while !condition(self) {
            assert!(self.now.since(start) < Duration::from_secs(300), "{what} never came about: {:?}", self.reading());
            self.step();
        }
        self.now.since(start)
    }

    pub(crate) fn run_for(&mut self, duration: Duration) {
        let until = self.now.after(duration);
        while self.now < until {
            self.step();
        }
    }

    fn process(&mut self, worker: &str) -> &mut Process {
        self.processes.get_mut(worker).expect("the process runs")
    }

    /// The next thing that happens, anywhere.
    fn step(&mut self) {
        let awake = |process: &&Process| !process.frozen;
        let wake = self.processes.values().filter(awake).filter_map(|process| process.worker.next_wake()).min();
        let letter = self
            .mail
            .iter()
            .find(|(_, (to, _))| self.processes.get(to).is_some_and(|process| !process.frozen))
            .map(|(slot, _)| *slot);
        match (letter, wake) {
            (Some(slot), wake) if wake.is_none_or(|wake| slot.0 <= wake) => {
                self.now = self.now.max(slot.0);
                let (to, event) = self.mail.remove(&slot).expect("found above");
                self.deliver(&to, event);
            }
            (_, Some(wake)) => {
                self.now = self.now.max(wake);
                let due = |process: &Process| !process.frozen && process.worker.next_wake() == Some(wake);
                let worker = self.processes.iter().find(|(_, process)| due(process)).map(|(worker, _)| worker.clone());
                self.deliver(&worker.expect("found above"), Event::TimePassed);
            }
            (_, None) => panic!("nothing will ever happen again"),
        }
        self.check();
    }

    /// Nobody believes to own what another one believes to own.
    fn check(&self) {
        let mut owners = BTreeMap::new();
        for (worker, process) in &self.processes {
            for key in process.valid_readers(self.now) {
                let other = owners.insert(key, worker);
                assert!(other.is_none(), "{key} is read by {worker} and {other:?} at {:?}", self.now);
            }
        }
    }

    fn deliver(&mut self, to: &str, event: Event) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(to) else { return };
        for command in process.worker.on(event, now) {
            self.carry_out(to, command);
        }
    }

    fn post(&mut self, to: &str, event: Event) {
        self.letters += 1;
        self.mail.insert((self.now.after(LATENCY), self.letters), (to.into(), event));
    }

    fn carry_out(&mut self, from: &str, command: Command) {
        let store = self.store.clone();
        let letters = self.letters;
        let process = self.processes.get_mut(from).expect("it gave the command");
        let cut = (process.weather == Weather::Cut).then_some(StoreErrorKind::Unavailable);
        let lost = process.weather == Weather::RepliesLost && letters.is_multiple_of(2);
        let reply = |applied| if lost { Err(StoreErrorKind::Ambiguous) } else { applied };
        let event = match command {
            Command::Heartbeat(row) => {
                process.calls.heartbeats += 1;
                Event::HeartbeatAnswered(
                    cut.map_or_else(|| reply(block_on_ready(store.heartbeat(&row)).map_err(|error| error.kind())), Err),
                )
            }
            Command::ListLeases => {
                process.calls.lists += 1;
                Event::LeasesListed(cut.map_or_else(|| block_on_ready(store.list()).map_err(|e| e.kind()), Err))
            }
            Command::Put { expected, next } => {
                process.calls.others += 1;
                let put = || block_on_ready(store.put(expected, &next)).map_err(|error| error.kind());
                let answer = match cut {
                    Some(kind) => Err(kind),
                    None if lost => put().and(Err(StoreErrorKind::Ambiguous)),
                    None => put(),
                };
                Event::PutAnswered { key: next.key.clone(), answer }
            }
            Command::Delete { key, expected } => {
                process.calls.others += 1;
                let answer = block_on_ready(store.delete(&key, expected)).map_err(|error| error.kind());
                Event::DeleteAnswered { key, answer }
            }
            Command::Forget(row) => {
                process.calls.others += 1;
                let _outcome = block_on_ready(store.forget(&row));
                return;
            }
            Command::ListShards { stream } => Event::ShardsListed { stream, shards: Some(self.shards.clone()) },
            Command::StartShard(lease) => {
                process.readers.insert(lease.key, lease.epoch);
                return;
            }
            Command::DrainShard { key, epoch } => {
                process.readers.remove(&key);
                let sequence_number = (letters + 1).to_string().parse().expect("digits");
                Event::Drained { key, epoch, position: Some(Position::After(RecordPosition::whole(sequence_number))) }
            }
            Command::StopShard { key, reason, .. } => {
                process.readers.remove(&key);
                process.stops.push(reason);
                return;
            }
            Command::ReportCheckpoint { .. } => return,
            Command::End(ending) => {
                process.ending = Some(ending);
                return;
            }
        };
        self.post(from, event);
    }
}

impl Process {
    /// The shards that the process may deliver from. One that is frozen delivers nothing.
    fn valid_readers(&self, now: Moment) -> impl Iterator<Item = &LeaseKey> {
        let valid = !self.frozen && self.worker.valid_until().is_some_and(|until| now < until);
        self.readers.keys().filter(move |_| valid)
    }
}
