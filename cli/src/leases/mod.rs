//! Lease tables by URL. Those other than memory are compiled only when their cargo feature is on.

#[cfg(feature = "dynamodb")]
pub(crate) mod dynamodb;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod schema;

use std::sync::Arc;

use lease_core::{LeaseStore, MemoryStore};
use stream_types::Name;

pub(crate) use self::schema::print_schema;
use crate::failure::Failure;

/// Opens the lease table at that URL.
pub(crate) async fn open(url: &str, application: Name) -> Result<Arc<dyn LeaseStore>, Failure> {
    let scheme = url.split(':').next().unwrap_or_default();
    match scheme {
        "memory" => Ok(Arc::new(MemoryStore::new(application))),
        #[cfg(feature = "dynamodb")]
        "dynamodb" => dynamodb::open(url, application).await,
        #[cfg(not(feature = "dynamodb"))]
        "dynamodb" => Err(without("--leases", "dynamodb")),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => postgres::open(url, application).await,
        #[cfg(not(feature = "postgres"))]
        "postgres" | "postgresql" => Err(without("--leases", "postgres")),
        #[cfg(feature = "redis")]
        "redis" | "rediss" | "redis-cluster" => redis::open(url, application).await,
        #[cfg(not(feature = "redis"))]
        "redis" | "rediss" | "redis-cluster" => Err(without("--leases", "redis")),
        // The rest of the URL may hold a password.
        _ => Err(Failure::new(format!(
            "--leases: {scheme:?} is no lease table: write memory:, dynamodb://…, postgres://…, redis://…, \
             rediss://… or redis-cluster://…"
        ))),
    }
}

#[cfg(any(feature = "dynamodb", feature = "postgres", feature = "redis"))]
#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn failed(error: lease_core::StoreError) -> Failure {
    Failure::new(format!("--leases: {error}"))
}

#[cfg(not(all(feature = "dynamodb", feature = "postgres", feature = "redis")))]
fn without(what: &str, feature: &str) -> Failure {
    Failure::new(format!("{what}: this leasehold was built without {feature}: build it with --features {feature}"))
}
