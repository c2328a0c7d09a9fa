//! What can be seen of the world.

use std::collections::BTreeMap;
use std::time::Duration;

use lease_core::worker::{Ending, StopReason, Warning};
use lease_core::{Lease, LeaseKey};
use stream_types::Position;

use super::World;
use crate::common::process::Calls;

impl World {
    /// How many leases each process reads under, itself being valid.
    pub(crate) fn reading(&self) -> BTreeMap<&str, usize> {
        self.processes
            .iter()
            .map(|(worker, process)| (worker.as_str(), process.valid_readers(self.now).count()))
            .collect()
    }

    pub(crate) fn is_reading(&self, worker: &str, shard: &str) -> bool {
        let is_it = |key: &LeaseKey| key.shard.as_str() == shard;
        self.processes.get(worker).is_some_and(|process| process.valid_readers(self.now).any(is_it))
    }

    /// The longest time for which any shard that was read has been read by nobody.
    pub(crate) fn longest_silence(&self) -> Duration {
        self.silence.longest(self.now)
    }

    /// Whether the table names the worker, in its present incarnation, as the owner of all that it reads, under the same epoch.
    pub(crate) fn owns_what_it_reads(&self, worker: &str) -> bool {
        let process = &self.processes[worker];
        let is_mine = |lease: &Lease| {
            lease.is_owned_by(&process.worker.id()) && process.readers.get(&lease.key) == Some(&lease.epoch)
        };
        let leases = self.leases();
        let mine: Vec<&LeaseKey> = leases.iter().filter(|lease| is_mine(lease)).map(|lease| &lease.key).collect();
        process.valid_readers(self.now).all(|key| mine.contains(&key))
    }

    pub(crate) fn calls(&self, worker: &str) -> Calls {
        self.processes[worker].calls
    }

    pub(crate) fn ending(&self, worker: &str) -> Option<&Ending> {
        self.processes[worker].ending.as_ref()
    }

    pub(crate) fn warnings(&self, worker: &str) -> &[Warning] {
        &self.processes[worker].warnings
    }

    /// The position at which the worker last started to read the shard.
    pub(crate) fn started_at(&self, worker: &str, shard: &str) -> Position {
        let started = self.processes[worker].started_at.iter().find(|(key, _)| key.shard.as_str() == shard);
        started.expect("it was started").1.clone()
    }

    pub(crate) fn stops(&self, worker: &str) -> &[StopReason] {
        &self.processes[worker].stops
    }

    /// Whether all runnable shards are read, and the readers' counts differ by at most one.
    pub(crate) fn is_level(&self) -> bool {
        let counts: Vec<usize> = self.reading().into_values().collect();
        let shard_count: usize = self.shards.values().map(Vec::len).sum();
        let all_read = counts.iter().sum::<usize>() == shard_count - self.ended.len();
        all_read && counts.iter().max() <= counts.iter().min().map(|min| min + 1).as_ref()
    }
}
