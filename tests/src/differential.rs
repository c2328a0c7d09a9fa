//! One random sequence of calls, on the memory store and on another: every answer must be the same.

use std::sync::Arc;

use lease_core::testing::{lease, worker, worker_row};
use lease_core::{Beat, Epoch, Expected, Lease, LeaseStore, MemoryStore, Version, WorkerRow};
use proptest::prelude::*;
use stream_types::{Position, RecordPosition};

/// A call, with small numbers for arguments so that calls meet each other's rows.
#[derive(Debug, Clone)]
pub enum Call {
    /// Create or replace a lease's row.
    Put {
        /// Which lease.
        lease: u8,
        /// The version and the epoch that must be there; version 0 = absent.
        expected: (u64, u64),
        /// What the row says.
        row: Row,
    },
    /// Remove a lease's row.
    Delete {
        /// Which lease.
        lease: u8,
        /// Of which version and epoch.
        expected: (u64, u64),
    },
    /// Read a lease's row.
    Get {
        /// Which lease.
        lease: u8,
    },
    /// Read all leases.
    List,
    /// Write a worker's row.
    Heartbeat(Beating),
    /// Remove a worker's row.
    Forget(Beating),
}

/// What a lease's row says.
#[derive(Debug, Clone)]
pub struct Row {
    owner: Option<u8>,
    epoch: u64,
    position: Option<u64>,
    change: u8,
    bare: bool,
    follows: bool,
}

/// What a worker's row says.
#[derive(Debug, Clone)]
pub struct Beating {
    name: u8,
    number: u64,
    nonce: u64,
    heartbeat: u64,
    bare: bool,
}

/// Mostly the same one, so that a call that expects it often finds it.
fn any_epoch() -> impl Strategy<Value = u64> {
    prop_oneof![6 => Just(1), 1 => 0..4_u64]
}

/// Sequences of calls.
pub fn any_calls() -> impl Strategy<Value = Vec<Call>> {
    let row = (
        prop::option::of(0..3_u8),
        any_epoch(),
        prop::option::of(any::<u64>()),
        0..6_u8,
        any::<bool>(),
        prop::bool::weighted(0.9),
    )
        .prop_map(|(owner, epoch, position, change, bare, follows)| Row {
            owner,
            epoch,
            position,
            change,
            bare,
            follows,
        });
    let beating = (0..3_u8, 1..4_u64, prop_oneof![0..2_u64, Just(u64::MAX)], 1..4_u64, any::<bool>())
        .prop_map(|(name, number, nonce, heartbeat, bare)| Beating { name, number, nonce, heartbeat, bare });
    let call = prop_oneof![
        6 => (0..3_u8, (0..4_u64, any_epoch()), row).prop_map(|(lease, expected, row)| Call::Put { lease, expected, row }),
        1 => (0..3_u8, (1..5_u64, any_epoch())).prop_map(|(lease, expected)| Call::Delete { lease, expected }),
        1 => (0..3_u8).prop_map(|lease| Call::Get { lease }),
        1 => Just(Call::List),
        4 => beating.clone().prop_map(Call::Heartbeat),
        1 => beating.prop_map(Call::Forget),
    ];
    prop::collection::vec(call, 1..40)
}

/// Makes all calls on both stores and compares each answer.
///
/// # Errors
///
/// Two answers differ.
pub async fn compare(other: Arc<dyn LeaseStore>, calls: &[Call]) -> Result<(), TestCaseError> {
    let memory = MemoryStore::new(worker("application").name);
    for (index, call) in calls.iter().enumerate() {
        let expected = answer(&memory, call).await;
        let actual = answer(&*other, call).await;
        prop_assert_eq!(actual, expected, "call {}: {:?}", index, call);
    }
    Ok(())
}

/// The answer as text; of an error, what the caller acts on.
async fn answer(store: &dyn LeaseStore, call: &Call) -> String {
    fn shown<Answer: std::fmt::Debug>(answer: Result<Answer, lease_core::StoreError>) -> String {
        format!("{:?}", answer.map_err(|error| error.kind()))
    }
    match call {
        Call::Put { lease, expected, row } => {
            let (version, epoch) = *expected;
            let row_is_there = Expected::Row { version: Version(version), epoch: Epoch(epoch) };
            let expected = if version == 0 { Expected::Absent } else { row_is_there };
            shown(store.put(expected, &lease_row(*lease, expected, row)).await)
        }
        Call::Delete { lease, expected: (version, epoch) } => {
            let row = Lease { version: Version(*version), epoch: Epoch(*epoch), ..key_of(*lease) };
            shown(store.delete(&row).await)
        }
        Call::Get { lease } => shown(store.get(&key_of(*lease).key).await),
        Call::List => shown(store.list().await),
        Call::Heartbeat(beating) => {
            // Each store has an epoch floor of its own.
            let beat = store.heartbeat(&row_of(beating)).await;
            shown(beat.map(|beat| match beat {
                Beat::Written { workers, .. } => Beat::Written { workers, epoch_floor: Epoch::NEVER_OWNED },
                replaced @ Beat::Replaced { .. } => replaced,
            }))
        }
        Call::Forget(beating) => shown(store.forget(&row_of(beating)).await),
    }
}

/// Keys with all that a name may have.
fn key_of(number: u8) -> Lease {
    let mut row = lease(["a", "ä \" ' \\ ; -- %", "漢字 {} :|"][usize::from(number) % 3]);
    if number == 1 {
        row.key.stream = worker("a/b c'\"\\").name;
    }
    row
}

fn lease_row(number: u8, expected: Expected, row: &Row) -> Lease {
    let base = key_of(number);
    let version = expected.next_version();
    let position = row.position.map_or(Position::HORIZON, |digits| {
        Position::After(RecordPosition::whole(digits.to_string().parse().expect("digits")))
    });
    Lease {
        version: if row.follows { version } else { version.next() },
        epoch: Epoch(row.epoch),
        owner: row.owner.map(|owner| worker(&format!("worker-{owner}"))),
        position: if row.change == 5 { Position::End } else { position },
        parents: if row.bare { Vec::new() } else { base.parents.clone() },
        hash_range: base.hash_range.filter(|_| !row.bare),
        last_change: lease_core::Change::ALL[usize::from(row.change)],
        ..base
    }
}

fn row_of(beating: &Beating) -> WorkerRow {
    let full = worker_row(&format!("worker-{}", beating.name));
    let incarnation = lease_core::Incarnation { number: beating.number, nonce: beating.nonce };
    let row = WorkerRow { incarnation, heartbeat: beating.heartbeat, ..full };
    if beating.bare { WorkerRow { heartbeat: row.heartbeat, ..WorkerRow::registering(row.id(), None) } } else { row }
}
