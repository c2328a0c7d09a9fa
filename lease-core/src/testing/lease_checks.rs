//! The checks of the verbs on leases. Each is named after the line of the contract that it defends.

use std::sync::Arc;

use stream_types::Position;

use super::rows::{lease, name, record_position, shard_id, worker};
use super::{StoreFactory, join_all, open};
use crate::{Change, Epoch, Expected, Incarnation, Lease, LeaseStore, Outcome, StoreErrorKind, WorkerId};

const RACERS: usize = 32;

/// Writes that must win, so that the check can go on.
async fn create(store: &Arc<dyn LeaseStore>, row: &Lease) {
    assert_eq!(store.put(Expected::Absent, row).await.expect("put"), Outcome::Applied, "creating {}", row.key);
}

async fn replace(store: &Arc<dyn LeaseStore>, before: &Lease, next: &Lease) {
    let outcome = store.put(Expected::row(before), next).await.expect("put");
    assert_eq!(outcome, Outcome::Applied, "writing {} over version {}", next.key, before.version);
}

async fn stored(store: &Arc<dyn LeaseStore>, row: &Lease) -> Option<Lease> {
    store.get(&row.key).await.expect("get")
}

/// Contract 1.
///
/// # Panics
///
/// The store does not keep it.
pub async fn c01_put_absent_writes_only_where_there_is_no_row(factory: &dyn StoreFactory) {
    let store = open(factory).await;
    let first = lease("a");
    assert_eq!(stored(&store, &first).await, None, "a fresh table has no row");
    create(&store, &first).await;
    let second = Lease { updated_by: worker("late"), ..first.clone() };
    let outcome = store.put(Expected::Absent, &second).await.expect("put");
    assert_eq!(outcome, Outcome::Conflict { current: Some(first.clone()) });
    assert_eq!(stored(&store, &first).await, Some(first), "the second creation must not write");
}

/// Contract 2.
///
/// # Panics
///
/// The store does not keep it.
pub async fn c02_put_over_a_row_needs_its_version(factory: &dyn StoreFactory) {
    let store = open(factory).await;
    let free = lease("a");
    let taken = free.taken_by(&worker("one"));

    let outcome = store.put(Expected::row(&free), &taken).await.expect("put");
    assert_eq!(outcome, Outcome::Conflict { current: None }, "there is no row to write over");
    assert_eq!(stored(&store, &free).await, None, "a stale write must not create a row");

    create(&store, &free).await;
    replace(&store, &free, &taken).await;
    let given = taken.given_to(&worker("two"), &worker("one"));
    replace(&store, &taken, &given).await;

    let too_old = free.taken_by(&worker("three"));
    let outcome = store.put(Expected::row(&free), &too_old).await.expect("put");
    assert_eq!(outcome, Outcome::Conflict { current: Some(given.clone()) });
    let too_new = Lease { version: given.version.next().next(), ..given.clone() };
    let outcome =
        store.put(Expected::Row { version: given.version.next(), epoch: given.epoch }, &too_new).await.expect("put");
    assert_eq!(outcome, Outcome::Conflict { current: Some(given.clone()) });
    assert_eq!(stored(&store, &given).await, Some(given));
}

/// Contract 2, for a table that lost its newest rows and has come to the same version once more.
///
/// # Panics
///
/// The store does not keep it.
pub async fn c02_put_over_a_row_needs_its_epoch(factory: &dyn StoreFactory) {
    let store = open(factory).await;
    let free = lease("a");
    let lost = free.taken_by(&worker("one"));
    let stands = free.taken_by(&worker("two")).in_epoch_of_at_least(Epoch(10));
    create(&store, &free).await;
    replace(&store, &free, &stands).await;
    let checkpoint = lost.checkpointed(Position::After(record_position(3)), &worker("one"));
    let gift = lost.given_to(&worker("three"), &worker("one")).in_epoch_of_at_least(Epoch(11));
    let too_young = Lease { epoch: Epoch(11), ..stands.clone() };
    let over_a_younger = too_young.checkpointed(Position::After(record_position(3)), &worker("three"));
    for (before, next) in [(&lost, &checkpoint), (&lost, &gift), (&too_young, &over_a_younger)] {
        let outcome = store.put(Expected::row(before), next).await.expect("put");
        assert_eq!(outcome, Outcome::Conflict { current: Some(stands.clone()) }, "writing {next:?}");
    }
    assert_eq!(stored(&store, &free).await, Some(stands));
}

/// Contract 3.
///
/// # Panics
///
/// The store does not keep it.
pub async fn c03_a_lost_write_brings_the_row_that_is_there(factory: &dyn StoreFactory) {
    let store = open(factory).await;
    let free = lease("a");
    let winner = free.taken_by(&worker("winner"));
    let loser = free.taken_by(&worker("loser"));
    create(&store, &free).await;
    replace(&store, &free, &winner).await;
    for expected in [Expected::row(&free), Expected::Absent] {
        let row = if expected == Expected::Absent { &free } else { &loser };
        let outcome = store.put(expected, row).await.expect("a lost race is no error");
        assert_eq!(outcome, Outcome::Conflict { current: Some(winner.clone()) });
    }
    let outcome = store.delete(&free).await.expect("a lost race is no error");
    assert_eq!(outcome, Outcome::Conflict { current: Some(winner.clone()) });
    assert_eq!(stored(&store, &free).await, Some(winner));
}

/// Contract 4.
///
/// # Panics
///
/// The store does not keep it.
pub async fn c04_a_row_that_does_not_follow_is_invalid(factory: &dyn StoreFactory) {
    let store = open(factory).await;
    let free = lease("a");
    let later = free.taken_by(&worker("one"));
    let error = store.put(Expected::Absent, &later).await.expect_err("a new row has the first version");
    assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
    assert_eq!(stored(&store, &free).await, None);

    create(&store, &free).await;
    for version in [free.version, free.version.next().next()] {
        let skipping = Lease { version, ..later.clone() };
        let answer = store.put(Expected::row(&free), &skipping).await;
        let error = answer.expect_err("versions grow by one");
        assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
    }
    replace(&store, &free, &later).await;
    let falling = Lease { epoch: free.epoch, ..later.released(&worker("one")) };
    let error = store.put(Expected::row(&later), &falling).await.expect_err("epochs never go back");
    assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
    assert_eq!(stored(&store, &free).await, Some(later));
}

/// Contract 5.
///
/// # Panics
///
/// The store does not keep it.
pub async fn c05_an_applied_row_is_read_back_field_by_field(factory: &dyn StoreFactory) {
    let store = open(factory).await;
    let of_another = open(factory).await;
    // Each writer is another process than any before it, so that a store which mixes them up shows it.
    let process = |name, number, nonce| WorkerId { incarnation: Incarnation { number, nonce }, ..worker(name) };
    let (one, two) = (process("one", 2, u64::MAX), process("two", u64::from(u32::MAX) + 1, 0));
    let free = lease("a");
    let taken = free.taken_by(&one);
    let at_record = taken.checkpointed(Position::After(record_position(3)), &one);
    let given = at_record.given_to(&two, &one);
    let released = given.released(&two);
    let finished = released.taken_by(&one).finished(&one);
    let finished = Lease { version: released.version.next(), ..finished };
    let bare = Lease {
        version: finished.version.next(),
        parents: Vec::new(),
        hash_range: None,
        position: Position::HORIZON,
        stream: crate::StreamFacts { created: None, start: stream_types::StartPosition::Horizon },
        last_change: Change::Created,
        ..finished.clone()
    };

    create(&store, &free).await;
    let mut before = free;
    for row in [taken, at_record, given, released, finished, bare] {
        replace(&store, &before, &row).await;
        assert_eq!(stored(&store, &row).await.as_ref(), Some(&row), "get");
        assert_eq!(stored(&of_another, &row).await.as_ref(), Some(&row), "get by another");
        assert_eq!(of_another.list().await.expect("list"), std::slice::from_ref(&row), "list by another");
        before = row;
    }
}

/// Contract 5, for all that a name may be. Text that a person takes for the same is not the same.
///
/// # Panics
///
/// The store does not keep it.
pub async fn c05_keys_may_have_any_character(factory: &dyn StoreFactory) {
    let store = open(factory).await;
    let longest = "x".repeat(stream_types::Name::MAX_BYTES);
    let shards = [
        "a", "A", "a ", " a", "a'b", "a\"b", "a\\b", "a%b", "a_b", "a*b?[c]", "{a}", "a}b{", "$1", ":a #b", "a;--",
        "\u{e4}", "a\u{308}", "漢字", "🦀", &longest,
    ];
    let mut rows: Vec<Lease> = shards.iter().map(|shard| lease(shard)).collect();
    rows.extend(["a", "a/b", "/", "//", "lease/a", &longest].map(|stream| {
        let mut row = lease("a");
        row.key.stream = name(stream);
        row.owner = Some(worker(stream));
        row
    }));
    for row in &rows {
        create(&store, row).await;
    }
    for row in &rows {
        assert_eq!(stored(&store, row).await.as_ref(), Some(row));
    }
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(store.list().await.expect("list"), rows);
    for row in &rows {
        assert_eq!(store.delete(row).await.expect("delete"), Outcome::Applied, "{}", row.key);
    }
    assert_eq!(store.list().await.expect("list"), []);
}

/// Contract 6, with nothing there.
///
/// # Panics
///
/// The store does not keep it.
pub async fn c06_of_racing_creators_exactly_one_wins(factory: &dyn StoreFactory) {
    let store = open(factory).await;
    let rows: Vec<Lease> =
        (0..RACERS).map(|racer| Lease { updated_by: worker(&format!("racer-{racer}")), ..lease("a") }).collect();
    let outcomes = join_all(rows.iter().map(|row| store.put(Expected::Absent, row)).collect()).await;
    let winner = only_winner(&rows, outcomes.into_iter().map(|outcome| outcome.expect("put")).collect());
    assert_eq!(stored(&store, &winner).await, Some(winner));
}

/// Contract 6, with a row there.
///
/// # Panics
///
/// The store does not keep it.
pub async fn c06_of_racing_writers_exactly_one_wins(factory: &dyn StoreFactory) {
    let store = open(factory).await;
    let free = lease("a");
    create(&store, &free).await;
    let rows: Vec<Lease> = (0..RACERS).map(|racer| free.taken_by(&worker(&format!("racer-{racer}")))).collect();
    let expected = Expected::row(&free);
    let outcomes = join_all(rows.iter().map(|row| store.put(expected, row)).collect()).await;
    let winner = only_winner(&rows, outcomes.into_iter().map(|outcome| outcome.expect("put")).collect());
    assert_eq!(stored(&store, &winner).await, Some(winner));
}

/// The one row that was applied; every other must have lost against it.
fn only_winner(rows: &[Lease], outcomes: Vec<Outcome<Lease>>) -> Lease {
    let winners: Vec<&Lease> =
        rows.iter().zip(&outcomes).filter(|(_, outcome)| **outcome == Outcome::Applied).map(|(row, _)| row).collect();
    assert_eq!(winners.len(), 1, "of {RACERS} racers, these won: {winners:?}");
    let winner = winners[0].clone();
    for outcome in outcomes.into_iter().filter(|outcome| *outcome != Outcome::Applied) {
        assert_eq!(outcome, Outcome::Conflict { current: Some(winner.clone()) });
    }
    winner
}

/// Contract 7.
///
/// # Panics
///
/// The store does not keep it.
pub async fn c07_a_write_sent_again_conflicts_with_itself(factory: &dyn StoreFactory) {
    let store = open(factory).await;
    let free = lease("a");
    let taken = free.taken_by(&worker("one"));
    for (expected, row) in [(Expected::Absent, &free), (Expected::row(&free), &taken)] {
        assert_eq!(store.put(expected, row).await.expect("put"), Outcome::Applied);
        let again = store.put(expected, row).await.expect("put");
        assert_eq!(again, Outcome::Conflict { current: Some(row.clone()) }, "the second sending must see its own row");
    }
}

/// Contract 8.
///
/// # Panics
///
/// The store does not keep it.
pub async fn c08_a_list_is_complete_and_ascending(factory: &dyn StoreFactory) {
    let store = open(factory).await;
    assert_eq!(store.list().await.expect("list"), [], "a fresh table is empty");
    // In pairs of stream and shard, ("a", …) comes before ("a-b", …), though "a-b/…" comes before "a/…" as text.
    let mut rows: Vec<Lease> = (0..300).rev().map(|shard| lease(&format!("shard-{shard:04}"))).collect();
    rows.extend(["a", "a-b"].map(|stream| {
        let mut row = lease("x");
        row.key.stream = name(stream);
        row
    }));
    let outcomes = join_all(rows.iter().map(|row| store.put(Expected::Absent, row)).collect()).await;
    assert!(outcomes.into_iter().all(|outcome| outcome.expect("put") == Outcome::Applied));
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(store.list().await.expect("list"), rows);
}

/// Contract 8, beyond what stores return at once: `DynamoDB` cuts a query at 1 MB.
///
/// # Panics
///
/// The store does not keep it.
pub async fn c08_a_list_of_more_than_a_megabyte_is_complete(factory: &dyn StoreFactory) {
    /// How many rows of about 1.7 KB.
    const ROWS: usize = 1_000;
    /// How many are written at a time.
    const AT_ONCE: usize = 50;
    let store = open(factory).await;
    let long = |text: &str| format!("{text}-{}", "x".repeat(200));
    let rows: Vec<Lease> = (0..ROWS)
        .map(|number| {
            let row = lease(&long(&format!("{number:04}")));
            let parents = vec![shard_id(&long("parent-1")), shard_id(&long("parent-2"))];
            Lease { owner: Some(worker(&long("owner"))), updated_by: worker(&long("writer")), parents, ..row }
        })
        .collect();
    for rows in rows.chunks(AT_ONCE) {
        let outcomes = join_all(rows.iter().map(|row| store.put(Expected::Absent, row)).collect()).await;
        assert!(outcomes.into_iter().all(|outcome| outcome.expect("put") == Outcome::Applied));
    }
    let listed = store.list().await.expect("list");
    assert_eq!(listed.len(), rows.len());
    assert!(listed == rows, "a row of a long list differs from what was written");
}

/// Contract 9.
///
/// # Panics
///
/// The store does not keep it.
pub async fn c09_delete_removes_only_the_row_of_that_version_and_epoch(factory: &dyn StoreFactory) {
    let store = open(factory).await;
    let (free, other) = (lease("a"), lease("b"));
    let outcome = store.delete(&free).await.expect("delete");
    assert_eq!(outcome, Outcome::Conflict { current: None }, "there is no row to remove");

    create(&store, &free).await;
    create(&store, &other).await;
    let owned = free.taken_by(&worker("one"));
    replace(&store, &free, &owned).await;
    let of_another_version = Lease { version: owned.version.next(), ..owned.clone() };
    let of_a_lower_epoch = Lease { epoch: free.epoch, ..owned.clone() };
    let of_a_higher_epoch = Lease { epoch: owned.epoch.next(), ..owned.clone() };
    for other in [of_another_version, of_a_lower_epoch, of_a_higher_epoch] {
        let outcome = store.delete(&other).await.expect("delete");
        assert_eq!(outcome, Outcome::Conflict { current: Some(owned.clone()) });
    }
    assert_eq!(store.delete(&owned).await.expect("delete"), Outcome::Applied);
    assert_eq!(stored(&store, &free).await, None);
    assert_eq!(store.list().await.expect("list"), [other]);
}
