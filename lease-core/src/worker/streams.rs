//! Keeping the leases in step with the shards of a stream.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stream_types::{HashRange, Name, Shard, ShardId, Timestamp};

use super::lost::LostLeases;
use super::pause::doubled;
use super::table::Table;
use crate::{Epoch, Lease, LeaseKey, Moment, StreamFacts, WorkerId};

/// A stream that the worker follows.
#[derive(Debug, Clone, Hash)]
pub(super) struct Stream {
    /// As a first worker of the application would store them.
    facts: StreamFacts,
    /// All that the stream has, by the last list, until each of them has a lease. A parent missing from it is gone.
    listed: BTreeMap<ShardId, Shard>,
    /// Shards that an ended one has named and that have no lease yet. They may be younger than the last list, which then says
    /// nothing about their parents.
    children: BTreeMap<ShardId, Shard>,
    /// Those that had a lease when the list on its way was sent: it must have them, or they are gone.
    known_at_send: BTreeSet<ShardId>,
    /// Those whose lease is gone from the table.
    lost: LostLeases,
    /// Those of which the last list was the first that did not have them.
    missed: BTreeSet<ShardId>,
    /// Those that two lists in a row did not have. A service may show an older state for a moment.
    forgotten: BTreeSet<ShardId>,
    /// What no shard of the last list covers.
    hole: Option<HashRange>,
    hole_is_reported: bool,
    list_in_flight: bool,
    /// When the shards are to be listed next; absent = not by this worker.
    next_list: Option<Moment>,
    last_list: Option<Moment>,
    failures: u32,
    /// How many lists in a row found no such stream.
    not_found: u32,
}

impl Stream {
    /// How many times in a row a stream must not be found to be believed deleted: a service may err for a moment.
    const NOT_FOUND_TO_BE_DELETED: u32 = 5;

    const FIRST_PAUSE: Duration = Duration::from_millis(250);
    const LONGEST_PAUSE: Duration = Duration::from_secs(15);
    /// How long after a list without a shard that cannot be read the next one is made: before the shard is tried again.
    const SECOND_LOOK: Duration = Duration::from_millis(800);

    pub(super) fn new(facts: StreamFacts) -> Self {
        Self {
            facts,
            listed: BTreeMap::new(),
            children: BTreeMap::new(),
            known_at_send: BTreeSet::new(),
            lost: LostLeases::default(),
            missed: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            hole: None,
            hole_is_reported: false,
            list_in_flight: false,
            next_list: None,
            last_list: None,
            failures: 0,
            not_found: 0,
        }
    }

    /// Asks for the shards to be listed at that moment, or earlier if that was asked before.
    pub(super) fn list_by(&mut self, moment: Moment) {
        self.next_list = Some(self.next_list.map_or(moment, |known| known.min(moment)));
    }

    /// It falls to this worker to list the shards, now and whenever that much time has passed.
    pub(super) fn list_every(&mut self, interval: Duration, now: Moment) {
        if !self.list_in_flight {
            self.list_by(self.last_list.map_or(now, |last| last.after(interval)));
        }
    }

    /// A lease is gone from the table. Once the shards are listed, it is made anew.
    pub(super) fn has_lost(&mut self, lease: &Lease, now: Moment) {
        self.lost.note(lease, now);
    }

    pub(super) const fn lost(&self) -> &LostLeases {
        &self.lost
    }

    /// The epoch that a lease had when it was lost. Those given out since are higher.
    pub(super) fn lost_epoch(&self, shard: &ShardId) -> Option<Epoch> {
        self.lost.epoch(shard)
    }

    /// Whether it falls to this worker to list the shards.
    pub(super) const fn is_listed_here(&self) -> bool {
        self.next_list.is_some() || self.list_in_flight
    }

    /// Another worker lists the shards.
    pub(super) fn leave_listing_to_others(&mut self) {
        // A child without a lease waits for a list that shows its parents.
        if self.failures == 0 && self.children.is_empty() {
            self.next_list = None;
        }
    }

    pub(super) fn next_list(&self) -> Option<Moment> {
        self.next_list.filter(|_| !self.list_in_flight)
    }

    /// When the stream was created that this worker follows.
    pub(super) const fn created(&self) -> Option<Timestamp> {
        self.facts.created
    }

    /// Whether the stream certainly no longer has the shard.
    pub(super) fn has_forgotten(&self, shard: &ShardId) -> bool {
        self.forgotten.contains(shard)
    }

    /// A shard that cannot be read was missing from the last list: if it is the first list without it, another one soon tells
    /// whether it is gone.
    pub(super) fn look_again_for(&mut self, shard: &ShardId, now: Moment) {
        if self.missed.contains(shard) && !self.forgotten.contains(shard) {
            self.list_by(now.after(Self::SECOND_LOOK));
        }
    }

    /// Whether the shards are to be listed now.
    pub(super) fn starts_list(&mut self, name: &Name, table: &Table, now: Moment) -> bool {
        let due = !self.list_in_flight && self.next_list.is_some_and(|at| at <= now);
        if due {
            let rows = table.rows().into_iter().flatten().filter(|row| row.key.stream == *name);
            self.known_at_send = rows.map(|row| row.key.shard.clone()).collect();
            self.list_in_flight = true;
            self.next_list = None;
            self.last_list = Some(now);
        }
        due
    }

    pub(super) fn list_failed(&mut self, now: Moment) {
        self.list_in_flight = false;
        let pause = doubled(Self::FIRST_PAUSE, self.failures, Self::LONGEST_PAUSE);
        self.failures += 1;
        self.list_by(now.after(pause));
    }

    /// The stream was not found. Returns whether it is to be believed deleted.
    pub(super) fn was_not_found(&mut self, now: Moment) -> bool {
        self.not_found += 1;
        self.list_failed(now);
        self.not_found >= Self::NOT_FOUND_TO_BE_DELETED
    }

    /// What no shard covers, if the last two lists agree on it and it was not told before.
    pub(super) fn new_hole(&mut self, shards: &[Shard]) -> Option<HashRange> {
        let before = std::mem::replace(&mut self.hole, hole(shards));
        let is_certain = self.hole.is_some() && self.hole == before;
        let is_new = is_certain && !self.hole_is_reported;
        self.hole_is_reported = is_certain;
        self.hole.filter(|_| is_new)
    }

    pub(super) fn listed(&mut self, shards: Vec<Shard>) {
        self.list_in_flight = false;
        self.failures = 0;
        self.not_found = 0;
        self.listed = shards.into_iter().map(|shard| (shard.id.clone(), shard)).collect();
        self.lost.listed(&self.listed);
        // An empty list proves nothing.
        let known = std::mem::take(&mut self.known_at_send).into_iter().filter(|_| !self.listed.is_empty());
        let absent: BTreeSet<ShardId> = known.filter(|shard| !self.listed.contains_key(shard)).collect();
        let missed_before = |shard: &&ShardId| self.missed.contains(*shard) || self.forgotten.contains(*shard);
        let forgotten: BTreeSet<ShardId> = absent.iter().filter(missed_before).cloned().collect();
        self.missed = absent;
        self.forgotten = forgotten;
    }

    /// A shard has ended, and these go on. Asks for a list of all shards if one of them has a parent without a lease.
    pub(super) fn add_children(&mut self, name: &Name, children: &[Shard], table: &Table, now: Moment) {
        let has_lease = |shard: &ShardId| table.get(&LeaseKey::new(name.clone(), shard.clone())).is_some();
        for child in children.iter().filter(|child| !has_lease(&child.id)) {
            if !child.parents.iter().all(has_lease) {
                self.list_by(now);
            }
            self.children.insert(child.id.clone(), child.clone());
        }
    }

    /// The leases to be created now: those of shards whose parents have theirs, or are gone from the stream.
    pub(super) fn missing(&self, name: &Name, table: &Table, me: &WorkerId) -> Vec<Lease> {
        let key = |shard: &ShardId| LeaseKey::new(name.clone(), shard.clone());
        let has_lease = |shard: &ShardId| table.get(&key(shard)).is_some_and(|row| !table.is_unconfirmed(&row.key));
        let is_settled = |parent: &ShardId| match table.get(&key(parent)) {
            Some(_) => has_lease(parent),
            None => !self.listed.contains_key(parent),
        };
        let facts = self.facts_for_new_leases(name, table);
        let listed = self.listed.values().filter(|shard| shard.parents.iter().all(is_settled));
        let younger = self.children.values().filter(|child| !self.listed.contains_key(&child.id));
        let children = younger.filter(|child| child.parents.iter().all(has_lease));
        let missing = listed.chain(children).filter(|shard| {
            let key = key(&shard.id);
            table.get(&key).is_none() && !table.is_writing(&key)
        });
        let epoch = |shard: &ShardId| self.lost_epoch(shard).unwrap_or(Epoch::NEVER_OWNED);
        let lease = |shard: &Shard| Lease::new(name.clone(), shard.clone(), facts, me.clone());
        missing.map(|shard| Lease { epoch: epoch(&shard.id), ..lease(shard) }).collect()
    }

    /// The tombstones of shards that the stream no longer has.
    pub(super) fn vanished<'rows>(&self, name: &Name, table: &'rows Table) -> Vec<&'rows Lease> {
        let rows = table.rows().into_iter().flatten();
        rows.filter(|row| row.key.stream == *name && row.is_finished() && !table.is_writing(&row.key))
            .filter(|row| self.has_forgotten(&row.key.shard))
            .collect()
    }

    /// Forgets what has been dealt with.
    pub(super) fn settle(&mut self, name: &Name, table: &Table) {
        let has_lease = |shard: &ShardId| table.get(&LeaseKey::new(name.clone(), shard.clone())).is_some();
        self.children.retain(|child, _| !has_lease(child));
        if self.listed.keys().all(has_lease) {
            self.listed.clear();
        }
    }

    /// New leases start where the application's first ones did: the earliest start that any lease remembers.
    fn facts_for_new_leases(&self, name: &Name, table: &Table) -> StreamFacts {
        let rows = table.rows().into_iter().flatten().filter(|row| row.key.stream == *name);
        let start = rows.map(|row| row.stream.start).min().unwrap_or(self.facts.start);
        StreamFacts { start, ..self.facts }
    }
}

/// The first hash keys that no open shard covers. Open are those that no other names as its parent. Streams that do not tell ranges
/// have no holes.
fn hole(shards: &[Shard]) -> Option<HashRange> {
    let parents: BTreeSet<&ShardId> = shards.iter().flat_map(|shard| &shard.parents).collect();
    let open = shards.iter().filter(|shard| !parents.contains(&shard.id));
    let mut ranges: Vec<HashRange> = open.map(|shard| shard.hash_range).collect::<Option<_>>()?;
    ranges.sort_unstable();
    let mut covered_to = None;
    for range in &ranges {
        let next = covered_to.map_or(Some(0), |end: u128| end.checked_add(1))?;
        if range.start() > next {
            return HashRange::new(next, range.start() - 1).ok();
        }
        covered_to = covered_to.max(Some(range.end()));
    }
    HashRange::new(covered_to?.checked_add(1)?, u128::MAX).ok()
}

#[cfg(test)]
mod tests;
