//! Errors of Postgres.

use lease_core::testing::{lease, worker, worker_row};
use lease_core::{Beat, Expected, LeaseStore, Outcome, StoreError, StoreErrorKind};
use lease_postgres::{PostgresStore, Schema};
use sqlx::{AssertSqlSafe, Executor, PgPool};
use tests::backends::fresh_schema;
use tests::endpoints::required;

use super::says;

fn url() -> Option<String> {
    required("LEASEHOLD_TEST_POSTGRES")
}

async fn connected(url: &str) -> PostgresStore {
    PostgresStore::connect(url, worker("application").name).await.expect("the server answers")
}

async fn execute(url: &str, sql: String) {
    let pool = PgPool::connect(url).await.expect("the server answers");
    pool.execute(AssertSqlSafe(sql)).await.expect("the statement is carried out");
}

async fn refused(url: &str) -> StoreError {
    PostgresStore::connect(url, worker("application").name).await.expect_err("the store is refused")
}

#[tokio::test]
async fn a_url_that_is_none() {
    let error = refused("postgres//me:secret-word@host").await;
    says(&error, StoreErrorKind::Invalid, &["Postgres", "connection", "postgres://USER:PASSWORD@HOST:PORT/DATABASE"]);
}

#[tokio::test]
async fn a_server_that_refuses_connections() {
    let error = refused("postgres://me:secret-word@127.0.0.1:1/x").await;
    says(&error, StoreErrorKind::Unavailable, &["Postgres", "connection", "refused", "port"]);
}

#[tokio::test]
async fn a_host_that_does_not_exist() {
    let error = refused("postgres://me:secret-word@no-such-host.invalid/x").await;
    says(&error, StoreErrorKind::Unavailable, &["Postgres", "connection", "check the host"]);
}

/// As after a failover, while the address still leads to what has become the standby: a worker outlasts it, and one that comes
/// is told at once.
#[tokio::test]
async fn a_server_that_only_reads_for_a_while() {
    if url().is_none() {
        return;
    }
    let server = test_servers::Postgres::start().expect("it starts, as the shared one did");
    let store = connected(&server.url()).await;
    store.prepare().await.expect("the tables are created");
    let me = worker_row("me");
    let only_reads = async |value: &str| {
        execute(&server.url(), format!("ALTER SYSTEM SET default_transaction_read_only = {value}")).await;
        execute(&server.url(), "SELECT pg_reload_conf()".into()).await;
    };
    only_reads("on").await;
    let refused_heartbeat = async {
        loop {
            if let Err(error) = store.heartbeat(&me).await {
                break error;
            }
        }
    };
    let error =
        tokio::time::timeout(std::time::Duration::from_secs(30), refused_heartbeat).await.expect("it takes effect");
    says(&error, StoreErrorKind::Unavailable, &["Postgres", "heartbeat", "connect to the primary"]);
    says(&refused(&server.url()).await, StoreErrorKind::Unavailable, &["connection", "only reads", "the primary"]);
    only_reads("off").await;
    let back = async { while store.heartbeat(&me).await.is_err() {} };
    tokio::time::timeout(std::time::Duration::from_secs(30), back).await.expect("it is the primary again");
}

/// Many workers of one process each listen; none of them takes a connection that calls need.
#[tokio::test]
async fn more_listeners_than_connections_hold_up_no_call() {
    let Some(url) = url() else { return };
    let store = connected(&url).await.in_schema(fresh_schema());
    store.prepare().await.expect("the tables are created");
    let mut listeners = Vec::new();
    for number in 0..12 {
        let other = store.for_application(worker(&format!("application-{number}")).name);
        let mut hints = other.hints().expect("there are hints");
        let listening = tokio::time::timeout(std::time::Duration::from_secs(30), hints.next()).await;
        assert!(listening.is_ok(), "listener {number} has a connection");
        listeners.push(hints);
    }
    let listed = tokio::time::timeout(std::time::Duration::from_secs(30), store.list()).await;
    assert_eq!(listed.expect("there are connections").expect("it is read"), []);
}

/// Statements that are kept on a connection are lost, or met again, behind a proxy that hands the connection on.
#[tokio::test]
async fn hints_behind_a_pooling_proxy() {
    let Some(url) = required("LEASEHOLD_TEST_PGBOUNCER") else { return };
    let schema = fresh_schema();
    connected(&url).await.in_schema(schema.clone()).without_hints().prepare().await.unwrap();
    let mut listing = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let store = connected(&url).await.in_schema(schema.clone());
        listing.spawn(async move { store.list().await });
    }
    let errors: Vec<StoreError> = listing.join_all().await.into_iter().filter_map(Result::err).collect();
    let error = errors.first().expect("some connection was handed on");
    says(error, StoreErrorKind::Invalid, &["Postgres", "list", "PostgresStore::without_hints()"]);
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_database() {
    let Some(url) = url() else { return };
    let (before, after) = url.rsplit_once('@').unwrap();
    let user = before.rsplit_once(':').unwrap().0;
    let error = refused(&format!("{user}:secret-word@{after}")).await;
    says(&error, StoreErrorKind::Invalid, &["Postgres", "password authentication failed", "check the user"]);
    let error = refused(&format!("{}/no_such_database", url.rsplit_once('/').unwrap().0)).await;
    says(&error, StoreErrorKind::Invalid, &["no_such_database", "check the database's name"]);
}

#[tokio::test]
async fn a_server_that_requires_tls() {
    if url().is_none() {
        return;
    }
    let server = test_servers::Postgres::start_with_tls().expect("it starts, as the other one did");
    let error = refused(&format!("{}?sslmode=disable", server.url())).await;
    says(&error, StoreErrorKind::Invalid, &["Postgres", "connection", "no encryption", "whether TLS is required"]);
}

#[tokio::test]
async fn tables_that_are_not_there() {
    let Some(url) = url() else { return };
    let store = connected(&url).await.in_schema(fresh_schema());
    says(&store.list().await.unwrap_err(), StoreErrorKind::Invalid, &["list", "prepare()", "Schema::ddl()"]);
}

#[tokio::test]
async fn tables_of_somebody_else_are_refused_and_left_alone() {
    let Some(url) = url() else { return };
    let schema = fresh_schema();
    let name = schema.name();
    execute(&url, format!("CREATE SCHEMA {name}; CREATE TABLE {name}.leases (house text)")).await;
    let store = connected(&url).await.in_schema(schema.clone());
    let error = store.prepare().await.unwrap_err();
    says(&error, StoreErrorKind::Invalid, &["preparation", &format!("{name}.leases"), "choose another schema"]);
    execute(&url, format!("SELECT house FROM {name}.leases")).await;
    let error = store.list().await.unwrap_err();
    says(&error, StoreErrorKind::Invalid, &["list", "another shape"]);
}

#[tokio::test]
async fn a_row_damaged_by_hand_is_named_and_not_overwritten() {
    let Some(url) = url() else { return };
    let schema = fresh_schema();
    let store = connected(&url).await.in_schema(schema.clone());
    store.prepare().await.unwrap();
    let row = lease("a");
    assert_eq!(store.put(Expected::Absent, &row).await.unwrap(), Outcome::Applied);
    execute(&url, format!("UPDATE {}.leases SET position = 'somewhere'", schema.name())).await;
    let taken = row.taken_by(&worker("one"));
    for error in [
        store.list().await.unwrap_err(),
        store.get(&row.key).await.unwrap_err(),
        store.put(Expected::Absent, &row).await.unwrap_err(),
        store.put(Expected::row(&taken), &taken.released(&worker("one"))).await.unwrap_err(),
    ] {
        says(&error, StoreErrorKind::Corrupt, &["lease stream/a", "position", "somewhere"]);
    }
}

#[tokio::test]
async fn a_role_that_may_only_read() {
    let Some(url) = url() else { return };
    let schema = fresh_schema();
    let (name, role) = (schema.name(), format!("reader_{}", schema.name()));
    connected(&url).await.in_schema(schema.clone()).prepare().await.unwrap();
    execute(
        &url,
        format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'secret-word'; GRANT USAGE ON SCHEMA {name} TO {role}; \
             GRANT SELECT ON ALL TABLES IN SCHEMA {name} TO {role}"
        ),
    )
    .await;
    let server = url.rsplit_once('@').unwrap().1;
    let store = connected(&format!("postgres://{role}:secret-word@{server}")).await.in_schema(schema.clone());
    assert_eq!(store.list().await.unwrap(), []);
    let error = store.put(Expected::Absent, &lease("a")).await.unwrap_err();
    says(&error, StoreErrorKind::Invalid, &["put", "permission denied", "the role needs"]);
    store.prepare().await.unwrap();
}

#[tokio::test]
async fn ten_workers_prepare_at_once() {
    let Some(url) = url() else { return };
    let schema = fresh_schema();
    let mut preparing = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let store = connected(&url).await.in_schema(schema.clone());
        preparing.spawn(async move { store.prepare().await });
    }
    for result in preparing.join_all().await {
        result.unwrap();
    }
}

/// The statements for those who run them by hand make tables that prepare() accepts.
#[tokio::test]
async fn the_printed_statements_make_the_same_tables() {
    let Some(url) = url() else { return };
    let schema: Schema = fresh_schema();
    for _ in 0..2 {
        execute(&url, schema.ddl()).await;
    }
    let store = connected(&url).await.in_schema(schema);
    store.prepare().await.unwrap();
    assert_eq!(store.put(Expected::Absent, &lease("a")).await.unwrap(), Outcome::Applied);
}

/// Tables of versions 1 to 3 lack what came later.
#[tokio::test]
async fn prepare_brings_tables_of_earlier_versions_up_to_date() {
    let Some(url) = url() else { return };
    let columns = ["returns_within_ms", "streams", "lease_duration_ms"];
    for (version, later) in [(1, &columns[..]), (2, &columns[1..]), (3, &columns[2..])] {
        let schema = fresh_schema();
        let store = connected(&url).await.in_schema(schema.clone());
        store.prepare().await.unwrap();
        let name = schema.name();
        for column in later {
            execute(&url, format!("ALTER TABLE {name}.workers DROP COLUMN {column}")).await;
        }
        for table in ["workers", "leases"] {
            execute(&url, format!("COMMENT ON TABLE {name}.{table} IS 'leasehold {version}'")).await;
        }
        let me = worker_row("one");
        assert!(store.heartbeat(&me).await.is_err(), "a column is missing");
        for _ in 0..2 {
            connected(&url).await.in_schema(schema.clone()).prepare().await.unwrap();
        }
        let store = connected(&url).await.in_schema(schema);
        assert!(matches!(store.heartbeat(&me).await.unwrap(), Beat::Written { .. }));
    }
}
