//! Checkpoints that a reader's own transaction writes: the row is lent, and nothing else writes it meanwhile.

mod common;

use common::rows::{after, name};
use common::world::{HEARTBEAT, LEASE_DURATION, Weather, World};
use lease_core::testing::block_on_ready;
use lease_core::worker::{CheckpointError, Event};
use lease_core::{Expected, Lease, LeaseKey, LeaseStore, Outcome, StoreErrorKind};
use stream_types::{Position, ShardId};

const SHARD: &str = "shard-0000";

fn key() -> LeaseKey {
    LeaseKey::new(name("stream"), ShardId::new(SHARD).expect("a valid id"))
}

/// Worker `a` lends the row of the shard for a position.
fn borrowed(world: &mut World, position: Position) -> (Expected, Lease) {
    world.ask_for_row(SHARD, position);
    world.loan("a", SHARD).expect("nothing is in the way").expect("the lease is held").expect("it is not stored")
}

/// The reader's transaction commits.
fn commit(world: &World, (expected, next): &(Expected, Lease)) -> Outcome<Lease> {
    block_on_ready(world.store.put(*expected, next)).expect("memory does not fail")
}

fn answer(world: &mut World, answer: Result<Outcome<Lease>, StoreErrorKind>) {
    world.tell("a", Event::PutAnswered { key: key(), answer });
}

#[test]
fn a_committed_loan_is_a_checkpoint() {
    let mut world = World::level(1, &["a"]);
    let loan = borrowed(&mut world, after(1));
    let outcome = commit(&world, &loan);
    answer(&mut world, Ok(outcome));
    let next = borrowed(&mut world, after(2));
    assert_eq!(next.0, Expected::row(&loan.1), "the next loan follows it");
}

#[test]
fn nothing_else_writes_a_row_that_is_lent() {
    let mut world = World::level(1, &["a"]);
    let loan = borrowed(&mut world, after(1));
    world.checkpoint(SHARD, after(2));
    world.ask_for_row(SHARD, after(3));
    world.run_for(LEASE_DURATION * 2);
    assert_eq!(world.loan("a", SHARD), None, "the second one waits");
    assert_eq!(commit(&world, &loan), Outcome::Applied, "nobody was faster");
    answer(&mut world, Ok(Outcome::Applied));
    world.run_for(HEARTBEAT);
    assert_eq!(world.lease(SHARD).position, after(2));
    let (_, next) = world.loan("a", SHARD).expect("its turn has come").unwrap().expect("it is not stored");
    assert_eq!(next.position, after(3));
}

/// The worker must not store the position of a transaction that was rolled back.
#[test]
fn a_loan_that_was_given_up_is_never_written_by_the_worker() {
    let mut world = World::level(1, &["a"]);
    let before = world.lease(SHARD);
    let _given_up = borrowed(&mut world, after(5));
    answer(&mut world, Err(StoreErrorKind::Ambiguous));
    world.run_for(LEASE_DURATION * 2);
    assert_eq!(world.lease(SHARD), before);
    // What was given up binds nobody: a smaller step may follow.
    let loan = borrowed(&mut world, after(1));
    assert_eq!(commit(&world, &loan), Outcome::Applied);
}

/// The reply to a commit was lost, and the reader does the same again.
#[test]
fn the_same_loan_again_finds_that_it_was_committed() {
    let mut world = World::level(1, &["a"]);
    let loan = borrowed(&mut world, after(1));
    assert_eq!(commit(&world, &loan), Outcome::Applied);
    answer(&mut world, Err(StoreErrorKind::Ambiguous));
    let again = borrowed(&mut world, after(1));
    assert_eq!(again, loan);
    let outcome = commit(&world, &again);
    assert_eq!(outcome, Outcome::Conflict { current: Some(loan.1.clone()) });
    answer(&mut world, Ok(outcome));
    assert!(world.stops("a").is_empty(), "nothing was lost");
    assert_eq!(borrowed(&mut world, after(2)).0, Expected::row(&loan.1));
}

/// The reader tries something else after a commit whose reply was lost: it must start again from what is stored.
#[test]
fn a_reader_that_does_not_know_of_its_own_commit_starts_again_behind_it() {
    let mut world = World::level(1, &["a"]);
    let loan = borrowed(&mut world, after(5));
    assert_eq!(commit(&world, &loan), Outcome::Applied);
    answer(&mut world, Err(StoreErrorKind::Ambiguous));
    let other = borrowed(&mut world, after(3));
    let outcome = commit(&world, &other);
    assert!(matches!(outcome, Outcome::Conflict { .. }));
    answer(&mut world, Ok(outcome));
    world.run_until("it is read again", |world| world.is_reading("a", SHARD));
    assert_eq!(world.started_at("a", SHARD), after(5));
}

/// A drained reader that had just committed hands over what it committed, though the worker learns of it late.
#[test]
fn a_hand_over_waits_for_the_loan_and_goes_on_from_its_position() {
    let mut world = World::level(1, &["a"]);
    world.start("b");
    world.run_for(LEASE_DURATION);
    // Further than the reader will say when it is drained.
    let far = after(1_000_000_000);
    let loan = borrowed(&mut world, far.clone());
    world.leave("a");
    world.run_for(LEASE_DURATION);
    assert_eq!(world.lease(SHARD).owner.unwrap().name, name("a"), "the loan is not taken away");
    assert_eq!(commit(&world, &loan), Outcome::Applied);
    answer(&mut world, Ok(Outcome::Applied));
    world.run_until("b reads it", |world| world.is_reading("b", SHARD));
    assert_eq!(world.started_at("b", SHARD), far);
}

/// The reply to its commit was lost, and so was the heartbeat that tells of the leave: a list shows the row meanwhile.
#[test]
fn a_hand_over_never_goes_back_behind_what_a_list_shows() {
    let mut world = World::level(1, &["a"]);
    world.start("b");
    world.run_for(LEASE_DURATION);
    let far = after(1_000_000_000);
    let loan = borrowed(&mut world, far.clone());
    world.set_weather("a", Weather::Cut);
    world.leave("a");
    assert_eq!(commit(&world, &loan), Outcome::Applied);
    answer(&mut world, Err(StoreErrorKind::Ambiguous));
    world.run_for(HEARTBEAT / 2);
    world.set_weather("a", Weather::Fair);
    world.run_until("b reads it", |world| world.is_reading("b", SHARD));
    assert_eq!(world.started_at("b", SHARD), far);
}

/// And one whose reader gave it up goes on from what is stored.
#[test]
fn a_hand_over_does_not_carry_the_position_of_a_loan_that_was_given_up() {
    let mut world = World::level(1, &["a"]);
    world.start("b");
    world.run_for(LEASE_DURATION);
    let far = after(1_000_000_000);
    let _given_up = borrowed(&mut world, far.clone());
    world.leave("a");
    world.run_for(LEASE_DURATION);
    answer(&mut world, Err(StoreErrorKind::Ambiguous));
    world.run_until("b reads it", |world| world.is_reading("b", SHARD));
    assert_ne!(world.started_at("b", SHARD), far);
}

/// What waits behind a loan is judged when its turn comes, by what is stored then.
#[test]
fn what_waited_behind_a_loan_has_nothing_to_do_if_the_loan_was_for_it_or_for_more() {
    let mut world = World::level(1, &["a"]);
    let loan = borrowed(&mut world, after(5));
    world.ask_for_row(SHARD, after(5));
    world.checkpoint(SHARD, after(2));
    assert_eq!(commit(&world, &loan), Outcome::Applied);
    answer(&mut world, Ok(Outcome::Applied));
    assert_eq!(world.loan("a", SHARD), Some(Ok(None)));
    world.run_for(LEASE_DURATION);
    assert_eq!(world.lease(SHARD).position, after(5));
}

/// A transaction that is repeated must not be done twice.
#[test]
fn no_row_is_lent_for_a_position_that_is_stored() {
    let mut world = World::level(1, &["a"]);
    let loan = borrowed(&mut world, after(1));
    let outcome = commit(&world, &loan);
    answer(&mut world, Ok(outcome));
    world.ask_for_row(SHARD, after(1));
    assert_eq!(world.loan("a", SHARD), Some(Ok(None)));
}

/// Not even when its reply was lost and a list has shown the row since.
#[test]
fn no_row_is_lent_for_a_position_that_a_list_shows() {
    let mut world = World::level(1, &["a"]);
    let loan = borrowed(&mut world, after(1));
    assert_eq!(commit(&world, &loan), Outcome::Applied);
    answer(&mut world, Err(StoreErrorKind::Ambiguous));
    world.run_for(HEARTBEAT * 2);
    world.ask_for_row(SHARD, after(1));
    assert_eq!(world.loan("a", SHARD), Some(Ok(None)));
}

#[test]
fn no_row_is_lent_for_a_lease_that_is_lost_or_a_position_that_goes_back() {
    let mut world = World::level(1, &["a"]);
    world.checkpoint(SHARD, after(9));
    world.run_for(HEARTBEAT);
    world.ask_for_row(SHARD, after(1));
    assert_eq!(world.loan("a", SHARD), Some(Ok(None)));
    let epoch = world.lease(SHARD).epoch;
    world.set_weather("a", Weather::Cut);
    world.run_until("it is late", |world| world.reading()["a"] == 0);
    world.tell("a", Event::RowAsked { key: key(), epoch, position: after(10) });
    assert_eq!(world.loan("a", SHARD), Some(Err(CheckpointError::LeaseLost)));
}
