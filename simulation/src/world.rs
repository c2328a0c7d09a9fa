//! One world: a fleet of processes that take turns, a stream, a table, and what the schedule does to them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use consumer::Departure;
use fastrand::Rng;
use kinesis_testing::{Clock, Kinesis, Limits, ModelSource, PutEntry};
use lease_core::testing::block_on_ready;
use lease_core::{Lease, LeaseStore, MemoryStore};
use stream_types::{Name, ShardId, Timestamp};

use crate::nature::{Nature, Observation, ProcessId};
use crate::process::{Process, STREAM, stream_name, worker_settings};
use crate::schedule::{Happening, NAMES, STORM, Schedule, Traits, Weather, What};
use crate::weather_store::{LateWrites, STEP, WeatherStore, carry_out_late};

/// How long a fleet may take to settle once nothing bad happens any more. A reader that failed may pause for a minute.
const SETTLE_WITHIN: Duration = Duration::from_secs(120);

/// For how long nothing may move after that.
const STAY_FOR: Duration = Duration::from_secs(30);

/// How often a record is put.
const RECORD_EVERY: Duration = Duration::from_millis(400);

/// How the readers poll.
const POLL: Duration = Duration::from_secs(1);

/// What is to be undone, or done, at a later moment.
#[derive(Debug)]
enum Later {
    Fair(usize),
    Reachable,
    Quick,
    Follow(usize),
    StartAgain { name: usize, traits: Traits },
}

#[derive(Debug)]
pub(crate) struct World {
    seed: u64,
    pub(crate) nature: Nature,
    kinesis: Kinesis,
    clock: Clock,
    table: MemoryStore,
    has_hints: bool,
    random: Rng,
    processes: BTreeMap<ProcessId, Process>,
    started: usize,
    late: LateWrites,
    later: Vec<(Duration, Later)>,
    /// Those that another process of their name follows once they have ended, and the pause before it.
    followed_by: BTreeMap<ProcessId, (Duration, Traits)>,
    records: u64,
    shards_seen: usize,
}

impl World {
    pub(crate) fn new(seed: u64, schedule: &Schedule, nature: Nature) -> Self {
        // The consumers draw from the thread's own generator.
        fastrand::seed(seed);
        let clock = Clock::manual(Timestamp::from_unix_millis(1_700_000_000_000));
        let kinesis = Kinesis::new(clock.clone(), Limits::of_the_service());
        kinesis.create_stream(STREAM, schedule.shards).expect("it is new");
        let mut world = Self {
            seed,
            nature,
            kinesis,
            clock,
            table: MemoryStore::new(Name::new("application").expect("letters are a name")),
            has_hints: schedule.has_hints,
            random: Rng::with_seed(!seed),
            processes: BTreeMap::new(),
            started: 0,
            late: LateWrites::default(),
            later: Vec::new(),
            followed_by: BTreeMap::new(),
            records: 0,
            shards_seen: 0,
        };
        world.tell_of_new_shards();
        world
    }

    /// Lives through the schedule, and then until the fleet has settled, or does not.
    pub(crate) fn live(&mut self, schedule: &Schedule) {
        let mut happenings = schedule.happenings.iter().peekable();
        while self.now() < STORM {
            while let Some(happening) = happenings.next_if(|happening| happening.at <= self.now()) {
                self.happens(happening);
            }
            self.step();
        }
        self.calm();
        let deadline = self.now() + SETTLE_WITHIN;
        let mut unlike = self.unsettled();
        while unlike.is_some() && self.now() < deadline {
            self.step();
            unlike = self.unsettled();
        }
        if unlike.is_none() {
            unlike = self.moves_within(STAY_FOR);
        }
        let mut facts = self.nature.facts();
        facts.note(format_args!("the end: {unlike:?}"));
        facts.see(&Observation::Finished { unlike: unlike.as_deref() });
    }

    pub(crate) fn now(&self) -> Duration {
        self.nature.facts().now
    }

    /// All processes live for one step, one after the other.
    fn step(&mut self) {
        let now = self.now() + STEP;
        self.clock.advance(STEP);
        let ids: Vec<ProcessId> = self.processes.keys().copied().collect();
        let first = if ids.is_empty() { 0 } else { self.random.usize(..ids.len()) };
        for id in ids.iter().cycle().skip(first).take(ids.len()) {
            if let Some(process) = self.processes.get_mut(id) {
                process.live_until(now);
            }
        }
        self.nature.facts().now = now;
        self.bury_the_ended();
        self.late.arrived(now).into_iter().for_each(|write| carry_out_late(&self.table, &self.nature, write));
        self.do_what_is_due(now);
        let is_time = |length: Duration| now.as_millis().is_multiple_of(length.as_millis());
        if now < STORM && is_time(RECORD_EVERY) {
            self.put(1);
        }
    }

    fn bury_the_ended(&mut self) {
        let mut buried = Vec::new();
        for (id, process) in &mut self.processes {
            if let Some(result) = process.has_ended() {
                let mut facts = self.nature.facts();
                let error = result.as_ref().err().map(String::as_str);
                facts.note(format_args!("process {id} ends: {error:?}"));
                facts.see(&Observation::Ended { process: *id, error });
                buried.push((*id, process.name));
            }
        }
        let now = self.now();
        for (id, name) in buried {
            self.processes.remove(&id);
            if let Some((pause, traits)) = self.followed_by.remove(&id) {
                self.later.push((now + pause, Later::StartAgain { name, traits }));
            }
        }
    }

    fn do_what_is_due(&mut self, now: Duration) {
        for (_, later) in self.later.extract_if(.., |(at, _)| *at <= now).collect::<Vec<_>>() {
            match later {
                Later::Fair(name) => self.set_weather(name, Weather::Fair),
                Later::Reachable => self.nature.facts().outage = false,
                Later::Quick => self.nature.facts().slowness = Duration::ZERO,
                Later::Follow(name) => self.each_named(name, |process| process.follow()),
                Later::StartAgain { name, traits } => self.start(name, traits),
            }
        }
    }

    fn each_named(&mut self, name: usize, mut act: impl FnMut(&mut Process)) {
        self.processes.values_mut().filter(|process| process.name == name).for_each(&mut act);
    }

    fn set_weather(&mut self, name: usize, weather: Weather) {
        let ids = self.processes.values().filter(|process| process.name == name).map(|process| process.id);
        self.nature.facts().weather.extend(ids.map(|id| (id, weather)));
    }

    fn start(&mut self, name: usize, traits: Traits) {
        let (id, nature) = (self.started, self.nature.clone());
        self.started += 1;
        let seed = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(id as u64);
        let (table, late) = (self.table.clone(), self.late.clone());
        let store = WeatherStore::new(table, nature, id, traits, self.has_hints, seed, late);
        let source = ModelSource::new(self.kinesis.clone(), stream_name()).polling_every(POLL);
        let process = Process::start(id, name, traits, source, store, &self.nature).expect("a runtime without threads");
        let mut facts = self.nature.facts();
        facts.note(format_args!("process {id} starts as {}", NAMES[name]));
        facts.see(&Observation::Started { process: id, name });
        drop(facts);
        self.processes.insert(id, process);
    }

    fn happens(&mut self, Happening { what, .. }: &Happening) {
        let now = self.now();
        self.nature.facts().note(format_args!("{what:?}"));
        match what.clone() {
            What::Start { name, traits } => self.start(name, traits),
            What::Crash { name } => {
                self.processes.retain(|_, process| process.name != name);
                self.followed_by.retain(|id, _| self.processes.contains_key(id));
            }
            What::Leave { name } => self.each_named(name, |process| process.leave(Departure::ForGood)),
            What::Return { name, pause, traits } => {
                let within = Duration::from_secs(20);
                let ids = self.processes.values().filter(|process| process.name == name).map(|process| process.id);
                self.followed_by.extend(ids.map(|id| (id, (pause, traits))));
                self.each_named(name, |process| process.leave(Departure::ToReturn { within }));
            }
            What::Freeze { name, length } => self.each_named(name, |process| process.freeze_until(now + length)),
            What::Weather { name, weather, length } => {
                self.set_weather(name, weather);
                self.later.push((now + length, Later::Fair(name)));
            }
            What::Outage { length } => {
                self.nature.facts().outage = true;
                self.later.push((now + length, Later::Reachable));
            }
            What::Burst { count } => self.put(count),
            What::Slow { pause, length } => {
                self.nature.facts().slowness = pause;
                self.later.push((now + length, Later::Quick));
            }
            What::Fail { calls } => self.nature.facts().failures += calls,
            What::Panic { calls } => self.nature.facts().panics += calls,
            What::Stream { fault } => self.kinesis.misbehave(fault),
            What::Unfollow { name, length } => {
                self.each_named(name, |process| process.unfollow());
                self.later.push((now + length, Later::Follow(name)));
            }
            What::Split { .. } | What::Merge { .. } | What::Rescale { .. } => self.reshard(what),
        }
    }

    fn reshard(&mut self, what: &What) {
        let open = self.kinesis.open_shards(STREAM).expect("the stream is there");
        // What cannot be split or merged any more is left alone: the stream refuses it.
        let _refused = match what {
            What::Split { pick } => {
                let shard = &open[pick % open.len()];
                let range = shard.hash_range.expect("the model tells ranges");
                let middle = range.start() + (range.end() - range.start()) / 2 + 1;
                self.kinesis.split_shard(STREAM, &shard.id, middle)
            }
            What::Merge { pick } if open.len() > 1 => {
                let index = pick % (open.len() - 1);
                self.kinesis.merge_shards(STREAM, &open[index].id, &open[index + 1].id)
            }
            What::Rescale { shards } => self.kinesis.update_shard_count(STREAM, *shards),
            _ => Ok(()),
        };
        self.tell_of_new_shards();
    }

    fn tell_of_new_shards(&mut self) {
        let source = ModelSource::new(self.kinesis.clone(), stream_name());
        let all = source.all_shards().expect("the stream is there");
        let new = all.into_iter().skip(self.shards_seen);
        let children: Vec<(ShardId, Vec<ShardId>)> = new.map(|shard| (shard.id, shard.parents)).collect();
        self.shards_seen += children.len();
        self.nature.facts().see(&Observation::Resharded { children: &children });
    }

    fn put(&mut self, count: u64) {
        for _ in 0..count {
            let number = self.records;
            let partition_key = format!("key-{}", self.random.u8(..));
            let entry = PutEntry { partition_key, explicit_hash_key: None, data: number.to_string().into() };
            let put = self.kinesis.put_record(STREAM, entry).expect("a small record");
            self.records += 1;
            self.nature.facts().produced(number, &put.shard);
        }
    }

    /// From now on nothing bad happens.
    fn calm(&mut self) {
        let now = self.now();
        let due = std::mem::take(&mut self.later);
        self.later.extend(due.into_iter().map(|(_, later)| (now, later)));
        self.do_what_is_due(now);
        self.kinesis.behave();
        self.processes.values_mut().for_each(|process| process.thaw(now));
        {
            let mut facts = self.nature.facts();
            facts.note(format_args!("calm"));
            facts.weather.clear();
            (facts.outage, facts.slowness, facts.failures, facts.panics) = (false, Duration::ZERO, 0, 0);
        }
        self.start(NAMES.len() - 1, Traits { clock_per_mille: 0, plan_version: 0, checkpoint_every_secs: 1 });
    }

    fn leases(&self) -> Vec<Lease> {
        block_on_ready(self.table.list()).expect("memory does not fail")
    }

    /// What is still to come about before the fleet has settled.
    fn unsettled(&self) -> Option<String> {
        if !self.nature.facts().all_done() {
            return Some("not all records are done".into());
        }
        if !self.followed_by.is_empty() || !self.later.is_empty() {
            return Some("a process is still to come back".into());
        }
        if self.processes.values().any(Process::is_leaving) {
            return Some("a process is still to leave".into());
        }
        let leases = self.leases();
        let is_open = |lease: &&Lease| !lease.is_finished();
        let mut counts: BTreeMap<&str, usize> =
            self.processes.values().map(|process| (NAMES[process.name], 0)).collect();
        if counts.len() < self.processes.len() {
            return Some("of two processes of one name both go on".into());
        }
        for lease in leases.iter().filter(is_open) {
            let reader = self.processes.values().find(|process| process.reads(lease));
            match reader.and_then(|reader| counts.get_mut(NAMES[reader.name])) {
                Some(count) => *count += 1,
                None => return Some(format!("{} is not read", lease.key)),
            }
        }
        let shards = self.kinesis.open_shards(STREAM).expect("the stream is there");
        let shards: BTreeSet<&ShardId> = shards.iter().map(|shard| &shard.id).collect();
        let leased: BTreeSet<&ShardId> = leases.iter().filter(is_open).map(|lease| &lease.key.shard).collect();
        if leased != shards {
            return Some(format!("the open shards are {shards:?}, and those with open leases {leased:?}"));
        }
        let (least, most) = (counts.values().min()?, counts.values().max()?);
        (most - least > 1).then(|| format!("the fleet is not level: {counts:?}"))
    }

    /// Whether a lease changes hands, or the fleet does not stay level, within that time.
    fn moves_within(&mut self, length: Duration) -> Option<String> {
        let epochs = |leases: Vec<Lease>| -> Vec<_> {
            leases.into_iter().filter(|lease| !lease.is_finished()).map(|lease| (lease.key, lease.epoch)).collect()
        };
        // What is on its way may still arrive.
        let arrived = self.now() + worker_settings().heartbeat_interval * 3;
        while self.now() < arrived {
            self.step();
        }
        let before = epochs(self.leases());
        let until = self.now() + length;
        while self.now() < until {
            self.step();
        }
        let after = epochs(self.leases());
        (before != after).then(|| format!("leases moved although the fleet was level: from {before:?} to {after:?}"))
    }
}
