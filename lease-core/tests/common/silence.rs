//! For how long shards went unread.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lease_core::{LeaseKey, Moment};

/// Since when nobody reads a shard that was read, and the longest of such times.
#[derive(Debug, Default)]
pub(crate) struct Silence {
    read: BTreeSet<LeaseKey>,
    since: BTreeMap<LeaseKey, Moment>,
    longest: Duration,
}

impl Silence {
    pub(crate) fn note(&mut self, now: Moment, read: BTreeSet<LeaseKey>) {
        for key in self.read.difference(&read) {
            self.since.insert(key.clone(), now);
        }
        for key in &read {
            if let Some(since) = self.since.remove(key) {
                self.longest = self.longest.max(now.since(since));
            }
        }
        self.read = read;
    }

    /// The longest silence of any shard, those that last until now included.
    pub(crate) fn longest(&self, now: Moment) -> Duration {
        let unfinished = self.since.values().map(|since| now.since(*since));
        unfinished.chain([self.longest]).max().unwrap_or_default()
    }
}
