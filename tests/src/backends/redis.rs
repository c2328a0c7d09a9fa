//! Redis, one server and a Cluster, under names of their own.

use std::sync::Arc;

use async_trait::async_trait;
use lease_core::LeaseStore;
use lease_redis::{RedisSettings, RedisStore};
use redis::Client;
use redis::cluster::ClusterClient;
use stream_types::Name;
use tokio::sync::OnceCell;

use super::Backend;
use crate::endpoints::required;

/// One server. Its applications' names begin with something that nobody else uses.
#[derive(Debug)]
pub struct Redis {
    /// The server's URL.
    pub url: String,
    prefix: String,
    opened: OnceCell<RedisStore>,
}

impl Redis {
    /// A place of its own on the server at that URL.
    #[must_use]
    pub fn at(url: String) -> Self {
        Self { url, prefix: format!("{:016x}", fastrand::u64(..)), opened: OnceCell::new() }
    }

    /// The same place by another way to the server.
    #[must_use]
    pub fn behind(&self, url: String) -> Self {
        Self { url, prefix: self.prefix.clone(), opened: OnceCell::new() }
    }

    /// The store, with these settings.
    ///
    /// # Panics
    ///
    /// The server does not answer.
    pub async fn store(&self, application: &Name, settings: RedisSettings) -> RedisStore {
        let client = Client::open(self.url.as_str()).expect("a valid URL");
        let application = prefixed(&self.prefix, application);
        RedisStore::from_client(client, application, settings).await.expect("the server answers")
    }
}

#[async_trait]
impl Backend for Redis {
    fn fresh() -> Option<Self> {
        required("LEASEHOLD_TEST_REDIS").map(Self::at)
    }

    async fn open(&self, application: Name) -> Arc<dyn LeaseStore> {
        let open = || self.store(&application, RedisSettings::default());
        let prefixed = prefixed(&self.prefix, &application);
        Arc::new(self.opened.get_or_init(open).await.for_application(&prefixed))
    }
}

/// A Cluster.
#[derive(Debug)]
pub struct RedisCluster {
    url: String,
    prefix: String,
}

#[async_trait]
impl Backend for RedisCluster {
    fn fresh() -> Option<Self> {
        let url = required("LEASEHOLD_TEST_REDIS_CLUSTER")?;
        Some(Self { url, prefix: format!("{:016x}", fastrand::u64(..)) })
    }

    async fn open(&self, application: Name) -> Arc<dyn LeaseStore> {
        let cluster = ClusterClient::new([self.url.as_str()]).expect("a valid URL");
        let node = Client::open(self.url.as_str()).expect("a valid URL");
        let application = prefixed(&self.prefix, &application);
        let store = RedisStore::from_cluster(&cluster, node, application, RedisSettings::default()).await;
        Arc::new(store.expect("the cluster answers"))
    }
}

/// Names keep what is special about them, which a check may be about.
fn prefixed(prefix: &str, application: &Name) -> Name {
    Name::new(format!("{prefix}/{application}")).expect("short enough")
}
