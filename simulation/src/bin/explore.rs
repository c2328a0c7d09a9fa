//! `cargo xtask explore`: all that can happen in small worlds, one after the other until one is broken; or in one of them, by its
//! number.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use simulation::small_worlds::{Bounds, explore, told};

fn main() -> ExitCode {
    let seconds = |seconds: u64| Duration::from_secs(seconds);
    let small = Bounds { workers: 2, shards: 2, length: seconds(7), faults: 1, reshards: false };
    let worlds = [
        ("2 workers, 2 shards, 1 fault, 7 s", small),
        ("2 workers, 2 shards, a reshard, 1 fault, 7 s", Bounds { reshards: true, ..small }),
        ("2 workers, 1 shard, 2 faults, 6 s", Bounds { shards: 1, faults: 2, length: seconds(6), ..small }),
        ("3 workers, 2 shards, 1 fault, 2 s", Bounds { workers: 3, length: seconds(2), ..small }),
        ("3 workers, 2 shards, 1 fault, 7 s", Bounds { workers: 3, ..small }),
    ];
    let chosen = match std::env::args().nth(1).map(|number| number.parse::<usize>()) {
        None => 1..=worlds.len(),
        Some(Ok(number)) if (1..=worlds.len()).contains(&number) => number..=number,
        Some(_) => {
            eprintln!("explore: the worlds are numbered from 1 to {}", worlds.len());
            return ExitCode::FAILURE;
        }
    };
    for (world, bounds) in &worlds[chosen.start() - 1..*chosen.end()] {
        let begun = Instant::now();
        let explored = explore(*bounds);
        println!(
            "{world}: {} states, {} steps, {} ends, in {:.1} s",
            explored.states,
            explored.steps,
            explored.ends,
            begun.elapsed().as_secs_f64()
        );
        if let Some((violation, path)) = explored.violation {
            println!("  VIOLATION {violation}, after:");
            told(*bounds, &path).iter().for_each(|step| println!("    {step}"));
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
