//! The connections, to one server or to a Cluster.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lease_core::{StoreError, StoreErrorKind, StoreOperation};
use redis::aio::{ConnectionManager, ConnectionManagerConfig, PubSub};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::io::tcp::TcpSettings;
use redis::io::tcp::socket2::TcpKeepalive;
use redis::{Client, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ScriptInvocation};

use crate::error::store_error;

/// How long the other side may be silent, where an answer is due or a sign of life, before the connection is given up.
const SILENCE: Duration = Duration::from_secs(10);

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may take. The consumer's own limit, which depends on the lease duration, is usually shorter.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that is made again when it breaks. Clones share it.
#[derive(Clone)]
pub(crate) enum Connection {
    One(Renewable),
    Cluster(ClusterConnection),
}

/// A connection to one server. Its manager makes it again after it broke, but keeps what was refused while it was being
/// made: after a refusal it is replaced.
#[derive(Clone)]
pub(crate) struct Renewable {
    client: Arc<Client>,
    current: Arc<Mutex<Current>>,
}

struct Current {
    manager: ConnectionManager,
    since: Instant,
}

impl Renewable {
    /// A manager is replaced no sooner than after this time: a server that refuses everything, such as for want of memory, is
    /// not to be bothered with a new connection each time.
    const SHORTEST_LIFE: Duration = Duration::from_secs(1);

    fn new(client: Client, manager: ConnectionManager) -> Self {
        let current = Current { manager, since: Instant::now() };
        Self { client: Arc::new(client), current: Arc::new(Mutex::new(current)) }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn manager(&self) -> ConnectionManager {
        self.current().manager.clone()
    }

    /// After an error the next call needs another connection: to a server that lets this user in by now, or to the one that
    /// has become the primary. What a server refuses while a connection is made comes in many kinds; only one that broke
    /// the manager makes again by itself.
    fn renew_after(&self, error: &RedisError) {
        let mut current = self.current();
        if error.kind() != ErrorKind::Io
            && current.since.elapsed() >= Self::SHORTEST_LIFE
            && let Ok(manager) = ConnectionManager::new_lazy_with_config(Client::clone(&self.client), manager_config())
        {
            *current = Current { manager, since: Instant::now() };
        }
    }
}

fn manager_config() -> ConnectionManagerConfig {
    ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        // The worker itself asks again and again, ever more slowly.
        .set_number_of_retries(0)
}

/// The same client, whose connections notice when the other side is gone without a word.
pub(crate) fn attentive(client: &Client) -> Result<Client, StoreError> {
    let keepalive = TcpKeepalive::new().with_time(SILENCE).with_interval(SILENCE / 3);
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(SILENCE);
    let info = client.get_connection_info().clone().set_tcp_settings(settings);
    Client::open(info).map_err(|error| store_error(StoreOperation::Connect, error))
}

impl Connection {
    /// Connects to one server, and says at once when that fails.
    pub(crate) async fn to_server(client: &Client) -> Result<Self, StoreError> {
        let manager = client.get_connection_manager_with_config(manager_config()).await;
        let manager = manager.map_err(|error| store_error(StoreOperation::Connect, error))?;
        Ok(Self::One(Renewable::new(client.clone(), manager)))
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
        let answer = match self {
            Self::One(connection) => script.invoke_async(&mut connection.manager()).await,
            Self::Cluster(connection) => script.invoke_async(&mut connection.clone()).await,
        };
        self.judged(operation, answer)
    }

    pub(crate) async fn ask<Answer: FromRedisValue>(
        &self,
        operation: StoreOperation,
        command: &Cmd,
    ) -> Result<Answer, StoreError> {
        let answer = match self {
            Self::One(connection) => command.query_async(&mut connection.manager()).await,
            Self::Cluster(connection) => command.query_async(&mut connection.clone()).await,
        };
        self.judged(operation, answer)
    }

    pub(crate) async fn send<Answer: FromRedisValue>(
        &self,
        operation: StoreOperation,
        pipeline: &Pipeline,
    ) -> Result<Answer, StoreError> {
        let answer = match self {
            Self::One(connection) => pipeline.query_async(&mut connection.manager()).await,
            Self::Cluster(connection) => pipeline.query_async(&mut connection.clone()).await,
        };
        self.judged(operation, answer)
    }

    fn judged<Answer>(&self, operation: StoreOperation, answer: RedisResult<Answer>) -> Result<Answer, StoreError> {
        answer.map_err(|error| {
            if let Self::One(connection) = self {
                connection.renew_after(&error);
            }
            store_error(operation, error)
        })
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
