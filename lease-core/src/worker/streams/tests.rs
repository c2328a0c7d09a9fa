use stream_types::StartPosition;

use super::*;
use crate::testing::worker;

const NOW: Moment = Moment::START;

fn id(id: &str) -> ShardId {
    ShardId::new(id).unwrap()
}

fn shard(name: &str, parents: &[&str]) -> Shard {
    Shard { id: id(name), parents: parents.iter().map(|parent| id(parent)).collect(), hash_range: None }
}

fn name() -> Name {
    Name::new("stream").unwrap()
}

fn stream_facts() -> StreamFacts {
    StreamFacts { created: None, start: StartPosition::Horizon }
}

fn stream() -> Stream {
    Stream::new(stream_facts())
}

/// A table with leases of these shards.
fn table(shards: &[&str]) -> Table {
    let mut table = Table::default();
    let lease = |id: &&str| Lease::new(name(), shard(id, &[]), stream().facts, worker("creator"));
    table.replace(shards.iter().map(lease).collect(), NOW);
    table
}

fn missing(stream: &Stream, table: &Table) -> Vec<String> {
    let leases = stream.missing(&name(), table, &worker("me"));
    leases.into_iter().map(|lease| lease.key.shard.to_string()).collect()
}

/// Sends a list and brings its answer.
fn list(stream: &mut Stream, table: &Table, shards: &[Shard]) {
    stream.list_by(NOW);
    assert!(stream.starts_list(&name(), table, NOW));
    stream.listed(shards.to_vec());
}

/// "b" was split from another shard since the list. Its other half is merged with "a", which has ended.
#[test]
fn a_list_says_nothing_of_the_parents_of_a_child_that_is_younger() {
    let mut stream = stream();
    list(&mut stream, &table(&["a"]), &[shard("a", &[]), shard("not-there-yet", &[])]);
    let merged = shard("merged", &["a", "half-of-b"]);
    stream.add_children(&name(), std::slice::from_ref(&merged), &table(&["a"]), NOW);
    assert_eq!(missing(&stream, &table(&["a"])), ["not-there-yet"]);
    assert_eq!(stream.next_list(), Some(NOW), "the next list tells");

    list(&mut stream, &table(&["a"]), &[shard("a", &[]), shard("half-of-b", &["b"]), merged]);
    assert_eq!(missing(&stream, &table(&["a"])), ["half-of-b"], "its own parent is gone from the stream");
    assert_eq!(missing(&stream, &table(&["a", "half-of-b"])), ["merged"]);
}

/// The row of its parent is left out of the plan for now, and what has no parent there may run.
#[test]
fn no_child_of_a_doubted_row_is_created() {
    let mut stream = stream();
    let row = |id: &str, parents: &[&str]| Lease::new(name(), shard(id, parents), stream_facts(), worker("w"));
    let mut table = Table::default();
    // The list was read in pages, the one with "a" before its row was there.
    table.replace(vec![row("b", &["a"])], NOW);
    list(&mut stream, &table, &[shard("a", &[]), shard("b", &["a"]), shard("c", &["b"])]);
    // Another one was told of by the reader of its other parent, which has ended.
    table.learn(&row("x", &[]).key, Some(row("x", &[])), NOW);
    stream.add_children(&name(), &[shard("d", &["b", "x"])], &table, NOW);
    assert_eq!(missing(&stream, &table), ["a"]);
    table.replace(vec![row("a", &[]), row("b", &["a"]), row("x", &[])], NOW);
    assert_eq!(missing(&stream, &table), ["c", "d"]);
}

#[test]
fn a_list_that_is_older_than_a_child_does_not_make_it_forgotten() {
    let mut stream = stream();
    stream.list_by(NOW);
    assert!(stream.starts_list(&name(), &table(&["a"]), NOW));
    stream.add_children(&name(), &[shard("child", &["a"])], &table(&["a"]), NOW);
    stream.listed(vec![shard("a", &[])]);
    assert_eq!(missing(&stream, &table(&["a"])), ["child"]);
    stream.settle(&name(), &table(&["a"]));
    assert_eq!(missing(&stream, &table(&["a"])), ["child"], "it is remembered until it has a lease");
}

#[test]
fn a_shard_is_gone_when_two_lists_lack_it_that_are_younger_than_its_lease() {
    let mut stream = stream();
    let (before, after) = (table(&["a"]), table(&["a", "young"]));
    let without = [shard("a", &[])];
    list(&mut stream, &before, &without);
    assert!(!stream.has_forgotten(&id("young")), "the list was sent before it had a lease");
    list(&mut stream, &after, &without);
    assert!(!stream.has_forgotten(&id("young")), "one list may err");
    list(&mut stream, &after, &[]);
    assert!(!stream.has_forgotten(&id("young")), "an empty one proves nothing");
    list(&mut stream, &after, &without);
    list(&mut stream, &after, &without);
    assert!(stream.has_forgotten(&id("young")));
    list(&mut stream, &after, &[shard("a", &[]), shard("young", &[])]);
    assert!(!stream.has_forgotten(&id("young")), "it is there after all");
}

/// Else a sink that has seen them would refuse whoever reads the shard next.
#[test]
fn the_epochs_of_a_lost_lease_are_remembered_through_lists_that_err() {
    let mut stream = stream();
    let lost =
        |epoch| Lease { epoch: Epoch(epoch), ..Lease::new(name(), shard("a", &[]), stream_facts(), worker("w")) };
    stream.has_lost(&lost(7), NOW);
    stream.has_lost(&lost(0), NOW);
    let (there, elsewhere) = ([shard("a", &[])], [shard("b", &[])]);
    for shards in [&[][..], &elsewhere[..], &there[..]] {
        list(&mut stream, &table(&[]), shards);
    }
    let epochs = |stream: &Stream| -> Vec<u64> {
        stream.missing(&name(), &table(&[]), &worker("me")).iter().map(|lease| lease.epoch.0).collect()
    };
    assert_eq!(epochs(&stream), [7], "made anew by somebody who did not know, and lost again");
    for shards in [&elsewhere, &elsewhere, &there] {
        list(&mut stream, &table(&[]), shards);
    }
    assert_eq!(epochs(&stream), [0], "two lists in a row did not have it: it was gone");
}

#[test]
fn a_hole_in_the_hash_range_is_told_once_when_two_lists_agree() {
    let ranged = |name: &str, parents: &[&str], start: u128, end: u128| Shard {
        hash_range: Some(HashRange::new(start, end).unwrap()),
        ..shard(name, parents)
    };
    let middle = 1 << 127;
    let whole = [
        ranged("a", &[], 0, middle - 1),
        ranged("b", &[], middle, u128::MAX),
        ranged("b1", &["b"], middle, middle + 9),
        ranged("b2", &["b"], middle + 10, u128::MAX),
    ];
    let mut stream = stream();
    assert_eq!((stream.new_hole(&whole), stream.new_hole(&whole)), (None, None));
    let expected = HashRange::new(middle, middle + 9).ok();
    let without_b1 = [whole[0].clone(), whole[1].clone(), whole[3].clone()];
    assert_eq!(stream.new_hole(&without_b1), None, "one list may err");
    assert_eq!(stream.new_hole(&without_b1), expected);
    assert_eq!(stream.new_hole(&without_b1), None, "it was told");
    assert_eq!(hole(&whole[..1]), HashRange::new(middle, u128::MAX).ok());
    assert_eq!(hole(&[shard("no-range", &[])]), None);
}
