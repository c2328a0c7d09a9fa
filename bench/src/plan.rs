//! How long one plan takes, and how that grows.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use lease_core::plan::{Snapshot, plan};
use lease_core::{Incarnation, Lease, StreamFacts, WorkerId, WorkerRow};
use stream_types::{Name, Shard, ShardId, StartPosition};

/// A fleet, and its table after a tenth of the workers have crashed.
struct Fleet {
    workers: Vec<WorkerRow>,
    leases: Vec<Lease>,
}

const RUNS: usize = 21;

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    println!("one plan, in milliseconds (median of {RUNS} runs)");
    println!(
        "{:>10} {:>10} {:>10} {:>16} {:>22}",
        "leases", "workers", "at rest", "after a crash", "µs per lease at rest"
    );
    for (leases, workers) in [(100, 10), (1_000, 100), (10_000, 1_000), (100_000, 10_000), (10_000, 10), (100_000, 10)]
    {
        let rest = median(&Fleet::new(leases, workers, workers)?);
        let crash = median(&Fleet::new(leases, workers, workers - workers / 10)?);
        let per_lease = rest.as_secs_f64() * 1e6 / f64::from(leases);
        println!("{leases:>10} {workers:>10} {:>10.3} {:>16.3} {per_lease:>22.3}", millis(rest), millis(crash));
    }
    Ok(())
}

impl Fleet {
    /// So many leases, owned by so many workers in turn, of which only the first ones live.
    fn new(leases: u32, workers: u32, alive: u32) -> Result<Self, Box<dyn Error>> {
        let rows = (0..workers).map(|number| {
            let id = WorkerId { name: Name::new(format!("worker-{number:05}"))?, incarnation: Incarnation::first(7) };
            Ok(WorkerRow::registering(id, None))
        });
        let mut rows: Vec<WorkerRow> = rows.collect::<Result<_, Box<dyn Error>>>()?;
        let facts = StreamFacts { created: None, start: StartPosition::Horizon };
        let lease = |number: u32| {
            let id = ShardId::new(format!("shardId-{number:012}"))?;
            let owner = rows[(number % workers) as usize].id();
            let shard = Shard { id, parents: Vec::new(), hash_range: None };
            Ok(Lease::new(Name::new("orders")?, shard, facts, owner.clone()).taken_by(&owner))
        };
        let leases = (0..leases).map(lease).collect::<Result<_, Box<dyn Error>>>()?;
        rows.truncate(alive as usize);
        Ok(Self { workers: rows, leases })
    }
}

fn median(fleet: &Fleet) -> Duration {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let snapshot =
                Snapshot { workers: fleet.workers.iter().collect(), leases: Some(fleet.leases.iter().collect()) };
            let begun = Instant::now();
            black_box(plan(black_box(&snapshot)));
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[RUNS / 2]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
