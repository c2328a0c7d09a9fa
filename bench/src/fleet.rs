//! Consumers of a stream without records, whose calls to the store are counted.

use std::error::Error;
use std::sync::Arc;

use consumer::{Consumer, EndReached, RecordProcessor, ShardBatch, ShardContext, ShardEnd};
use kinesis_testing::{Clock, Kinesis, Limits, ModelSource};
use lease_core::LeaseStore;
use stream_types::Name;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::metered_store::{Calls, MeteredStore};
use crate::moves::Moves;

/// The consumers of one stream over one lease table.
pub(crate) struct Fleet {
    table: Arc<dyn LeaseStore>,
    source: Arc<ModelSource>,
    pub(crate) moves: Arc<Moves>,
    pub(crate) calls: Vec<Arc<Calls>>,
    members: Vec<Member>,
}

struct Member {
    stop: CancellationToken,
    running: JoinSet<Result<(), String>>,
}

impl Fleet {
    /// A fleet of nobody, on a stream of so many shards.
    pub(crate) fn new(table: Arc<dyn LeaseStore>, shard_count: usize) -> Result<Self, Box<dyn Error>> {
        let kinesis = Kinesis::new(Clock::system(), Limits::of_the_service());
        kinesis.create_stream("quiet", shard_count)?;
        let source = Arc::new(ModelSource::new(kinesis, Name::new("quiet")?));
        Ok(Self { table, source, moves: Arc::default(), calls: Vec::new(), members: Vec::new() })
    }

    /// Starts one more consumer.
    pub(crate) fn start(&mut self) -> Result<(), Box<dyn Error>> {
        let calls = Arc::new(Calls::default());
        let inner = Arc::clone(&self.table);
        let store = MeteredStore { inner, calls: Arc::clone(&calls), moves: Arc::clone(&self.moves) };
        let moves = Arc::clone(&self.moves);
        let consumer = Consumer::builder(Arc::new(store), self.source.clone())
            .worker_name(Name::new(format!("worker-{}", self.calls.len() + 1))?)
            .build(move |shard: &ShardContext| {
                moves.started(shard.key(), shard.fencing_token());
                Idle
            })?;
        let stop = CancellationToken::new();
        let asked = stop.clone();
        let mut running = JoinSet::new();
        running.spawn(async move {
            let ended = consumer.run_until(asked.cancelled()).await;
            ended.map(|_report| ()).map_err(|error| error.to_string())
        });
        self.calls.push(calls);
        self.members.push(Member { stop, running });
        Ok(())
    }

    /// Asks the consumer that came last to leave, and waits until it has.
    pub(crate) async fn stop_last(&mut self) -> Result<(), Box<dyn Error>> {
        let Some(mut member) = self.members.pop() else { return Ok(()) };
        member.stop.cancel();
        while let Some(ended) = member.running.join_next().await {
            ended??;
        }
        Ok(())
    }

    /// Ends all consumers, without a word to the store.
    pub(crate) fn abandon(self) {
        drop(self.members);
    }
}

/// There are no records.
struct Idle;

impl RecordProcessor for Idle {
    type Error = std::io::Error;

    async fn process(&mut self, _batch: ShardBatch) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn shard_ended(&mut self, end: ShardEnd) -> Result<EndReached, Self::Error> {
        Ok(end.reached())
    }
}
