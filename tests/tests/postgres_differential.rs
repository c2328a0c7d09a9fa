//! Random sequences of calls have the same answers from Postgres as from memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lease_core::LeaseStore;
use lease_core::testing::worker;
use lease_postgres::PostgresStore;
use proptest::test_runner::{Config, TestRunner};
use tests::differential::{any_calls, compare};
use tests::postgres::{fresh_schema, url};

/// How many sequences. Each has up to 40 calls, and an application of its own.
const SEQUENCES: u32 = 1_000;

#[test]
fn postgres_answers_as_memory_does() {
    let Some(url) = url() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = runtime.block_on(async {
        let store = PostgresStore::connect(&url, worker("any").name).await.unwrap().in_schema(fresh_schema());
        store.prepare().await.unwrap();
        store
    });
    let applications = AtomicU64::new(0);
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(SEQUENCES) });
    let result = runner.run(&any_calls(), |calls| {
        let application = worker(&format!("application-{}", applications.fetch_add(1, Ordering::SeqCst))).name;
        let fresh: Arc<dyn LeaseStore> = Arc::new(store.for_application(application));
        runtime.block_on(compare(fresh, &calls))
    });
    result.unwrap();
}
