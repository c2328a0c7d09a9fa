//! The worker as a state machine: events in, commands out.
//!
//! [`Worker::on`] is told what happened and when, and answers with what is to be done. It has no clock, no I/O and no
//! randomness, so that the whole protocol can be simulated, searched exhaustively, and replayed. Whoever drives it (the
//! crate `consumer`, or a test) carries the commands out, at the same time where they concern different things, and
//! brings the answers back as events.
//!
//! What it holds to:
//!
//! - It heartbeats by its own row alone, whatever the number of its leases, and lists the leases only when the rows of
//!   the workers show that something changed, or when the audit is due.
//! - It may deliver until [`Worker::valid_until`], counted from the *sending* of the last confirmed heartbeat. Others
//!   count its silence from the *receipt* of what they read, so it has stopped before any of them may take over.
//! - Once it was late, anybody may believe it dead and be about to take its leases. From then on it reads only what it
//!   has itself taken anew, by a write that such a taker's stale version loses against.
//! - It gives a lease away, or takes one, only by its plan; and it gives only what is drained.
//! - It goes on reading what it gives up until the receivers know, and looks often for what it is to receive.
//! - It reads only the streams that it follows, which its row tells; one that it gives up, it hands over first.
//! - It finishes a shard only after each of its children has a lease.

mod audit;
mod command;
mod event;
mod floor;
mod following;
mod holding;
mod leases;
mod lending;
mod lost;
mod notice;
mod pause;
mod planning;
mod pulse;
mod settings;
mod streams;
mod table;
mod upkeep;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stream_types::Name;

use self::audit::Audit;
pub use self::command::{CheckpointError, Command, Ending, StopReason, Warning};
pub use self::event::Event;
use self::floor::Floor;
use self::holding::Holding;
use self::pulse::Pulse;
pub use self::settings::{InvalidSettings, WorkerSettings};
use self::streams::Stream;
use self::table::Table;
use crate::plan::Plan;
use crate::{Epoch, Incarnation, LeaseKey, Liveness, Moment, StreamFacts, WorkerId, WorkerRow};

/// One worker of a fleet, from its registration to its end.
///
/// ```
/// use lease_core::worker::{Command, Event, Worker, WorkerSettings};
/// use lease_core::{Moment, StreamFacts};
/// use stream_types::{Name, StartPosition};
/// use std::collections::BTreeMap;
///
/// let facts = StreamFacts { created: None, start: StartPosition::Horizon };
/// let streams = BTreeMap::from([(Name::new("orders")?, facts)]);
/// let mut worker = Worker::new(Name::new("pod-1")?, 7, WorkerSettings::default(), streams);
/// let commands = worker.on(Event::TimePassed, Moment::START);
/// assert!(matches!(commands[..], [Command::Heartbeat(_)]));
/// # Ok::<(), stream_types::InvalidName>(())
/// ```
#[derive(Debug, Clone, Hash)]
pub struct Worker {
    settings: WorkerSettings,
    nonce: u64,
    pulse: Pulse,
    liveness: Liveness,
    /// All workers' rows as last read, by a heartbeat sent at that moment.
    workers: Vec<WorkerRow>,
    workers_read: Option<Moment>,
    floor: Floor,
    table: Table,
    listing: Listing,
    audit: Audit,
    plan: Option<Plan>,
    /// Leases that the plan sends here, and that other live workers have yet to give.
    expected: BTreeSet<LeaseKey>,
    /// The time for leaving is nearly over.
    is_overdue: bool,
    /// For how long to go on reading what is to be given away, so that its receivers can know of it.
    notice: Duration,
    holdings: BTreeMap<LeaseKey, Holding>,
    /// Leases that this worker left to nobody because their processors kept failing, with the epoch since.
    stopped: BTreeMap<LeaseKey, Epoch>,
    /// The worker is to end, and another of its name goes on with its leases within that time.
    returning: Option<Duration>,
    /// Those that the worker follows, and those that it has given up and still has leases of.
    streams: BTreeMap<Name, Stream>,
    /// Streams that nobody follows, and of which there are leases. This was told.
    unread: BTreeSet<Name>,
    unplaced: Unplaced,
    chores: Chores,
    ended: bool,
    now: Moment,
    commands: Vec<Command>,
}

/// When the leases are listed.
#[derive(Debug, Clone, Default, Hash)]
struct Listing {
    wanted: bool,
    /// The next heartbeat is to be followed by a list.
    hinted: bool,
    in_flight: Option<Moment>,
    /// Since when the table may have lost rows that the last list had: nothing is created by them.
    doubted: Option<Moment>,
    /// When the answer to the last one came.
    received: Option<Moment>,
    /// After a failure, when the next try may be made.
    not_before: Option<Moment>,
    failures: u32,
}

/// What has to be looked at again before the next event, since something that it depends on has changed.
#[derive(Debug, Clone, Default, Hash)]
struct Chores {
    plan: bool,
    repair: bool,
    /// A step of the plan has met a write under way, and waits for its end.
    blocked: bool,
    /// A gift waits until it is certain who lives.
    postponed: bool,
}

/// Leases that fit nowhere, as this worker has told of them.
#[derive(Debug, Clone, Default, Hash)]
struct Unplaced {
    told: usize,
    /// Since when there are some.
    since: Option<Moment>,
}

impl Worker {
    /// A worker that has yet to register. The nonce is random: it tells this process from any other of the same name.
    #[must_use]
    pub fn new(name: Name, nonce: u64, settings: WorkerSettings, streams: BTreeMap<Name, StreamFacts>) -> Self {
        let id = WorkerId { name, incarnation: Incarnation::first(nonce) };
        let row = WorkerRow {
            zone: settings.zone.clone(),
            lease_duration: Some(settings.lease_duration),
            #[cfg(feature = "testing")]
            plan_version: settings.plan_version,
            streams: Some(streams.keys().cloned().collect()),
            ..WorkerRow::registering(id, settings.capacity)
        };
        Self {
            nonce,
            pulse: Pulse::starting_at(Moment::START, row, &settings),
            notice: settings.longest_notice(),
            settings,
            liveness: Liveness::default(),
            workers: Vec::new(),
            workers_read: None,
            floor: Floor::new(),
            table: Table::default(),
            listing: Listing::default(),
            audit: Audit::default(),
            plan: None,
            expected: BTreeSet::new(),
            is_overdue: false,
            holdings: BTreeMap::new(),
            stopped: BTreeMap::new(),
            returning: None,
            streams: streams.into_iter().map(|(name, facts)| (name, Stream::new(facts))).collect(),
            unread: BTreeSet::new(),
            unplaced: Unplaced::default(),
            chores: Chores::default(),
            ended: false,
            now: Moment::START,
            commands: Vec::new(),
        }
    }

    /// The worker's identity. Its incarnation may still grow until it is registered.
    #[must_use]
    pub fn id(&self) -> WorkerId {
        self.pulse.row.id()
    }

    /// Whether the worker follows the stream: it has not been asked to give it up, nor found it gone.
    #[must_use]
    pub fn follows(&self, stream: &Name) -> bool {
        self.pulse.row.follows(stream)
    }

    /// Whether the worker has the lease, under that epoch, whatever it does with it.
    #[must_use]
    pub fn holds(&self, key: &LeaseKey, epoch: Epoch) -> bool {
        self.holdings.get(key).is_some_and(|holding| holding.epoch == epoch)
    }

    /// Until when the worker may deliver records, as things stand; absent when it may not.
    #[must_use]
    pub fn valid_until(&self) -> Option<Moment> {
        self.pulse.valid_until().filter(|_| !self.ended)
    }

    /// When the worker wants to be told that time has passed; absent once it has ended.
    #[must_use]
    pub fn next_wake(&self) -> Option<Moment> {
        if self.ended {
            return None;
        }
        let retry = self.table.next_retry(self.floor.certain()).filter(|_| self.pulse.is_valid());
        let streams = self.streams.values().filter_map(Stream::next_list).filter(|_| self.pulse.is_valid());
        let can_restart = |(key, _): &(&LeaseKey, &Holding)| !self.table.is_writing(key);
        let restarts = self.holdings.iter().filter(can_restart).filter_map(|(_, holding)| holding.next_wake());
        self.pulse.next_wake().into_iter().chain(retry).chain(streams).chain(restarts).min()
    }

    /// Tells the worker what happened, and when; returns what is to be done.
    ///
    /// Moments must not go back from one call to the next.
    pub fn on(&mut self, event: Event, now: Moment) -> Vec<Command> {
        if self.ended {
            return Vec::new();
        }
        self.now = self.now.max(now);
        if self.pulse.lapses(self.now) {
            self.commands.push(Command::Warn(Warning::HeartbeatLate { validity: self.settings.validity() }));
            self.stop_all(StopReason::HeartbeatLate);
            self.table.drop_retries();
        }
        match event {
            Event::TimePassed => {}
            Event::Hinted => self.on_hint(),
            Event::HeartbeatAnswered(answer) => self.on_heartbeat(answer),
            Event::LeasesListed(answer) => self.on_leases(answer),
            Event::PutAnswered { key, answer } => self.on_put(&key, answer),
            Event::DeleteAnswered { key, answer } => self.on_delete(&key, answer),
            Event::ForgetFailed => self.doubt_floor(),
            Event::ShardsListed { stream, created, shards } => self.on_shards(&stream, created, shards),
            Event::StreamNotFound { stream } => self.on_stream_not_found(&stream),
            Event::CheckpointAsked { key, epoch, position } => self.on_checkpoint(&key, epoch, position),
            Event::RowAsked { key, epoch, position } => self.on_row_asked(&key, epoch, position),
            Event::Drained { key, epoch, position } => self.on_drained(&key, epoch, position),
            Event::ShardEnded { key, epoch, children } => self.on_shard_end(&key, epoch, children),
            Event::ShardFailed { key, epoch, position } => self.on_shard_failure(&key, epoch, position),
            Event::ShardStopped { key, epoch, position } => self.on_shard_stopped(&key, epoch, position),
            Event::FollowAsked { stream, facts } => self.on_follow(stream, facts),
            Event::UnfollowAsked { stream } => self.on_unfollow(&stream),
            Event::LeaveAsked { within } => self.on_leave(within),
            Event::LeaveOverdue => self.on_leave_overdue(),
            Event::ReturnAsked { within } => self.on_return(within),
        }
        self.make_up_for_vanished();
        if !self.ended {
            self.keep_up();
        }
        std::mem::take(&mut self.commands)
    }

    /// The others' next heartbeats may come too late to tell what changed: the leases themselves do. They are asked for
    /// with the next heartbeat, which bounds how often.
    fn on_hint(&mut self) {
        self.listing.hinted = true;
        self.pulse.hurry();
    }

    fn on_leave(&mut self, within: Duration) {
        self.limit_notice(within);
        self.pulse.row.leaving = true;
        self.pulse.hurry();
        self.chores.plan = true;
    }

    fn on_leave_overdue(&mut self) {
        self.is_overdue = true;
        self.chores.plan = true;
    }

    fn on_return(&mut self, within: Duration) {
        self.returning = Some(within);
        self.chores.plan = true;
    }

    /// Stops all reading at once and forgets all leases.
    fn stop_all(&mut self, reason: StopReason) {
        for (key, holding) in std::mem::take(&mut self.holdings) {
            if holding.is_running() {
                self.commands.push(Command::StopShard { key, epoch: holding.epoch, reason });
            }
        }
    }

    fn end(&mut self, ending: Ending) {
        self.stop_all(StopReason::WorkerEnded);
        self.commands.push(Command::End(ending));
        self.ended = true;
    }
}
