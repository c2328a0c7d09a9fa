//! When leases are taken and given, and how long it takes until they are read.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lease_core::{Change, Epoch, Lease, LeaseKey};

/// What a whole fleet does with its leases.
#[derive(Debug, Default)]
pub(crate) struct Moves(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    first_take_sent: Option<Instant>,
    takes: usize,
    last_take: Option<Instant>,
    /// Gifts that nobody reads yet.
    given: BTreeMap<(LeaseKey, Epoch), Instant>,
    hand_overs: Vec<Duration>,
}

impl Moves {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A row is about to be written. A gift may be read by its new owner before its giver has the answer.
    pub(crate) fn sent(&self, row: &Lease) {
        let mut seen = self.seen();
        match row.last_change {
            Change::Taken => {
                seen.first_take_sent.get_or_insert_with(Instant::now);
            }
            Change::Given => {
                seen.given.insert((row.key.clone(), row.epoch), Instant::now());
            }
            _ => {}
        }
    }

    /// How the write of a row ended.
    pub(crate) fn answered(&self, row: &Lease, is_applied: bool) {
        let mut seen = self.seen();
        match row.last_change {
            Change::Taken if is_applied => {
                seen.takes += 1;
                seen.last_take = Some(Instant::now());
            }
            Change::Given if !is_applied => {
                seen.given.remove(&(row.key.clone(), row.epoch));
            }
            _ => {}
        }
    }

    /// Somebody begins to read a shard.
    pub(crate) fn started(&self, key: &LeaseKey, epoch: Epoch) {
        let mut seen = self.seen();
        if let Some(given) = seen.given.remove(&(key.clone(), epoch)) {
            seen.hand_overs.push(given.elapsed());
        }
    }

    /// How many leases were taken, and how long that took from the first request to the last answer.
    pub(crate) fn takes(&self) -> (usize, Duration) {
        let seen = self.seen();
        let times = seen.last_take.zip(seen.first_take_sent);
        (seen.takes, times.map_or(Duration::ZERO, |(last, first)| last - first))
    }

    /// How long each gift took from the sending of its row to its new reader.
    pub(crate) fn hand_overs(&self) -> Vec<Duration> {
        self.seen().hand_overs.clone()
    }

    /// Whether every gift is read.
    pub(crate) fn all_arrived(&self) -> bool {
        self.seen().given.is_empty()
    }
}
