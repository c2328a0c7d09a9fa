//! The store.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use lease_core::{
    Beat, Epoch, Expected, Hints, Lease, LeaseKey, LeaseStore, Outcome, StoreError, StoreErrorKind, StoreOperation,
    WorkerRow,
};
use redis::cluster::ClusterClient;
use redis::{Arg, Client, Pipeline, Value, cmd, pipe};
use stream_types::Name;

use crate::address;
use crate::codec::{decode_lease, decode_worker, encode_lease, encode_worker};
use crate::connection::{Connection, attentive};
use crate::hints::RedisHints;
use crate::keys::Keys;
use crate::scripts::{Scripts, WRITE_LEASE};
use crate::server_check::refuse_eviction;
use crate::settings::{Acknowledgement, RedisSettings};

/// The leases and workers of one application, in two hashes of a Redis server or Cluster. Clones share their connections.
#[derive(Clone)]
pub struct RedisStore {
    connection: Connection,
    /// Writes that wait for replicas hold up whatever comes after them on their connection: they have one of their own.
    acknowledged: Option<(Connection, Acknowledgement)>,
    /// Where hints come from.
    listens_to: Option<Client>,
    keys: Keys,
    scripts: Arc<Scripts>,
}

impl RedisStore {
    /// The command that makes a user with no more rights than a worker needs; give it a password of your own.
    pub const ACL: &str = "ACL SETUSER leasehold on >PASSWORD resetkeys ~{leasehold:* resetchannels &{leasehold:* \
         -@all +@connection -@dangerous +cluster|slots +cluster|shards +eval +evalsha +script|load +hget +hset +hdel +hvals +time +publish \
         +subscribe +unsubscribe +wait +info";

    /// The most words that a command given to [`RedisStore::put_with`] may have, its name included. A script of Redis can
    /// take no more than about 8,000 values apart.
    pub const MAX_WORDS: usize = 7_000;

    /// Connects to the server at a URL such as `redis://USER:PASSWORD@HOST:PORT`, with the default settings.
    ///
    /// # Errors
    ///
    /// Those of [`RedisStore::from_client`], and the URL is none.
    pub async fn connect(url: &str, application: Name) -> Result<Self, StoreError> {
        Self::from_client(address::client(url)?, application, RedisSettings::default()).await
    }

    /// Connects by a client of yours.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, refuses the user, or may delete leases by itself, unless the settings accept that.
    pub async fn from_client(client: Client, application: Name, settings: RedisSettings) -> Result<Self, StoreError> {
        let client = attentive(&client)?;
        let connection = Connection::to_server(&client).await?;
        let acknowledged = match settings.acknowledgement {
            Some(acknowledgement) => Some((Connection::to_server(&client).await?, acknowledgement)),
            None => None,
        };
        let listens_to = settings.has_hints.then_some(client);
        Self::new(connection, acknowledged, listens_to, application, settings.accepts_eviction).await
    }

    /// Connects to a Cluster by a client of yours, and for hints to one of its nodes. An application's keys are all on
    /// one node.
    ///
    /// # Errors
    ///
    /// Those of [`RedisStore::from_client`]; and the settings ask for an acknowledgement, which only a single server
    /// gives.
    pub async fn from_cluster(
        cluster: &ClusterClient,
        any_node: Client,
        application: Name,
        settings: RedisSettings,
    ) -> Result<Self, StoreError> {
        if settings.acknowledgement.is_some() {
            let message = "Redis: RedisSettings::acknowledgement is for a single server: leave it out for a Cluster";
            return Err(StoreError::new(StoreErrorKind::Invalid, StoreOperation::Connect, message));
        }
        let connection = Connection::to_cluster(cluster).await?;
        let listens_to = if settings.has_hints { Some(attentive(&any_node)?) } else { None };
        Self::new(connection, None, listens_to, application, settings.accepts_eviction).await
    }

    async fn new(
        connection: Connection,
        acknowledged: Option<(Connection, Acknowledgement)>,
        listens_to: Option<Client>,
        application: Name,
        accepts_eviction: bool,
    ) -> Result<Self, StoreError> {
        if !accepts_eviction {
            refuse_eviction(&connection).await?;
        }
        let (keys, scripts) = (Keys::new(&application), Arc::new(Scripts::new()));
        Ok(Self { connection, acknowledged, listens_to, keys, scripts })
    }

    /// The same server, as another application sees it.
    #[must_use]
    pub fn for_application(&self, application: &Name) -> Self {
        Self { keys: Keys::new(application), ..self.clone() }
    }

    /// The hash tag of the application's keys, braces included, such as `{leasehold:billing}`. In a Cluster, keys that a
    /// [`RedisStore::put_with`] writes must bear it.
    #[must_use]
    pub fn hash_tag(&self) -> &str {
        &self.keys.tag
    }

    /// Writes `next` if the row is as expected, **and together with it carries out these commands**; if it is not, does
    /// neither. So results and checkpoint are stored together.
    ///
    /// No other client sees one without the other. But **Redis takes nothing back**: if one of the commands fails, such as
    /// one on a key of another type, those before it have been carried out, and the row is not written. Whoever tries
    /// again carries them out again. So give it commands that cannot fail.
    ///
    /// # Errors
    ///
    /// Those of [`LeaseStore::put`]; a command has more than [`RedisStore::MAX_WORDS`] words, before anything is sent; a
    /// command fails; in a Cluster, a key is on another node.
    pub async fn put_with(
        &self,
        expected: Expected,
        next: &Lease,
        commands: &Pipeline,
    ) -> Result<Outcome<Lease>, StoreError> {
        StoreError::check_successor(expected, next)?;
        if let Some(command) = commands.cmd_iter().find(|command| command.args_iter().len() > Self::MAX_WORDS) {
            let (words, most) = (command.args_iter().len(), Self::MAX_WORDS);
            let message =
                format!("Redis: a command of {words} words is more than a script can carry out: the most is {most}");
            return Err(StoreError::new(StoreErrorKind::Invalid, StoreOperation::Put, message));
        }
        let is_news = next.last_change.is_news();
        let row = encode_lease(next);
        let answer = self.write(StoreOperation::Put, &next.key, expected, &row, is_news, commands).await?;
        outcome(answer, StoreOperation::Put, decode_lease)
    }

    /// The channel to tell of news, or none.
    fn channel_if(&self, news: bool) -> &str {
        if news && self.listens_to.is_some() { &self.keys.channel } else { "" }
    }

    /// Writes a lease, or removes it if the row is empty.
    async fn write(
        &self,
        operation: StoreOperation,
        key: &LeaseKey,
        expected: Expected,
        row: &str,
        is_news: bool,
        commands: &Pipeline,
    ) -> Result<Value, StoreError> {
        let expected = match expected {
            Expected::Absent => String::new(),
            Expected::Row { version, epoch } => format!("{version} {epoch}"),
        };
        let field = key.to_string();
        let mut words: Vec<Vec<u8>> =
            [&field, &expected, row, self.channel_if(is_news)].iter().map(|word| word.as_bytes().to_vec()).collect();
        for command in commands.cmd_iter() {
            words.push(command.args_iter().len().to_string().into_bytes());
            words.extend(command.args_iter().map(|word| match word {
                Arg::Simple(word) => word.to_vec(),
                // The cursor of a scan, which begins at zero.
                _ => b"0".to_vec(),
            }));
        }
        if let Some((connection, acknowledgement)) = &self.acknowledged {
            return self.write_acknowledged(operation, connection, *acknowledgement, &words).await;
        }
        let mut script = self.scripts.write_lease.key(&self.keys.leases);
        words.iter().for_each(|word| {
            script.arg(word);
        });
        self.connection.run(operation, &script).await
    }

    /// Writes a lease, and waits until enough replicas have it.
    async fn write_acknowledged(
        &self,
        operation: StoreOperation,
        connection: &Connection,
        acknowledgement: Acknowledgement,
        words: &[Vec<u8>],
    ) -> Result<Value, StoreError> {
        let Acknowledgement { replicas, within } = acknowledgement;
        let mut pipeline = pipe();
        pipeline.cmd("EVAL").arg(WRITE_LEASE).arg(1).arg(&self.keys.leases).arg(words);
        // Zero would wait for ever.
        let milliseconds = u64::try_from(within.as_millis()).unwrap_or(u64::MAX).max(1);
        pipeline.cmd("WAIT").arg(replicas).arg(milliseconds);
        let (answer, acknowledged): (Value, u32) = connection.send(operation, &pipeline).await?;
        if acknowledged < replicas {
            let message = format!("Redis: {acknowledged} replicas of {replicas} had the write within {within:?}");
            return Err(StoreError::new(StoreErrorKind::Ambiguous, operation, message));
        }
        Ok(answer)
    }
}

#[async_trait]
impl LeaseStore for RedisStore {
    async fn list(&self) -> Result<Vec<Lease>, StoreError> {
        let rows: Vec<Vec<u8>> = self.connection.ask(StoreOperation::List, cmd("HVALS").arg(&self.keys.leases)).await?;
        let leases = rows.iter().map(|row| decode_lease(row, StoreOperation::List));
        let mut leases = leases.collect::<Result<Vec<_>, _>>()?;
        leases.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(leases)
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, StoreError> {
        let mut command = cmd("HGET");
        command.arg(&self.keys.leases).arg(key.to_string());
        let row: Option<Vec<u8>> = self.connection.ask(StoreOperation::Get, &command).await?;
        row.map(|row| decode_lease(&row, StoreOperation::Get)).transpose()
    }

    async fn put(&self, expected: Expected, next: &Lease) -> Result<Outcome<Lease>, StoreError> {
        self.put_with(expected, next, &pipe()).await
    }

    async fn delete(&self, lease: &Lease) -> Result<Outcome<Lease>, StoreError> {
        let operation = StoreOperation::Delete;
        let answer = self.write(operation, &lease.key, Expected::row(lease), "", false, &pipe()).await?;
        outcome(answer, operation, decode_lease)
    }

    async fn heartbeat(&self, me: &WorkerRow) -> Result<Beat, StoreError> {
        let operation = StoreOperation::Heartbeat;
        let mut script = self.scripts.heartbeat.key(&self.keys.workers);
        script.arg(me.name.as_str()).arg(me.incarnation.number).arg(me.incarnation.nonce).arg(me.heartbeat);
        script.arg(encode_worker(me)).arg(WorkerRow::REGISTERS).arg(self.channel_if(me.is_news()));
        let answer: Vec<Value> = self.connection.run(operation, &script).await?;
        match &answer[..] {
            [Value::Int(1), Value::Int(time_ms), rows @ ..] => {
                let workers = rows.iter().map(|row| decode_worker(bytes(row, operation)?, operation));
                let mut workers = workers.collect::<Result<Vec<_>, _>>()?;
                workers.sort_by(|a, b| a.name.cmp(&b.name));
                // A server that has lost its newest rows counts on from older ones; its time goes on.
                Ok(Beat::Written { workers, epoch_floor: Epoch(u64::try_from(*time_ms).unwrap_or_default()) })
            }
            [Value::Int(0), row] => Ok(Beat::Replaced { by: decode_worker(bytes(row, operation)?, operation)? }),
            _ => Err(unexpected(operation)),
        }
    }

    async fn forget(&self, worker: &WorkerRow) -> Result<Outcome<WorkerRow>, StoreError> {
        let mut script = self.scripts.forget.key(&self.keys.workers);
        script.arg(worker.name.as_str()).arg(encode_worker(worker)).arg(self.channel_if(true));
        let answer = self.connection.run(StoreOperation::Forget, &script).await?;
        outcome(answer, StoreOperation::Forget, decode_worker)
    }

    fn hints(&self) -> Option<Box<dyn Hints>> {
        let hints = |client: &Client| RedisHints::new(client.clone(), self.keys.channel.clone());
        self.listens_to.as_ref().map(|client| Box::new(hints(client)) as Box<dyn Hints>)
    }
}

/// What a script that writes one row has answered.
fn outcome<Row>(
    answer: Value,
    operation: StoreOperation,
    decode: fn(&[u8], StoreOperation) -> Result<Row, StoreError>,
) -> Result<Outcome<Row>, StoreError> {
    match answer {
        Value::Int(1) => Ok(Outcome::Applied),
        Value::Nil => Ok(Outcome::Conflict { current: None }),
        row => Ok(Outcome::Conflict { current: Some(decode(bytes(&row, operation)?, operation)?) }),
    }
}

fn bytes(value: &Value, operation: StoreOperation) -> Result<&[u8], StoreError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        _ => Err(unexpected(operation)),
    }
}

fn unexpected(operation: StoreOperation) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, operation, "Redis: a script of ours answered what it never does")
}

/// Without the connections, whose options hold the password.
impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("keys", &self.keys.tag).finish_non_exhaustive()
    }
}
