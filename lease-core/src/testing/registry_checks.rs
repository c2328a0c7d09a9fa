//! The checks of the verbs on the registry, and of what concerns both tables.

use std::collections::BTreeSet;
use std::slice;
use std::sync::Arc;

use super::rows::{lease, name, worker_row};
use super::{StoreFactory, open};
use crate::{Beat, Expected, LeaseStore, Outcome, WorkerRow};

/// The row as its worker writes it next.
fn next(row: &WorkerRow) -> WorkerRow {
    WorkerRow { heartbeat: row.heartbeat + 1, ..row.clone() }
}

/// A heartbeat that must be written; returns all rows.
async fn beat(store: &Arc<dyn LeaseStore>, row: &WorkerRow) -> Vec<WorkerRow> {
    match store.heartbeat(row).await.expect("heartbeat") {
        Beat::Written { workers, .. } => workers,
        Beat::Replaced { by } => panic!("{row:?} was refused because of {by:?}"),
    }
}

/// A heartbeat that must be refused because of the row that is there, and must not change it.
async fn must_be_replaced(store: &Arc<dyn LeaseStore>, row: &WorkerRow, there: &WorkerRow) {
    let answer = store.heartbeat(row).await.expect("heartbeat");
    assert_eq!(answer, Beat::Replaced { by: there.clone() });
    let witness = worker_row("witness");
    let workers = beat(store, &witness).await;
    assert!(workers.contains(there), "a refused heartbeat must not write: {workers:?}");
    assert_eq!(store.forget(&witness).await.expect("forget"), Outcome::Applied);
}

/// Contract 10.
///
/// # Panics
///
/// The store does not keep it.
pub async fn c10_a_heartbeat_writes_one_row_and_returns_all(factory: &dyn StoreFactory) {
    let store = open(factory).await;
    let of_another = open(factory).await;
    let (one, two) = (worker_row("one"), worker_row("two"));
    assert_eq!(beat(&store, &two).await, slice::from_ref(&two));
    assert_eq!(beat(&of_another, &one).await, [one.clone(), two.clone()], "ascending by name");

    let bare = WorkerRow { generation: 43, heartbeat: next(&two).heartbeat, ..WorkerRow::registering(two.id(), None) };
    assert_eq!(beat(&store, &bare).await, [one.clone(), bare.clone()]);
    assert_eq!(beat(&of_another, &next(&one)).await, [next(&one), bare.clone()]);

    let idle = WorkerRow { streams: Some(BTreeSet::new()), ..next(&bare) };
    assert_eq!(beat(&store, &idle).await, [next(&one), idle], "no stream is not any stream");
}

/// Contract 10, for all that a name may be.
///
/// # Panics
///
/// The store does not keep it.
pub async fn c10_workers_may_have_any_name(factory: &dyn StoreFactory) {
    let store = open(factory).await;
    let names =
        ["a", "A", " a", "a/b", "worker/a", "a'b", "a\"b", "a%", "{a}", "a 1 2", "1 1 1", "\u{e4}", "a\u{308}", "🦀"];
    let mut rows: Vec<WorkerRow> = names.iter().map(|name| worker_row(name)).collect();
    for row in &rows {
        beat(&store, row).await;
    }
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(beat(&store, &rows[0]).await, rows);
    for row in &rows {
        assert_eq!(store.forget(row).await.expect("forget"), Outcome::Applied, "{}", row.name);
    }
}

/// Contract 11: heartbeats of one incarnation, and of one that was replaced.
///
/// # Panics
///
/// The store does not keep it.
pub async fn c11_an_incarnation_replaces_only_its_own_rows(factory: &dyn StoreFactory) {
    let store = open(factory).await;
    let old = worker_row("one");
    beat(&store, &old).await;
    let old = next(&old);
    beat(&store, &old).await;
    assert_eq!(beat(&store, &old).await, slice::from_ref(&old), "a heartbeat sent again is the same heartbeat");
    must_be_replaced(&store, &worker_row("one"), &old).await;

    let new = WorkerRow { incarnation: old.incarnation.successor(9), heartbeat: WorkerRow::REGISTERS, ..old.clone() };
    beat(&store, &new).await;
    must_be_replaced(&store, &next(&old), &new).await;
    must_be_replaced(&store, &WorkerRow { heartbeat: 1_000_000, ..old }, &new).await;
}

/// Contract 11: who may register under a name that is taken.
///
/// # Panics
///
/// The store does not keep it.
pub async fn c11_registration_replaces_a_lower_incarnation(factory: &dyn StoreFactory) {
    let store = open(factory).await;
    let first = next(&worker_row("one"));
    let second =
        WorkerRow { incarnation: first.incarnation.successor(1), heartbeat: WorkerRow::REGISTERS, ..first.clone() };
    let twin = WorkerRow { incarnation: first.incarnation.successor(2), ..second.clone() };
    beat(&store, &first).await;
    // An incarnation that has not registered replaces nobody, whatever its number.
    must_be_replaced(&store, &next(&second), &first).await;
    assert_eq!(beat(&store, &second).await, slice::from_ref(&second));
    // Of two that were started under one name at the same time, the number is equal and the nonce decides nothing.
    must_be_replaced(&store, &twin, &second).await;
    must_be_replaced(&store, &WorkerRow { heartbeat: WorkerRow::REGISTERS, ..first }, &second).await;
}

/// Contract 11: a name without a row is free.
///
/// # Panics
///
/// The store does not keep it.
pub async fn c11_a_forgotten_worker_can_write_its_row_again(factory: &dyn StoreFactory) {
    let store = open(factory).await;
    let row = next(&worker_row("one"));
    beat(&store, &row).await;
    assert_eq!(store.forget(&row).await.expect("forget"), Outcome::Applied);
    let later = next(&row);
    assert_eq!(beat(&store, &later).await, [later]);
}

/// Contract 12.
///
/// # Panics
///
/// The store does not keep it.
pub async fn c12_forget_removes_only_the_row_it_was_shown(factory: &dyn StoreFactory) {
    let store = open(factory).await;
    let (seen, witness) = (worker_row("one"), worker_row("two"));
    let outcome = store.forget(&seen).await.expect("forget");
    assert_eq!(outcome, Outcome::Conflict { current: None }, "there is no row to remove");

    beat(&store, &seen).await;
    let alive = next(&seen);
    beat(&store, &alive).await;
    let outcome = store.forget(&seen).await.expect("forget");
    assert_eq!(outcome, Outcome::Conflict { current: Some(alive.clone()) }, "it has written meanwhile: it lives");
    let restarted = WorkerRow { incarnation: alive.incarnation.successor(9), ..alive.clone() };
    let outcome = store.forget(&restarted).await.expect("forget");
    assert_eq!(outcome, Outcome::Conflict { current: Some(alive.clone()) });
    let (capacity, zone, returns_within, streams, lease_duration) = (None, None, None, None, None);
    let bare = WorkerRow { capacity, zone, returns_within, streams, lease_duration, ..alive.clone() };
    let lacks_one = [
        WorkerRow { capacity: None, ..alive.clone() },
        WorkerRow { zone: None, ..alive.clone() },
        WorkerRow { returns_within: None, ..alive.clone() },
        WorkerRow { streams: None, ..alive.clone() },
        WorkerRow { lease_duration: None, ..alive.clone() },
    ];
    for other in lacks_one.iter().chain([&bare]) {
        let outcome = store.forget(other).await.expect("forget");
        assert_eq!(outcome, Outcome::Conflict { current: Some(alive.clone()) }, "it lacks a field that the row has");
    }
    assert_eq!(beat(&store, &witness).await, [alive.clone(), witness.clone()]);

    assert_eq!(store.forget(&alive).await.expect("forget"), Outcome::Applied);
    assert_eq!(beat(&store, &next(&witness)).await, [next(&witness)]);
}

/// Contract 13.
///
/// # Panics
///
/// The store does not keep it.
pub async fn c13_applications_do_not_see_each_other(factory: &dyn StoreFactory) {
    let one = factory.open(name("application")).await;
    let two = factory.open(name("application-2")).await;
    let (row, worker) = (lease("a"), worker_row("one"));
    assert_eq!(one.put(Expected::Absent, &row).await.expect("put"), Outcome::Applied);
    beat(&one, &worker).await;

    assert_eq!(two.get(&row.key).await.expect("get"), None);
    assert_eq!(two.list().await.expect("list"), []);
    let outcome = two.delete(&row).await.expect("delete");
    assert_eq!(outcome, Outcome::Conflict { current: None });
    assert_eq!(two.forget(&worker).await.expect("forget"), Outcome::Conflict { current: None });
    let of_the_same_name = WorkerRow { generation: 7, ..worker.clone() };
    assert_eq!(beat(&two, &of_the_same_name).await, [of_the_same_name]);
    assert_eq!(two.put(Expected::Absent, &row).await.expect("put"), Outcome::Applied);

    let moved = row.released(&worker.id());
    let outcome = two.put(Expected::row(&row), &moved).await.expect("put");
    assert_eq!(outcome, Outcome::Applied);
    assert_eq!(one.list().await.expect("list"), [row]);
    assert_eq!(beat(&one, &next(&worker)).await, [next(&worker)]);
}

/// Contract 13, for names of which one begins like another, or has in it what a store may part names by.
///
/// # Panics
///
/// The store does not keep it.
pub async fn c13_applications_of_similar_names_do_not_either(factory: &dyn StoreFactory) {
    let names = [
        "a", "A", "a/", "a/b", "a:leases", "a:", "{a}", "a}", "{a", "%7Ba", "a'", "a ", "lease/", "a\u{308}", "\u{e4}",
    ];
    for (number, application) in names.iter().enumerate() {
        let store = factory.open(name(application)).await;
        assert_eq!(store.list().await.expect("list"), [], "{application:?} sees the leases of another");
        let row = lease(&format!("shard-{number}"));
        assert_eq!(store.put(Expected::Absent, &row).await.expect("put"), Outcome::Applied);
        let worker = worker_row(&format!("worker-{number}"));
        assert_eq!(beat(&store, &worker).await, [worker], "{application:?} sees the workers of another");
    }
    for (number, application) in names.iter().enumerate() {
        let listed = factory.open(name(application)).await.list().await.expect("list");
        assert_eq!(listed, [lease(&format!("shard-{number}"))], "{application:?}");
    }
}

/// Contract 14, as far as a check can show it: rows whose times lie in the distant past are still there.
///
/// # Panics
///
/// The store does not keep it.
pub async fn c14_nothing_expires(factory: &dyn StoreFactory) {
    let store = open(factory).await;
    let mut ancient = lease("a");
    ancient.stream.created = Some(stream_types::Timestamp::from_unix_millis(1));
    ancient.stream.start = stream_types::StartPosition::Timestamp(stream_types::Timestamp::from_unix_millis(1));
    ancient.position = ancient.stream.start.into();
    assert_eq!(store.put(Expected::Absent, &ancient).await.expect("put"), Outcome::Applied);
    let silent = worker_row("silent");
    beat(&store, &silent).await;
    let mut other = worker_row("zealous");
    for _ in 0..50 {
        assert_eq!(beat(&store, &other).await, [silent.clone(), other.clone()]);
        other = next(&other);
    }
    assert_eq!(store.list().await.expect("list"), [ancient]);
}
