//! How long one heartbeat and one checkpoint take.

use std::error::Error;
use std::time::{Duration, Instant};

use lease_core::testing::{lease, worker, worker_row};
use lease_core::{Beat, Expected, LeaseStore, Outcome, WorkerRow};

use super::table::{Kind, REAL};
use super::{milliseconds, percentile};

const ROUNDS: u64 = 2_000;

/// How many workers' rows a heartbeat reads, its own included.
const WORKERS: usize = 8;

pub(super) async fn run() -> Result<(), Box<dyn Error>> {
    println!("one call after the other, {ROUNDS} times, milliseconds; a heartbeat reads {WORKERS} workers' rows");
    println!("{:>10} {:>14} {:>14} {:>15} {:>15}", "table", "heartbeat p50", "heartbeat p99", "checkpoint p50", "p99");
    for kind in [Kind::Memory].into_iter().chain(REAL) {
        let table = kind.open(true).await?;
        let heartbeats = heartbeats(&*table.store).await?;
        let checkpoints = checkpoints(&*table.store).await?;
        let shown = |sorted: &[Duration], hundredths| milliseconds(percentile(sorted, hundredths));
        println!(
            "{kind:>10} {:>14.3} {:>14.3} {:>15.3} {:>15.3}",
            shown(&heartbeats, 50),
            shown(&heartbeats, 99),
            shown(&checkpoints, 50),
            shown(&checkpoints, 99)
        );
    }
    Ok(())
}

async fn heartbeats(store: &dyn LeaseStore) -> Result<Vec<Duration>, Box<dyn Error>> {
    for number in 1..WORKERS {
        let _registered = store.heartbeat(&worker_row(&format!("other-{number}"))).await?;
    }
    let mut times = Vec::new();
    for heartbeat in 1..=ROUNDS {
        let row = WorkerRow { heartbeat, leaving: false, ..worker_row("me") };
        let begun = Instant::now();
        let beat = store.heartbeat(&row).await?;
        times.push(begun.elapsed());
        match beat {
            Beat::Written { workers, .. } if workers.len() == WORKERS => {}
            other => return Err(format!("an unexpected answer: {other:?}").into()),
        }
    }
    times.sort();
    Ok(times)
}

async fn checkpoints(store: &dyn LeaseStore) -> Result<Vec<Duration>, Box<dyn Error>> {
    let me = worker("me");
    let mut row = lease("shard");
    if store.put(Expected::Absent, &row).await? != Outcome::Applied {
        return Err("the table is not fresh".into());
    }
    let mut times = Vec::new();
    for number in 1..=ROUNDS {
        let next = row.checkpointed(format!("after:{number}").parse()?, &me);
        let begun = Instant::now();
        let outcome = store.put(Expected::row(&row), &next).await?;
        times.push(begun.elapsed());
        if outcome != Outcome::Applied {
            return Err(format!("an unexpected answer: {outcome:?}").into());
        }
        row = next;
    }
    times.sort();
    Ok(times)
}
