//! `postgres://USER:PASSWORD@HOST:PORT/DATABASE`

use std::sync::Arc;

use lease_core::LeaseStore;
use lease_postgres::{PostgresStore, Schema};
use stream_types::Name;

use super::failed;
use crate::failure::Failure;

/// Opens the table, and creates what it lacks.
pub(super) async fn open(url: &str, application: Name) -> Result<Arc<dyn LeaseStore>, Failure> {
    let store = PostgresStore::connect(url, application).await.map_err(failed)?;
    store.prepare().await.map_err(failed)?;
    Ok(Arc::new(store))
}

/// The statements that create the tables.
pub(super) fn schema(name: &str) -> Result<String, Failure> {
    let schema: Schema = name.parse().map_err(|error| Failure::new(format!("--schema: {error}")))?;
    Ok(schema.ddl())
}
