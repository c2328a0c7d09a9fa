//! Postgres, in a schema of its own.

use std::sync::Arc;

use async_trait::async_trait;
use lease_core::LeaseStore;
use lease_postgres::{PostgresStore, Schema};
use stream_types::Name;
use tokio::sync::OnceCell;

use super::Backend;
use crate::endpoints::required;

/// A schema of its own.
#[derive(Debug)]
pub struct Postgres {
    /// The server's URL.
    pub url: String,
    /// The schema.
    pub schema: Schema,
    opened: OnceCell<PostgresStore>,
}

/// A schema that nobody else uses.
///
/// # Panics
///
/// Never: the name is valid.
#[must_use]
pub fn fresh_schema() -> Schema {
    format!("test_{:016x}", fastrand::u64(..)).parse().expect("letters and digits")
}

impl Postgres {
    /// The store, with its tables.
    ///
    /// # Panics
    ///
    /// The server does not answer.
    pub async fn store(&self, application: Name) -> PostgresStore {
        let open = async || {
            let store = PostgresStore::connect(&self.url, application.clone()).await.expect("the server answers");
            let store = store.in_schema(self.schema.clone());
            store.prepare().await.expect("the tables are created");
            store
        };
        self.opened.get_or_init(open).await.for_application(application.clone())
    }

    /// The store behind another address, as behind a proxy that pools transactions. Its tables are there.
    ///
    /// # Panics
    ///
    /// That address does not answer.
    pub async fn pooled_store_at(&self, url: &str, application: Name) -> PostgresStore {
        let store = PostgresStore::connect(url, application).await.expect("the server answers");
        store.in_schema(self.schema.clone()).without_hints()
    }

    /// A schema of its own at that URL.
    #[must_use]
    pub fn at(url: String) -> Self {
        Self { url, schema: fresh_schema(), opened: OnceCell::new() }
    }
}

#[async_trait]
impl Backend for Postgres {
    fn fresh() -> Option<Self> {
        required("LEASEHOLD_TEST_POSTGRES").map(Self::at)
    }

    async fn open(&self, application: Name) -> Arc<dyn LeaseStore> {
        Arc::new(self.store(application).await)
    }
}

/// A schema of its own, behind a proxy that pools transactions.
#[derive(Debug)]
pub struct PooledPostgres(Postgres);

#[async_trait]
impl Backend for PooledPostgres {
    fn fresh() -> Option<Self> {
        required("LEASEHOLD_TEST_PGBOUNCER").map(|url| Self(Postgres::at(url)))
    }

    async fn open(&self, application: Name) -> Arc<dyn LeaseStore> {
        let open = async || {
            let store = PostgresStore::connect(&self.0.url, application.clone()).await.expect("the proxy answers");
            let store = store.in_schema(self.0.schema.clone()).without_hints();
            store.prepare().await.expect("the tables are created");
            store
        };
        Arc::new(self.0.opened.get_or_init(open).await.for_application(application.clone()))
    }
}
