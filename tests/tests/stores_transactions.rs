//! Results and checkpoint are stored together, or neither is, in each database's own way.

use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use lease_core::testing::{lease, worker, worker_row};
use lease_core::{Expected, Lease, LeaseStore, Outcome, StoreErrorKind, Version};
use lease_redis::RedisSettings;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use stream_types::Name;
use tests::backends::{Backend, Dynamodb, Postgres, Redis};

fn application() -> Name {
    worker("application").name
}

/// A lease, its next row, and one that somebody else wrote before.
fn rows() -> (Lease, Lease, Lease) {
    let free = lease("a");
    let mine = free.taken_by(&worker("me"));
    let theirs = free.taken_by(&worker("somebody else"));
    (free, mine, theirs)
}

async fn create(store: &dyn LeaseStore, row: &Lease) {
    assert_eq!(store.put(Expected::Absent, row).await.expect("put"), Outcome::Applied);
}

struct PostgresWorld {
    store: lease_postgres::PostgresStore,
    connection: PgConnection,
    results: String,
}

impl PostgresWorld {
    async fn new(place: &Postgres) -> Self {
        let store = place.store(application()).await;
        let mut connection = PgConnection::connect(&place.url).await.expect("the server answers");
        let results = format!("{}.results", place.schema.name());
        connection.execute(AssertSqlSafe(format!("CREATE TABLE {results} (n int)"))).await.expect("a new table");
        Self { store, connection, results }
    }

    async fn results(&mut self) -> i64 {
        let count = AssertSqlSafe(format!("SELECT count(*) FROM {}", self.results));
        self.connection.fetch_one(count).await.expect("the table is there").get(0)
    }
}

#[tokio::test]
async fn in_postgres_a_committed_transaction_has_both_and_one_rolled_back_neither() {
    let Some(place) = Postgres::fresh() else { return };
    let mut world = PostgresWorld::new(&place).await;
    let (free, mine, _) = rows();
    create(&world.store, &free).await;
    for (commit, expected_results, expected_row) in [(false, 0, &free), (true, 1, &mine)] {
        let mut transaction = world.connection.begin().await.unwrap();
        let insert = format!("INSERT INTO {} VALUES (1)", world.results);
        transaction.execute(AssertSqlSafe(insert)).await.unwrap();
        let outcome = world.store.put_in(&mut transaction, Expected::row(&free), &mine).await.unwrap();
        assert_eq!(outcome, Outcome::Applied);
        assert_eq!(world.store.get(&free.key).await.unwrap().unwrap(), free, "before the commit nobody sees it");
        if commit {
            transaction.commit().await.unwrap()
        } else {
            transaction.rollback().await.unwrap()
        }
        assert_eq!(world.results().await, expected_results);
        assert_eq!(world.store.get(&free.key).await.unwrap().as_ref(), Some(expected_row));
    }
}

/// A process that is frozen in the middle of its transaction keeps the row locked. Others want the lease, again and again, and
/// give up on each try: that must not cost them the connections for everything else.
#[tokio::test]
async fn in_postgres_a_row_that_a_frozen_transaction_has_locked_holds_up_nothing_else() {
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);
    let Some(place) = Postgres::fresh() else { return };
    let mut world = PostgresWorld::new(&place).await;
    let (free, mine, theirs) = rows();
    create(&world.store, &free).await;
    let mut transaction = world.connection.begin().await.unwrap();
    let outcome = world.store.put_in(&mut transaction, Expected::row(&free), &mine).await.unwrap();
    assert_eq!(outcome, Outcome::Applied);
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (store, free, theirs) = (world.store.clone(), free.clone(), theirs.clone());
        tries.spawn(async move {
            let put = store.put(Expected::row(&free), &theirs);
            tokio::time::timeout(PATIENCE, put).await.map(|answer| answer.map_err(|error| error.kind()))
        });
    }
    for tried in tries.join_all().await {
        assert_eq!(tried.expect("it does not wait for long"), Err(StoreErrorKind::Unavailable));
    }
    let heartbeat = tokio::time::timeout(PATIENCE, world.store.heartbeat(&worker_row("other"))).await;
    assert!(heartbeat.expect("there are connections").is_ok());
    let set = transaction.fetch_one("SHOW lock_timeout").await.unwrap().get::<String, _>(0);
    assert_eq!(set, "0", "the user's transaction waits as the user wants it to");
    transaction.rollback().await.unwrap();
    let taken = world.store.put(Expected::row(&free), &theirs).await.unwrap();
    assert_eq!(taken, Outcome::Applied);
}

#[tokio::test]
async fn in_postgres_a_transaction_that_meets_another_row_is_told_of_it() {
    let Some(place) = Postgres::fresh() else { return };
    let mut world = PostgresWorld::new(&place).await;
    let (free, mine, theirs) = rows();
    create(&world.store, &free).await;
    assert_eq!(world.store.put(Expected::row(&free), &theirs).await.unwrap(), Outcome::Applied);
    let mut transaction = world.connection.begin().await.unwrap();
    let outcome = world.store.put_in(&mut transaction, Expected::row(&free), &mine).await.unwrap();
    assert_eq!(outcome, Outcome::Conflict { current: Some(theirs.clone()) });
    // The transaction is still whole: what else is in it is for its owner to decide.
    transaction.execute("SELECT 1").await.unwrap();
    let skipping = Lease { version: Version(9), ..mine };
    let error = world.store.put_in(&mut transaction, Expected::row(&free), &skipping).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Invalid);
}

#[tokio::test]
async fn in_redis_the_commands_are_carried_out_exactly_when_the_row_is_written() {
    let Some(place) = Redis::fresh() else { return };
    let store = place.store(&application(), RedisSettings::default()).await;
    let (free, mine, theirs) = rows();
    let counter = format!("{}:results", store.hash_tag());
    let mut connection =
        redis::Client::open(place.url.as_str()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let mut commands = redis::pipe();
    commands.incr(&counter, 5).set(format!("{counter}:text"), "with spaces \0 and \r\n more").ignore();

    assert_eq!(store.put_with(Expected::Absent, &free, &commands).await.unwrap(), Outcome::Applied);
    let again = store.put_with(Expected::Absent, &free, &commands).await.unwrap();
    assert_eq!(again, Outcome::Conflict { current: Some(free.clone()) });
    assert_eq!(store.put(Expected::row(&free), &theirs).await.unwrap(), Outcome::Applied);
    let late = store.put_with(Expected::row(&free), &mine, &commands).await.unwrap();
    assert_eq!(late, Outcome::Conflict { current: Some(theirs) });

    let count: u64 = redis::cmd("GET").arg(&counter).query_async(&mut connection).await.unwrap();
    assert_eq!(count, 5, "once, with the one write that was applied");
    let text: String = redis::cmd("GET").arg(format!("{counter}:text")).query_async(&mut connection).await.unwrap();
    assert_eq!(text, "with spaces \0 and \r\n more");
}

#[tokio::test]
async fn in_redis_a_command_that_fails_leaves_the_row_unwritten() {
    let Some(place) = Redis::fresh() else { return };
    let store = place.store(&application(), RedisSettings::default()).await;
    let (free, mine, _) = rows();
    create(&store, &free).await;
    let mut commands = redis::pipe();
    // The leases are no number.
    commands.incr(format!("{}:leases", store.hash_tag()), 1);
    let error = store.put_with(Expected::row(&free), &mine, &commands).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
    assert_eq!(store.get(&free.key).await.unwrap(), Some(free));
}

fn result(table: &str, number: u8, condition: Option<&str>) -> TransactWriteItem {
    let put = Put::builder().table_name(table).item("application", AttributeValue::S("results".into()));
    let put = put.item("row", AttributeValue::S(number.to_string()));
    let put = put.set_condition_expression(condition.map(str::to_owned)).build().expect("it is complete");
    TransactWriteItem::builder().put(put).build()
}

async fn results(place: &Dynamodb) -> i32 {
    let query = place.client().query().table_name(&place.table).key_condition_expression("application = :results");
    let query = query.expression_attribute_values(":results", AttributeValue::S("results".into()));
    query.consistent_read(true).send().await.expect("the table is there").count()
}

#[tokio::test]
async fn in_dynamodb_the_items_are_written_exactly_when_the_row_is() {
    let Some(place) = Dynamodb::fresh() else { return };
    let _prepared = place.open(application()).await;
    let (store, client) = (place.store(application()), place.client());
    let (free, mine, theirs) = rows();
    let transact = async |expected, row: &Lease, number, condition| {
        let transaction = client.transact_write_items().transact_items(result(&place.table, number, condition));
        let transaction = transaction.transact_items(store.transaction_item(expected, row).unwrap());
        store.transaction_outcome(transaction.send().await, 1)
    };
    assert_eq!(transact(Expected::Absent, &free, 1, None).await.unwrap(), Outcome::Applied);
    let again = transact(Expected::Absent, &free, 2, None).await.unwrap();
    assert_eq!(again, Outcome::Conflict { current: Some(free.clone()) });

    // Another condition of the transaction fails, and the row is as expected.
    let refused = transact(Expected::row(&free), &mine, 3, Some("attribute_exists(nothing)")).await;
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Invalid);
    assert!(error.to_string().contains("item 0: ConditionalCheckFailed"), "{error}");
    assert_eq!(store.get(&free.key).await.unwrap().as_ref(), Some(&free));

    assert_eq!(store.put(Expected::row(&free), &theirs).await.unwrap(), Outcome::Applied);
    let late = transact(Expected::row(&free), &mine, 4, None).await.unwrap();
    assert_eq!(late, Outcome::Conflict { current: Some(theirs) });
    assert_eq!(results(&place).await, 1, "those of the one transaction that was applied");
}
