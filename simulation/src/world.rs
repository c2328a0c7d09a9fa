//! One world: a fleet of processes that take turns, a stream, a table, and what the schedule does to them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use consumer::Departure;
use fastrand::Rng;
use kinesis_testing::{Clock, Kinesis, Limits, ModelSource, PutEntry};
use lease_core::MemoryStore;
use stream_types::{Name, ShardId, Timestamp};

use crate::nature::{Nature, Observation, ProcessId};
use crate::process::{Process, STREAM, stream_name};
use crate::schedule::{GRACE, Happening, LEISURELY, NAMES, STORM, Schedule, Traits, Weather, What};
use crate::weather_store::{LateWrites, STEP, WeatherStore, carry_out_late};

/// How often a record is put.
const RECORD_EVERY: Duration = Duration::from_millis(400);

/// How the readers poll.
const POLL: Duration = Duration::from_secs(1);

/// How often a copy of the table is kept that it may go back to.
const COPY_EVERY: Duration = Duration::from_secs(1);

/// What is to be undone, or done, at a later moment.
#[derive(Debug, PartialEq)]
pub(crate) enum Later {
    Fair(usize),
    Reachable,
    Quick,
    Follow(usize),
    StartAgain { name: usize, traits: Traits },
    Replace { name: usize, pause: Duration, traits: Traits },
}

#[derive(Debug)]
pub(crate) struct World {
    seed: u64,
    pub(crate) nature: Nature,
    pub(crate) kinesis: Kinesis,
    clock: Clock,
    pub(crate) table: MemoryStore,
    has_hints: bool,
    pub(crate) has_latecomer: bool,
    random: Rng,
    pub(crate) processes: BTreeMap<ProcessId, Process>,
    started: usize,
    late: LateWrites,
    pub(crate) later: Vec<(Duration, Later)>,
    /// Those that another process of their name follows once they have ended, and the pause before it.
    pub(crate) followed_by: BTreeMap<ProcessId, (Duration, Traits)>,
    /// The table as it was at earlier moments, where it may lose its newest rows.
    copies: Vec<(Duration, MemoryStore)>,
    /// The longest lease duration of those that have started.
    longest_lease: Duration,
    /// From when on everybody must know of all that crashed that they are dead.
    pub(crate) deaths_known: Duration,
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
            has_latecomer: schedule.has_latecomer,
            random: Rng::with_seed(!seed),
            processes: BTreeMap::new(),
            started: 0,
            late: LateWrites::default(),
            later: Vec::new(),
            followed_by: BTreeMap::new(),
            copies: Vec::new(),
            longest_lease: Duration::ZERO,
            deaths_known: Duration::ZERO,
            records: 0,
            shards_seen: 0,
        };
        world.tell_of_new_shards();
        for _ in 0..schedule.reshards_before {
            (0..3).for_each(|_| world.put());
            let pick = world.random.usize(..100);
            let what = if world.random.bool() { What::Split { pick } } else { What::Merge { pick } };
            world.reshard(&what);
        }
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
        let unlike = self.unlike_a_settled_one(schedule.settles_within());
        let mut facts = self.nature.facts();
        facts.note(format_args!("the end: {unlike:?}"));
        facts.see(&Observation::Finished { unlike: unlike.as_deref() });
    }

    pub(crate) fn now(&self) -> Duration {
        self.nature.facts().now
    }

    /// All processes live for one step, one after the other.
    pub(crate) fn step(&mut self) {
        let now = self.now() + STEP;
        self.clock.advance(STEP);
        let ids: Vec<ProcessId> = self.processes.keys().copied().collect();
        let first = if ids.is_empty() { 0 } else { self.random.usize(..ids.len()) };
        for id in ids.iter().cycle().skip(first).take(ids.len()) {
            if let Some(process) = self.processes.get_mut(id) {
                process.live_until(now);
            }
            for message in crate::panics::take() {
                self.nature.facts().see(&Observation::Panicked { process: *id, message: &message });
            }
        }
        self.nature.facts().now = now;
        self.bury_the_ended();
        self.late.arrived(now).into_iter().for_each(|write| carry_out_late(&self.table, &self.nature, write));
        self.do_what_is_due(now);
        self.keep_a_copy();
        if now < STORM && now.as_millis().is_multiple_of(RECORD_EVERY.as_millis()) {
            self.put();
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

    pub(crate) fn do_what_is_due(&mut self, now: Duration) {
        for (_, later) in self.later.extract_if(.., |(at, _)| *at <= now).collect::<Vec<_>>() {
            match later {
                // Of the same trouble twice, the later end counts.
                Later::Fair(_) | Later::Reachable | Later::Quick
                    if self.later.iter().any(|(_, other)| *other == later) => {}
                Later::Fair(name) => _ = self.nature.facts().weather.insert(name, Weather::Fair),
                Later::Reachable => self.nature.facts().outage = false,
                Later::Quick => self.nature.facts().slowness = Duration::ZERO,
                Later::Follow(name) => _ = self.each_named(name, |process| process.follow()),
                Later::Replace { name, pause, traits } => _ = self.replace(name, pause, traits),
                Later::StartAgain { name, traits } => self.start(name, traits),
            }
        }
    }

    /// Does something with the processes of that name, and counts them.
    fn each_named(&mut self, name: usize, act: impl FnMut(&mut Process)) -> usize {
        self.processes.values_mut().filter(|process| process.name == name).map(act).count()
    }

    /// Ends the processes of that name politely, each followed by another one after a pause. Tells how many they are.
    fn replace(&mut self, name: usize, pause: Duration, traits: Traits) -> usize {
        let of_that_name = self.processes.values().filter(|process| process.name == name && !process.is_leaving());
        self.followed_by.extend(of_that_name.map(|process| (process.id, (pause, traits))));
        self.each_named(name, |process| process.leave(Departure::ToReturn { within: GRACE }))
    }

    /// All processes of that name are gone. Tells how many they were.
    fn crash(&mut self, name: usize) -> usize {
        let crashed: Vec<_> = self.processes.extract_if(.., |_, process| process.name == name).collect();
        for (process, dead) in &crashed {
            // Its last heartbeat may be read an interval late, and the look that finds it silent come another one later.
            let known = self.now() + dead.lease_duration + LEISURELY.1 * 2;
            self.deaths_known = self.deaths_known.max(known);
            self.followed_by.remove(process);
            self.nature.facts().see(&Observation::Crashed { process: *process });
        }
        crashed.len()
    }

    pub(crate) fn start(&mut self, name: usize, traits: Traits) {
        let (id, nature) = (self.started, self.nature.clone());
        self.started += 1;
        let seed = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(id as u64);
        let (table, late) = (self.table.clone(), self.late.clone());
        let store = WeatherStore::new(table, nature, (id, name), traits, self.has_hints, seed, late);
        let source = ModelSource::new(self.kinesis.clone(), stream_name()).polling_every(POLL);
        let process = Process::start(id, name, traits, source, store, &self.nature).expect("a runtime without threads");
        let mut facts = self.nature.facts();
        facts.note(format_args!("process {id} starts as {}", NAMES[name]));
        facts.see(&Observation::Started { process: id, name });
        drop(facts);
        self.longest_lease = self.longest_lease.max(process.lease_duration);
        self.processes.insert(id, process);
    }

    /// The table has the rows of that long ago, and all connections to it are broken. Tells how many processes it befalls.
    fn go_back(&mut self, by: Duration) -> usize {
        let then = self.now().saturating_sub(by);
        // What is lost once stays lost.
        self.copies.retain(|(at, _)| *at <= then);
        let Some((_, copy)) = self.copies.last() else { return 0 };
        self.table.go_back_to(copy);
        self.late.lose();
        // The dead of that time are in the registry again.
        self.deaths_known = self.deaths_known.max(self.now() + self.longest_lease + LEISURELY.1 * 2);
        let mut facts = self.nature.facts();
        facts.losses = facts.losses.map(|losses| losses + 1);
        facts.cut = self.processes.keys().copied().collect();
        facts.see(&Observation::WentBack);
        self.processes.len()
    }

    /// Keeps what the table may go back to.
    fn keep_a_copy(&mut self) {
        let now = self.now();
        if self.nature.facts().losses.is_some() && now < STORM && now.as_millis().is_multiple_of(COPY_EVERY.as_millis())
        {
            self.copies.push((now, self.table.copied()));
        }
    }

    fn happens(&mut self, Happening { what, .. }: &Happening) {
        self.nature.facts().note(format_args!("{what:?}"));
        let hit = self.befalls(what);
        self.nature.facts().count_times(what.kind(), hit);
    }

    /// Does it, and tells how many processes, or what else, it has befallen.
    fn befalls(&mut self, what: &What) -> usize {
        let now = self.now();
        match what.clone() {
            What::Start { name, traits } => self.start(name, traits),
            What::Crash { name } => return self.crash(name),
            What::Leave { name } => return self.each_named(name, |process| process.leave(Departure::ForGood)),
            What::Return { name, pause, traits } => return self.replace(name, pause, traits),
            What::Deploy { every, pause, traits } => return self.deploy(every, pause, traits),
            What::Freeze { name, length } => {
                return self.each_named(name, |process| process.freeze_until(now + length));
            }
            What::Weather { name, weather, length } => {
                self.nature.facts().weather.insert(name, weather);
                self.later.push((now + length, Later::Fair(name)));
                return self.each_named(name, |_| ());
            }
            What::Outage { length } => {
                self.nature.facts().outage = true;
                self.later.push((now + length, Later::Reachable));
            }
            What::GoBack { by } => return self.go_back(by),
            What::Burst { count } => (0..count).for_each(|_| self.put()),
            What::Slow { pause, length } => {
                self.nature.facts().slowness = pause;
                self.later.push((now + length, Later::Quick));
            }
            What::Fail { calls } => self.nature.facts().failures += calls,
            What::Panic { calls } => self.nature.facts().panics += calls,
            What::PanicAtStart { calls } => self.nature.facts().panics_at_start += calls,
            What::Stream { fault } => self.kinesis.misbehave(fault),
            What::Unfollow { name, length } => {
                self.later.push((now + length, Later::Follow(name)));
                return self.each_named(name, |process| process.unfollow());
            }
            What::Split { .. } | What::Merge { .. } | What::Rescale { .. } => return self.reshard(what),
        }
        1
    }

    /// Replaces all names, one after the other.
    fn deploy(&mut self, every: Duration, pause: Duration, traits: Traits) -> usize {
        let now = self.now();
        let names: BTreeSet<usize> = self.processes.values().map(|process| process.name).collect();
        let turns = names
            .iter()
            .zip(0..)
            .map(|(name, turn)| (now + every * turn, Later::Replace { name: *name, pause, traits }));
        self.later.extend(turns);
        names.len()
    }

    /// Tells whether it could be done: what cannot be split or merged any more, the stream refuses.
    fn reshard(&mut self, what: &What) -> usize {
        let open = self.kinesis.open_shards(STREAM).expect("the stream is there");
        let done = match what {
            What::Split { pick } => {
                let shard = &open[pick % open.len()];
                let range = shard.hash_range.expect("the model tells ranges");
                let middle = range.start() + (range.end() - range.start()) / 2 + 1;
                self.kinesis.split_shard(STREAM, &shard.id, middle).is_ok()
            }
            What::Merge { pick } if open.len() > 1 => {
                let index = pick % (open.len() - 1);
                self.kinesis.merge_shards(STREAM, &open[index].id, &open[index + 1].id).is_ok()
            }
            What::Rescale { shards } => self.kinesis.update_shard_count(STREAM, *shards).is_ok(),
            _ => false,
        };
        self.tell_of_new_shards();
        usize::from(done)
    }

    fn tell_of_new_shards(&mut self) {
        let source = ModelSource::new(self.kinesis.clone(), stream_name());
        let all = source.all_shards().expect("the stream is there");
        let new = all.into_iter().skip(self.shards_seen);
        let children: Vec<(ShardId, Vec<ShardId>)> = new.map(|shard| (shard.id, shard.parents)).collect();
        self.shards_seen += children.len();
        self.nature.facts().see(&Observation::Resharded { children: &children });
    }

    /// Puts a record, into whichever shard its key leads to.
    fn put(&mut self) {
        let partition_key = format!("key-{}", self.random.u8(..));
        self.put_entry(PutEntry { partition_key, explicit_hash_key: None, data: Default::default() });
    }

    /// Puts a record whose payload is its number.
    pub(crate) fn put_entry(&mut self, entry: PutEntry) {
        let number = self.records;
        let entry = PutEntry { data: number.to_string().into(), ..entry };
        let put = self.kinesis.put_record(STREAM, entry).expect("a small record");
        self.records += 1;
        self.nature.facts().produced(number, &put.shard);
    }
}
