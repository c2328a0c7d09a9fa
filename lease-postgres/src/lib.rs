//! Leasehold's lease table in Postgres: one implementation of [`LeaseStore`](lease_core::LeaseStore).
//!
//! Two tables, `leases` and `workers`, in a schema of your choice hold the rows of any number of applications.
//!
//! ```no_run
//! use lease_postgres::PostgresStore;
//! use stream_types::Name;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let store = PostgresStore::connect("postgres://leasehold@localhost/app", Name::new("billing")?).await?;
//! store.prepare().await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`PostgresStore::prepare`] creates the tables if they are missing, safely when many workers start at once. Or run
//! [`Schema::ddl`] yourself; the role that consumes then needs only `USAGE` on the schema and `SELECT`, `INSERT`, `UPDATE`,
//! `DELETE` on the two tables.
//!
//! Owners' changes are announced by `NOTIFY`, so that a lease reaches its new owner at once. Where connections go through
//! a proxy that pools transactions, turn that off by [`PostgresStore::without_hints`]: workers then find out with their
//! next heartbeat.
//!
//! Encrypted connections need one of sqlx's TLS features, which your own `Cargo.toml` turns on.

mod address;
mod error;
mod hints;
mod prepare;
mod row;
mod schema;
mod session;
mod statements;
mod store;

pub use schema::{InvalidSchema, Schema};
pub use store::PostgresStore;
