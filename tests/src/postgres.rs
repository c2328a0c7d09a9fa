//! Postgres stores on the server that `cargo xtask test` started, or that `LEASEHOLD_TEST_POSTGRES` names.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use lease_core::LeaseStore;
use lease_core::testing::StoreFactory;
use lease_postgres::{PostgresStore, Schema};
use stream_types::Name;

use crate::endpoints::required;

/// The URL of the server, if there is one.
///
/// # Panics
///
/// There is none in CI.
#[must_use]
pub fn url() -> Option<String> {
    required("LEASEHOLD_TEST_POSTGRES")
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

/// Opens stores in a schema of its own.
#[derive(Debug)]
pub struct FreshSchema {
    url: Option<String>,
    schema: Schema,
}

impl FreshSchema {
    /// A schema on the server, if there is one.
    ///
    /// # Panics
    ///
    /// There is no server in CI.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a default should have no consequences")]
    pub fn new() -> Self {
        Self { url: url(), schema: fresh_schema() }
    }
}

#[async_trait]
impl StoreFactory for FreshSchema {
    async fn open(&self, application: Name) -> Arc<dyn LeaseStore> {
        let url = self.url.as_deref().expect("without a server, no check runs");
        let store = PostgresStore::connect(url, application).await.expect("the server answers");
        let store = store.in_schema(self.schema.clone());
        store.prepare().await.expect("the tables are created");
        Arc::new(store)
    }

    fn block_on(&self, check: Pin<Box<dyn Future<Output = ()> + '_>>) {
        if self.url.is_some() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(check);
        }
    }
}
