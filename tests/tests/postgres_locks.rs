//! Rows that a process has locked which is frozen, or gone without its server knowing.

use std::time::{Duration, Instant};

use lease_core::testing::{lease, worker, worker_row};
use lease_core::{Beat, Expected, LeaseStore, Outcome, StoreErrorKind, WorkerRow};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tests::backends::{Backend, Postgres};
use tests::rough_proxy::{RoughProxy, Roughness};

/// Long enough for a busy machine; none of it is waited for when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

/// More than a store has connections.
const TRIES: usize = 20;

/// The row of a worker is locked by somebody else's transaction. Those who want to write it give up on each try, and that must not
/// cost them the connections for everything else.
#[tokio::test]
async fn a_workers_row_that_is_locked_holds_up_no_other_heartbeat() {
    let Some(place) = Postgres::fresh() else { return };
    let store = place.store(worker("application").name).await;
    let row = worker_row("frozen");
    assert!(matches!(store.heartbeat(&row).await, Ok(Beat::Written { .. })));
    let mut connection = PgConnection::connect(&place.url).await.expect("the server answers");
    let mut transaction = connection.begin().await.unwrap();
    let locks = format!("SELECT 1 FROM {}.workers FOR UPDATE", place.schema.name());
    transaction.execute(AssertSqlSafe(locks)).await.unwrap();

    let mut tries = tokio::task::JoinSet::new();
    for index in 0..TRIES {
        let (store, row) = (store.clone(), row.clone());
        tries.spawn(async move {
            let tried = async {
                if index % 2 == 0 {
                    let next = WorkerRow { heartbeat: row.heartbeat + 1, ..row.clone() };
                    store.heartbeat(&next).await.map(|_| ())
                } else {
                    store.forget(&row).await.map(|_| ())
                }
            };
            tokio::time::timeout(PATIENCE, tried).await.map(|answer| answer.map_err(|error| error.kind()))
        });
    }
    for tried in tries.join_all().await {
        assert_eq!(tried.expect("it does not wait for long"), Err(StoreErrorKind::Unavailable));
    }
    let other = tokio::time::timeout(PATIENCE, store.heartbeat(&worker_row("other"))).await;
    assert!(matches!(other.expect("there are connections"), Ok(Beat::Written { .. })));
    transaction.rollback().await.unwrap();
    assert_eq!(store.forget(&row).await.unwrap(), Outcome::Applied);
}

/// Where a proxy pools transactions, the commit is a step of its own. Whoever is frozen before it, or loses its power, has the row
/// locked, and its server may believe in the connection for hours.
#[tokio::test]
async fn a_write_whose_process_is_gone_before_the_commit_is_given_up_by_the_server() {
    let Some(place) = Postgres::fresh() else { return };
    let store = place.store(worker("application").name).await;
    let free = lease("a");
    assert_eq!(store.put(Expected::Absent, &free).await.unwrap(), Outcome::Applied);

    let proxy = RoughProxy::before(&place.url).await;
    let frozen = place.pooled_store_at(&proxy.instead_of(&place.url), worker("application").name).await;
    proxy.fall_silent_after("frozen-owner");
    let (version, by_frozen) = (Expected::row(&free), free.taken_by(&worker("frozen-owner")));
    let stuck = tokio::time::timeout(Duration::from_secs(2), frozen.put(version, &by_frozen)).await;
    assert!(stuck.is_err(), "it never hears of its write: {stuck:?}");

    let by_other = free.taken_by(&worker("other"));
    let first = store.put(version, &by_other).await.map_err(|error| error.kind());
    assert_eq!(first, Err(StoreErrorKind::Unavailable), "the row is locked");
    let start = Instant::now();
    while store.put(version, &by_other).await.is_err() {
        assert!(start.elapsed() < PATIENCE, "the row stays locked");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(store.get(&free.key).await.unwrap(), Some(by_other));
    proxy.set(Roughness::Cut);
}
