//! Hints outlive the connection that they come by.

use std::sync::Arc;
use std::time::Duration;

use lease_core::testing::{lease, worker};
use lease_core::{Expected, Hints, LeaseStore, Outcome};
use lease_postgres::PostgresStore;
use lease_redis::RedisStore;
use tests::backends::{self, Backend};

const DEADLINE: Duration = Duration::from_secs(30);

async fn next(hints: &mut Box<dyn Hints>, what: &str) {
    assert!(tokio::time::timeout(DEADLINE, hints.next()).await.is_ok(), "no hint came {what}");
}

/// Changes that call for others are announced, before and after the server was away.
async fn outlive_a_restart(store: Arc<dyn LeaseStore>, restart: impl FnOnce()) {
    let mut hints = store.hints().expect("the store has hints");
    next(&mut hints, "when listening began").await;
    let free = lease("a");
    assert_eq!(store.put(Expected::Absent, &free).await.expect("put"), Outcome::Applied);
    next(&mut hints, "of a new lease").await;
    restart();
    next(&mut hints, "when the connection was made again").await;
    let (me, you) = (worker("me"), worker("you"));
    let taken = free.taken_by(&me);
    // The first call finds the old connection broken.
    let put = async {
        loop {
            match store.put(Expected::row(&free), &taken).await {
                Ok(outcome) => break outcome,
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
        }
    };
    let outcome = tokio::time::timeout(DEADLINE, put).await.expect("the server is back");
    let again = Outcome::Conflict { current: Some(taken.clone()) };
    assert!([Outcome::Applied, again].contains(&outcome), "{outcome:?}");
    let given = taken.given_to(&you, &me);
    let outcome = store.put(Expected::row(&taken), &given).await.expect("put");
    assert_eq!(outcome, Outcome::Applied);
    next(&mut hints, "of a gift").await;
}

#[tokio::test]
async fn hints_of_postgres_outlive_a_restart_of_the_server() {
    if backends::Postgres::fresh().is_none() {
        return;
    }
    let mut server = test_servers::Postgres::start().expect("it starts, as the shared one did");
    let store = PostgresStore::connect(&server.url(), worker("application").name).await.expect("the server answers");
    store.prepare().await.expect("the tables are created");
    outlive_a_restart(Arc::new(store), || server.restart().expect("it starts again")).await;
}

#[tokio::test]
async fn hints_of_redis_outlive_a_restart_of_the_server() {
    if backends::Redis::fresh().is_none() {
        return;
    }
    let mut server = test_servers::Redis::start(&["--appendonly", "yes"]).expect("it starts, as the shared one did");
    let store = RedisStore::connect(&server.url(), worker("application").name).await.expect("the server answers");
    outlive_a_restart(Arc::new(store), || server.restart().expect("it starts again")).await;
}

/// Taking and checkpointing concern nobody else, however often they happen.
#[tokio::test]
async fn what_concerns_nobody_else_is_not_announced() {
    for store in [of::<backends::Postgres>().await, of::<backends::Redis>().await].into_iter().flatten() {
        let mut hints = store.hints().expect("the store has hints");
        next(&mut hints, "when listening began").await;
        let (free, me) = (lease("a"), worker("me"));
        let taken = free.taken_by(&me);
        let stored = taken.checkpointed("after:1".parse().expect("a position"), &me);
        assert_eq!(store.put(Expected::Absent, &free).await.expect("put"), Outcome::Applied);
        next(&mut hints, "of a new lease").await;
        for (before, row) in [(&free, &taken), (&taken, &stored)] {
            assert_eq!(store.put(Expected::row(before), row).await.expect("put"), Outcome::Applied);
        }
        let released = stored.released(&me);
        let outcome = store.put(Expected::row(&stored), &released).await.expect("put");
        assert_eq!(outcome, Outcome::Applied);
        next(&mut hints, "of a lease that was given up").await;
        let more = tokio::time::timeout(Duration::from_millis(300), hints.next()).await;
        assert!(more.is_err(), "one hint for three writes");
    }
}

async fn of<Place: Backend>() -> Option<Arc<dyn LeaseStore>> {
    Some(Place::fresh()?.open(worker("application").name).await)
}
