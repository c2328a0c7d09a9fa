//! What has to come about once nothing bad happens any more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use consumer::Checkpoints;
use kinesis_testing::PutEntry;
use lease_core::plan::PlanVersion;
use lease_core::testing::block_on_ready;
use lease_core::{Lease, LeaseStore};
use stream_types::ShardId;

use crate::process::{Process, STREAM};
use crate::schedule::{DeliveryKind, LEISURELY, NAMES, Traits};
use crate::world::World;

/// How long a record may take through a settled fleet: the readers poll once a second, and a manual checkpoint may hold one up that
/// was sent before, until its call is given up after a quarter of the longest lease duration.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// For how long nothing may move after that.
const STAY_FOR: Duration = Duration::from_secs(30);

impl World {
    /// From now on nothing bad happens.
    pub(crate) fn calm(&mut self) {
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
            (facts.outage, facts.slowness) = (false, Duration::ZERO);
            (facts.failures, facts.panics, facts.panics_at_start) = (0, 0, 0);
        }
        if self.has_latecomer {
            self.start_the_latecomer();
        }
    }

    /// Lives on until the fleet has settled and shown that it reads, and tells what does not come about.
    pub(crate) fn unlike_a_settled_one(&mut self, within: Duration) -> Option<String> {
        if let Some(unlike) = self.lives_until_not(Self::unsettled, within) {
            return Some(unlike);
        }
        self.put_into_each_shard();
        if let Some(unlike) = self.lives_until_not(Self::unread, READ_WITHIN) {
            return Some(format!(
                "{READ_WITHIN:?} after a record was put into each shard of a settled fleet: {unlike}"
            ));
        }
        self.moves_within(STAY_FOR)
    }

    /// Lives on until nothing is unlike any more, or for that time, and tells what still is then.
    fn lives_until_not(&mut self, unlike: impl Fn(&Self) -> Option<String>, within: Duration) -> Option<String> {
        let deadline = self.now() + within;
        loop {
            let still = unlike(self);
            if still.is_none() || self.now() >= deadline {
                return still;
            }
            if !self.is_manned() {
                self.start_the_latecomer();
            }
            self.step();
        }
    }

    /// Whether somebody is there who stays, or will be.
    fn is_manned(&self) -> bool {
        let is_coming = !self.followed_by.is_empty() || !self.later.is_empty();
        is_coming || self.processes.values().any(|process| !process.is_leaving())
    }

    /// The process that comes when the world is kind.
    fn start_the_latecomer(&mut self) {
        let traits = Traits {
            clock_per_mille: 0,
            is_leisurely: false,
            plan_version: PlanVersion::LATEST,
            checkpoints: Checkpoints::Automatic { every: Duration::from_secs(1) },
            delivery: DeliveryKind::Batches,
        };
        self.start(NAMES.len() - 1, traits);
    }

    fn put_into_each_shard(&mut self) {
        for shard in self.kinesis.open_shards(STREAM).expect("the stream is there") {
            let explicit_hash_key = shard.hash_range.map(|range| range.start());
            self.put_entry(PutEntry { partition_key: "key".into(), explicit_hash_key, data: Default::default() });
        }
    }

    fn unread(&self) -> Option<String> {
        (!self.nature.facts().all_done()).then(|| "not all records are done".into())
    }

    fn leases(&self) -> Vec<Lease> {
        block_on_ready(self.table.list()).expect("memory does not fail")
    }

    /// What is still to come about before the fleet has settled.
    fn unsettled(&self) -> Option<String> {
        if let Some(unread) = self.unread() {
            return Some(unread);
        }
        if !self.followed_by.is_empty() || !self.later.is_empty() {
            return Some("a process is still to come back".into());
        }
        if self.processes.values().any(Process::is_leaving) {
            return Some("a process is still to leave".into());
        }
        // Until then it may rightly be given leases, though the fleet looks level without it.
        if self.now() < self.deaths_known {
            return Some("somebody may still count on a process that has crashed".into());
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
        let arrived = self.now() + LEISURELY.1 * 3;
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
