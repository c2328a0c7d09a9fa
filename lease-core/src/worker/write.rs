//! A write of a lease row that has not been answered yet.

use std::time::Duration;

use super::Command;
use super::pause::doubled;
use crate::{Epoch, Expected, Lease, Moment};

/// A write that is on its way, or waits to be sent again.
#[derive(Debug, Clone, Hash)]
pub(super) struct Write {
    expected: Expected,
    pub(super) next: Lease,
    /// When it was first sent.
    pub(super) sent: Moment,
    attempts: u32,
    retry_at: Option<Moment>,
    /// Somebody else's transaction carries it. Only they may send it again, with all that belongs to it.
    pub(super) is_lent: bool,
    /// It gives out an epoch of which the store may have lost that it was given out.
    has_doubtful_epoch: bool,
}

impl Write {
    const FIRST_PAUSE: Duration = Duration::from_millis(100);
    const LONGEST_PAUSE: Duration = Duration::from_secs(5);

    pub(super) const fn new(expected: Expected, next: Lease, sent: Moment) -> Self {
        Self { expected, next, sent, attempts: 0, retry_at: None, is_lent: false, has_doubtful_epoch: false }
    }

    /// The same, carried by somebody else's transaction.
    pub(super) fn lent(self) -> Self {
        Self { is_lent: true, ..self }
    }

    pub(super) fn command(&self) -> Command {
        Command::Put { expected: self.expected, next: self.next.clone() }
    }

    /// It has failed in a way that may pass.
    pub(super) fn postpone(&mut self, now: Moment) {
        self.retry_at = Some(now.after(doubled(Self::FIRST_PAUSE, self.attempts, Self::LONGEST_PAUSE)));
        self.attempts += 1;
    }

    /// When it is to be sent again; absent while it is on its way.
    pub(super) const fn retry_at(&self) -> Option<Moment> {
        self.retry_at
    }

    /// Whether it waits to be sent again, and that row shows that it would be refused.
    pub(super) fn is_refuted_by(&self, found: Option<&Lease>) -> bool {
        let as_expected = found.map_or(Expected::Absent, Expected::row) == self.expected;
        self.retry_at.is_some() && !self.is_lent && !as_expected && !found.is_some_and(|row| self.has_written(row))
    }

    /// Whether that row is of this write, or of an earlier try of it under a lower epoch.
    pub(super) fn has_written(&self, row: &Lease) -> bool {
        row.epoch <= self.next.epoch && row.clone().in_epoch_of_at_least(self.next.epoch) == self.next
    }

    /// The same write, which was carried out under the epoch that the row has.
    pub(super) fn written_as(self, row: Lease) -> Self {
        Self { next: row, ..self }
    }

    /// The store may have lost rows since the write was made.
    pub(super) fn doubt_epoch(&mut self) {
        self.has_doubtful_epoch |= !self.is_lent && self.expected.changes_epoch(&self.next);
    }

    /// Whether it waits until the store has said which epochs may be given out.
    pub(super) const fn awaits_floor(&self) -> bool {
        self.has_doubtful_epoch && self.retry_at.is_some()
    }

    /// Sends it again, if it is due. One whose epoch is in doubt is sent under one that may be given out, once that is known. If an
    /// earlier try was carried out after all, it is refused then, by a row of its own.
    pub(super) fn retry(&mut self, now: Moment, floor: Option<Epoch>) -> Option<Command> {
        self.retry_at.filter(|at| *at <= now)?;
        if self.has_doubtful_epoch {
            self.next.epoch = self.next.epoch.max(floor?);
            self.has_doubtful_epoch = false;
        }
        self.retry_at = None;
        Some(self.command())
    }
}
