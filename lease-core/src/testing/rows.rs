//! Rows to check stores with. Every field differs from its neighbours, so that a mix-up shows.

use std::num::NonZeroU32;
use std::time::Duration;

use stream_types::{HashRange, Name, RecordPosition, Shard, ShardId, StartPosition, Timestamp};

use crate::plan::PlanVersion;
use crate::{Expected, Incarnation, Lease, LeaseStore, Outcome, StoreError, StreamFacts, Version, WorkerId, WorkerRow};

pub(super) fn name(text: &str) -> Name {
    Name::new(text).expect("the checks use valid names")
}

pub(super) fn shard_id(text: &str) -> ShardId {
    ShardId::new(text).expect("the checks use valid shard ids")
}

/// The first incarnation of a worker of that name.
///
/// # Panics
///
/// The text is no name.
#[must_use]
pub fn worker(text: &str) -> WorkerId {
    WorkerId { name: name(text), incarnation: Incarnation::first(0xfedc_ba98_7654_3210) }
}

/// The row with which that worker registers, all fields set.
///
/// # Panics
///
/// The text is no name.
#[must_use]
pub fn worker_row(text: &str) -> WorkerRow {
    WorkerRow {
        generation: 42,
        zone: Some(name("zone-a")),
        plan_version: PlanVersion(3),
        leaving: true,
        returns_within: Some(Duration::from_millis(90_500)),
        streams: Some([name("orders"), name("payments, \"late\"")].into()),
        lease_duration: Some(Duration::from_millis(12_500)),
        ..WorkerRow::registering(worker(text), NonZeroU32::new(17))
    }
}

/// A free lease of that shard, all fields set.
///
/// # Panics
///
/// The text is no shard id.
#[must_use]
pub fn lease(shard: &str) -> Lease {
    let shard = Shard {
        id: shard_id(shard),
        parents: vec![shard_id("parent-2"), shard_id("parent-1")],
        hash_range: HashRange::new(1, u128::MAX - 1).ok(),
    };
    let facts = StreamFacts {
        created: Some(Timestamp::from_unix_millis(1_700_000_000_123)),
        start: StartPosition::Timestamp(Timestamp::from_unix_millis(1_700_000_000_456)),
    };
    Lease::new(name("stream"), shard, facts, worker("creator"))
}

/// Puts the row there whatever is there, as a table looks that has lost its newest rows and has gone on from older ones.
///
/// # Errors
///
/// The store cannot be reached.
pub async fn put_in_place(store: &impl LeaseStore, row: &Lease) -> Result<Outcome<Lease>, StoreError> {
    if let Some(there) = store.get(&row.key).await? {
        let _gone = store.delete(&there).await?;
    }
    // Only first versions are created, so the row grows up to its version.
    let mut grown = Lease { version: Version::FIRST, ..row.clone() };
    let mut outcome = store.put(Expected::Absent, &grown).await?;
    while grown.version < row.version {
        let before = Expected::row(&grown);
        grown.version = grown.version.next();
        outcome = store.put(before, &grown).await?;
    }
    Ok(outcome)
}

/// A position with the longest sequence number that Kinesis uses today.
pub(super) fn record_position(last_digit: u8) -> RecordPosition {
    let digits = format!("4959033827149025660855969253836157109592157598913658889{}", last_digit % 10);
    let sequence_number = digits.parse().expect("decimal digits");
    RecordPosition { sequence_number, sub_sequence_number: 5 }
}
