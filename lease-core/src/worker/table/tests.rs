use std::time::Duration;

use super::*;
use crate::Version;
use crate::testing::lease;

/// Else the children that somebody else has created after it would seem to have no parent, and be read before it.
#[test]
fn a_row_that_a_list_shows_is_there_though_the_worker_is_about_to_create_it() {
    let mut table = Table::default();
    table.replace(Vec::new(), Moment::START);
    let row = lease("parent");
    let _create = table.write(Expected::Absent, row.clone(), Moment::START);
    table.replace(vec![row.clone()], Moment::START);
    assert_eq!(table.get(&row.key), Some(&row));
}

/// Else a tombstone would be deleted a second time, and its shard, while the stream lists it, not be found missing.
#[test]
fn a_row_that_is_known_to_be_gone_is_not_brought_back_by_an_older_list() {
    let row = lease("deleted");
    let at = |seconds| Moment::START.after(Duration::from_secs(seconds));
    let mut table = Table::default();
    table.replace(vec![row.clone()], at(0));
    table.learn(&row.key, None, at(5));
    table.replace(vec![row.clone()], at(4));
    assert_eq!(table.get(&row.key), None);
    table.replace(vec![row.clone()], at(6));
    assert_eq!(table.get(&row.key), Some(&row), "a younger list shows that it is back");
}

/// Else it would count as vanished, and be made anew.
#[test]
fn a_row_that_this_worker_has_deleted_is_gone_at_once_and_not_missed() {
    let row = lease("tombstone");
    let at = |seconds| Moment::START.after(Duration::from_secs(seconds));
    let mut table = Table::default();
    table.replace(vec![row.clone()], at(0));
    table.deleted(&row.key, at(5));
    assert_eq!(table.get(&row.key), None);
    table.replace(vec![row.clone()], at(4));
    assert_eq!(table.get(&row.key), None, "the list was asked for before");
    table.replace(Vec::new(), at(6));
    assert_eq!(table.take_vanished(), []);
}

#[test]
fn a_new_child_is_doubted_as_long_as_the_list_does_not_show_all_its_parents() {
    let child =
        |parents: &[&str]| Lease { parents: parents.iter().map(|id| id.parse().unwrap()).collect(), ..lease("child") };
    let is_doubted = |parents: &[&str]| {
        let mut table = Table::default();
        table.replace(vec![lease("parent")], Moment::START);
        table.replace(vec![lease("parent"), child(parents)], Moment::START);
        table.is_unconfirmed(&child(parents).key)
    };
    assert!(!is_doubted(&["parent"]));
    assert!(is_doubted(&["another"]));
    assert!(is_doubted(&["parent", "another"]));
}

/// Its parent is left out of the plan for now, and what has no parent there may run.
#[test]
fn a_descendant_of_a_doubted_row_is_doubted_with_it() {
    let child = |id: &str, parent: &str| Lease { parents: vec![parent.parse().unwrap()], ..lease(id) };
    let (young, middle, old) = (child("a-young", "b-middle"), child("b-middle", "c-old"), child("c-old", "absent"));
    let mut table = Table::default();
    table.replace(vec![young.clone(), middle.clone(), old.clone()], Moment::START);
    assert!([&young, &middle, &old].iter().all(|row| table.is_unconfirmed(&row.key)));
    table.replace(vec![young.clone(), middle.clone(), old.clone()], Moment::START);
    assert!(!table.has_unconfirmed(), "the next list shows them again: the stream no longer had the parent");
}

/// A store that has lost its newest writes may show it in one row of many, by a list or by the answer to a write.
#[test]
fn a_row_that_has_become_older_is_told_until_it_is_younger_again() {
    let rows = |version| {
        let row = |shard| Lease { version: Version(version), ..lease(shard) };
        vec![row("a"), Lease { version: Version(9), ..lease("b") }, Lease { version: Version(9), ..lease("c") }]
    };
    let mut table = Table::default();
    assert!(!table.replace(rows(5), Moment::START));
    assert!(table.replace(rows(4), Moment::START));
    let key = &lease("a").key;
    assert!(table.went_back(key) && !table.went_back(&lease("b").key));
    assert!(!table.replace(rows(4), Moment::START), "it was told");
    assert!(table.went_back(key), "but still is older than it was");
    assert!(!table.replace(rows(6), Moment::START) && !table.went_back(key));
    assert!(table.learn(key, rows(5).into_iter().next(), Moment::START));
    assert!(table.went_back(key));
}

/// The table has come to the version once more, or past it, from what it has kept.
#[test]
fn a_row_of_another_epoch_at_its_version_and_one_of_a_lower_epoch_show_that_rows_are_lost() {
    let row = |version, epoch| Lease { version: Version(version), epoch: Epoch(epoch), ..lease("a") };
    let is_lost = |then: &Lease, now: &Lease| {
        let mut table = Table::default();
        table.replace(vec![then.clone()], Moment::START);
        let by_answer = table.clone().learn(&now.key, Some(now.clone()), Moment::START);
        assert_eq!(table.replace(vec![now.clone()], Moment::START), by_answer);
        assert_eq!(table.went_back(&now.key), by_answer);
        by_answer
    };
    assert!(is_lost(&row(5, 3), &row(5, 4)) && is_lost(&row(5, 3), &row(5, 2)));
    assert!(is_lost(&row(5, 3), &row(6, 2)));
    assert!(!is_lost(&row(5, 3), &row(6, 3)) && !is_lost(&row(5, 3), &row(6, 4)) && !is_lost(&row(5, 3), &row(5, 3)));
}

#[test]
fn a_write_that_waits_is_refuted_by_an_older_row_but_not_by_one_of_an_earlier_try() {
    let at = |seconds| Moment::START.after(Duration::from_secs(seconds));
    let row = Lease { version: Version(5), epoch: Epoch(3), ..lease("a") };
    let next = Lease { version: Version(6), epoch: Epoch(9), ..row.clone() };
    let mut table = Table::default();
    table.replace(vec![row.clone()], at(0));
    let _put = table.write_over(&row, next.clone(), at(1));
    table.postpone(&row.key, at(2));
    let earlier_try = Lease { epoch: Epoch(4), ..next };
    assert!([&row, &earlier_try].iter().all(|found| table.refuted(std::slice::from_ref(*found), at(3)).is_empty()));
    assert_eq!(table.refuted(&[Lease { version: Version(4), ..row }], at(3)).len(), 1);
}
