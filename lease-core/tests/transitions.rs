//! What each transition of a lease row changes, and what it leaves alone.

mod common;

use common::rows::{free_lease, name};
use lease_core::plan::{PlanVersion, designated};
use lease_core::testing::worker;
use lease_core::{Change, Epoch, Version, WorkerRow};
use stream_types::Position;

#[test]
fn each_transition_makes_a_new_version_and_says_who_did_what() {
    let (me, other) = (worker("me"), worker("other"));
    let free = free_lease("shard", &[]);
    let far: Position = "after:5".parse().unwrap();
    let owned = free.taken_by(&me);
    for (after, change, raises_epoch) in [
        (owned.taken_by(&other), Change::Taken, true),
        (owned.given_to(&other, &other), Change::Given, true),
        (owned.released(&other), Change::Released, true),
        (owned.checkpointed(far.clone(), &other), Change::Checkpointed, false),
        (owned.finished(&other), Change::Finished, false),
    ] {
        assert_eq!(after.version, owned.version.next(), "{change:?}");
        assert_eq!((&after.updated_by, after.last_change), (&other, change));
        let epoch = if raises_epoch { owned.epoch.next() } else { owned.epoch };
        assert_eq!(after.epoch, epoch, "the fencing token grows with each change of owner: {change:?}");
        assert_eq!((&after.key, &after.parents, &after.stream), (&owned.key, &owned.parents, &owned.stream));
    }
    assert_eq!(owned.checkpointed(far.clone(), &me).position, far);
    assert!(owned.finished(&me).is_finished());
    assert_eq!(owned.released(&me).owner, None);
}

#[test]
fn a_floor_raises_the_epoch_and_never_lowers_it() {
    let lease = free_lease("shard", &[]).taken_by(&worker("me"));
    assert_eq!(lease.clone().in_epoch_of_at_least(Epoch(7)).epoch, Epoch(7));
    assert_eq!(lease.clone().in_epoch_of_at_least(Epoch::NEVER_OWNED).epoch, lease.epoch);
}

/// To take one's own lease, or to checkpoint it, concerns nobody else.
#[test]
fn only_what_others_may_act_on_is_news() {
    let news: Vec<Change> = Change::ALL.into_iter().filter(|change| change.is_news()).collect();
    assert_eq!(news, [Change::Created, Change::Given, Change::Released, Change::Finished]);
}

#[test]
fn the_chores_fall_to_nobody_who_leaves_or_is_away() {
    let row = |text: &str| WorkerRow::registering(worker(text), None);
    let leaving = WorkerRow { leaving: true, ..row("a") };
    let away = WorkerRow { returns_within: Some(std::time::Duration::from_secs(9)), ..row("b") };
    for gone in [&leaving, &away] {
        assert_eq!(designated(&[gone]), None);
    }
    assert_eq!(designated(&[&leaving, &away, &row("c")]).map(|row| &row.name), Some(&name("c")));
}

#[test]
fn numbers_are_shown_as_numbers() {
    assert_eq!(format!("{} {} {}", Version(3), Epoch(4), PlanVersion(5)), "3 4 5");
}
