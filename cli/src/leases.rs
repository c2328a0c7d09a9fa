//! Lease tables by URL. Those other than memory are compiled only when their cargo feature is on.

use std::sync::Arc;

use lease_core::{LeaseStore, MemoryStore};
use stream_types::Name;

use crate::arguments::SchemaOptions;
use crate::failure::Failure;

/// Opens the lease table at that URL, and creates what it lacks.
pub(crate) async fn open(url: &str, application: Name) -> Result<Arc<dyn LeaseStore>, Failure> {
    let scheme = url.split(':').next().unwrap_or_default();
    match scheme {
        "memory" => Ok(Arc::new(MemoryStore::new(application))),
        "postgres" | "postgresql" => postgres(url, application).await,
        // The rest of the URL may hold a password.
        _ => Err(Failure::new(format!("--leases: {scheme:?} is no lease table: write memory: or postgres://…"))),
    }
}

#[cfg(feature = "postgres")]
async fn postgres(url: &str, application: Name) -> Result<Arc<dyn LeaseStore>, Failure> {
    let failed = |error: lease_core::StoreError| Failure::new(format!("--leases: {error}"));
    let store = lease_postgres::PostgresStore::connect(url, application).await.map_err(failed)?;
    store.prepare().await.map_err(failed)?;
    Ok(Arc::new(store))
}

#[cfg(not(feature = "postgres"))]
#[expect(clippy::unused_async, reason = "with the feature, it waits")]
async fn postgres(_url: &str, _application: Name) -> Result<Arc<dyn LeaseStore>, Failure> {
    Err(without("--leases"))
}

/// Prints the statements that create the tables.
#[cfg(feature = "postgres")]
pub(crate) fn print_schema(options: &SchemaOptions) -> Result<(), Failure> {
    let schema: lease_postgres::Schema =
        options.schema.parse().map_err(|error| Failure::new(format!("--schema: {error}")))?;
    print!("{}", schema.ddl());
    Ok(())
}

/// Says that this build knows no tables.
#[cfg(not(feature = "postgres"))]
pub(crate) fn print_schema(_options: &SchemaOptions) -> Result<(), Failure> {
    Err(without("schema"))
}

#[cfg(not(feature = "postgres"))]
fn without(what: &str) -> Failure {
    Failure::new(format!("{what}: this leasehold was built without Postgres: build it with --features postgres"))
}
