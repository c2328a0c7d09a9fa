//! Carrying out a worker's own part of the plan.

use stream_types::Name;

use super::holding::{Activity, Holding};
use super::{Command, Unplaced, Warning, Worker};
use crate::plan::{Plan, Snapshot, Step, plan};
use crate::{Change, Epoch, Lease, LeaseKey, WorkerId, WorkerRow};

impl Worker {
    /// Plans anew, and starts all that falls to this worker.
    pub(super) fn follow_plan(&mut self) {
        if self.returning.is_some() {
            return self.store_all();
        }
        if !self.table.is_listed() {
            return;
        }
        let me = self.id();
        let waiting = self.waiting_for_lost_parents();
        self.chores.postponed |= !waiting.is_empty();
        let is_confirmed = |row: &&Lease| !self.table.is_unconfirmed(&row.key) && !waiting.contains(&row.key);
        let leases = self.table.rows().map(|rows| rows.filter(is_confirmed).collect());
        let snapshot = Snapshot { workers: self.live_workers(), leases };
        let plan = plan(&snapshot);
        let steps = plan.part_of(&me, &snapshot);
        let asked = || plan.asked_of_others(&me, &snapshot).map(|lease| (lease.key.clone(), lease.epoch)).collect();
        let undone = self.audit.has_come.then(asked);
        let rows = self.table.rows().into_iter().flatten();
        let mine: Vec<Lease> = rows.filter(|row| row.is_owned_by(&me) && !row.is_finished()).cloned().collect();
        self.plan = Some(plan);
        if let Some(undone) = undone {
            self.tell_of_undone(undone);
        }
        self.tell_of_unplaced();
        self.look_out_for_gifts();

        for step in steps {
            if !self.may_touch(step.key()) {
                continue;
            }
            if self.owner_may_live(step.key()) {
                self.chores.postponed = true;
                self.pulse.hurry();
                continue;
            }
            match step {
                // What is given to a newcomer it may read at once; what is free it leaves alone until it has seen who
                // else is there.
                Step::Take(key) if self.pulse.has_looked_round() || self.is_of_predecessor(&key) => self.take(&key),
                Step::Take(_) => {}
                Step::Give(key, receiver)
                    if self.postpones_gifts_to(&receiver.name) || !self.has_given_notice(&key, &receiver.name) =>
                {
                    if self.is_overdue {
                        self.hand_over(&key, None);
                    } else {
                        self.chores.postponed = true;
                        self.keep(&key);
                    }
                }
                Step::Give(key, receiver) => self.hand_over(&key, Some(&receiver)),
                Step::Release(key) => self.hand_over(&key, None),
            }
        }
        for lease in mine {
            self.keep_or_leave(&lease);
        }
    }

    /// Shards that nobody reads because all workers are full are told of by one worker, when that lasts, and again when they
    /// get more. While a fleet starts, the first workers are soon full, and others are about to come.
    fn tell_of_unplaced(&mut self) {
        let live = self.live_workers();
        let owner = |key: &LeaseKey| self.table.get(key).and_then(|row| row.owner.as_ref());
        let is_read = |key: &LeaseKey| owner(key).is_some_and(|owner| live.iter().any(|row| row.name == owner.name));
        // What nobody follows is told of in other words.
        let is_followed = |key: &LeaseKey| live.iter().any(|row| !row.leaving && row.follows(&key.stream));
        let unplaced = self.plan.iter().flat_map(Plan::unplaced).filter(|key| is_followed(key) && !is_read(key));
        let unplaced: Vec<&LeaseKey> = unplaced.collect();
        let Some(first) = unplaced.first().filter(|_| self.is_designated()) else {
            self.unplaced = Unplaced::default();
            return;
        };
        let (count, first) = (unplaced.len(), (*first).clone());
        let since = *self.unplaced.since.get_or_insert(self.now);
        self.unplaced.told = self.unplaced.told.min(count);
        if self.now.since(since) >= self.settings.lease_duration && count > self.unplaced.told {
            self.unplaced.told = count;
            self.commands.push(Command::Warn(Warning::ShardsUnplaced { count, first }));
        }
    }

    /// The rows of an earlier process of the same name are left alone until it would have learned of this one; those that
    /// this worker stopped itself, until another worker has had them.
    fn may_touch(&self, key: &LeaseKey) -> bool {
        let is_stopped = self.table.get(key).is_some_and(|row| self.stopped.get(key) == Some(&row.epoch));
        !is_stopped && (!self.is_of_predecessor(key) || self.pulse.has_outlasted_predecessor())
    }

    fn is_of_predecessor(&self, key: &LeaseKey) -> bool {
        let owner = self.table.get(key).and_then(|row| row.owner.as_ref());
        owner.is_some_and(|owner| owner.name == self.pulse.row.name && *owner != self.id())
    }

    /// Whether the lease's owner, whom the registry shows dead or not at all, may live: the registry was read before the row.
    ///
    /// The owner may have registered in between. And after an outage of the store all workers find each other silent: one that is
    /// back takes its leases anew. Whoever reads the row after that, and goes by an older look at the registry, would take the
    /// lease of a worker that is alive.
    ///
    /// So would one that was frozen, if its name has another process by now, which has taken the lease over. That one bears a higher
    /// number, and a heartbeat tells which of them is the older.
    fn owner_may_live(&self, key: &LeaseKey) -> bool {
        let Some(owner) = self.table.get(key).and_then(|row| row.owner.as_ref()) else { return false };
        let me = &self.pulse.row;
        let is_known = owner.name == me.name
            && (owner.incarnation == me.incarnation || owner.incarnation.number < me.incarnation.number);
        !is_known && self.workers_read <= self.listing.received.max(self.table.touched(key))
    }

    /// Whether to wait with gifts, because it is doubtful who lives.
    ///
    /// The workers find out that one is dead at different moments. To those who still count on it, it seems to have too
    /// few leases as soon as the others have taken its own, and they would make it gifts. A gift can wait until the doubt
    /// is over. A worker that has just come doubts all those that it has not seen beating yet: one of them may have died before it
    /// came. A worker that leaves cannot: it only makes no gift to the doubtful one itself. The plan has no gifts for a worker
    /// that is away and said that it comes back; its silence is no reason for doubt.
    fn postpones_gifts_to(&self, receiver: &Name) -> bool {
        let others = self.live_workers();
        let is_silent = |row: &WorkerRow| self.liveness.silence(&row.name) >= Some(self.settings.doubt_after(row));
        let is_doubtful = |row: &&&WorkerRow| {
            let is_other = row.name != self.pulse.row.name;
            is_other && row.returns_within.is_none() && (is_silent(row) || !self.liveness.has_beaten(&row.name))
        };
        let mut doubtful = others.iter().filter(is_doubtful);
        if self.pulse.row.leaving {
            return doubtful.any(|row| row.name == *receiver);
        }
        doubtful.next().is_some()
    }

    /// Whether a write of the row is under way. Then what the plan wants has to wait for its end.
    fn is_blocked(&mut self, key: &LeaseKey) -> bool {
        let blocked = self.table.is_writing(key);
        self.chores.blocked |= blocked;
        blocked
    }

    pub(super) fn target(&self, key: &LeaseKey) -> Option<&Name> {
        self.plan.as_ref().and_then(|plan: &Plan| plan.target(key))
    }

    /// A lease that this worker owns and that the plan does not send elsewhere.
    fn keep_or_leave(&mut self, lease: &Lease) {
        let key = &lease.key;
        if self.target(key) == Some(&self.pulse.row.name) {
            self.keep(key);
        } else if self.pulse.row.leaving && self.target(key).is_none() {
            // Alone in the fleet, a leaving worker leaves its leases to nobody.
            self.hand_over(key, None);
        }
    }

    /// Reads a lease that this worker or an earlier process of its name owns, unless its processor has given up, or the worker
    /// the stream.
    fn keep(&mut self, key: &LeaseKey) {
        let Some(lease) = self.table.get(key).filter(|row| self.follows(&row.key.stream)).cloned() else { return };
        match self.holdings.get(key).map(|holding| &holding.activity) {
            None if lease.is_owned_by(&self.id()) => self.adopt(&lease),
            None if self.is_of_predecessor(key) => self.take(key),
            Some(Activity::Drained(_)) => self.resume(&lease),
            Some(Activity::Stopped(_)) => self.hand_over(key, None),
            _ => {}
        }
    }

    fn take(&mut self, key: &LeaseKey) {
        if self.is_blocked(key) || self.awaits_floor() {
            return;
        }
        if let Some(lease) = self.table.get(key).cloned() {
            let lost = self.streams.get(&key.stream).and_then(|stream| stream.lost_epoch(&key.shard));
            let floor = self.floor.epoch().max(lost.map_or(Epoch::NEVER_OWNED, Epoch::next));
            let next = lease.taken_by(&self.id()).in_epoch_of_at_least(floor);
            self.commands.push(self.table.write_over(&lease, next, self.now));
        }
    }

    /// The row says that the lease is this worker's, but it is not reading. What was given to it can be read at once,
    /// unless somebody may believe this worker dead, or the store has forgotten that it was given away again; everything
    /// else is taken anew.
    fn adopt(&mut self, lease: &Lease) {
        let is_good = !self.pulse.has_lapsed() && !self.table.went_back(&lease.key);
        if lease.last_change == Change::Given && is_good && !self.is_blocked(&lease.key) {
            self.start(lease.clone());
        } else {
            self.take(&lease.key);
        }
    }

    /// The plan wanted the lease moved, and no longer does.
    fn resume(&mut self, lease: &Lease) {
        if self.is_blocked(&lease.key) {
            return;
        }
        let Some(holding) = self.holdings.get_mut(&lease.key) else { return };
        let Activity::Drained(position) = std::mem::replace(&mut holding.activity, Activity::Reading) else { return };
        let position = position.furthest(lease.position.clone());
        holding.unsaved = Some(position.clone()).filter(|position| *position != lease.position);
        self.commands.push(Command::StartShard(lease.clone().at(position)));
        self.save(&lease.key);
    }

    pub(super) fn start(&mut self, lease: Lease) {
        self.holdings.insert(lease.key.clone(), Holding::reading(lease.epoch));
        self.commands.push(Command::StartShard(lease));
    }

    /// Moves a lease towards another worker, or towards nobody: drains it first, then writes.
    pub(super) fn hand_over(&mut self, key: &LeaseKey, receiver: Option<&WorkerId>) {
        let position = match self.holdings.get_mut(key) {
            None => None,
            Some(holding) => match &holding.activity {
                Activity::Reading => {
                    self.commands.push(Command::DrainShard { key: key.clone(), epoch: holding.epoch });
                    holding.activity = Activity::Draining;
                    return;
                }
                Activity::Draining | Activity::Ending(_) => return,
                Activity::Failed(_) => holding.unsaved.clone(),
                Activity::Drained(position) | Activity::Stopped(position) => Some(position.clone()),
            },
        };
        if self.is_blocked(key) {
            return;
        }
        if self.awaits_floor() {
            return;
        }
        if !self.may_give_away(&key.stream) {
            self.chores.postponed = true;
            return;
        }
        let Some(lease) = self.table.get(key).cloned() else { return };
        let me = self.id();
        let next = match receiver {
            Some(receiver) => lease.given_to(receiver, &me),
            None => lease.released(&me),
        };
        let next = next.in_epoch_of_at_least(self.floor.epoch());
        // A loan may have stored more than the reader knew of when it was drained.
        let stored = lease.position.clone();
        let next = next.at(position.map_or(stored.clone(), |drained| drained.furthest(stored)));
        self.commands.push(self.table.write_over(&lease, next, self.now));
    }

    /// Drains all shards and stores how far they got, so that another process of this name can go on with them.
    fn store_all(&mut self) {
        let me = self.id();
        let keys: Vec<LeaseKey> = self.holdings.keys().cloned().collect();
        for key in keys {
            let Some(holding) = self.holdings.get_mut(&key) else { continue };
            let done = match &holding.activity {
                Activity::Reading => {
                    self.commands.push(Command::DrainShard { key: key.clone(), epoch: holding.epoch });
                    holding.activity = Activity::Draining;
                    continue;
                }
                Activity::Draining | Activity::Ending(_) => continue,
                Activity::Stopped(_) => {
                    self.hand_over(&key, None);
                    continue;
                }
                Activity::Failed(_) => holding.unsaved.clone(),
                Activity::Drained(position) => Some(position.clone()),
            };
            if self.is_blocked(&key) {
                continue;
            }
            let Some(row) = self.table.get(&key).cloned() else { continue };
            match done.filter(|done| *done != row.position && row.position.may_advance_to(done)) {
                Some(position) => {
                    let next = row.checkpointed(position, &me);
                    self.commands.push(self.table.write_over(&row, next, self.now));
                }
                None => {
                    self.holdings.remove(&key);
                }
            }
        }
    }

    /// A shard was drained: hands it over as the plan says.
    pub(super) fn hand_over_drained(&mut self, key: &LeaseKey) {
        if self.returning.is_some() {
            return self.store_all();
        }
        let Some(lease) = self.table.get(key).cloned() else { return };
        match self.target(key).cloned() {
            Some(target) if target == self.pulse.row.name => self.keep_or_leave(&lease),
            // Somebody has fallen silent since the drain began: the shard is better read than idle meanwhile.
            Some(target) if self.postpones_gifts_to(&target) && self.is_overdue => self.hand_over(key, None),
            Some(target) if self.postpones_gifts_to(&target) => {
                self.chores.postponed = true;
                self.resume(&lease);
            }
            Some(target) => {
                let receiver = self.live_workers().into_iter().find(|row| row.name == target).map(|row| row.id());
                match receiver {
                    Some(receiver) => self.hand_over(key, Some(&receiver)),
                    None => self.chores.plan = true,
                }
            }
            None => self.hand_over(key, None),
        }
    }
}
