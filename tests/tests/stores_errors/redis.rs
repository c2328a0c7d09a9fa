//! Errors of Redis.

use std::time::Duration;

use lease_core::testing::{lease, worker, worker_row};
use lease_core::{Expected, LeaseStore, Outcome, StoreError, StoreErrorKind};
use lease_redis::{Acknowledgement, RedisSettings, RedisStore};
use redis::cluster::ClusterClient;
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

async fn does_all_that_a_worker_does(store: RedisStore) {
    let mut hints = store.hints().expect("they are on");
    hints.next().await;
    let (row, me) = (lease("a"), worker_row("one"));
    assert_eq!(store.put(Expected::Absent, &row).await.expect("put"), Outcome::Applied);
    let _beat = store.heartbeat(&me).await.expect("heartbeat");
    hints.next().await;
    assert_eq!(store.list().await.expect("list"), std::slice::from_ref(&row));
    assert_eq!(store.get(&row.key).await.expect("get"), Some(row.clone()));
    assert_eq!(store.delete(&row).await.expect("delete"), Outcome::Applied);
    assert_eq!(store.forget(&me).await.expect("forget"), Outcome::Applied);
}

/// The rights that `leasehold schema redis` names are enough for everything.
fn make_the_user(server: &Redis) -> String {
    let acl = RedisStore::ACL.replace("PASSWORD", "secret-word");
    server.command(&acl.split_whitespace().collect::<Vec<_>>()).expect("the command is one");
    format!("redis://leasehold:secret-word@127.0.0.1:{}", server.port())
}

#[tokio::test]
async fn a_user_with_the_least_rights_can_do_all_that_a_worker_does() {
    let Some(server) = private(&[]) else { return };
    does_all_that_a_worker_does(connected(&make_the_user(&server)).await).await;
}

#[tokio::test]
async fn a_user_with_the_least_rights_can_do_the_same_in_a_cluster() {
    if backends::RedisCluster::fresh().is_none() {
        return;
    }
    let server = Redis::start_cluster().expect("it starts, as the shared one did");
    let url = make_the_user(&server);
    let (cluster, node) = (ClusterClient::new([url.as_str()]).unwrap(), Client::open(url.as_str()).unwrap());
    let store = RedisStore::from_cluster(&cluster, node, worker("application").name, RedisSettings::default()).await;
    does_all_that_a_worker_does(store.unwrap()).await;
}

/// A connection that could not be made for another reason than the network is tried again, too.
#[tokio::test]
async fn a_user_that_was_gone_for_a_while_is_let_in_again() {
    let Some(server) = private(&[]) else { return };
    let store = connected(&make_the_user(&server)).await;
    server.command(&["ACL", "DELUSER", "leasehold"]).unwrap();
    for _ in 0..3 {
        assert!(store.list().await.is_err());
    }
    let _url = make_the_user(&server);
    let back = async { while store.list().await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(30), back).await.unwrap();
}

#[tokio::test]
async fn a_command_of_too_many_words_is_refused_before_anything_is_sent() {
    let Some(server) = private(&[]) else { return };
    let store = connected(&server.url()).await;
    let words: Vec<String> = (0..RedisStore::MAX_WORDS).map(|word| word.to_string()).collect();
    for (count, is_refused) in [(RedisStore::MAX_WORDS - 2, false), (RedisStore::MAX_WORDS - 1, true)] {
        let mut commands = redis::pipe();
        commands.incr("before", 1).rpush("list", &words[..count]);
        let row = lease(&format!("shard-{count}"));
        let answer = store.put_with(Expected::Absent, &row, &commands).await;
        match answer {
            Ok(outcome) => assert_eq!((outcome, is_refused), (Outcome::Applied, false)),
            Err(error) => {
                assert!(is_refused, "{error}");
                says(&error, StoreErrorKind::Invalid, &["Redis", "7001 words", "7000"]);
            }
        }
    }
    assert_eq!(server.command(&["GET", "before"]).unwrap(), "1");
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
