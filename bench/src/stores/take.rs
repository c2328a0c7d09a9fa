//! How long one worker takes to take many free leases.

use std::error::Error;
use std::time::{Duration, Instant};

use super::table::{Kind, REAL};
use crate::fleet::Fleet;

const LEASES: usize = 4_096;
const PATIENCE: Duration = Duration::from_secs(300);

pub(super) async fn run() -> Result<(), Box<dyn Error>> {
    println!("one worker takes {LEASES} free leases, 32 writes at a time, from its first request to the last answer");
    println!("{:>10} {:>10} {:>14}", "table", "seconds", "leases/second");
    for kind in [Kind::Memory].into_iter().chain(REAL) {
        let table = kind.open(true).await?;
        let mut fleet = Fleet::new(table.store, LEASES)?;
        fleet.start()?;
        let begun = Instant::now();
        while fleet.moves.takes().0 < LEASES {
            if begun.elapsed() > PATIENCE {
                return Err(format!("{kind}: {} leases after {PATIENCE:?}", fleet.moves.takes().0).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (takes, time) = fleet.moves.takes();
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let rate = takes as f64 / time.as_secs_f64();
        println!("{kind:>10} {:>10.2} {rate:>14.0}", time.as_secs_f64());
        fleet.abandon();
    }
    Ok(())
}
