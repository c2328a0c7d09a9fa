//! Keeping the leases in step with the shards of a stream.

use std::collections::BTreeMap;
use std::time::Duration;

use stream_types::{Name, Shard, ShardId, Timestamp};

use super::table::Table;
use crate::{Lease, LeaseKey, Moment, StreamFacts, WorkerId};

/// A stream that the worker follows.
#[derive(Debug)]
pub(super) struct Stream {
    /// As a first worker of the application would store them.
    facts: StreamFacts,
    /// Shards that need a lease, as far as known: from the last list, and from ended shards.
    wanted: BTreeMap<ShardId, Shard>,
    /// Whether `wanted` is all that the stream has, so that a parent missing from it is gone from the stream.
    wanted_is_complete: bool,
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

    pub(super) fn new(facts: StreamFacts) -> Self {
        Self {
            facts,
            wanted: BTreeMap::new(),
            wanted_is_complete: false,
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

    /// Another worker lists the shards.
    pub(super) fn leave_listing_to_others(&mut self) {
        if self.failures == 0 {
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

    /// Whether the last list certainly does not have the shard. An empty list proves nothing.
    pub(super) fn has_forgotten(&self, shard: &ShardId) -> bool {
        self.wanted_is_complete && !self.wanted.is_empty() && !self.wanted.contains_key(shard)
    }

    /// Whether the shards are to be listed now.
    pub(super) fn starts_list(&mut self, now: Moment) -> bool {
        let due = !self.list_in_flight && self.next_list.is_some_and(|at| at <= now);
        if due {
            self.list_in_flight = true;
            self.next_list = None;
            self.last_list = Some(now);
        }
        due
    }

    pub(super) fn list_failed(&mut self, now: Moment) {
        self.list_in_flight = false;
        let pause = Self::FIRST_PAUSE.saturating_mul(1 << self.failures.min(8)).min(Self::LONGEST_PAUSE);
        self.failures += 1;
        self.list_by(now.after(pause));
    }

    /// The stream was not found. Returns whether it is to be believed deleted.
    pub(super) fn was_not_found(&mut self, now: Moment) -> bool {
        self.not_found += 1;
        self.list_failed(now);
        self.not_found >= Self::NOT_FOUND_TO_BE_DELETED
    }

    pub(super) fn listed(&mut self, shards: Vec<Shard>) {
        self.list_in_flight = false;
        self.failures = 0;
        self.not_found = 0;
        self.wanted = shards.into_iter().map(|shard| (shard.id.clone(), shard)).collect();
        self.wanted_is_complete = true;
    }

    /// A shard has ended, and these go on. Asks for a list of all shards if one of them has a parent without a lease.
    pub(super) fn add_children(&mut self, name: &Name, children: &[Shard], table: &Table, now: Moment) {
        let has_lease = |shard: &ShardId| table.get(&LeaseKey::new(name.clone(), shard.clone())).is_some();
        for child in children.iter().filter(|child| !has_lease(&child.id)) {
            if !child.parents.iter().all(has_lease) {
                self.list_by(now);
            }
            self.wanted.insert(child.id.clone(), child.clone());
        }
    }

    /// The leases to be created now: those of shards whose parents have theirs, or are gone from the stream.
    pub(super) fn missing(&self, name: &Name, table: &Table, me: &WorkerId) -> Vec<Lease> {
        let key = |shard: &ShardId| LeaseKey::new(name.clone(), shard.clone());
        let parent_is_settled = |parent: &ShardId| {
            table.get(&key(parent)).is_some() || (self.wanted_is_complete && !self.wanted.contains_key(parent))
        };
        let facts = self.facts_for_new_leases(name, table);
        let missing = self.wanted.values().filter(|shard| {
            let key = key(&shard.id);
            table.get(&key).is_none() && !table.is_writing(&key) && shard.parents.iter().all(parent_is_settled)
        });
        missing.map(|shard| Lease::new(name.clone(), shard.clone(), facts, me.clone())).collect()
    }

    /// The tombstones of shards that the stream no longer has.
    pub(super) fn vanished<'rows>(&self, name: &Name, table: &'rows Table) -> Vec<&'rows Lease> {
        let rows = table.rows().into_iter().flatten();
        rows.filter(|row| row.key.stream == *name && row.is_finished() && !table.is_writing(&row.key))
            .filter(|row| self.has_forgotten(&row.key.shard))
            .collect()
    }

    /// A list of shards grows old: new shards may have come since. Forgets it once it has been dealt with.
    pub(super) fn settle(&mut self, name: &Name, table: &Table) {
        let key = |shard: &ShardId| LeaseKey::new(name.clone(), shard.clone());
        if self.wanted.keys().all(|shard| table.get(&key(shard)).is_some()) {
            self.wanted.clear();
            self.wanted_is_complete = false;
        }
    }

    /// New leases start where the application's first ones did: the earliest start that any lease remembers.
    fn facts_for_new_leases(&self, name: &Name, table: &Table) -> StreamFacts {
        let rows = table.rows().into_iter().flatten().filter(|row| row.key.stream == *name);
        let start = rows.map(|row| row.stream.start).min().unwrap_or(self.facts.start);
        StreamFacts { start, ..self.facts }
    }
}
