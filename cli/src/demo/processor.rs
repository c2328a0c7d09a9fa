//! What the demo's workers do with records: tell the ledger, which is the sink of all effects.

use std::error::Error;

use async_trait::async_trait;
use consumer::{DeadLetter, DeadLetters, EndReached, RecordProcessor, ShardBatch, ShardContext, ShardEnd};
use kinesis_source::Record;

use super::board::Board;

/// How a record begins that cannot be processed.
const POISON: &[u8] = b"poison";
pub(super) const FAILS: &str = "poison fails";
pub(super) const PANICS: &str = "poison panics";

/// What a processor says when it panics as it was meant to.
pub(super) const PLANNED_PANIC: &str = "the record makes the processor panic, as it was meant to";

/// Tells the ledger of each record, and the board which shard it reads.
pub(super) struct Witness {
    worker: String,
    shard: ShardContext,
    board: Board,
}

/// A record cannot be processed.
#[derive(Debug, thiserror::Error)]
#[error("the record is poisoned")]
pub(super) struct Poisoned;

impl Witness {
    pub(super) fn new(worker: String, shard: ShardContext, board: Board) -> Self {
        board.change(|picture| picture.begins(shard.key(), &worker, shard.fencing_token()));
        Self { worker, shard, board }
    }

    /// Delivers a record to the sink, which refuses what comes under an older fencing token than it has seen.
    fn deliver(&self, record: &Record) {
        let (key, token) = (self.shard.key(), self.shard.fencing_token());
        if self.board.look(|picture| picture.tokens.get(key).is_some_and(|highest| token < *highest)) {
            self.board.change(|picture| picture.late_effects += 1);
        } else {
            self.board.ledger.delivered(&self.worker, self.shard.shard(), record);
        }
    }
}

fn refuse_poison(records: &[Record]) -> Result<(), Poisoned> {
    let Some(poison) = records.iter().find(|record| record.data.starts_with(POISON)) else { return Ok(()) };
    assert!(!poison.data.starts_with(PANICS.as_bytes()), "{PLANNED_PANIC}");
    Err(Poisoned)
}

impl RecordProcessor for Witness {
    type Error = Poisoned;

    async fn process(&mut self, batch: ShardBatch) -> Result<(), Poisoned> {
        refuse_poison(batch.records())?;
        let (before, after) = batch.records().split_at(batch.records().len() / 2);
        before.iter().for_each(|record| self.deliver(record));
        self.board.stand_still_if_frozen(&self.worker);
        after.iter().for_each(|record| self.deliver(record));
        let elapsed = self.board.elapsed();
        self.board.change(|picture| {
            picture.first_record.get_or_insert(elapsed);
            picture.is_heard_of(self.shard.key());
            if let Some(worker) = picture.workers.get_mut(&self.worker) {
                worker.delivered += batch.records().len() as u64;
            }
        });
        Ok(())
    }

    async fn shard_ended(&mut self, end: ShardEnd) -> Result<EndReached, Poisoned> {
        self.board.change(|picture| picture.ends(self.shard.key()));
        Ok(end.reached())
    }

    async fn lease_lost(&mut self, _shard: &ShardContext) {
        self.board.change(|picture| picture.leases_lost += 1);
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

/// Keeps what cannot be processed on the board.
#[derive(Debug)]
pub(super) struct DeadLetterBox(pub(super) Board);

#[async_trait]
impl DeadLetters for DeadLetterBox {
    async fn accept(&self, letter: DeadLetter) -> Result<(), Box<dyn Error + Send + Sync>> {
        let record = String::from_utf8_lossy(&letter.record.data).into_owned();
        self.0.ledger.delivered("the dead letters", letter.shard.shard(), &letter.record);
        self.0.change(|picture| picture.dead_letters.push(record));
        Ok(())
    }
}
