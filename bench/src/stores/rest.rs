//! What a fleet at rest asks of real tables, by the number of its leases.

use std::error::Error;
use std::time::{Duration, Instant};

use super::capacity::{Capacity, Consumed};
use super::table::{Kind, REAL, Table};
use crate::fleet::Fleet;

const WORKERS: usize = 2;
const LEASE_COUNTS: [usize; 3] = [16, 256, 4_096];
const SETTLING: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(300);

struct Measured {
    kind: Kind,
    leases: usize,
    fleet: Fleet,
    capacity: Option<Capacity>,
}

pub(super) async fn run() -> Result<(), Box<dyn Error>> {
    println!(
        "calls per worker in {MINUTE:?} at rest: {WORKERS} workers, heartbeat interval 1 s, and once a minute one"
    );
    println!("worker of the fleet audits: it lists all leases. Of DynamoDB also the units that it counts, per worker:");
    println!("written (WU) and read (RU) by heartbeats, and read by the audit.");
    println!(
        "{:>10} {:>8} {:>11} {:>6} {:>7} {:>8} {:>8} {:>8}",
        "table", "leases", "heartbeats", "lists", "others", "WU", "RU", "audit RU"
    );
    let mut all = Vec::new();
    for kind in REAL {
        for leases in LEASE_COUNTS {
            let Table { store, capacity } = kind.open(true).await?;
            let mut fleet = Fleet::new(store, leases)?;
            for _ in 0..WORKERS {
                fleet.start()?;
            }
            let begun = Instant::now();
            while fleet.moves.takes().0 < leases {
                if begun.elapsed() > PATIENCE {
                    return Err(format!("{kind}: {leases} leases are not taken after {PATIENCE:?}").into());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            all.push(Measured { kind, leases, fleet, capacity });
        }
    }
    tokio::time::sleep(SETTLING).await;
    // What the start has cost is not counted.
    for measured in &all {
        for calls in &measured.fleet.calls {
            let _start = calls.take();
        }
        let _start = measured.capacity.as_ref().map(Capacity::take);
    }
    tokio::time::sleep(MINUTE).await;
    let lines: Vec<String> = all.iter().map(line).collect();
    lines.iter().for_each(|line| println!("{line}"));
    all.into_iter().for_each(|measured| measured.fleet.abandon());
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a minute's calls are few")]
fn line(measured: &Measured) -> String {
    let Measured { kind, leases, fleet, capacity } = measured;
    let counts = fleet.calls.iter().map(|calls| calls.take());
    let (heartbeats, lists, others) = counts.fold((0, 0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1, sum.2 + one.2));
    let each = |sum: u64| sum as f64 / WORKERS as f64;
    let calls = format!("{kind:>10} {leases:>8} {:>11} {:>6} {:>7}", each(heartbeats), each(lists), each(others));
    match capacity.as_ref().map(Capacity::take) {
        None => calls,
        Some(consumed) => {
            let units = |sum: f64| sum / WORKERS as f64;
            let Consumed { write_units, heartbeat_read_units, audit_read_units } = consumed;
            format!(
                "{calls} {:>8} {:>8} {:>8}",
                units(write_units),
                units(heartbeat_read_units),
                units(audit_read_units)
            )
        }
    }
}
