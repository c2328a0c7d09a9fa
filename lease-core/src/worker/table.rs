//! The lease table as one worker knows it.

use std::collections::{BTreeMap, BTreeSet};

use stream_types::Position;

use super::Command;
use super::write::Write;
use crate::{Change, Epoch, Expected, Lease, LeaseKey, Moment};

/// The rows of the last list, brought up to date by the worker's own writes, and the writes under way.
#[derive(Debug, Clone, Default, Hash)]
pub(super) struct Table {
    /// Absent until the first list.
    rows: Option<BTreeMap<LeaseKey, Lease>>,
    writes: BTreeMap<LeaseKey, Write>,
    deletes: BTreeSet<LeaseKey>,
    /// When the worker learned how its last write of a row ended. A list sent before may show an older row.
    touched: BTreeMap<LeaseKey, Moment>,
    /// New rows whose parents the list did not show: see [`Table::unconfirmed`].
    unconfirmed: BTreeSet<LeaseKey>,
    /// Rows of another past than was known: the store has lost its newest writes.
    went_back: BTreeSet<LeaseKey>,
    /// Rows that were there and no longer are, though this worker has not deleted them: as they were.
    vanished: Vec<Lease>,
}

impl Table {
    pub(super) fn is_listed(&self) -> bool {
        self.rows.is_some()
    }

    /// All rows, ascending by key; absent before the first list.
    pub(super) fn rows(&self) -> Option<impl Iterator<Item = &Lease>> {
        self.rows.as_ref().map(BTreeMap::values)
    }

    pub(super) fn get(&self, key: &LeaseKey) -> Option<&Lease> {
        self.rows.as_ref()?.get(key)
    }

    /// The position that a row has, or will have when the write under way is applied. Of a loan nobody knows whether it
    /// will be.
    pub(super) fn newest_position(&self, key: &LeaseKey) -> Option<&Position> {
        let write = self.writes.get(key).filter(|write| !write.is_lent);
        let written = write.map(|write| &write.next.position);
        written.or_else(|| self.get(key).map(|row| &row.position))
    }

    /// When the worker learned how its last write of the row ended.
    pub(super) fn touched(&self, key: &LeaseKey) -> Option<Moment> {
        self.touched.get(key).copied()
    }

    pub(super) fn is_writing(&self, key: &LeaseKey) -> bool {
        self.writes.contains_key(key) || self.deletes.contains(key)
    }

    pub(super) fn has_writes(&self) -> bool {
        !self.writes.is_empty()
    }

    /// Whether new leases are on their way.
    pub(super) fn is_creating_any(&self) -> bool {
        self.writes.keys().any(|key| self.is_creating(key))
    }

    /// Whether that lease is one of them.
    pub(super) fn is_creating(&self, key: &LeaseKey) -> bool {
        self.writes.get(key).is_some_and(|write| write.next.last_change == Change::Created)
    }

    /// Gives up the creations that wait to be sent again.
    pub(super) fn drop_waiting_creations(&mut self) {
        self.writes.retain(|_, write| write.retry_at().is_none() || write.next.last_change != Change::Created);
    }

    /// Starts a write. There must be none under way for the same lease.
    pub(super) fn write(&mut self, expected: Expected, next: Lease, now: Moment) -> Command {
        let write = Write::new(expected, next, now);
        let command = write.command();
        self.begin(write);
        command
    }

    /// Starts the write of a row's successor by somebody else. Returns what to put, and what must be there.
    pub(super) fn lend_over(&mut self, current: &Lease, next: Lease, now: Moment) -> (Expected, Lease) {
        let expected = Expected::row(current);
        self.begin(Write::new(expected, next.clone(), now).lent());
        (expected, next)
    }

    fn begin(&mut self, write: Write) {
        let key = &write.next.key;
        debug_assert!(!self.is_writing(key), "one write at a time");
        let before = self.get(key).map(|row| &row.position);
        debug_assert!(
            before.is_none_or(|before| before.may_advance_to(&write.next.position)),
            "positions never go back"
        );
        self.writes.insert(key.clone(), write);
    }

    /// Starts the write of a row's successor.
    pub(super) fn write_over(&mut self, current: &Lease, next: Lease, now: Moment) -> Command {
        self.write(Expected::row(current), next, now)
    }

    /// A write has failed in a way that may pass: it is to be sent again.
    pub(super) fn postpone(&mut self, key: &LeaseKey, now: Moment) {
        if let Some(write) = self.writes.get_mut(key) {
            write.postpone(now);
        }
    }

    /// Whether the row is out on loan.
    pub(super) fn is_lent(&self, key: &LeaseKey) -> bool {
        self.writes.get(key).is_some_and(|write| write.is_lent)
    }

    /// The writes that are due to be sent again, as far as it is known which epochs may be given out.
    pub(super) fn retries(&mut self, now: Moment, floor: Option<Epoch>) -> Vec<Command> {
        self.writes.values_mut().filter_map(|write| write.retry(now, floor)).collect()
    }

    pub(super) fn next_retry(&self, floor: Option<Epoch>) -> Option<Moment> {
        let may_go = |write: &&Write| floor.is_some() || !write.awaits_floor();
        self.writes.values().filter(may_go).filter_map(Write::retry_at).min()
    }

    /// The store may have lost its newest rows.
    pub(super) fn doubt_epochs(&mut self) {
        self.writes.values_mut().for_each(Write::doubt_epoch);
    }

    /// Whether a write waits until it is known which epochs may be given out.
    pub(super) fn has_doubtful_epochs(&self) -> bool {
        self.writes.values().any(Write::awaits_floor)
    }

    /// Gives up the writes that wait to be sent again. Those on their way will still be answered.
    pub(super) fn drop_retries(&mut self) {
        self.writes.retain(|_, write| write.retry_at().is_none());
    }

    /// Takes a write that was answered off the list of those under way.
    pub(super) fn answered(&mut self, key: &LeaseKey) -> Option<Write> {
        self.writes.remove(key)
    }

    pub(super) fn delete(&mut self, lease: &Lease) -> Command {
        self.deletes.insert(lease.key.clone());
        Command::Delete(lease.clone())
    }

    pub(super) fn delete_answered(&mut self, key: &LeaseKey) {
        self.deletes.remove(key);
    }

    /// Takes note of what the store is known to have under a key now. Returns whether it has lost what it had.
    pub(super) fn learn(&mut self, key: &LeaseKey, row: Option<Lease>, now: Moment) -> bool {
        let Some(rows) = &mut self.rows else { return false };
        self.touched.insert(key.clone(), now);
        match row {
            Some(row) => {
                let went_back = note_age(&mut self.went_back, rows.get(key), &row);
                rows.insert(key.clone(), row);
                went_back
            }
            None => {
                self.went_back.remove(key);
                let before = rows.remove(key);
                let is_lost = before.is_some();
                self.vanished.extend(before);
                is_lost
            }
        }
    }

    /// Takes note that this worker has deleted a row.
    pub(super) fn deleted(&mut self, key: &LeaseKey, now: Moment) {
        self.touched.insert(key.clone(), now);
        self.went_back.remove(key);
        self.rows.as_mut().and_then(|rows| rows.remove(key));
    }

    /// The rows that were found to be gone since this was asked last.
    pub(super) fn take_vanished(&mut self) -> Vec<Lease> {
        std::mem::take(&mut self.vanished)
    }

    /// Gives up the writes that wait to be sent again, where the list shows that they can only be refused: the row is neither what
    /// they expect nor what they write.
    pub(super) fn refuted(&mut self, listed: &[Lease], list_sent: Moment) -> Vec<Write> {
        let rows: BTreeMap<&LeaseKey, &Lease> = listed.iter().map(|row| (&row.key, row)).collect();
        let touched = &self.touched;
        let is_refuted = |key: &LeaseKey, write: &mut Write| {
            let is_younger = touched.get(key).is_none_or(|at| *at < list_sent);
            is_younger && write.is_refuted_by(rows.get(key).copied())
        };
        self.writes.extract_if(.., is_refuted).map(|(_, write)| write).collect()
    }

    /// Replaces the rows by a complete list, except where the worker itself knows better: a row that it is writing over, or
    /// has written since the list was asked for. Returns whether the table has lost something: a row does not follow from what it was,
    /// or is gone before it was finished.
    ///
    /// Of a row that it is only about to create the worker knows nothing: somebody else may have created it, and its children.
    pub(super) fn replace(&mut self, listed: Vec<Lease>, list_sent: Moment) -> bool {
        self.touched.retain(|_, at| *at >= list_sent);
        let before = self.rows.take().unwrap_or_default();
        let mut rows: BTreeMap<LeaseKey, Lease> = listed.into_iter().map(|row| (row.key.clone(), row)).collect();
        for key in self.writes.keys().chain(&self.deletes).chain(self.touched.keys()) {
            match before.get(key) {
                Some(row) => {
                    rows.insert(key.clone(), row.clone());
                }
                None if self.touched.contains_key(key) => {
                    rows.remove(key);
                }
                None => {}
            }
        }
        let mut any_went_back = false;
        for (key, row) in &rows {
            any_went_back |= note_age(&mut self.went_back, before.get(key), row);
        }
        self.went_back.retain(|key| rows.contains_key(key));
        let vanished = before.values().filter(|row| !rows.contains_key(&row.key));
        any_went_back |= vanished.clone().any(|row| !row.is_finished());
        self.vanished.extend(vanished.cloned());
        let is_unconfirmed = |row: &&Lease| {
            let lacks_a_parent =
                || row.parents.iter().any(|parent| !rows.contains_key(&row.key.sibling(parent.clone())));
            row.last_change == Change::Created && !before.contains_key(&row.key) && lacks_a_parent()
        };
        let unconfirmed = rows.values().filter(is_unconfirmed).map(|row| row.key.clone()).collect();
        self.unconfirmed = with_descendants(unconfirmed, &rows);
        self.rows = Some(rows);
        any_went_back
    }

    /// Whether the row does not follow from what the worker has known it to be. What it says of owners may be long over.
    pub(super) fn went_back(&self, key: &LeaseKey) -> bool {
        self.went_back.contains(key)
    }

    /// Leases that must not run yet, because a list need not be a snapshot of one moment: it may show a child whose row
    /// was written after the page of its parent was read. The parent's row was written first, so the next list shows
    /// it, or shows that the stream no longer had the parent.
    pub(super) fn is_unconfirmed(&self, key: &LeaseKey) -> bool {
        self.unconfirmed.contains(key)
    }

    /// The same leases, and those that descend from them and that nobody has had yet.
    pub(super) fn with_descendants(&self, keys: BTreeSet<LeaseKey>) -> BTreeSet<LeaseKey> {
        self.rows.iter().fold(keys, with_descendants)
    }

    pub(super) fn has_unconfirmed(&self) -> bool {
        !self.unconfirmed.is_empty()
    }
}

/// The same leases, and those that descend from them and that nobody has had yet: without their parents, these would seem free to run.
fn with_descendants(mut keys: BTreeSet<LeaseKey>, rows: &BTreeMap<LeaseKey, Lease>) -> BTreeSet<LeaseKey> {
    let mut grows = !keys.is_empty();
    while grows {
        let descends = |row: &&Lease| {
            row.last_change == Change::Created
                && !keys.contains(&row.key)
                && row.parents.iter().any(|parent| keys.contains(&row.key.sibling(parent.clone())))
        };
        let children: Vec<LeaseKey> = rows.values().filter(descends).map(|row| row.key.clone()).collect();
        grows = !children.is_empty();
        keys.extend(children);
    }
    keys
}

/// Versions and epochs only grow, and each version is written once. So a row of a lower one, or of another epoch at the same
/// version, shows that what was known before is lost. Returns whether it is.
fn note_age(went_back: &mut BTreeSet<LeaseKey>, before: Option<&Lease>, now: &Lease) -> bool {
    let is_of_same_past = |before: &Lease| {
        now.version > before.version && now.epoch >= before.epoch || Expected::row(now) == Expected::row(before)
    };
    let is_lost = before.is_some_and(|before| !is_of_same_past(before));
    if is_lost {
        went_back.insert(now.key.clone());
    } else if before.is_none_or(|before| now.version > before.version) {
        went_back.remove(&now.key);
    }
    is_lost
}

#[cfg(test)]
mod tests;
