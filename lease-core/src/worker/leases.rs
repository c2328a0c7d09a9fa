//! What happens to the leases that a worker has, or is about to have.

use stream_types::{Name, Position, Shard};

use super::holding::{Activity, Holding};
use super::write::Write;
use super::{CheckpointError, Command, StopReason, Warning, Worker};
use crate::{Change, Epoch, Lease, LeaseKey, Outcome, StoreErrorKind};

impl Worker {
    pub(super) fn on_put(&mut self, key: &LeaseKey, answer: Result<Outcome<Lease>, StoreErrorKind>) {
        if answer.is_err() {
            self.doubt_floor();
            // What is to be created then, the next list tells.
            let is_obsolete = self.listing.doubted.is_some() && self.table.is_creating(key);
            if self.pulse.is_valid() && !self.table.is_lent(key) && !is_obsolete {
                return self.table.postpone(key, self.now);
            }
        }
        let Some(write) = self.table.answered(key) else { return };
        self.chores.plan |= std::mem::take(&mut self.chores.blocked);
        match answer {
            Ok(Outcome::Applied) => self.accepted(write),
            // The reply to an earlier try was lost: the row is this very write. But a take from before a lapse may have been the same
            // to the letter, and others may count on its version: then it is taken anew.
            Ok(Outcome::Conflict { current: Some(current) }) if current == write.next => {
                if current.last_change == Change::Taken && self.pulse.has_lapsed() {
                    self.table.learn(key, Some(current), self.now);
                    self.chores.plan = true;
                } else {
                    self.accepted(write);
                }
            }
            // An earlier try, under a lower epoch: nobody reads what was left to nobody.
            Ok(Outcome::Conflict { current: Some(current) })
                if current.last_change == Change::Released && write.has_written(&current) =>
            {
                self.accepted(write.written_as(current));
            }
            Ok(Outcome::Conflict { current }) => {
                if self.table.learn(key, current, self.now) {
                    self.doubt_rows();
                }
                self.refused(&write);
            }
            // What became of the write, the list will show. A loan that was given up may be asked for again at once.
            Err(_) => {
                self.listing.wanted = true;
                self.chores.repair = true;
                self.save(key);
                self.lend(key);
            }
        }
    }

    fn accepted(&mut self, write: Write) {
        let Write { next, sent, .. } = write;
        let key = next.key.clone();
        // A list may have shown what others made of a new row before the answer to its creation came.
        if self.table.get(&key).is_none_or(|row| row.version <= next.version) {
            self.table.learn(&key, Some(next.clone()), self.now);
        }
        self.chores.plan |= self.returning.is_some();
        match next.last_change {
            Change::Created => {
                self.announce();
                // One look at all new leases, not one after each.
                let all_created = !self.table.is_creating_any();
                self.chores.repair |= all_created;
                self.chores.plan |= all_created;
            }
            Change::Taken => {
                self.pulse.row.generation += 1;
                // A plan made meanwhile may want it elsewhere, and only its owner can give it there.
                self.chores.plan |= self.target(&key) != Some(&self.pulse.row.name);
                if self.pulse.valid_since(sent) {
                    self.start(next);
                } else {
                    self.listing.wanted = true;
                }
            }
            Change::Checkpointed => self.on_saved(&key, &next),
            Change::Given | Change::Released => {
                let left = self.holdings.remove(&key);
                if left.is_some_and(|holding| matches!(holding.activity, Activity::Stopped(_))) {
                    self.stopped.insert(key, next.epoch);
                }
                self.announce();
            }
            Change::Finished => {
                self.holdings.remove(&key);
                self.announce();
                self.chores.plan = true;
            }
        }
    }

    pub(super) fn refused(&mut self, write: &Write) {
        let key = &write.next.key;
        match write.next.last_change {
            Change::Created => {
                let all_created = !self.table.is_creating_any();
                self.chores.repair |= all_created;
                self.chores.plan |= all_created;
            }
            // Whoever has written the row may have been about to end, and tells nobody.
            Change::Taken => {
                self.listing.wanted = true;
                self.pulse.row.generation += 1;
            }
            Change::Given | Change::Released | Change::Checkpointed | Change::Finished => {
                self.lose(key);
                self.announce();
            }
        }
    }

    /// Somebody else has written the row: the lease is lost.
    fn lose(&mut self, key: &LeaseKey) {
        let Some(holding) = self.holdings.remove(key) else { return };
        if holding.is_running() {
            let (key, epoch) = (key.clone(), holding.epoch);
            self.commands.push(Command::StopShard { key, epoch, reason: StopReason::LeaseLost });
        }
        self.chores.plan = true;
    }

    /// Drops the leases whose rows the newest list shows in other hands.
    pub(super) fn drop_lost(&mut self) {
        let me = self.id();
        let is_kept = |(key, holding): (&LeaseKey, &Holding)| {
            let row = self.table.get(key);
            let is_mine = row.is_some_and(|row| row.is_owned_by(&me) && row.epoch == holding.epoch);
            // What was done since a row went back may have gone with it: it is read again, from where the row stands.
            (is_mine && !self.table.went_back(key)) || self.table.is_writing(key)
        };
        let lost: Vec<LeaseKey> =
            self.holdings.iter().filter(|entry| !is_kept(*entry)).map(|(key, _)| key.clone()).collect();
        for key in lost {
            self.lose(&key);
            self.announce();
        }
    }

    pub(super) fn on_checkpoint(&mut self, key: &LeaseKey, epoch: Epoch, position: Position) {
        let stored = self.table.get(key).map(|row| row.position.clone());
        let holding = self.holdings.get_mut(key).filter(|holding| holding.epoch == epoch);
        let (Some(stored), Some(holding)) = (stored, holding) else {
            let result = Err(CheckpointError::LeaseLost);
            self.commands.push(Command::ReportCheckpoint { key: key.clone(), epoch, result });
            return;
        };
        // A batch that comes again after a failure is stored already, perhaps, up to where its processor failed.
        if position.may_advance_to(&stored) {
            self.commands.push(Command::ReportCheckpoint { key: key.clone(), epoch, result: Ok(stored) });
            return;
        }
        holding.unsaved = Some(match holding.unsaved.take() {
            Some(unsaved) => unsaved.furthest(position),
            None => position,
        });
        self.save(key);
    }

    /// Writes the newest position that the reader wants stored, unless a write is under way; then it follows that one.
    pub(super) fn save(&mut self, key: &LeaseKey) {
        if self.table.is_writing(key) || !self.pulse.is_valid() {
            return;
        }
        let me = self.id();
        let Some(holding) = self.holdings.get_mut(key) else { return };
        if let (Some(row), Some(position)) = (self.table.get(key).cloned(), holding.unsaved.take()) {
            // Asked for while more was being stored.
            if position.may_advance_to(&row.position) {
                let result = Ok(row.position);
                self.commands.push(Command::ReportCheckpoint { key: key.clone(), epoch: row.epoch, result });
                return;
            }
            let next = row.checkpointed(position, &me);
            self.commands.push(self.table.write_over(&row, next, self.now));
        }
    }

    fn on_saved(&mut self, key: &LeaseKey, row: &Lease) {
        let Some(holding) = self.holdings.get_mut(key).filter(|holding| holding.epoch == row.epoch) else { return };
        holding.has_progressed(&row.position);
        let (epoch, result) = (row.epoch, Ok(row.position.clone()));
        self.commands.push(Command::ReportCheckpoint { key: key.clone(), epoch, result });
        match holding.activity {
            Activity::Drained(_) => self.hand_over_drained(key),
            Activity::Stopped(_) => self.hand_over(key, None),
            Activity::Ending(_) => {
                self.save(key);
                self.chores.repair = true;
            }
            Activity::Reading | Activity::Draining | Activity::Failed(_) => {
                self.save(key);
                self.lend(key);
            }
        }
    }

    pub(super) fn on_drained(&mut self, key: &LeaseKey, epoch: Epoch, position: Option<Position>) {
        let holding = self.holdings.get_mut(key).filter(|holding| holding.epoch == epoch);
        let Some(holding) = holding.filter(|holding| holding.activity == Activity::Draining) else { return };
        if let Some(furthest) = holding.furthest(self.table.newest_position(key), position) {
            holding.activity = Activity::Drained(furthest);
            self.hand_over_drained(key);
        }
    }

    pub(super) fn on_shard_stopped(&mut self, key: &LeaseKey, epoch: Epoch, position: Option<Position>) {
        let Some(holding) = self.holdings.get_mut(key).filter(|holding| holding.epoch == epoch) else { return };
        if let Some(position) = holding.furthest(self.table.newest_position(key), position) {
            holding.activity = Activity::Stopped(position.clone());
            self.commands.push(Command::Warn(Warning::ShardStopped { key: key.clone(), position }));
            self.hand_over(key, None);
        }
    }

    pub(super) fn on_shard_end(&mut self, key: &LeaseKey, epoch: Epoch, children: Vec<Shard>) {
        let Some(holding) = self.holdings.get_mut(key).filter(|holding| holding.epoch == epoch) else { return };
        if let Some(stream) = self.streams.get_mut(&key.stream) {
            stream.add_children(&key.stream, &children, &self.table, self.now);
        }
        holding.row_wanted = None;
        holding.activity = Activity::Ending(children);
        self.chores.repair = true;
    }

    /// Finishes the ended shards whose children all have a lease by now.
    pub(super) fn finish_ended(&mut self) {
        let ready = |(key, holding): &(&LeaseKey, &Holding)| match &holding.activity {
            Activity::Ending(children) => {
                let has_lease = |child: &Shard| self.table.get(&key.sibling(child.id.clone())).is_some();
                !self.table.is_writing(key) && children.iter().all(has_lease)
            }
            _ => false,
        };
        let me = self.id();
        let ready: Vec<LeaseKey> = self.holdings.iter().filter(ready).map(|(key, _)| key.clone()).collect();
        for key in ready {
            if let Some(row) = self.table.get(&key).cloned() {
                let next = row.finished(&me);
                self.commands.push(self.table.write_over(&row, next, self.now));
            }
        }
    }

    pub(super) fn on_shard_failure(&mut self, key: &LeaseKey, epoch: Epoch, position: Option<Position>) {
        let now = self.now;
        let Some(holding) = self.holdings.get_mut(key).filter(|holding| holding.epoch == epoch) else { return };
        let stored = self.table.newest_position(key);
        holding.unsaved = holding.furthest(stored, position).filter(|furthest| Some(furthest) != stored);
        holding.fail(now);
        self.save(key);
        self.chores.plan = true;
        // Perhaps the shard is gone, with all that was not read yet.
        if let Some(stream) = self.streams.get_mut(&key.stream) {
            stream.list_by(now);
        }
    }

    /// Finishes the failed shards that their stream has forgotten: nobody will ever read them, and their children wait.
    pub(super) fn finish_forgotten(&mut self, stream: &Name) {
        let Some(shards) = self.streams.get(stream) else { return };
        let is_forgotten = |(key, holding): &(&LeaseKey, &Holding)| {
            holding.has_failed() && key.stream == *stream && shards.has_forgotten(&key.shard)
        };
        let forgotten: Vec<LeaseKey> = self.holdings.iter().filter(is_forgotten).map(|(key, _)| key.clone()).collect();
        for key in forgotten {
            if let (Some(row), Some(holding)) = (self.table.get(&key).cloned(), self.holdings.get_mut(&key)) {
                holding.activity = Activity::Ending(Vec::new());
                let position = row.position.clone();
                self.commands.push(Command::Warn(Warning::ShardForgotten { key, position }));
            }
        }
        self.finish_ended();
    }

    /// Starts the readers whose pause after a failure is over, from their last checkpoint.
    pub(super) fn restart_failed(&mut self) {
        if self.returning.is_some() {
            return;
        }
        for (key, holding) in &mut self.holdings {
            let due = matches!(holding.activity, Activity::Failed(until) if until <= self.now);
            if let Some(row) = self.table.get(key).filter(|_| due && !self.table.is_writing(key)) {
                holding.activity = Activity::Reading;
                self.commands.push(Command::StartShard(row.clone()));
            }
        }
    }
}
