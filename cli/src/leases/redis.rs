//! `redis://USER:PASSWORD@HOST:PORT`, `rediss://…` with TLS, `redis-cluster://…` for a Cluster.

use std::sync::Arc;

use lease_core::LeaseStore;
use lease_redis::{RedisSettings, RedisStore};
use redis::Client;
use redis::cluster::ClusterClient;
use stream_types::Name;

use super::failed;
use crate::failure::Failure;

/// Opens the table. There is nothing to create.
pub(super) async fn open(url: &str, application: Name) -> Result<Arc<dyn LeaseStore>, Failure> {
    let Some(rest) = url.strip_prefix("redis-cluster:") else {
        return Ok(Arc::new(RedisStore::connect(url, application).await.map_err(failed)?));
    };
    let node = format!("redis:{rest}");
    // The client's own words: they do not repeat the URL, which may hold a password.
    let refused = |error| Failure::new(format!("--leases: {error}; write redis-cluster://USER:PASSWORD@HOST:PORT"));
    let cluster = ClusterClient::new([node.as_str()]).map_err(refused)?;
    let any_node = Client::open(node.as_str()).map_err(refused)?;
    let store = RedisStore::from_cluster(&cluster, any_node, application, RedisSettings::default()).await;
    Ok(Arc::new(store.map_err(failed)?))
}

/// The command that makes a user with no more rights than a worker needs.
pub(super) fn schema() -> String {
    format!("# Nothing has to be created. A user with the least rights that a worker needs:\n{}\n", RedisStore::ACL)
}
