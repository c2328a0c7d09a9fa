//! How long a lease that is given takes to reach its new owner.

use std::error::Error;
use std::time::{Duration, Instant};

use super::table::REAL;
use super::{milliseconds, percentile};
use crate::fleet::Fleet;

const SHARDS: usize = 16;
const ROUNDS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn run() -> Result<(), Box<dyn Error>> {
    println!("from the sending of a gift to its new reader, milliseconds; the heartbeat interval is 1,000 ms");
    println!("{:>10} {:>8} {:>8} {:>8} {:>8}", "table", "hints", "gifts", "p50", "max");
    for kind in REAL {
        for has_hints in [true, false] {
            let table = kind.open(has_hints).await?;
            if has_hints && table.store.hints().is_none() {
                continue;
            }
            let mut fleet = Fleet::new(table.store, SHARDS)?;
            fleet.start()?;
            fleet.start()?;
            wait_until("the leases are taken", || fleet.moves.takes().0 >= SHARDS).await?;
            for round in 1..=ROUNDS {
                fleet.start()?;
                let joined = round * 2 - 1;
                wait_until("the joiner has its share", || {
                    fleet.moves.hand_overs().len() >= joined * (SHARDS / 3) && fleet.moves.all_arrived()
                })
                .await?;
                fleet.stop_last().await?;
                wait_until("its share is read", || fleet.moves.all_arrived()).await?;
            }
            let mut times = fleet.moves.hand_overs();
            times.sort();
            let hints = if has_hints { "yes" } else { "no" };
            let (p50, max) = (milliseconds(percentile(&times, 50)), milliseconds(percentile(&times, 100)));
            println!("{kind:>10} {hints:>8} {:>8} {p50:>8.1} {max:>8.1}", times.len());
            fleet.abandon();
        }
    }
    Ok(())
}

async fn wait_until(what: &str, condition: impl Fn() -> bool) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    while !condition() {
        if begun.elapsed() > PATIENCE {
            return Err(format!("it never came about that {what}").into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
