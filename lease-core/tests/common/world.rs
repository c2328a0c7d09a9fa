//! A fleet of workers over one memory store, in virtual time: the whole protocol without a runtime.

mod observed;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lease_core::testing::{self, block_on_ready};
use lease_core::worker::{Command, Event, Worker, WorkerSettings};
use lease_core::{Epoch, Lease, LeaseKey, LeaseStore, MemoryStore, Moment, Outcome, StreamFacts, WorkerId, WorkerRow};
use stream_types::{Name, Position, Shard, Timestamp};

pub(crate) use super::process::Weather;
use super::process::{Loan, Process};
use super::rows::{facts, name, shards};
use super::silence::Silence;

pub(crate) const HEARTBEAT: Duration = Duration::from_secs(1);
pub(crate) const LEAVE_WITHIN: Duration = Duration::from_secs(30);
pub(crate) const LEASE_DURATION: Duration = Duration::from_secs(10);

/// How long an answer takes. A prime number of microseconds, so that workers do not march in step.
const LATENCY: Duration = Duration::from_micros(1_009);

pub(crate) fn settings() -> WorkerSettings {
    WorkerSettings { heartbeat_interval: HEARTBEAT, lease_duration: LEASE_DURATION, ..WorkerSettings::default() }
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) store: MemoryStore,
    now: Moment,
    processes: BTreeMap<String, Process>,
    /// Events on their way, by the moment of their arrival.
    mail: BTreeMap<(Moment, u64), (String, Event)>,
    letters: u64,
    shards: BTreeMap<Name, Vec<Shard>>,
    /// The store tells everybody when a lease has come or changed hands.
    pub(crate) has_hints: bool,
    /// Who read a shard to its end.
    ended: BTreeSet<LeaseKey>,
    silence: Silence,
    /// The streams do not answer.
    pub(crate) streams_are_away: bool,
}

impl World {
    pub(crate) fn new(shards: Vec<Shard>) -> Self {
        Self {
            store: MemoryStore::new(name("application")),
            now: Moment::START,
            processes: BTreeMap::new(),
            mail: BTreeMap::new(),
            letters: 0,
            shards: BTreeMap::from([(name("stream"), shards)]),
            has_hints: false,
            ended: BTreeSet::new(),
            silence: Silence::default(),
            streams_are_away: false,
        }
    }

    /// A fleet that has been level for a while.
    pub(crate) fn level(shard_count: usize, workers: &[&str]) -> Self {
        Self::new(shards(shard_count)).with_level(workers, false)
    }

    /// The same, but each reader has a checkpoint under way all the time.
    pub(crate) fn busy(shard_count: usize, workers: &[&str]) -> Self {
        Self::new(shards(shard_count)).with_level(workers, true)
    }

    fn with_level(mut self, workers: &[&str], is_busy: bool) -> Self {
        for worker in workers {
            self.start(worker);
            self.process(worker).is_busy = is_busy;
        }
        self.run_until("level at the start", Self::is_level);
        // Heartbeats of a fleet do not come at the same moment.
        self.run_for(LEASE_DURATION * 2);
        self
    }

    pub(crate) const fn now(&self) -> Moment {
        self.now
    }

    pub(crate) fn start(&mut self, worker: &str) {
        self.start_with(worker, settings());
    }

    pub(crate) fn start_with(&mut self, worker: &str, settings: WorkerSettings) {
        self.start_on(worker, settings, &[("stream", facts())]);
    }

    /// A worker that follows these streams.
    pub(crate) fn start_following(&mut self, worker: &str, streams: &[&str]) {
        let streams: Vec<(&str, StreamFacts)> = streams.iter().map(|stream| (*stream, facts())).collect();
        self.start_on(worker, settings(), &streams);
    }

    pub(crate) fn start_with_stream_created(&mut self, worker: &str, created: Timestamp) {
        self.start_on(worker, settings(), &[("stream", StreamFacts { created: Some(created), ..facts() })]);
    }

    pub(crate) fn start_on(&mut self, worker: &str, settings: WorkerSettings, streams: &[(&str, StreamFacts)]) {
        let nonce = self.letters;
        let streams = streams.iter().map(|(stream, facts)| (name(stream), *facts)).collect();
        let process = Process::new(Worker::new(name(worker), nonce, settings, streams));
        self.processes.insert(worker.into(), process);
        self.deliver(worker, Event::TimePassed);
    }

    /// The process is gone, without a word.
    pub(crate) fn crash(&mut self, worker: &str) {
        self.processes.remove(worker);
        self.mail.retain(|_, (to, _)| to != worker);
    }

    pub(crate) fn leave(&mut self, worker: &str) {
        self.deliver(worker, Event::LeaveAsked { within: LEAVE_WITHIN });
    }

    /// The worker ends, and says that another process of its name comes within that time.
    pub(crate) fn leave_to_return(&mut self, worker: &str, within: Duration) {
        self.deliver(worker, Event::ReturnAsked { within });
    }

    pub(crate) fn set_weather(&mut self, worker: &str, weather: Weather) {
        self.process(worker).weather = weather;
    }

    /// Puts are carried out at once, but the worker learns of it so much later.
    pub(crate) fn delay_puts(&mut self, worker: &str, delay: Duration) {
        self.process(worker).put_delay = delay;
    }

    /// Nothing happens in the process until it is thawed; then all that waited happens at once.
    pub(crate) fn freeze(&mut self, worker: &str) {
        self.process(worker).frozen = true;
    }

    pub(crate) fn thaw(&mut self, worker: &str) {
        self.process(worker).frozen = false;
    }

    /// From now on, every reader that the process starts has a checkpoint under way all the time.
    pub(crate) fn keep_busy(&mut self, worker: &str) {
        self.process(worker).is_busy = true;
    }

    /// The worker's readers never come to the end of the batch in hand.
    pub(crate) fn never_drain(&mut self, worker: &str) {
        self.process(worker).never_drains = true;
    }

    pub(crate) fn add_shard(&mut self, shard: Shard) {
        self.shards.entry(name("stream")).or_default().push(shard);
    }

    /// Another stream, whose shards bear names of their own.
    pub(crate) fn add_stream(&mut self, stream: &str, shards: Vec<Shard>) {
        self.shards.insert(name(stream), shards);
    }

    pub(crate) fn follow(&mut self, worker: &str, stream: &str) {
        self.deliver(worker, Event::FollowAsked { stream: name(stream), facts: facts() });
    }

    pub(crate) fn unfollow(&mut self, worker: &str, stream: &str) {
        self.deliver(worker, Event::UnfollowAsked { stream: name(stream) });
    }

    /// Whether the worker has nothing more to do with a stream that it was asked to give up.
    pub(crate) fn has_dropped(&self, worker: &str, stream: &str) -> bool {
        self.processes[worker].dropped.contains(&name(stream))
    }

    /// How many shards of the stream the worker reads.
    pub(crate) fn reading_of(&self, worker: &str, stream: &str) -> usize {
        self.processes[worker].valid_readers(self.now).filter(|key| key.stream.as_str() == stream).count()
    }

    /// The stream forgets a shard.
    pub(crate) fn trim(&mut self, shard: &str) {
        self.shards.values_mut().for_each(|shards| shards.retain(|known| known.id.as_str() != shard));
    }

    /// The shard is closed, and its reader has come to its end.
    pub(crate) fn end_shard(&mut self, shard: &str, children: Vec<Shard>) {
        let (worker, key, epoch) = self.reader(shard);
        self.process(&worker).readers.remove(&key);
        self.deliver(&worker, Event::ShardEnded { key: key.clone(), epoch, children });
        self.ended.insert(key);
    }

    /// The shard's reader fails, perhaps behind what it has done.
    pub(crate) fn fail_shard(&mut self, shard: &str, position: Option<Position>) {
        let (worker, key, epoch) = self.reader(shard);
        self.process(&worker).readers.remove(&key);
        self.deliver(&worker, Event::ShardFailed { key, epoch, position });
    }

    /// The shard's processor has failed too often, behind that position.
    pub(crate) fn stop_shard(&mut self, shard: &str, position: Position) {
        let (worker, key, epoch) = self.reader(shard);
        self.process(&worker).readers.remove(&key);
        self.deliver(&worker, Event::ShardStopped { key, epoch, position: Some(position) });
    }

    /// The shard's reader wants a position stored.
    pub(crate) fn checkpoint(&mut self, shard: &str, position: Position) {
        let (worker, key, epoch) = self.reader(shard);
        self.deliver(&worker, Event::CheckpointAsked { key, epoch, position });
    }

    /// The shard's reader wants to store a position itself.
    pub(crate) fn ask_for_row(&mut self, shard: &str, position: Position) {
        let (worker, key, epoch) = self.reader(shard);
        self.deliver(&worker, Event::RowAsked { key, epoch, position });
    }

    /// The row that the worker has lent to its reader of the shard, or why not, if it has answered.
    pub(crate) fn loan(&mut self, worker: &str, shard: &str) -> Option<Loan> {
        let loans = &mut self.process(worker).loans;
        let key = loans.keys().find(|key| key.shard.as_str() == shard)?.clone();
        loans.remove(&key)
    }

    fn reader(&self, shard: &str) -> (String, LeaseKey, Epoch) {
        let mut readers = self.processes.iter().flat_map(|(worker, process)| {
            process.readers.iter().map(move |(key, epoch)| (worker.clone(), key.clone(), *epoch))
        });
        readers.find(|(_, key, _)| key.shard.as_str() == shard).expect("somebody reads it")
    }

    /// The worker's next list shows that row alone.
    pub(crate) fn slip_into_the_next_list(&mut self, worker: &str, row: Lease) {
        self.process(worker).next_list = Some(vec![row]);
    }

    /// A worker's row in the registry.
    pub(crate) fn row(&self, worker: &str) -> WorkerRow {
        self.rows().into_iter().find(|row| row.name.as_str() == worker).expect("it is registered")
    }

    /// The names in the registry.
    pub(crate) fn registered(&self) -> Vec<String> {
        self.rows().into_iter().map(|row| row.name.to_string()).collect()
    }

    fn rows(&self) -> Vec<WorkerRow> {
        let witness = WorkerRow::registering(testing::worker("witness"), None);
        let beat = block_on_ready(self.store.heartbeat(&witness)).expect("memory does not fail");
        let forgotten = block_on_ready(self.store.forget(&witness)).expect("memory does not fail");
        assert_eq!(forgotten, Outcome::Applied);
        let lease_core::Beat::Written { workers, .. } = beat else { panic!("the witness registers") };
        workers.into_iter().filter(|row| row.name.as_str() != "witness").collect()
    }

    pub(crate) fn tell(&mut self, worker: &str, event: Event) {
        self.deliver(worker, event);
    }

    pub(crate) fn id(&self, worker: &str) -> WorkerId {
        self.processes[worker].worker.id()
    }

    pub(crate) fn leases(&self) -> Vec<Lease> {
        block_on_ready(self.store.list()).expect("memory does not fail")
    }

    pub(crate) fn lease(&self, shard: &str) -> Lease {
        self.leases().into_iter().find(|lease| lease.key.shard.as_str() == shard).expect("the shard has a lease")
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
    fn check(&mut self) {
        let mut owners = BTreeMap::new();
        for (worker, process) in &self.processes {
            for key in process.valid_readers(self.now) {
                let other = owners.insert(key, worker);
                assert!(other.is_none(), "{key} is read by {worker} and {other:?} at {:?}", self.now);
            }
        }
        self.silence.note(self.now, owners.into_keys().cloned().collect());
    }

    /// The table has that row, whatever it had before.
    pub(crate) fn put_in_place(&self, row: &Lease) {
        let outcome = block_on_ready(testing::put_in_place(&self.store, row)).expect("memory does not fail");
        assert_eq!(outcome, Outcome::Applied);
    }

    fn deliver(&mut self, to: &str, event: Event) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(to) else { return };
        for command in process.worker.on(event, now) {
            self.carry_out(to, command);
        }
    }

    fn post(&mut self, to: &str, event: Event) {
        let is_put = matches!(event, Event::PutAnswered { .. });
        let delay = if is_put { self.processes[to].put_delay } else { Duration::ZERO };
        self.letters += 1;
        self.mail.insert((self.now.after(LATENCY + delay), self.letters), (to.into(), event));
    }

    fn carry_out(&mut self, from: &str, command: Command) {
        let (store, letters) = (self.store.clone(), self.letters);
        let shards = match &command {
            Command::ListShards { .. } if self.streams_are_away => None,
            Command::ListShards { stream } => Some(self.shards.get(stream).cloned().unwrap_or_default()),
            _ => None,
        };
        let is_news = match &command {
            Command::Put { next, .. } => next.last_change.is_news(),
            Command::Heartbeat(row) => row.is_news(),
            _ => false,
        };
        let answer = self.process(from).carry_out(command, &store, shards, letters);
        answer.into_iter().for_each(|event| self.post(from, event));
        if self.has_hints && is_news {
            let everybody: Vec<String> = self.processes.keys().cloned().collect();
            everybody.into_iter().for_each(|worker| self.post(&worker, Event::Hinted));
        }
    }
}
