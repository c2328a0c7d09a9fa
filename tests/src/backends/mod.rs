//! Lease tables on the real servers that `cargo xtask test` started, or that variables name.

mod dynamodb;
mod postgres;
mod redis;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use lease_core::LeaseStore;
use lease_core::testing::StoreFactory;
use stream_types::Name;

pub use self::dynamodb::{Dynamodb, DynamodbServer};
pub use self::postgres::{PooledPostgres, Postgres, fresh_schema};
pub use self::redis::{Redis, RedisCluster};

/// A place for lease tables on a real server, which nobody else uses.
#[async_trait]
pub trait Backend: fmt::Debug + Send + Sync + Sized + 'static {
    /// A place of its own, if there is a server.
    ///
    /// # Panics
    ///
    /// There is none in CI.
    fn fresh() -> Option<Self>;

    /// Opens the store of an application in this place; creates what it lacks.
    async fn open(&self, application: Name) -> Arc<dyn LeaseStore>;
}

/// Makes the stores of one conformance check, if there is a server.
#[derive(Debug)]
pub struct Fresh<Place>(Option<Place>);

impl<Place: Backend> Fresh<Place> {
    /// A fresh place on the server, if there is one.
    ///
    /// # Panics
    ///
    /// There is no server in CI.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a default should have no consequences")]
    pub fn new() -> Self {
        Self(Place::fresh())
    }
}

#[async_trait]
impl<Place: Backend> StoreFactory for Fresh<Place> {
    async fn open(&self, application: Name) -> Arc<dyn LeaseStore> {
        self.0.as_ref().expect("without a server, no check runs").open(application).await
    }

    fn block_on(&self, check: Pin<Box<dyn Future<Output = ()> + '_>>) {
        if self.0.is_some() {
            runtime().block_on(check);
        }
    }
}

/// A runtime for one test.
///
/// # Panics
///
/// The machine has no resources left.
#[must_use]
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts")
}
