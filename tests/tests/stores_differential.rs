//! Random sequences of calls have the same answers from every store as from memory.

use std::sync::atomic::{AtomicU64, Ordering};

use lease_core::testing::worker;
use proptest::test_runner::{Config, TestRunner};
use tests::backends::{Backend, Dynamodb, Postgres, Redis, runtime};
use tests::differential::{any_calls, compare};

/// How many sequences. Each has up to 40 calls, and an application of its own.
const SEQUENCES: u32 = 1_000;

fn answers_as_memory_does<Place: Backend>() {
    let Some(place) = Place::fresh() else { return };
    let runtime = runtime();
    let applications = AtomicU64::new(0);
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(SEQUENCES) });
    let result = runner.run(&any_calls(), |calls| {
        let application = worker(&format!("application-{}", applications.fetch_add(1, Ordering::SeqCst))).name;
        runtime.block_on(async { compare(place.open(application).await, &calls).await })
    });
    result.expect("every answer is that of memory");
}

#[test]
fn dynamodb_answers_as_memory_does() {
    answers_as_memory_does::<Dynamodb>();
}

#[test]
fn postgres_answers_as_memory_does() {
    answers_as_memory_does::<Postgres>();
}

#[test]
fn redis_answers_as_memory_does() {
    answers_as_memory_does::<Redis>();
}
