//! Leasehold's lease table in Redis: one implementation of [`LeaseStore`](lease_core::LeaseStore).
//!
//! # What Redis can lose
//!
//! A Redis that fails over, or restarts from its disk, goes on **without its newest writes**: it confirms writes before
//! its replicas or its disk have them. For leases this means:
//!
//! - **Records are repeated, never skipped.** A position that was lost lies further on than the one before it, from which
//!   reading goes on. Two workers may read one shard until the first of them stores a checkpoint or lists the leases.
//! - **Fencing tokens are not given out twice.** A lost change of owner would count on from an old epoch; therefore epochs
//!   follow the server's time in milliseconds, and a sink that refuses lower ones goes on refusing the right ones. This
//!   holds as long as a promoted server's clock is not behind by more than the failover took.
//!
//! Where that is too weak, use Postgres or DynamoDB, or let writes wait for replicas
//! ([`RedisSettings::acknowledgement`]) and have the server write each one to its disk (`appendfsync always`).
//!
//! A server whose `maxmemory-policy` lets it delete keys is refused ([`RedisSettings::accepts_eviction`]).
//!
//! # Use
//!
//! ```no_run
//! use lease_redis::RedisStore;
//! use stream_types::Name;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let store = RedisStore::connect("redis://localhost", Name::new("billing")?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! There is nothing to prepare. An application has two hashes, `{leasehold:APPLICATION}:leases` and
//! `{leasehold:APPLICATION}:workers`, whose rows are readable text, and a channel for hints. All bear one hash tag, so that
//! Cluster works. Each verb is one script, which the server carries out whole.
//!
//! Encrypted connections (`rediss://`) need one of the TLS features of the crate `redis`, which your own `Cargo.toml` turns
//! on, such as `tokio-rustls-comp`.

mod address;
mod codec;
mod connection;
mod error;
mod hints;
mod keys;
mod scripts;
mod server_check;
mod settings;
mod store;

pub use settings::{Acknowledgement, RedisSettings};
pub use store::RedisStore;
