//! A worker's own row: when to write it, and how long the last write is good for.

use std::time::Duration;

use stream_types::Name;

use super::WorkerSettings;
use crate::{Moment, WorkerRow};

/// The rhythm of heartbeats, and the validity that confirmed ones give.
#[derive(Debug, Clone, Hash)]
pub(super) struct Pulse {
    /// The row as it will be written next.
    pub(super) row: WorkerRow,
    interval: Duration,
    look_round: Duration,
    short_pause: Duration,
    shortest_pause: Duration,
    validity: Duration,
    in_flight: Option<Beating>,
    /// How far apart the heartbeats may be of the process that bore the name before.
    predecessor_interval: Duration,
    /// It has ended, and said that this one would come.
    is_awaited: bool,
    /// The row as the registry has it.
    written: Option<WorkerRow>,
    last_sent: Option<Moment>,
    next: Moment,
    /// How many heartbeats have failed since the last confirmed one.
    failures: u32,
    /// When the first try to register under the present incarnation was sent.
    registering_since: Option<Moment>,
    /// When the confirmed registration was sent.
    registered: Option<Moment>,
    /// When the answer to the registration came. By then all can know of it.
    registration_known: Option<Moment>,
    /// When the last confirmed heartbeat was sent.
    confirmed: Option<Moment>,
    /// Since when the worker has been valid without a gap.
    valid_since: Option<Moment>,
    has_lapsed: bool,
    /// Until then leases are about to come or go, and heartbeats come often.
    often_until: Option<Moment>,
    /// When the answer came to the first heartbeat that told the others what the row says now of leaving and of streams.
    told: Option<Moment>,
}

/// A heartbeat on its way.
#[derive(Debug, Clone, Hash)]
struct Beating {
    sent: Moment,
    row: WorkerRow,
}

impl Pulse {
    /// A pulse that begins at that moment.
    pub(super) fn starting_at(now: Moment, row: WorkerRow, settings: &WorkerSettings) -> Self {
        Self {
            row,
            interval: settings.heartbeat_interval,
            look_round: settings.look_round(),
            short_pause: settings.short_pause(),
            shortest_pause: settings.shortest_pause(),
            validity: settings.validity(),
            in_flight: None,
            predecessor_interval: settings.heartbeat_interval,
            is_awaited: false,
            written: None,
            last_sent: None,
            next: now,
            failures: 0,
            registering_since: None,
            registered: None,
            registration_known: None,
            confirmed: None,
            valid_since: None,
            has_lapsed: false,
            often_until: None,
            told: None,
        }
    }

    /// The row to send now, if a heartbeat is due.
    pub(super) fn beat(&mut self, now: Moment) -> Option<WorkerRow> {
        if self.in_flight.is_some() || now < self.next {
            return None;
        }
        self.in_flight = Some(Beating { sent: now, row: self.row.clone() });
        self.last_sent = Some(now);
        self.registering_since.get_or_insert(now);
        let often = self.often_until.is_some_and(|until| now < until);
        self.next = now.after(if often { self.short_pause } else { self.interval });
        Some(self.row.clone())
    }

    /// The heartbeat on its way was written. Returns when it was sent.
    pub(super) fn confirmed(&mut self, now: Moment) -> Option<Moment> {
        let Beating { sent, row } = self.in_flight.take()?;
        self.row.heartbeat += 1;
        let is_told = |before: &WorkerRow| (before.leaving, &before.streams) == (row.leaving, &row.streams);
        if !self.written.as_ref().is_some_and(is_told) {
            self.told = Some(now);
        }
        self.written = Some(row);
        self.failures = 0;
        // Tries to register are one heartbeat, which others may have seen since the first of them.
        let shown_since = if self.registered.is_none() { self.registering_since.unwrap_or(sent) } else { sent };
        // A heartbeat that ends a lapse may have been sent before it: it does not undo that the worker was late.
        self.valid_since.get_or_insert(if self.has_lapsed { now } else { shown_since });
        self.confirmed = Some(shown_since);
        let registered = *self.registered.get_or_insert(sent);
        let known = *self.registration_known.get_or_insert(now);
        if !self.has_looked_round() {
            self.next = self.next.min(registered.after(self.look_round));
        } else if !self.has_outlasted_predecessor() {
            self.next = self.next.min(known.after(self.predecessor_interval + self.shortest_pause));
        }
        Some(sent)
    }

    /// The heartbeat on its way failed: the next one comes early, but later with each failure.
    ///
    /// It is another heartbeat, since this one may have been written although its reply was lost. Others count its
    /// silence from when they saw it first; were it sent again, this worker would count from when it was sent last.
    pub(super) fn failed(&mut self) {
        if self.is_registered() {
            self.row.heartbeat += 1;
        }
        self.in_flight = None;
        let pause = self.shortest_pause.saturating_mul(1 << self.failures.min(8)).min(self.interval);
        self.failures += 1;
        self.next = self.last_sent.unwrap_or(Moment::START).after(pause);
    }

    /// There is news to tell or to hear: the next heartbeat comes as early as it may.
    pub(super) fn hurry(&mut self) {
        if self.failures > 0 {
            return;
        }
        let earliest = self.last_sent.map_or(Moment::START, |sent| sent.after(self.shortest_pause));
        self.next = self.next.min(earliest);
    }

    /// Leases are about to come or go: heartbeats come often until that moment.
    pub(super) fn look_often_until(&mut self, until: Moment) {
        self.often_until = self.often_until.max(Some(until));
        if self.failures == 0 {
            let earliest = self.last_sent.map_or(Moment::START, |sent| sent.after(self.short_pause));
            self.next = self.next.min(earliest);
        }
    }

    /// All leases have come that were to come.
    pub(super) fn calm_down(&mut self) {
        self.often_until = None;
    }

    /// When the answer came to the first heartbeat that told the others what the row in the registry says of leaving and of
    /// streams. Whoever has beaten after that has read it.
    pub(super) fn told(&self) -> Option<Moment> {
        self.told
    }

    /// A heartbeat at this moment would tell something; it must not wait longer than that.
    pub(super) fn no_later_than(&mut self, moment: Moment) {
        let earliest = self.last_sent.map_or(Moment::START, |sent| sent.after(self.shortest_pause));
        self.next = self.next.min(moment.max(earliest));
    }

    /// Until when the worker may deliver records; absent when it may not.
    pub(super) fn valid_until(&self) -> Option<Moment> {
        self.valid_since?;
        self.confirmed.map(|sent| sent.after(self.validity))
    }

    /// Whether the worker has just ceased to be valid. True once for each lapse.
    pub(super) fn lapses(&mut self, now: Moment) -> bool {
        let lapses = self.valid_until().is_some_and(|until| until <= now);
        if lapses {
            self.valid_since = None;
            self.has_lapsed = true;
        }
        lapses
    }

    /// Whether the worker has been valid since that moment without a gap.
    pub(super) fn valid_since(&self, moment: Moment) -> bool {
        self.valid_since.is_some_and(|since| since <= moment)
    }

    pub(super) fn is_valid(&self) -> bool {
        self.valid_since.is_some()
    }

    /// Whether this incarnation has ever ceased to be valid. From then on somebody may believe it dead.
    pub(super) fn has_lapsed(&self) -> bool {
        self.has_lapsed
    }

    /// Whether the worker has given others that start with it the time to register, and seen who did.
    pub(super) fn has_looked_round(&self) -> bool {
        let seen_until = self.registered.map(|registered| registered.after(self.look_round));
        seen_until.is_some_and(|until| self.confirmed >= Some(until))
    }

    /// Whether another process under the same name, if it lived, would have learned by its own heartbeat that this one
    /// took over.
    pub(super) fn has_outlasted_predecessor(&self) -> bool {
        let learned = self.registration_known.map(|known| known.after(self.predecessor_interval + self.shortest_pause));
        self.is_awaited || learned.is_some_and(|learned| self.confirmed >= Some(learned))
    }

    /// Whether the registration has told of an earlier process of the name that may not have learned of this one yet, and go on
    /// writing.
    pub(super) fn may_have_predecessor(&self) -> bool {
        !self.row.incarnation.is_first() && !self.has_outlasted_predecessor()
    }

    /// Whether any heartbeat was sent, so that there may be a row.
    pub(super) fn may_have_a_row(&self) -> bool {
        self.last_sent.is_some()
    }

    pub(super) fn is_registered(&self) -> bool {
        self.registered.is_some()
    }

    /// Whether the registry says that the worker is on its way out.
    pub(super) fn is_leaving_known(&self) -> bool {
        self.written.as_ref().is_some_and(|row| row.leaving)
    }

    /// Whether the registry says that the worker follows the stream.
    pub(super) fn is_known_to_follow(&self, stream: &Name) -> bool {
        self.written.as_ref().is_some_and(|row| row.follows(stream))
    }

    /// Whether the registry says that another process of this name is to come.
    pub(super) fn is_return_known(&self) -> bool {
        self.is_valid() && self.written().is_some_and(|row| row.returns_within.is_some())
    }

    /// The row as the registry certainly has it: none is on its way.
    pub(super) fn written(&self) -> Option<&WorkerRow> {
        self.written.as_ref().filter(|_| self.in_flight.is_none())
    }

    /// The name is borne by this other process: register again as its successor, at once.
    pub(super) fn succeed(&mut self, other: &WorkerRow, nonce: u64, now: Moment) {
        self.row.incarnation = other.incarnation.successor(nonce);
        // Of one with other settings, only the longest is known that they allow.
        let longest = other.lease_duration.filter(|duration| Some(*duration) != self.row.lease_duration);
        let longest = longest.map(|duration| duration / WorkerSettings::HEARTBEATS_PER_LEASE);
        self.predecessor_interval = longest.map_or(self.interval, |longest| longest.max(self.interval));
        self.is_awaited = other.returns_within.is_some();
        self.in_flight = None;
        self.registering_since = None;
        self.next = now;
    }

    /// When the worker must be woken for its heartbeat or its validity.
    pub(super) fn next_wake(&self) -> Option<Moment> {
        let beat = self.in_flight.is_none().then_some(self.next);
        [beat, self.valid_until()].into_iter().flatten().min()
    }
}
