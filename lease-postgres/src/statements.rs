//! The statements, written once for a schema.

use std::sync::Arc;

use lease_core::WorkerRow;

use crate::row::{LEASE_COLUMNS, WORKER_COLUMNS};
use crate::schema::Schema;

/// All statements of a store. `$1` is the application in each.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) list: Arc<str>,
    pub(crate) get: Arc<str>,
    /// In the user's transaction, which waits for a locked row as its owner wants it to.
    pub(crate) in_users_transaction: Puts,
    /// In a transaction of its own, which does not wait long.
    pub(crate) in_own_transaction: Puts,
    pub(crate) delete: Arc<str>,
    pub(crate) heartbeat: Arc<str>,
    pub(crate) workers: Arc<str>,
    pub(crate) worker: Arc<str>,
    pub(crate) forget: Arc<str>,
}

/// What writes a lease.
#[derive(Debug)]
pub(crate) struct Puts {
    pub(crate) insert: Arc<str>,
    pub(crate) update: Arc<str>,
}

/// The columns that a write sets, with their parameters from `$4` on.
const LEASE_VALUES: [(&str, &str); 15] = [
    ("version", "$4"),
    ("epoch", "$5"),
    ("owner_name", "$6"),
    ("owner_number", "$7"),
    ("owner_nonce", "$8"),
    ("position", "$9"),
    ("parents", "$10"),
    ("hash_start", "$11::text::numeric"),
    ("hash_end", "$12::text::numeric"),
    ("stream_created_ms", "$13"),
    ("stream_start", "$14"),
    ("updated_name", "$15"),
    ("updated_number", "$16"),
    ("updated_nonce", "$17"),
    ("last_change", "$18"),
];

/// For how long a write of the store's own waits for a row that somebody else's transaction has locked. Then it fails, and is
/// tried again.
const LONGEST_LOCK_MILLIS: u32 = 200;

/// After how long the server ends a transaction of the store's own that is not committed. Behind a proxy that pools transactions, the
/// commit is a step of its own: a process that is gone by then, or frozen, would keep the row locked for as long as the server
/// believes in its connection, which may be hours.
const LONGEST_IDLE_MILLIS: u32 = 5_000;

/// With the row in hand, the transaction may take its time: a commit that notifies waits for those before it.
const AT_LEISURE: &str = "set_config('lock_timeout', '0', true)";

/// Which lease.
const THIS_LEASE: &str = "application = $1 AND stream = $2 AND shard = $3";

/// A condition that is always true, and limits the time in its transaction.
///
/// The row may be locked by a transaction of somebody who is frozen in the middle of it. To wait for that would keep one connection
/// after the other, until none is left for heartbeats.
fn soon() -> String {
    format!(
        "(SELECT set_config('lock_timeout', '{LONGEST_LOCK_MILLIS}', true) \
         || set_config('idle_in_transaction_session_timeout', '{LONGEST_IDLE_MILLIS}', true)) IS NOT NULL"
    )
}

/// A write returns a row; on the way it notifies, if it is given a channel.
fn notify(channel: &str) -> String {
    format!("(SELECT pg_notify({channel}::text, '') WHERE {channel}::text IS NOT NULL)")
}

impl Puts {
    fn in_users_transaction(leases: &str) -> Self {
        Self::returning(leases, "true", &notify("$19"))
    }

    fn in_own_transaction(leases: &str) -> Self {
        Self::returning(leases, &soon(), &[AT_LEISURE, &notify("$19")].join(", "))
    }

    fn returning(leases: &str, condition: &str, returned: &str) -> Self {
        let names = LEASE_VALUES.map(|(name, _)| name).join(", ");
        let values = LEASE_VALUES.map(|(_, value)| value).join(", ");
        let settings = LEASE_VALUES.map(|(name, value)| format!("{name} = {value}")).join(", ");
        Self {
            insert: Arc::from(format!(
                "INSERT INTO {leases} (application, stream, shard, {names}) SELECT $1, $2, $3, {values} \
                 WHERE {condition} ON CONFLICT DO NOTHING RETURNING {returned}"
            )),
            update: Arc::from(format!(
                "UPDATE {leases} SET {settings}, updated_at = now() WHERE {THIS_LEASE} AND version = $20 AND epoch = $21 \
                 AND {condition} \
                 RETURNING {returned}"
            )),
        }
    }
}

impl Statements {
    pub(crate) fn new(schema: &Schema) -> Self {
        let (leases, workers) = (format!("{}.leases", schema.quoted()), format!("{}.workers", schema.quoted()));
        let (lease_columns, worker_columns) = (LEASE_COLUMNS, WORKER_COLUMNS);
        let (registers, soon) = (WorkerRow::REGISTERS, soon());
        let statement = |text: String| Arc::from(text);
        let returned = [AT_LEISURE, &notify("$14")].join(", ");
        Self {
            list: statement(format!(
                "SELECT {lease_columns} FROM {leases} WHERE application = $1 ORDER BY stream, shard"
            )),
            get: statement(format!("SELECT {lease_columns} FROM {leases} WHERE {THIS_LEASE}")),
            in_users_transaction: Puts::in_users_transaction(&leases),
            in_own_transaction: Puts::in_own_transaction(&leases),
            delete: statement(format!(
                "DELETE FROM {leases} WHERE {THIS_LEASE} AND version = $4 AND epoch = $5 AND {soon} RETURNING 1"
            )),
            // The rule of WorkerRow::may_replace.
            heartbeat: statement(format!(
                "INSERT INTO {workers} AS stored (application, {worker_columns}) \
                 SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13 WHERE {soon} \
                 ON CONFLICT (application, name) DO UPDATE SET number = $3, nonce = $4, heartbeat = $5, \
                 generation = $6, capacity = $7, zone = $8, plan_version = $9, leaving = $10, returns_within_ms = $11, \
                 streams = $12, lease_duration_ms = $13, updated_at = now() \
                 WHERE (stored.number = $3 AND stored.nonce = $4 AND stored.heartbeat <= $5) \
                 OR ($5 = {registers} AND stored.number < $3) RETURNING {returned}"
            )),
            workers: statement(format!("SELECT {worker_columns} FROM {workers} WHERE application = $1 ORDER BY name")),
            worker: statement(format!("SELECT {worker_columns} FROM {workers} WHERE application = $1 AND name = $2")),
            forget: statement(format!(
                "DELETE FROM {workers} WHERE application = $1 AND name = $2 AND number = $3 AND nonce = $4 \
                 AND heartbeat = $5 AND generation = $6 AND capacity IS NOT DISTINCT FROM $7 \
                 AND zone IS NOT DISTINCT FROM $8 AND plan_version = $9 AND leaving = $10 \
                 AND returns_within_ms IS NOT DISTINCT FROM $11 AND streams IS NOT DISTINCT FROM $12 \
                 AND lease_duration_ms IS NOT DISTINCT FROM $13 AND {soon} RETURNING {returned}"
            )),
        }
    }
}
