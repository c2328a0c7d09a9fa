//! What a worker does without being told: heartbeats, lists, retries, and the end.

use std::collections::BTreeMap;
use std::time::Duration;

use stream_types::Name;

use super::pause::doubled;
use super::pulse::Pulse;
use super::{Command, Ending, Listing, StopReason, Worker, WorkerSettings};
use crate::{Beat, Lease, LeaseKey, Outcome, StoreErrorKind, WorkerRow};

impl Worker {
    /// For how many lease durations a worker must be silent before its row is removed.
    const LEASE_DURATIONS_TO_FORGET: u32 = 10;

    /// Everything that is due by now, or by what has just happened.
    pub(super) fn keep_up(&mut self) {
        if self.pulse.is_valid() {
            self.list_leases();
            self.try_again();
            self.restart_failed();
            self.follow_streams();
            if std::mem::take(&mut self.chores.repair) {
                self.repair();
            }
            if std::mem::take(&mut self.chores.plan) {
                self.follow_plan();
            }
        }
        self.drop_unfollowed_streams();
        self.leave_when_done();
        if let Some(row) = self.pulse.beat(self.now).filter(|_| !self.ended) {
            self.commands.push(Command::Heartbeat(row));
        }
    }

    pub(super) fn on_heartbeat(&mut self, answer: Result<Beat, StoreErrorKind>) {
        match answer {
            Ok(Beat::Written { workers, epoch_floor }) => {
                self.floor.told(epoch_floor);
                self.on_beat_written(workers);
            }
            Ok(Beat::Replaced { by }) if !self.pulse.is_registered() => {
                self.pulse.succeed(&by, self.nonce, self.now);
            }
            // Whoever takes over a name bears a higher number than the row that it has found.
            Ok(Beat::Replaced { by }) if by.incarnation.number <= self.pulse.row.incarnation.number => {
                self.register_again();
            }
            Ok(Beat::Replaced { by }) => self.end(Ending::Replaced { worker: self.id(), by: by.incarnation }),
            Err(kind) if !kind.is_retryable() && !self.pulse.is_registered() => self.end(Ending::Refused),
            Err(_) => {
                self.doubt_floor();
                // A store that was away may have come back with older rows.
                self.listing.hinted = true;
                self.pulse.failed();
            }
        }
    }

    /// The registry shows an earlier process of this name: it has lost its newest rows, and nobody took over.
    fn register_again(&mut self) {
        self.stop_all(StopReason::HeartbeatLate);
        self.table.drop_retries();
        let row = &self.pulse.row;
        let incarnation = row.incarnation.successor(self.nonce);
        let row = WorkerRow { incarnation, heartbeat: WorkerRow::REGISTERS, ..row.clone() };
        self.pulse = Pulse::starting_at(self.now, row, &self.settings);
    }

    fn on_beat_written(&mut self, workers: Vec<WorkerRow>) {
        let was_valid = self.pulse.is_valid();
        let was_cautious = !self.pulse.has_outlasted_predecessor() || !self.pulse.has_looked_round();
        let had_predecessor = self.pulse.may_have_predecessor();
        let Some(sent) = self.pulse.confirmed(self.now) else { return };
        self.floor.told_by_one_sent(sent);

        let before = self.news();
        // This worker was frozen, or the store away.
        if self.workers_read.is_some_and(|last| sent.since(last) >= self.settings.doubt_after(&self.pulse.row)) {
            self.liveness.look_anew();
        }
        self.liveness.observe(&workers, sent, self.now);
        self.workers = workers;
        self.workers_read = Some(sent);
        let lease_duration = self.settings.lease_duration;
        let patience = self.workers.iter().map(|row| (&row.name, row.patience(lease_duration)));
        let patience: BTreeMap<&Name, Duration> = patience.collect();
        let patience = |name: &Name| patience.get(name).copied().unwrap_or(lease_duration);
        if let Some(verdict) = self.liveness.next_verdict(patience) {
            self.pulse.no_later_than(verdict);
        }
        self.audit_when_due();
        // What it wrote before it was late, or another process of its name, nobody may have been told of.
        let has_outlived = had_predecessor && !self.pulse.may_have_predecessor();
        if has_outlived || (!was_valid && self.pulse.has_lapsed()) {
            self.pulse.row.generation += 1;
        }
        let hinted = std::mem::take(&mut self.listing.hinted);
        self.listing.wanted |= !was_valid || hinted || before != self.news();
        self.chores.plan |= was_cautious || self.pulse.row.leaving || std::mem::take(&mut self.chores.postponed);
    }

    /// What of the other workers' rows must change for the leases to be worth listing.
    fn news(&self) -> Vec<WorkerRow> {
        let others = self.live_workers().into_iter().filter(|row| row.name != self.pulse.row.name);
        others.map(|row| WorkerRow { heartbeat: 0, ..row.clone() }).collect()
    }

    /// The rows of the workers believed alive, this one's own row as it stands included.
    pub(super) fn live_workers(&self) -> Vec<&WorkerRow> {
        let me = &self.pulse.row;
        let others = self.workers.iter().filter(|row| row.name != me.name);
        let patience = |row: &WorkerRow| row.patience(self.settings.lease_duration);
        let alive = others.filter(|row| self.liveness.is_alive(&row.name, patience(row)));
        alive.chain([me]).collect()
    }

    fn list_leases(&mut self) {
        let may_try = self.listing.not_before.is_none_or(|moment| moment <= self.now);
        if self.listing.wanted && self.listing.in_flight.is_none() && may_try {
            self.listing.wanted = false;
            self.listing.in_flight = Some(self.now);
            self.commands.push(Command::ListLeases);
        }
    }

    /// Lists are tried again with heartbeats, but later with each failure. A network passes, and leases that were given may wait
    /// for the list; a row that nobody can read may stay for long.
    fn list_again(&mut self, kind: StoreErrorKind) {
        let WorkerSettings { heartbeat_interval, lease_duration, audit_interval, .. } = self.settings;
        let longest = if kind.is_retryable() { lease_duration / 2 } else { audit_interval };
        let pause = doubled(heartbeat_interval, self.listing.failures, longest);
        self.listing.not_before = Some(self.now.after(pause));
        self.listing.failures += 1;
        self.listing.wanted = true;
    }

    pub(super) fn on_leases(&mut self, answer: Result<Vec<Lease>, StoreErrorKind>) {
        let Some(sent) = self.listing.in_flight.take() else { return };
        let leases = match answer {
            Ok(leases) => leases,
            Err(kind) => {
                self.doubt_floor();
                return self.list_again(kind);
            }
        };
        let refuted = self.table.refuted(&leases, sent);
        let Listing { wanted, hinted, doubted, .. } = self.listing;
        let doubted = doubted.filter(|since| sent < *since);
        if self.table.replace(leases, sent) {
            self.doubt_floor();
        }
        let wanted = wanted || self.table.has_unconfirmed();
        self.audit.listed(sent, wanted);
        self.listing = Listing { wanted, hinted, doubted, received: Some(self.now), ..Listing::default() };
        self.refuse_recreated_streams();
        if self.ended {
            return;
        }
        refuted.iter().for_each(|write| self.refused(write));
        self.drop_lost();
        self.chores.plan = true;
        self.chores.repair = true;
        self.assign_chores();
    }

    pub(super) fn forget_the_dead(&mut self) {
        let long = |row: &WorkerRow| {
            row.patience(self.settings.lease_duration).saturating_mul(Self::LEASE_DURATIONS_TO_FORGET)
        };
        let owns = |row: &WorkerRow| {
            let mut rows = self.table.rows().into_iter().flatten().filter(|lease| !lease.is_finished());
            rows.any(|lease| lease.owner.as_ref().is_some_and(|owner| owner.name == row.name))
        };
        let long_dead = self.workers.iter().filter(|row| self.liveness.silence(&row.name) >= Some(long(row)));
        let forgotten: Vec<Command> =
            long_dead.filter(|row| !owns(row)).map(|row| Command::Forget(row.clone())).collect();
        self.commands.extend(forgotten);
    }

    pub(super) fn on_delete(&mut self, key: &LeaseKey, answer: Result<Outcome<Lease>, StoreErrorKind>) {
        self.table.delete_answered(key);
        match answer {
            Ok(Outcome::Applied) => {
                self.table.deleted(key, self.now);
                self.pulse.row.generation += 1;
            }
            Ok(Outcome::Conflict { current }) => {
                if self.table.learn(key, current, self.now) {
                    self.doubt_rows();
                }
            }
            // The next reconciliation finds the tombstone again.
            Err(_) => self.doubt_floor(),
        }
    }

    /// Tells the others that this process has ended, once it has nothing more to store; and ends once they can know.
    fn return_when_done(&mut self, within: Duration) {
        // The next of its name begins at once: nobody else of that name may be at work any more.
        let is_alone = self.pulse.is_registered() && !self.pulse.may_have_predecessor();
        if !self.holdings.is_empty() || self.table.has_writes() || !is_alone {
            return;
        }
        if self.pulse.is_return_known() {
            self.end(Ending::Left);
        } else if self.pulse.row.returns_within.is_none() {
            self.pulse.row.returns_within = Some(within);
            self.pulse.hurry();
        }
    }

    /// A leaving worker ends when nothing is left to hand over, a returning one when all it has done is stored.
    fn leave_when_done(&mut self) {
        if !(self.pulse.row.leaving || self.returning.is_some()) || self.ended {
            return;
        }
        if !self.pulse.may_have_a_row() {
            return self.end(Ending::Left);
        }
        if let Some(within) = self.returning {
            return self.return_when_done(within);
        }
        // Those of an earlier process of its name can be taken by others, once the name is gone.
        let me = self.id();
        let is_mine = |lease: &Lease| !lease.is_finished() && lease.is_owned_by(&me);
        let owns = self.table.rows().into_iter().flatten().any(is_mine);
        let all_known = self.pulse.is_leaving_known() && self.table.is_listed() && self.pulse.is_valid();
        if !all_known || owns || self.table.has_writes() {
            return;
        }
        if let Some(row) = self.pulse.written() {
            self.commands.push(Command::Forget(row.clone()));
            self.end(Ending::Left);
        }
    }
}
