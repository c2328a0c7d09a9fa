//! A worker's own row: when to write it, and how long the last write is good for.

use std::time::Duration;

use super::WorkerSettings;
use crate::{Incarnation, Moment, WorkerRow};

/// The rhythm of heartbeats, and the validity that confirmed ones give.
#[derive(Debug)]
pub(super) struct Pulse {
    /// The row as it will be written next.
    pub(super) row: WorkerRow,
    interval: Duration,
    look_round: Duration,
    shortest_pause: Duration,
    validity: Duration,
    in_flight: Option<Beating>,
    /// The row as the registry has it.
    written: Option<WorkerRow>,
    last_sent: Option<Moment>,
    next: Moment,
    /// When the confirmed registration was sent.
    registered: Option<Moment>,
    /// When the last confirmed heartbeat was sent.
    confirmed: Option<Moment>,
    /// Since when the worker has been valid without a gap.
    valid_since: Option<Moment>,
    has_lapsed: bool,
}

/// A heartbeat on its way.
#[derive(Debug)]
struct Beating {
    sent: Moment,
    row: WorkerRow,
}

impl Pulse {
    pub(super) fn new(row: WorkerRow, settings: &WorkerSettings) -> Self {
        Self {
            row,
            interval: settings.heartbeat_interval,
            look_round: settings.look_round(),
            shortest_pause: settings.shortest_pause(),
            validity: settings.validity(),
            in_flight: None,
            written: None,
            last_sent: None,
            next: Moment::START,
            registered: None,
            confirmed: None,
            valid_since: None,
            has_lapsed: false,
        }
    }

    /// The row to send now, if a heartbeat is due.
    pub(super) fn beat(&mut self, now: Moment) -> Option<WorkerRow> {
        if self.in_flight.is_some() || now < self.next {
            return None;
        }
        self.in_flight = Some(Beating { sent: now, row: self.row.clone() });
        self.last_sent = Some(now);
        self.next = now.after(self.interval);
        Some(self.row.clone())
    }

    /// The heartbeat on its way was written. Returns when it was sent.
    pub(super) fn confirmed(&mut self) -> Option<Moment> {
        let Beating { sent, row } = self.in_flight.take()?;
        self.row.heartbeat += 1;
        self.written = Some(row);
        if self.valid_since.is_none() {
            self.valid_since = Some(sent);
        }
        self.confirmed = Some(sent);
        let registered = *self.registered.get_or_insert(sent);
        if !self.has_looked_round() {
            self.next = self.next.min(registered.after(self.look_round));
        }
        Some(sent)
    }

    /// The heartbeat on its way failed: the next one may come early.
    pub(super) fn failed(&mut self) {
        self.in_flight = None;
        self.hurry();
    }

    /// There is news to tell or to hear: the next heartbeat comes as early as it may.
    pub(super) fn hurry(&mut self) {
        let earliest = self.last_sent.map_or(Moment::START, |sent| sent.after(self.shortest_pause));
        self.next = self.next.min(earliest);
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

    pub(super) fn is_registered(&self) -> bool {
        self.registered.is_some()
    }

    /// Whether the registry says that the worker is on its way out.
    pub(super) fn is_leaving_known(&self) -> bool {
        self.written.as_ref().is_some_and(|row| row.leaving)
    }

    /// The row as the registry certainly has it: none is on its way.
    pub(super) fn written(&self) -> Option<&WorkerRow> {
        self.written.as_ref().filter(|_| self.in_flight.is_none())
    }

    /// The name is borne by this other incarnation: register again as its successor, at once.
    pub(super) fn succeed(&mut self, other: Incarnation, nonce: u64, now: Moment) {
        self.row.incarnation = other.successor(nonce);
        self.in_flight = None;
        self.next = now;
    }

    /// When the worker must be woken for its heartbeat or its validity.
    pub(super) fn next_wake(&self) -> Option<Moment> {
        let beat = self.in_flight.is_none().then_some(self.next);
        [beat, self.valid_until()].into_iter().flatten().min()
    }
}
