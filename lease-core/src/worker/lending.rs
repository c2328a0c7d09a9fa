//! Checkpoints that somebody else writes: the row goes out on loan, to be put by the user's own transaction.

use stream_types::Position;

use super::{CheckpointError, Command, Worker};
use crate::{Epoch, LeaseKey};

impl Worker {
    /// The reader of a shard wants to write its next checkpoint itself, together with its results.
    pub(super) fn on_row_asked(&mut self, key: &LeaseKey, epoch: Epoch, position: Position) {
        match self.holdings.get_mut(key).filter(|holding| holding.epoch == epoch) {
            Some(holding) => {
                holding.row_wanted = Some(position);
                self.lend(key);
            }
            None => {
                let row = Err(CheckpointError::LeaseLost);
                self.commands.push(Command::LendRow { key: key.clone(), epoch, row });
            }
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
        // It may have been stored while this one waited.
        if position.may_advance_to(&row.position) {
            let (epoch, row) = (holding.epoch, Ok(None));
            return self.commands.push(Command::LendRow { key: key.clone(), epoch, row });
        }
        // Whatever else was to be stored lies before it: readers ask for one thing after the other.
        holding.unsaved = None;
        let (epoch, next) = (holding.epoch, row.checkpointed(position, &me));
        let row = self.table.lend_over(&row, next, self.now);
        self.commands.push(Command::LendRow { key: key.clone(), epoch, row: Ok(Some(row)) });
    }
}
