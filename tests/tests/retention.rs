//! Streams forget, by the age of their records: under a reader, while nobody reads, and whole shards.

use std::time::Duration;

use consumer::Warning;
use lease_core::Lease;
use stream_types::Position;
use tests::virtual_world::{STREAM, virtual_world};

const HOUR: Duration = Duration::from_secs(3_600);

/// The retention passes while nobody reads: what was forgotten unread is reported, and only then.
#[tokio::test(start_paused = true)]
async fn records_that_were_forgotten_unread_are_reported() {
    for (unread, expected_gaps) in [(0, 0), (100, 4)] {
        let (kinesis, mut fleet) = virtual_world(4);
        fleet.start("a");
        fleet.produce(&kinesis, STREAM, 100);
        fleet.wait_until_delivered().await;
        fleet.leave("a").await;
        fleet.produce(&kinesis, STREAM, unread);
        tokio::time::sleep(HOUR * 25).await;
        fleet.start("b");
        // Where nothing came meanwhile, the shards are read to their tips before the next records come.
        if unread == 0 {
            fleet.wait_until_level().await;
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        let before = fleet.ledger.tally().delivered;
        fleet.produce(&kinesis, STREAM, 100);
        fleet.wait_until("the new ones come", async |fleet| fleet.ledger.tally().delivered == before + 100).await;
        let report = fleet.leave("b").await;
        let gaps: u64 = report.shards.values().map(|shard| shard.counts.gaps).sum();
        assert_eq!((gaps, fleet.ledger.tally().lost), (expected_gaps, unread), "{report:?}");
    }
}

/// Parents that are read to their end leave a tombstone, for as long as the stream lists them; then nothing of them is left,
/// and their children go on.
#[tokio::test(start_paused = true)]
async fn the_tombstones_of_forgotten_shards_go_and_their_children_go_on() {
    let (kinesis, mut fleet) = virtual_world(2);
    fleet.start("a");
    fleet.produce(&kinesis, STREAM, 100);
    kinesis.update_shard_count(STREAM, 4).expect("two splits");
    fleet.produce(&kinesis, STREAM, 100);
    fleet.wait_until_delivered().await;
    let tombstones = |leases: Vec<Lease>| leases.into_iter().filter(Lease::is_finished).count();
    fleet.wait_until("both parents are finished", async |fleet| tombstones(fleet.leases().await) == 2).await;
    let positions = |leases: Vec<Lease>| -> Vec<Position> {
        leases.into_iter().filter(|lease| !lease.is_finished()).map(|lease| lease.position).collect()
    };
    fleet.leave("a").await;
    let before = positions(fleet.leases().await);
    tokio::time::sleep(HOUR * 25).await;

    fleet.start("b");
    fleet.wait_until("the tombstones are gone", async |fleet| fleet.leases().await.len() == 4).await;
    assert_eq!(positions(fleet.leases().await), before);
    fleet.produce(&kinesis, STREAM, 100);
    fleet.wait_until_delivered().await;
    let report = fleet.leave("b").await;
    let tally = fleet.ledger.tally();
    assert_eq!((tally.lost, tally.duplicates_planned, tally.out_of_order), (0, 0, 0), "{tally:?}");
    assert_eq!((report.records_processed, report.warnings), (100, Vec::new()));
}

/// Nobody was there while two shards with unread records were split, and all of them were forgotten: people are told, once for
/// each, and the children are read.
#[tokio::test(start_paused = true)]
async fn shards_that_were_forgotten_unread_are_told_of_and_their_children_are_read() {
    let (kinesis, mut fleet) = virtual_world(2);
    fleet.start("a");
    fleet.produce(&kinesis, STREAM, 100);
    fleet.wait_until_delivered().await;
    fleet.leave("a").await;
    fleet.produce(&kinesis, STREAM, 100);
    kinesis.update_shard_count(STREAM, 4).expect("two splits");
    tokio::time::sleep(HOUR * 25).await;

    fleet.start("b");
    let before = fleet.ledger.tally().delivered;
    fleet.produce(&kinesis, STREAM, 100);
    fleet.wait_until("the new ones come", async |fleet| fleet.ledger.tally().delivered == before + 100).await;
    let report = fleet.leave("b").await;
    let is_told = |warning: &Warning| matches!(warning, Warning::ShardForgotten { .. });
    assert!(report.warnings.len() == 2 && report.warnings.iter().all(is_told), "{:?}", report.warnings);
    assert_eq!((before, fleet.ledger.tally().lost), (100, 100));
}
