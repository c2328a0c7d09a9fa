//! What the demo's workers do with records: tell the ledger.

use std::convert::Infallible;

use consumer::{EndReached, RecordProcessor, ShardBatch, ShardContext, ShardEnd};

use super::board::Board;

/// Tells the ledger of each record, and the board which shard it reads.
pub(super) struct Witness {
    worker: String,
    shard: ShardContext,
    board: Board,
}

impl Witness {
    pub(super) fn new(worker: String, shard: ShardContext, board: Board) -> Self {
        board.change(|picture| {
            picture.readers.insert(shard.key().clone(), (worker.clone(), shard.fencing_token()));
        });
        Self { worker, shard, board }
    }
}

impl RecordProcessor for Witness {
    type Error = Infallible;

    async fn process(&mut self, batch: ShardBatch) -> Result<(), Infallible> {
        for record in batch.records() {
            self.board.ledger.delivered(&self.worker, self.shard.shard(), record);
        }
        let elapsed = self.board.elapsed();
        self.board.change(|picture| {
            picture.first_record.get_or_insert(elapsed);
            if let Some(worker) = picture.workers.get_mut(&self.worker) {
                worker.delivered += batch.records().len() as u64;
            }
        });
        Ok(())
    }

    async fn shard_ended(&mut self, end: ShardEnd) -> Result<EndReached, Infallible> {
        Ok(end.reached())
    }
}

/// Whatever ends it, a lost lease, a hand-over, or the crash of its worker, the processor reads no more.
impl Drop for Witness {
    fn drop(&mut self) {
        let (key, mine) = (self.shard.key(), (self.worker.clone(), self.shard.fencing_token()));
        self.board.change(|picture| {
            if picture.readers.get(key) == Some(&mine) {
                picture.readers.remove(key);
            }
        });
    }
}
