//! What real lease tables cost, and how quick they are.

mod capacity;
mod hand_over;
mod latency;
mod rest;
mod table;
mod take;

use std::error::Error;
use std::time::Duration;

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(async {
        latency::run().await?;
        println!();
        take::run().await?;
        println!();
        hand_over::run().await?;
        println!();
        rest::run().await
    });
    // Consumers that were left behind end with it.
    runtime.shutdown_background();
    measured
}

/// The value that so many hundredths of all do not exceed.
fn percentile(sorted: &[Duration], hundredths: usize) -> Duration {
    let rank = (sorted.len() * hundredths).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
