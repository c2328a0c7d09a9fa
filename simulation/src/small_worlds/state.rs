//! One state of a small world, and the steps out of it.

mod settling;
mod table;

use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::time::Duration;

use lease_core::worker::{Command, Event, Worker, WorkerSettings};
use lease_core::{Epoch, Lease, LeaseKey, Moment, StoreErrorKind, StreamFacts, WorkerRow};
use stream_types::{Name, Shard, ShardId, StartPosition};

use super::shared::Shared;

/// How large the world is, and how much may go wrong in it.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How many workers start.
    pub workers: usize,
    /// How many shards there are at first.
    pub shards: usize,
    /// For how long every order is tried.
    pub length: Duration,
    /// How many faults may happen.
    pub faults: u8,
    /// Whether the first shard may end, and have a child.
    pub reshards: bool,
}

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// The oldest call of that worker is carried out and answered.
    Answer(usize),
    /// It is carried out, and its reply lost.
    LoseReply(usize),
    /// It never arrives.
    LoseRequest(usize),
    /// It is a list, of which the first row is read now, and the others later.
    BeginList(usize),
    /// Nothing is under way: time passes until somebody has something to do.
    Wait,
    /// The worker's process is gone.
    Crash(usize),
    /// A process of that name starts.
    Start(usize),
    /// Nothing happens in the worker any more.
    Freeze(usize),
    /// It goes on.
    Thaw(usize),
    /// The first shard ends.
    EndShard,
}

const HEARTBEAT: Duration = Duration::from_secs(1);
const LEASE_DURATION: Duration = Duration::from_secs(3);

/// A running process.
#[derive(Debug, Clone, Hash)]
struct Process {
    worker: Worker,
    started: Duration,
    is_frozen: bool,
    calls: VecDeque<Command>,
    /// What the oldest call, a list, has read already.
    first_row: Option<Lease>,
    readers: BTreeMap<LeaseKey, Epoch>,
}

/// A process, if one runs under that number.
type Slot = Option<Shared<Process>>;

#[derive(Clone)]
pub(crate) struct State {
    bounds: Bounds,
    now: Duration,
    leases: Shared<BTreeMap<LeaseKey, Lease>>,
    registry: Shared<BTreeMap<Name, WorkerRow>>,
    processes: Vec<Slot>,
    starts: u64,
    faults_left: u8,
    has_ended: bool,
    path: Vec<Move>,
}

/// Without the way that led here: two ways to one state are one.
impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let Self { now, leases, registry, processes, faults_left, has_ended, .. } = self;
        (now, leases, registry, processes, faults_left, has_ended).hash(hasher);
    }
}

type Checked = Result<(), String>;

fn stream() -> Name {
    Name::new("stream").expect("letters are a name")
}

fn shard(index: usize, parents: &[usize]) -> Shard {
    let id = |index: usize| ShardId::new(format!("shard-{index}")).expect("letters are an id");
    Shard { id: id(index), parents: parents.iter().map(|parent| id(*parent)).collect(), hash_range: None }
}

impl State {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let mut state = Self {
            bounds,
            now: Duration::ZERO,
            leases: Shared::new(BTreeMap::new()),
            registry: Shared::new(BTreeMap::new()),
            processes: vec![None; bounds.workers],
            starts: 0,
            faults_left: bounds.faults,
            has_ended: false,
            path: Vec::new(),
        };
        (0..bounds.workers).for_each(|index| state.start(index));
        state
    }

    pub(crate) fn path(&self) -> &[Move] {
        &self.path
    }

    /// A step, with the call that it is about.
    pub(crate) fn told(&self, step: Move) -> String {
        let call = match step {
            Move::Answer(index) | Move::LoseReply(index) | Move::LoseRequest(index) | Move::BeginList(index) => {
                self.processes[index].as_ref().and_then(|process| process.calls.front())
            }
            _ => None,
        };
        let call = match call {
            Some(Command::Put { next, .. }) => {
                let owner = next.owner.as_ref().map(|owner| owner.name.as_str());
                format!("{} {} v{} e{} of {owner:?}", next.last_change.as_str(), next.key, next.version, next.epoch)
            }
            Some(Command::Heartbeat(row)) => format!("heartbeat {}", row.heartbeat),
            Some(other) => format!("{other:?}"),
            None => String::new(),
        };
        format!("{:>6.3} s  {step:?} {call}", self.now.as_secs_f64())
    }

    /// All steps out of this state; none at the end of its time.
    pub(crate) fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        if self.now >= self.bounds.length {
            return moves;
        }
        let running = |process: &Slot| process.as_ref().is_some_and(|process| !process.is_frozen);
        let with_calls: Vec<usize> = self.indices(|process| running(process) && has_calls(process));
        moves.extend(with_calls.iter().map(|index| Move::Answer(*index)));
        if with_calls.is_empty() && self.processes.iter().any(running) {
            moves.push(Move::Wait);
        }
        moves.extend(
            self.indices(|process| process.as_ref().is_some_and(|process| process.is_frozen))
                .into_iter()
                .map(Move::Thaw),
        );
        moves.extend(self.indices(Option::is_none).into_iter().map(Move::Start));
        if self.faults_left > 0 {
            moves.extend(with_calls.iter().flat_map(|index| [Move::LoseReply(*index), Move::LoseRequest(*index)]));
            let can_be_torn = |process: &Slot| running(process) && self.leases.len() > 1 && begins_with_list(process);
            moves.extend(self.indices(can_be_torn).into_iter().map(Move::BeginList));
            moves.extend(self.indices(running).into_iter().flat_map(|index| [Move::Crash(index), Move::Freeze(index)]));
        }
        let first = LeaseKey::new(stream(), shard(0, &[]).id);
        let reads_first = |process: &Slot| {
            running(process) && process.as_ref().is_some_and(|process| process.readers.contains_key(&first))
        };
        if self.bounds.reshards && !self.has_ended && self.processes.iter().any(reads_first) {
            moves.push(Move::EndShard);
        }
        moves
    }

    fn indices(&self, is_one: impl Fn(&Slot) -> bool) -> Vec<usize> {
        (0..self.processes.len()).filter(|index| is_one(&self.processes[*index])).collect()
    }

    /// Takes a step, and looks whether every promise still holds.
    pub(crate) fn take(&mut self, step: Move) -> Checked {
        self.path.push(step);
        match step {
            Move::Answer(index) => self.call(index, true, true)?,
            Move::LoseReply(index) => self.call(index, true, false)?,
            Move::LoseRequest(index) => self.call(index, false, false)?,
            Move::BeginList(index) => self.begin_list(index),
            Move::Wait => self.wait(),
            Move::Crash(index) => self.processes[index] = None,
            Move::Start(index) => self.start(index),
            Move::Freeze(index) => self.set_frozen(index, true),
            Move::Thaw(index) => self.set_frozen(index, false),
            Move::EndShard => self.end_shard(),
        }
        let is_lost = matches!(step, Move::LoseReply(_) | Move::LoseRequest(_));
        let is_fault = is_lost || matches!(step, Move::BeginList(_) | Move::Crash(_) | Move::Freeze(_));
        self.faults_left -= u8::from(is_fault);
        self.check()
    }

    fn start(&mut self, index: usize) {
        self.starts += 1;
        let settings = WorkerSettings {
            heartbeat_interval: HEARTBEAT,
            lease_duration: LEASE_DURATION,
            ..WorkerSettings::default()
        };
        let facts = StreamFacts { created: None, start: StartPosition::Horizon };
        let name = Name::new(format!("worker-{index}")).expect("letters are a name");
        let worker = Worker::new(name, self.starts, settings, BTreeMap::from([(stream(), facts)]));
        let (calls, readers) = (VecDeque::new(), BTreeMap::new());
        let process = Process { worker, started: self.now, is_frozen: false, calls, first_row: None, readers };
        self.processes[index] = Some(Shared::new(process));
        self.tell(index, Event::TimePassed);
    }

    fn set_frozen(&mut self, index: usize, is_frozen: bool) {
        if let Some(process) = &mut self.processes[index] {
            process.change().is_frozen = is_frozen;
        }
        if !is_frozen {
            self.tell(index, Event::TimePassed);
        }
    }

    fn begin_list(&mut self, index: usize) {
        let first = self.leases.values().next().cloned();
        if let Some(process) = &mut self.processes[index] {
            process.change().first_row = first;
        }
    }

    fn end_shard(&mut self) {
        self.has_ended = true;
        let key = LeaseKey::new(stream(), shard(0, &[]).id);
        let reads = |process: &Slot| process.as_ref().is_some_and(|process| process.readers.contains_key(&key));
        let Some(index) = self.processes.iter().position(reads) else { return };
        let Some(epoch) = self.processes[index].as_mut().and_then(|process| process.change().readers.remove(&key))
        else {
            return;
        };
        self.tell(index, Event::ShardEnded { key, epoch, children: vec![self.child()] });
    }

    fn child(&self) -> Shard {
        shard(self.bounds.shards, &[0])
    }

    fn shards(&self) -> Vec<Shard> {
        let child = self.has_ended.then(|| self.child());
        (0..self.bounds.shards).map(|index| shard(index, &[])).chain(child).collect()
    }

    /// Time passes until the first worker that is not frozen has something to do.
    fn wait(&mut self) {
        let wake =
            |process: &Shared<Process>| process.worker.next_wake().map(|moment| process.started + moment.elapsed());
        let awake = |process: &&Shared<Process>| !process.is_frozen;
        let Some(next) = self.processes.iter().flatten().filter(awake).filter_map(wake).min() else {
            self.now = self.bounds.length;
            return;
        };
        self.now = self.now.max(next);
        let due = |process: &Slot| {
            process.as_ref().is_some_and(|process| !process.is_frozen && wake(process) <= Some(self.now))
        };
        for index in self.indices(due) {
            self.tell(index, Event::TimePassed);
        }
    }

    /// Tells a worker, and does what it wants done at once; its calls wait.
    fn tell(&mut self, index: usize, event: Event) {
        let (now, shards) = (self.now, self.shards());
        // Whoever reads the closed shard once more comes to its end once more.
        let closed = self.has_ended.then(|| (LeaseKey::new(stream(), shard(0, &[]).id), self.child()));
        let Some(process) = self.processes[index].as_mut().map(Shared::change) else { return };
        let mut events = VecDeque::from([event]);
        let mut is_over = false;
        while let Some(event) = events.pop_front() {
            for command in process.worker.on(event, Moment::from_start(now - process.started)) {
                match command {
                    Command::StartShard(Lease { key, epoch, .. })
                        if closed.as_ref().is_some_and(|(closed, _)| *closed == key) =>
                    {
                        let children = closed.iter().map(|(_, child)| child.clone()).collect();
                        events.push_back(Event::ShardEnded { key, epoch, children });
                    }
                    Command::StartShard(lease) => _ = process.readers.insert(lease.key, lease.epoch),
                    Command::DrainShard { key, epoch } => {
                        process.readers.remove(&key);
                        events.push_back(Event::Drained { key, epoch, position: None });
                    }
                    Command::StopShard { key, .. } => _ = process.readers.remove(&key),
                    Command::ListShards { stream } => {
                        let shards = Some(shards.clone());
                        events.push_back(Event::ShardsListed { stream, created: None, shards });
                    }
                    Command::End(_) => is_over = true,
                    Command::ReportCheckpoint { .. }
                    | Command::LendRow { .. }
                    | Command::DropStream { .. }
                    | Command::Warn(_) => {}
                    call => process.calls.push_back(call),
                }
            }
        }
        if is_over {
            self.processes[index] = None;
        }
    }

    /// The oldest call of a worker arrives, or not, and so does its reply.
    fn call(&mut self, index: usize, arrives: bool, is_answered: bool) -> Checked {
        let Some(process) = self.processes[index].as_mut().map(Shared::change) else { return Ok(()) };
        let (Some(call), first_row) = (process.calls.pop_front(), process.first_row.take()) else { return Ok(()) };
        let kind = if arrives { StoreErrorKind::Ambiguous } else { StoreErrorKind::Unavailable };
        let before = self.leases.clone();
        let event = match call {
            Command::Heartbeat(row) => {
                let answer = arrives.then(|| self.heartbeat(row));
                Some(Event::HeartbeatAnswered(answer.filter(|_| is_answered).ok_or(kind)))
            }
            Command::ListLeases => {
                let all =
                    self.leases.values().map(|row| first_row.iter().find(|first| first.key == row.key).unwrap_or(row));
                let all = all.cloned().collect();
                Some(Event::LeasesListed(if is_answered { Ok(all) } else { Err(kind) }))
            }
            Command::Put { expected, next } => {
                let key = next.key.clone();
                let answer = arrives.then(|| self.put(expected, next));
                Some(Event::PutAnswered { key, answer: answer.filter(|_| is_answered).ok_or(kind) })
            }
            Command::Delete(lease) => {
                let answer = arrives.then(|| self.delete(&lease));
                Some(Event::DeleteAnswered { key: lease.key, answer: answer.filter(|_| is_answered).ok_or(kind) })
            }
            Command::Forget(row) => {
                if arrives && self.registry.get(&row.name) == Some(&row) {
                    self.registry.change().remove(&row.name);
                }
                None
            }
            other => return Err(format!("{other:?} is no call")),
        };
        self.check_rows(&before)?;
        event.into_iter().for_each(|event| self.tell(index, event));
        Ok(())
    }

    /// Nobody reads, while it is valid, what another one reads while it is valid; and no child is read before its parent has ended.
    fn check(&self) -> Checked {
        let mut readers: BTreeMap<&LeaseKey, usize> = BTreeMap::new();
        for (index, process) in self.processes.iter().enumerate() {
            let Some(process) = process else { continue };
            let now = Moment::from_start(self.now - process.started);
            if process.worker.valid_until().is_none_or(|until| until <= now) {
                continue;
            }
            for key in process.readers.keys() {
                if let Some(other) = readers.insert(key, index) {
                    return Err(format!("{key} is read by workers {other} and {index}"));
                }
            }
        }
        let child = LeaseKey::new(stream(), self.child().id);
        let parent = self.leases.get(&LeaseKey::new(stream(), shard(0, &[]).id));
        if readers.contains_key(&child) && parent.is_some_and(|parent| !parent.is_finished()) {
            return Err(format!("{child} is read before its parent has ended"));
        }
        Ok(())
    }
}

/// Whether the oldest call is a list of which nothing is read yet.
fn begins_with_list(process: &Slot) -> bool {
    let begins =
        |process: &Shared<Process>| process.first_row.is_none() && process.calls.front() == Some(&Command::ListLeases);
    process.as_ref().is_some_and(begins)
}

fn has_calls(process: &Slot) -> bool {
    process.as_ref().is_some_and(|process| !process.calls.is_empty())
}
