//! What a fleet at rest costs its store: real consumers, for a minute by the clock.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use consumer::{Consumer, each_batch};
use kinesis_testing::{Clock, Kinesis, Limits, ModelSource};
use lease_core::{LeaseStore, MemoryStore};
use stream_types::Name;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::metered_store::{Calls, MeteredStore};

const WORKERS: usize = 4;
const SHARD_COUNTS: [usize; 3] = [16, 64, 1_024];
const SETTLING: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        println!("store calls per worker in {MINUTE:?} at rest: {WORKERS} workers, heartbeat interval 1 s, audit 60 s");
        println!("{:>8} {:>10} {:>12} {:>8} {:>8}", "shards", "worker", "heartbeats", "lists", "others");
        let mut fleets = Vec::new();
        for shard_count in SHARD_COUNTS {
            fleets.push((shard_count, Fleet::start(shard_count)?));
        }
        tokio::time::sleep(SETTLING).await;
        // What the start has cost is not counted.
        for calls in fleets.iter().flat_map(|(_, fleet)| &fleet.calls) {
            let _start = calls.take();
        }
        tokio::time::sleep(MINUTE).await;
        // All counts first: stopping a fleet takes time, in which the others go on.
        let counted: Vec<_> =
            fleets.iter().map(|(_, fleet)| fleet.calls.iter().map(|calls| calls.take()).collect::<Vec<_>>()).collect();
        for ((shard_count, _), counts) in fleets.iter().zip(counted) {
            for (number, (heartbeats, lists, others)) in counts.into_iter().enumerate() {
                println!("{shard_count:>8} {:>10} {heartbeats:>12} {lists:>8} {others:>8}", number + 1);
            }
        }
        for (_, fleet) in fleets {
            fleet.stop().await?;
        }
        Ok(())
    })
}

/// Consumers of a stream without records.
struct Fleet {
    calls: Vec<Arc<Calls>>,
    stop: CancellationToken,
    running: JoinSet<Result<(), String>>,
}

impl Fleet {
    fn start(shard_count: usize) -> Result<Self, Box<dyn Error>> {
        let kinesis = Kinesis::new(Clock::system(), Limits::of_the_service());
        kinesis.create_stream("quiet", shard_count)?;
        let source = Arc::new(ModelSource::new(kinesis, Name::new("quiet")?));
        let table = MemoryStore::new(Name::new("bench")?);
        let mut fleet = Self { calls: Vec::new(), stop: CancellationToken::new(), running: JoinSet::new() };
        for number in 1..=WORKERS {
            let calls = Arc::new(Calls::default());
            let inner: Arc<dyn LeaseStore> = Arc::new(table.clone());
            let store = Arc::new(MeteredStore { inner, calls: Arc::clone(&calls) });
            let consumer = Consumer::builder(store, source.clone())
                .worker_name(Name::new(format!("worker-{number}"))?)
                .build(each_batch(async |_batch| Ok::<(), std::io::Error>(())))?;
            let stop = fleet.stop.clone();
            fleet.running.spawn(async move {
                let ended = consumer.run_until(stop.cancelled()).await;
                ended.map(|_report| ()).map_err(|error| error.to_string())
            });
            fleet.calls.push(calls);
        }
        Ok(fleet)
    }

    async fn stop(mut self) -> Result<(), Box<dyn Error>> {
        self.stop.cancel();
        while let Some(ended) = self.running.join_next().await {
            ended??;
        }
        Ok(())
    }
}
