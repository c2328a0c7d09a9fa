//! A write whose reply was lost, the connection having been cut after it, is found to be one's own when it is sent again.

use lease_core::testing::{lease, worker, worker_row};
use lease_core::{Beat, Expected, LeaseStore, Outcome, StoreErrorKind, WorkerRow};
use lease_postgres::PostgresStore;
use sqlx::postgres::PgPoolOptions;
use tests::backends::{Backend, Dynamodb, Postgres, Redis};
use tests::rough_proxy::RoughProxy;

/// `cut` goes through the proxy, `whole` does not.
async fn finds_its_own_writes(cut: &dyn LeaseStore, whole: &dyn LeaseStore, proxy: &RoughProxy) {
    // Statements are prepared beforehand, so that the answer which is lost is the write's.
    let warm = lease("warm");
    let applied = Outcome::Applied;
    assert_eq!(cut.put(Expected::Absent, &warm).await.expect("put"), applied);
    let warmer = warm.taken_by(&worker("one"));
    assert_eq!(cut.put(Expected::row(&warm), &warmer).await.expect("put"), applied);
    let first_beat = worker_row("doomed-worker");
    let _registered = cut.heartbeat(&first_beat).await.expect("heartbeat");

    let free = lease("doomed-shard");
    let taken = free.taken_by(&worker("one"));
    for (expected, row) in [(Expected::Absent, &free), (Expected::row(&free), &taken)] {
        let lost_before = proxy.lost();
        proxy.lose_the_answer_to("doomed-shard");
        match cut.put(expected, row).await {
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Ambiguous, "{error}"),
            // The client itself has sent it again.
            Ok(outcome) => assert_eq!(outcome, Outcome::Conflict { current: Some(row.clone()) }),
        }
        assert_eq!(proxy.lost(), lost_before + 1, "an answer was lost");
        assert_eq!(whole.get(&row.key).await.expect("get").as_ref(), Some(row), "the write was carried out");
        let again = cut.put(expected, row).await.expect("the connection is made again");
        assert_eq!(again, Outcome::Conflict { current: Some(row.clone()) });
    }

    let beat = WorkerRow { heartbeat: 2, ..first_beat };
    let lost_before = proxy.lost();
    proxy.lose_the_answer_to("doomed-worker");
    if let Err(error) = cut.heartbeat(&beat).await {
        assert_eq!(error.kind(), StoreErrorKind::Ambiguous, "{error}");
    }
    assert_eq!(proxy.lost(), lost_before + 1, "an answer was lost");
    let witness = worker_row("witness");
    let seen = whole.heartbeat(&witness).await.expect("heartbeat");
    assert!(matches!(seen, Beat::Written { workers, .. } if workers.contains(&beat)), "the write was carried out");
    assert_eq!(whole.forget(&witness).await.expect("forget"), Outcome::Applied);
    let next = WorkerRow { heartbeat: 3, ..beat };
    let answer = cut.heartbeat(&next).await.expect("the connection is made again");
    assert!(matches!(answer, Beat::Written { workers, .. } if workers == [next]));
}

#[tokio::test]
async fn a_lost_reply_of_postgres() {
    let Some(place) = Postgres::fresh() else { return };
    let application = worker("application").name;
    let whole = place.store(application.clone()).await;
    let proxy = RoughProxy::before(&place.url).await;
    // One connection, whose statements stay prepared.
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect(&proxy.instead_of(&place.url))
        .await
        .expect("the server answers");
    let cut = PostgresStore::from_pool(pool, application).in_schema(place.schema.clone());
    finds_its_own_writes(&cut, &whole, &proxy).await;
}

#[tokio::test]
async fn a_lost_reply_of_redis() {
    let Some(place) = Redis::fresh() else { return };
    let proxy = RoughProxy::before(&place.url).await;
    let through = place.behind(proxy.instead_of(&place.url));
    let application = worker("application").name;
    let (cut, whole) = (through.open(application.clone()).await, place.open(application).await);
    finds_its_own_writes(&*cut, &*whole, &proxy).await;
}

#[tokio::test]
async fn a_lost_reply_of_dynamodb() {
    let Some(place) = Dynamodb::fresh() else { return };
    let proxy = RoughProxy::before(&place.url).await;
    let through = place.behind(proxy.instead_of(&place.url));
    let application = worker("application").name;
    let (cut, whole) = (through.open(application.clone()).await, place.open(application).await);
    finds_its_own_writes(&*cut, &*whole, &proxy).await;
}
