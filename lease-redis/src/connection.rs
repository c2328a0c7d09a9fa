//! The connections, to one server or to a Cluster.

use std::time::Duration;

use lease_core::{StoreError, StoreErrorKind, StoreOperation};
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig, PubSub};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{Client, Cmd, FromRedisValue, Pipeline, RedisFuture, RedisResult, ScriptInvocation, Value};

use crate::error::store_error;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may take. The consumer's own limit, which depends on the lease duration, is usually shorter.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that is made again when it breaks. Clones share it.
#[derive(Clone)]
pub(crate) enum Connection {
    One(ConnectionManager),
    Cluster(ClusterConnection),
}

impl Connection {
    /// Connects to one server, and says at once when that fails.
    pub(crate) async fn to_server(client: &Client) -> Result<Self, StoreError> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            // The worker itself asks again and again, ever more slowly.
            .set_number_of_retries(0);
        let connection = client.get_connection_manager_with_config(config).await;
        connection.map(Self::One).map_err(|error| store_error(StoreOperation::Connect, error))
    }

    pub(crate) async fn to_cluster(client: &ClusterClient) -> Result<Self, StoreError> {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, client.get_async_connection());
        let connection = connecting.await.map_err(|_| {
            let message = format!("Redis: the cluster did not answer within {CONNECT_TIMEOUT:?}");
            StoreError::new(StoreErrorKind::Unavailable, StoreOperation::Connect, message)
        })?;
        connection.map(Self::Cluster).map_err(|error| store_error(StoreOperation::Connect, error))
    }

    pub(crate) async fn run<Answer: FromRedisValue>(
        &self,
        operation: StoreOperation,
        script: &ScriptInvocation<'_>,
    ) -> Result<Answer, StoreError> {
        script.invoke_async(&mut self.clone()).await.map_err(|error| store_error(operation, error))
    }

    pub(crate) async fn ask<Answer: FromRedisValue>(
        &self,
        operation: StoreOperation,
        command: &Cmd,
    ) -> Result<Answer, StoreError> {
        command.query_async(&mut self.clone()).await.map_err(|error| store_error(operation, error))
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(command),
            Self::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

/// A connection of its own that listens to a channel.
pub(crate) async fn subscribed(client: &Client, channel: &str) -> RedisResult<PubSub> {
    let connecting = async {
        let mut listener = client.get_async_pubsub().await?;
        listener.subscribe(channel).await?;
        Ok(listener)
    };
    let late = |_| std::io::Error::new(std::io::ErrorKind::TimedOut, "the server did not answer in time");
    tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.map_err(late)?
}
