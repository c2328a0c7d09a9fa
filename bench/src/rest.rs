//! What a fleet at rest costs its store: real consumers, for a minute by the clock.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use lease_core::MemoryStore;
use stream_types::Name;

use crate::fleet::Fleet;

const WORKERS: usize = 4;
const SHARD_COUNTS: [usize; 3] = [16, 64, 1_024];
const SETTLING: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        println!("store calls per worker in {MINUTE:?} at rest: {WORKERS} workers, heartbeat interval 1 s, audit by one of them every 60 s");
        println!("{:>8} {:>10} {:>12} {:>8} {:>8}", "shards", "worker", "heartbeats", "lists", "others");
        let mut fleets = Vec::new();
        for shard_count in SHARD_COUNTS {
            let table = MemoryStore::new(Name::new("bench")?);
            let mut fleet = Fleet::new(Arc::new(table), shard_count)?;
            for _ in 0..WORKERS {
                fleet.start()?;
            }
            fleets.push((shard_count, fleet));
        }
        tokio::time::sleep(SETTLING).await;
        // What the start has cost is not counted.
        for calls in fleets.iter().flat_map(|(_, fleet)| &fleet.calls) {
            let _start = calls.take();
        }
        tokio::time::sleep(MINUTE).await;
        let counted: Vec<_> =
            fleets.iter().map(|(_, fleet)| fleet.calls.iter().map(|calls| calls.take()).collect::<Vec<_>>()).collect();
        for ((shard_count, _), counts) in fleets.iter().zip(counted) {
            for (number, (heartbeats, lists, others)) in counts.into_iter().enumerate() {
                println!("{shard_count:>8} {:>10} {heartbeats:>12} {lists:>8} {others:>8}", number + 1);
            }
        }
        for (_, fleet) in fleets {
            fleet.abandon();
        }
        Ok(())
    })
}
