//! `cargo xtask sim`: many worlds, one seed each.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use simulation::{KINDS, Outcome, shrunk, simulate, simulate_only};

const USAGE: &str = "\
usage: cargo xtask sim [--seeds COUNT] [--from SEED] [--seconds SECONDS] [--until-broken]
       cargo xtask sim --seed SEED [--only INDEX,INDEX,...] [--trace]

  --seeds COUNT      so many worlds (1000)
  --from SEED        of the seeds from this one on (1)
  --seconds SECONDS  no new world after that time
  --until-broken     no new world after the first broken promise
  --seed SEED        one world alone: what was made to happen in it, and what came of it
  --only INDICES     only these of its happenings
  --trace            all that happened";

/// What the command line asks for.
#[derive(Debug)]
struct Arguments {
    seeds: u64,
    from: u64,
    seconds: Option<u64>,
    seed: Option<u64>,
    only: Option<Vec<usize>>,
    trace: bool,
    until_broken: bool,
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(Arguments { seed: Some(seed), only, trace, .. }) => one(seed, only.as_deref(), trace),
        Ok(arguments) => many(&arguments),
        Err(reason) => {
            eprintln!("sim: {reason}\n\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut parsed =
        Arguments { seeds: 1_000, from: 1, seconds: None, seed: None, only: None, trace: false, until_broken: false };
    while let Some(option) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{option} takes a value"));
        let number = |text: String| text.parse::<u64>().map_err(|error| format!("{option} {text:?}: {error}"));
        match option.as_str() {
            "--seeds" => parsed.seeds = number(value()?)?,
            "--from" => parsed.from = number(value()?)?,
            "--seconds" => parsed.seconds = Some(number(value()?)?),
            "--seed" => parsed.seed = Some(number(value()?)?),
            "--only" => {
                let indices = value()?;
                let parts = indices.split(',').filter(|part| !part.is_empty());
                let indices: Result<_, _> = parts.map(str::parse).collect();
                parsed.only = Some(indices.map_err(|error| format!("--only: {error}"))?);
            }
            "--trace" => parsed.trace = true,
            "--until-broken" => parsed.until_broken = true,
            unknown => return Err(format!("{unknown:?} is unknown")),
        }
    }
    Ok(parsed)
}

fn one(seed: u64, only: Option<&[usize]>, trace: bool) -> ExitCode {
    let outcome = match only {
        Some(kept) => simulate_only(seed, kept, trace),
        None => simulate(seed, trace),
    };
    outcome.trace.iter().for_each(|line| println!("{line}"));
    tell(&outcome);
    println!("trace hash {:016x}", outcome.trace_hash);
    summary(1, outcome.events, outcome.violations.len())
}

/// What was made to happen, and what was broken.
fn tell(outcome: &Outcome) {
    println!("seed {}:", outcome.seed);
    outcome.schedule.iter().for_each(|line| println!("  {line}"));
    outcome.violations.iter().take(3).for_each(|violation| println!("  VIOLATION {violation}"));
}

fn summary(seeds: u64, events: u64, violations: usize) -> ExitCode {
    println!("{seeds} seeds, {events} events, {violations} violations");
    if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The sums of all worlds.
#[derive(Debug, Default)]
struct Sums {
    seeds: u64,
    events: u64,
    lived: Duration,
    kinds: BTreeMap<&'static str, u64>,
    /// All traces, whatever their order.
    hash: u64,
    broken: Vec<Outcome>,
}

fn many(arguments: &Arguments) -> ExitCode {
    let (start, next) = (Instant::now(), AtomicU64::new(arguments.from));
    let sums = Mutex::new(Sums::default());
    let is_over = |seed: u64| {
        let late = arguments.seconds.is_some_and(|seconds| start.elapsed().as_secs() >= seconds);
        late || seed >= arguments.from.saturating_add(arguments.seeds)
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    let is_broken = || !sums.lock().expect("no thread panics with the lock").broken.is_empty();
                    if is_over(seed) || (arguments.until_broken && is_broken()) {
                        break;
                    }
                    let outcome = simulate(seed, false);
                    let mut sums = sums.lock().expect("no thread panics with the lock");
                    sums.add(outcome);
                    if sums.seeds.is_multiple_of(1_000) {
                        eprintln!("{} seeds after {:.0} s", sums.seeds, start.elapsed().as_secs_f64());
                    }
                }
            });
        }
    });
    let mut sums = sums.into_inner().expect("no thread panics with the lock");
    sums.broken.sort_by_key(|outcome| outcome.seed);
    if arguments.until_broken {
        // Threads that were still at work may have broken more.
        sums.broken.truncate(1);
    }
    report(&sums, start.elapsed())
}

impl Sums {
    /// So many violations are shrunk and shown.
    const SHOWN: usize = 5;

    fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.events += outcome.events;
        self.lived += outcome.lived;
        self.hash = self.hash.wrapping_add(outcome.trace_hash);
        for (kind, count) in &outcome.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        if !outcome.violations.is_empty() {
            eprintln!("seed {}: {}", outcome.seed, outcome.violations[0]);
            self.broken.push(outcome);
        }
    }
}

/// In so many worlds, every kind of thing has to come about.
const MANY: u64 = 10_000;

fn report(sums: &Sums, took: Duration) -> ExitCode {
    let seconds = took.as_secs_f64();
    let hours = sums.lived.as_secs_f64() / 3_600.0;
    println!("what came about, and how often:");
    let count = |kind: &str| sums.kinds.get(kind).copied().unwrap_or_default();
    KINDS.iter().for_each(|kind| println!("  {kind:<32} {:>9}", count(kind)));
    println!(
        "{:.1} seeds a second, {hours:.1} hours of a fleet's life in {seconds:.1} s: {:.1} hours a minute; all traces {:016x}",
        sums.seeds as f64 / seconds,
        hours * 60.0 / seconds,
        sums.hash,
    );
    for outcome in sums.broken.iter().take(Sums::SHOWN) {
        let least = shrunk(outcome);
        tell(&least.outcome);
        let kept: Vec<String> = least.kept.iter().map(ToString::to_string).collect();
        println!("  replay: cargo xtask sim --seed {} --only {} --trace", outcome.seed, kept.join(","));
    }
    if let Some(kind) = KINDS.iter().find(|kind| count(kind) == 0).filter(|_| sums.seeds >= MANY) {
        println!("{kind:?} never came about: the worlds no longer are what they are meant to be");
        return ExitCode::FAILURE;
    }
    summary(sums.seeds, sums.events, sums.broken.len())
}
