//! Errors of Redis.

use std::time::Duration;

use lease_core::testing::{lease, worker, worker_row};
use lease_core::{Expected, LeaseStore, Outcome, StoreError, StoreErrorKind};
use lease_redis::{Acknowledgement, RedisSettings, RedisStore};
use redis::{Client, cmd};
use test_servers::Redis;
use tests::backends::{self, Backend};

use super::says;

async fn refused(url: &str) -> StoreError {
    RedisStore::connect(url, worker("application").name).await.expect_err("the store is refused")
}

async fn connected(url: &str) -> RedisStore {
    RedisStore::connect(url, worker("application").name).await.expect("the server answers")
}

/// A server that a test may do anything to, if there can be one.
fn private(arguments: &[&str]) -> Option<Redis> {
    // Where the shared one was had, a private one can be.
    backends::Redis::fresh()?;
    Some(Redis::start(arguments).expect("it starts, as the other one did"))
}

#[tokio::test]
async fn a_url_that_is_none() {
    let error = refused("redis//me:secret-word@host").await;
    says(&error, StoreErrorKind::Invalid, &["Redis", "connection", "redis://USER:PASSWORD@HOST:PORT"]);
}

#[tokio::test]
async fn a_server_that_refuses_connections() {
    let error = refused("redis://me:secret-word@127.0.0.1:1").await;
    says(&error, StoreErrorKind::Unavailable, &["Redis", "connection", "refused", "port"]);
}

#[tokio::test]
async fn a_wrong_password_and_none() {
    let Some(server) = private(&["--requirepass", "right"]) else { return };
    let error = refused(&format!("redis://:secret-word@127.0.0.1:{}", server.port())).await;
    says(&error, StoreErrorKind::Invalid, &["Redis", "connection", "check the user and the password"]);
    let error = refused(&server.url()).await;
    says(&error, StoreErrorKind::Invalid, &["Redis", "Authentication required", "check the user and the password"]);
}

#[tokio::test]
async fn a_server_that_requires_tls() {
    if backends::Redis::fresh().is_none() {
        return;
    }
    let server = Redis::start_with_tls().expect("it starts, as the other one did");
    let error = refused(&server.url()).await;
    says(&error, StoreErrorKind::Unavailable, &["Redis", "connection", "TLS (rediss://)"]);
}

#[tokio::test]
async fn a_server_that_may_delete_leases_is_refused_unless_told_otherwise() {
    let Some(server) = private(&["--maxmemory-policy", "allkeys-lru"]) else { return };
    let error = refused(&server.url()).await;
    says(&error, StoreErrorKind::Invalid, &["Redis", "maxmemory-policy is allkeys-lru", "noeviction"]);
    let settings = RedisSettings { accepts_eviction: true, ..RedisSettings::default() };
    let client = Client::open(server.url()).unwrap();
    RedisStore::from_client(client, worker("application").name, settings).await.unwrap();
}

#[tokio::test]
async fn keys_of_somebody_else_are_refused_and_left_alone() {
    let Some(server) = private(&[]) else { return };
    for key in ["leases", "workers"] {
        server.command(&["SET", &format!("{{leasehold:application}}:{key}"), "a house"]).unwrap();
    }
    let store = connected(&server.url()).await;
    let errors = [
        store.list().await.unwrap_err(),
        store.put(Expected::Absent, &lease("a")).await.unwrap_err(),
        store.heartbeat(&worker_row("one")).await.unwrap_err(),
    ];
    for error in errors {
        says(&error, StoreErrorKind::Invalid, &["Redis", "WRONGTYPE", "choose another application name"]);
    }
    assert_eq!(server.command(&["GET", "{leasehold:application}:leases"]).unwrap(), "a house");
}

#[tokio::test]
async fn a_row_damaged_by_hand_is_named_and_not_overwritten() {
    let Some(server) = private(&[]) else { return };
    let store = connected(&server.url()).await;
    let row = lease("a");
    assert_eq!(store.put(Expected::Absent, &row).await.unwrap(), Outcome::Applied);
    let key = "{leasehold:application}:leases";
    let there = server.command(&["HGET", key, "stream/a"]).unwrap();
    let damaged = there.replace("\"position\":\"", "\"position\":\"somewhere");
    server.command(&["HSET", key, "stream/a", &damaged]).unwrap();
    let errors = [
        store.list().await.unwrap_err(),
        store.get(&row.key).await.unwrap_err(),
        store.put(Expected::Absent, &row).await.unwrap_err(),
    ];
    for error in errors {
        says(&error, StoreErrorKind::Corrupt, &["Redis", "lease stream/a", "field position", "somewhere"]);
    }
    for nonsense in ["", "1", "house {", "2 {}"] {
        server.command(&["HSET", key, "stream/a", nonsense]).unwrap();
        says(&store.list().await.unwrap_err(), StoreErrorKind::Corrupt, &["Redis", "list"]);
        let error = store.put(Expected::Absent, &row).await.unwrap_err();
        says(&error, StoreErrorKind::Corrupt, &["Redis", "put"]);
        assert_eq!(server.command(&["HGET", key, "stream/a"]).unwrap(), nonsense);
    }
}

#[tokio::test]
async fn a_row_of_a_later_version_is_refused_and_left_alone() {
    let Some(server) = private(&[]) else { return };
    let store = connected(&server.url()).await;
    let row = lease("a");
    assert_eq!(store.put(Expected::Absent, &row).await.unwrap(), Outcome::Applied);
    let key = "{leasehold:application}:leases";
    let later = server.command(&["HGET", key, "stream/a"]).unwrap().replace('{', "{\"format\":2,");
    server.command(&["HSET", key, "stream/a", &later]).unwrap();
    says(&store.list().await.unwrap_err(), StoreErrorKind::Corrupt, &["lease stream/a", "format", "upgrade"]);
    assert_eq!(server.command(&["HGET", key, "stream/a"]).unwrap(), later);
}

#[tokio::test]
async fn a_user_that_may_only_read() {
    let Some(server) = private(&[]) else { return };
    server
        .command(&["ACL", "SETUSER", "reader", "on", ">secret-word", "~*", "&*", "+@read", "+info", "+client"])
        .unwrap();
    let store = connected(&format!("redis://reader:secret-word@127.0.0.1:{}", server.port())).await;
    assert_eq!(store.list().await.unwrap(), []);
    let error = store.put(Expected::Absent, &lease("a")).await.unwrap_err();
    says(&error, StoreErrorKind::Invalid, &["Redis", "put", "leasehold schema redis"]);
}

/// The rights that the crate's documentation names are enough for everything.
#[tokio::test]
async fn a_user_with_the_least_rights_can_do_all_that_a_worker_does() {
    let Some(server) = private(&[]) else { return };
    let acl = RedisStore::ACL.replace("PASSWORD", "secret-word");
    server.command(&acl.split_whitespace().collect::<Vec<_>>()).unwrap();
    let store = connected(&format!("redis://leasehold:secret-word@127.0.0.1:{}", server.port())).await;
    let mut hints = store.hints().unwrap();
    hints.next().await;
    let (row, me) = (lease("a"), worker_row("one"));
    assert_eq!(store.put(Expected::Absent, &row).await.unwrap(), Outcome::Applied);
    let _beat = store.heartbeat(&me).await.unwrap();
    hints.next().await;
    assert_eq!(store.list().await.unwrap(), std::slice::from_ref(&row));
    assert_eq!(store.get(&row.key).await.unwrap(), Some(row.clone()));
    assert_eq!(store.delete(&row.key, row.version).await.unwrap(), Outcome::Applied);
    assert_eq!(store.forget(&me).await.unwrap(), Outcome::Applied);
}

#[tokio::test]
async fn a_replica_takes_no_writes() {
    let Some(primary) = private(&[]) else { return };
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &primary.port().to_string()]).unwrap();
    let store = connected(&replica.url()).await;
    let error = store.put(Expected::Absent, &lease("a")).await.unwrap_err();
    says(&error, StoreErrorKind::Unavailable, &["Redis", "put", "replica", "connect to the primary"]);
}

/// A write that too few replicas have is neither done nor undone; with a replica, it is done.
#[tokio::test]
async fn a_write_can_wait_for_replicas() {
    let Some(primary) = private(&[]) else { return };
    let acknowledgement = Acknowledgement { replicas: 1, within: Duration::from_millis(50) };
    let settings = RedisSettings { acknowledgement: Some(acknowledgement), ..RedisSettings::default() };
    let client = Client::open(primary.url()).unwrap();
    let store = RedisStore::from_client(client, worker("application").name, settings).await.unwrap();
    let row = lease("a");
    let error = store.put(Expected::Absent, &row).await.unwrap_err();
    says(&error, StoreErrorKind::Ambiguous, &["Redis", "0 replicas of 1", "50ms"]);

    let replica = Redis::start(&["--replicaof", "127.0.0.1", &primary.port().to_string()]).unwrap();
    let acknowledged = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            match store.put(Expected::Absent, &row).await {
                Ok(outcome) => break outcome,
                Err(error) => assert_eq!(error.kind(), StoreErrorKind::Ambiguous, "{error}"),
            }
        }
    });
    let outcome = acknowledged.await.expect("the replica catches up");
    assert_eq!(outcome, Outcome::Conflict { current: Some(row) }, "the first try was written after all");
    let mut copy = Client::open(replica.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let rows: usize = cmd("HLEN").arg("{leasehold:application}:leases").query_async(&mut copy).await.unwrap();
    assert_eq!(rows, 1);
}
