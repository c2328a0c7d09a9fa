//! Checkpoints that somebody else writes: the row goes out on loan, to be put by the user's own transaction.

use stream_types::Position;

use super::{CheckpointError, Command, Worker};
use crate::{Epoch, LeaseKey};

impl Worker {
    /// The reader of a shard wants to write its next checkpoint itself, together with its results.
    pub(super) fn on_row_asked(&mut self, key: &LeaseKey, epoch: Epoch, position: Position) {
        match self.may_checkpoint(key, epoch, &position) {
            Ok(holding) => {
                holding.row_wanted = Some(position);
                self.lend(key);
            }
            Err(refusal) => self.commands.push(Command::LendRow { key: key.clone(), epoch, row: Err(refusal) }),
        }
    }

    /// Lends the row that is asked for, unless a write is under way; then it follows that one.
    pub(super) fn lend(&mut self, key: &LeaseKey) {
        if self.table.is_writing(key) || !self.pulse.is_valid() {
            return;
        }
        let me = self.id();
        let Some(holding) = self.holdings.get_mut(key) else { return };
        let (Some(row), Some(position)) = (self.table.get(key).cloned(), holding.row_wanted.take()) else { return };
        // What is stored already must not be done once more, though a plain checkpoint might be stored again. It may have
        // been stored while this one waited.
        if row.position == position || !row.position.may_advance_to(&position) {
            let row = Err(CheckpointError::Backwards { stored: row.position, asked: position });
            let epoch = holding.epoch;
            return self.commands.push(Command::LendRow { key: key.clone(), epoch, row });
        }
        // Whatever else was to be stored lies before it: readers ask for one thing after the other.
        holding.unsaved = None;
        let (epoch, next) = (holding.epoch, row.checkpointed(position, &me));
        let row = self.table.lend_over(&row, next, self.now);
        self.commands.push(Command::LendRow { key: key.clone(), epoch, row: Ok(row) });
    }
}
