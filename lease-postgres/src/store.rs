//! The store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lease_core::{
    Beat, Epoch, Expected, Hints, Lease, LeaseKey, LeaseStore, Outcome, StoreError, StoreErrorKind, StoreOperation,
    WorkerRow,
};
use sqlx::postgres::{PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Row};
use stream_types::Name;

use crate::address;
use crate::error::store_error;
use crate::hints::PostgresHints;
use crate::row::{self, Statement, column_number};
use crate::schema::Schema;
use crate::session::Session;
use crate::statements::{Puts, Statements};

/// The leases and workers of one application, in two Postgres tables. Clones share their connections.
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
    application: Name,
    schema: Schema,
    statements: Arc<Statements>,
    has_hints: bool,
}

/// How many connections a store of its own pool makes, besides those that listen: one for each worker.
const MAX_CONNECTIONS: u32 = 8;

/// How long a call waits for a connection. A consumer gives a call a quarter of its lease duration, which is 2.5 s by default;
/// after less than that, the call itself can tell what was missing.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

impl PostgresStore {
    /// Connects to the database at a URL such as `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
    ///
    /// # Errors
    ///
    /// The URL is none, the server cannot be reached, it refuses the user, or it only reads.
    pub async fn connect(url: &str, application: Name) -> Result<Self, StoreError> {
        let failed = |error| store_error(StoreOperation::Connect, error);
        let options = address::options(url)?;
        // The pool would try a server that refuses again and again, and then only say that it took too long.
        let probe = PgConnection::connect_with(&options);
        let probe = tokio::time::timeout(ACQUIRE_TIMEOUT, probe).await.map_err(|_| {
            let (host, port) = (options.get_host(), options.get_port());
            let message = format!("Postgres: {host}:{port} did not answer within {ACQUIRE_TIMEOUT:?}");
            StoreError::new(StoreErrorKind::Unavailable, StoreOperation::Connect, message)
        })?;
        let mut probe = probe.map_err(failed)?;
        if !may_write(&mut probe).await.map_err(failed)? {
            let message = "Postgres: this server only reads; connect to the primary, with a role that may write";
            return Err(StoreError::new(StoreErrorKind::Unavailable, StoreOperation::Connect, message));
        }
        probe.close().await.map_err(failed)?;
        let pool = PgPoolOptions::new().max_connections(MAX_CONNECTIONS).acquire_timeout(ACQUIRE_TIMEOUT);
        // In place of sqlx's own test, which a server passes that has become a standby while another is the primary.
        let pool = pool.test_before_acquire(false).before_acquire(|connection, _| Box::pin(may_write(connection)));
        Ok(Self::from_pool(pool.connect_lazy_with(options), application))
    }

    /// Uses a pool of yours. It should not go on using connections to a server that has become a standby, which sqlx's own test
    /// does not notice: `before_acquire` may ask for `transaction_read_only`, as the pool of [`connect`](Self::connect) does.
    #[must_use]
    pub fn from_pool(pool: PgPool, application: Name) -> Self {
        let schema = Schema::default();
        let statements = Arc::new(Statements::new(&schema));
        Self { pool, application, schema, statements, has_hints: true }
    }

    /// Keeps the tables in that schema.
    #[must_use]
    pub fn in_schema(self, schema: Schema) -> Self {
        Self { statements: Arc::new(Statements::new(&schema)), schema, ..self }
    }

    /// Neither sends nor receives notifications, and leaves nothing behind on a connection from one transaction to the next:
    /// for connections through a proxy that pools transactions.
    #[must_use]
    pub fn without_hints(self) -> Self {
        Self { has_hints: false, ..self }
    }

    /// The same tables, as another application sees them.
    #[must_use]
    pub fn for_application(&self, application: Name) -> Self {
        Self { application, ..self.clone() }
    }

    /// Writes `next` if the row is as expected, **in your transaction**: your results and the checkpoint are stored
    /// together when it is committed, or neither is. On [`Outcome::Conflict`], roll it back.
    ///
    /// The row is locked until the transaction ends. Whoever wants to take the lease meanwhile tries again until then: so set
    /// `idle_in_transaction_session_timeout` to a few seconds, in case this process is frozen in the middle of it.
    ///
    /// # Errors
    ///
    /// Those of [`LeaseStore::put`]. The transaction cannot be committed then.
    pub async fn put_in(
        &self,
        connection: &mut PgConnection,
        expected: Expected,
        next: &Lease,
    ) -> Result<Outcome<Lease>, StoreError> {
        self.put_by(&self.statements.in_users_transaction, connection, expected, next).await
    }

    async fn put_by(
        &self,
        puts: &Puts,
        connection: &mut PgConnection,
        expected: Expected,
        next: &Lease,
    ) -> Result<Outcome<Lease>, StoreError> {
        StoreError::check_successor(expected, next)?;
        let operation = StoreOperation::Put;
        let text = match expected {
            Expected::Absent => &puts.insert,
            Expected::Row { .. } => &puts.update,
        };
        let statement = row::bind_lease(self.lease_statement(text, &next.key), next)?;
        let statement = statement.bind(self.channel_if(next.last_change.is_news()));
        let statement = match expected {
            Expected::Absent => statement,
            Expected::Row { version, epoch } => {
                let statement = statement.bind(column_number(version.0, operation)?);
                statement.bind(column_number(epoch.0, operation)?)
            }
        };
        match one(statement, connection, operation).await? {
            Some(_) => Ok(Outcome::Applied),
            None => Ok(Outcome::Conflict { current: self.stored(connection, &next.key, operation).await? }),
        }
    }

    pub(crate) const fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(crate) const fn schema(&self) -> &Schema {
        &self.schema
    }

    /// A statement with the application bound. Without hints it is not kept on its connection, which a proxy may give to
    /// somebody else afterwards.
    fn statement(&self, text: &Arc<str>) -> Statement<'static> {
        let statement = sqlx::query(AssertSqlSafe(Arc::clone(text))).persistent(self.has_hints);
        statement.bind(self.application.to_string())
    }

    fn lease_statement(&self, text: &Arc<str>, key: &LeaseKey) -> Statement<'static> {
        self.statement(text).bind(key.stream.to_string()).bind(key.shard.to_string())
    }

    /// The channel to notify, or none: `pg_notify` does nothing without one.
    fn channel_if(&self, news: bool) -> Option<String> {
        (news && self.has_hints).then(|| self.channel())
    }

    /// One channel for each application and schema, short enough for Postgres' 63 bytes.
    fn channel(&self) -> String {
        let text = [self.schema.name(), "\0", self.application.as_str()].concat();
        let hash = text
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        format!("leasehold_{hash:016x}")
    }

    async fn session(&self, operation: StoreOperation) -> Result<Session, StoreError> {
        Session::open(&self.pool, operation, !self.has_hints).await
    }

    async fn stored(
        &self,
        connection: &mut PgConnection,
        key: &LeaseKey,
        operation: StoreOperation,
    ) -> Result<Option<Lease>, StoreError> {
        let row = one(self.lease_statement(&self.statements.get, key), connection, operation).await?;
        row.map(|row| row::lease(&row, operation)).transpose()
    }

    async fn stored_worker(
        &self,
        connection: &mut PgConnection,
        name: &Name,
        operation: StoreOperation,
    ) -> Result<Option<WorkerRow>, StoreError> {
        let statement = self.statement(&self.statements.worker).bind(name.to_string());
        let row = one(statement, connection, operation).await?;
        row.map(|row| row::worker(&row, operation)).transpose()
    }
}

/// Whether the connection lives, and leads to a server that can be written to. If not, another one is made in its place.
async fn may_write(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let row = sqlx::raw_sql("SHOW transaction_read_only").fetch_one(connection).await?;
    Ok(row.try_get::<String, _>(0)? == "off")
}

/// The row that a statement returns, if any. One that writes returns a row if it has written.
async fn one(
    statement: Statement<'static>,
    connection: &mut PgConnection,
    operation: StoreOperation,
) -> Result<Option<PgRow>, StoreError> {
    statement.fetch_optional(connection).await.map_err(|error| store_error(operation, error))
}

async fn all(
    statement: Statement<'static>,
    connection: &mut PgConnection,
    operation: StoreOperation,
) -> Result<Vec<PgRow>, StoreError> {
    statement.fetch_all(connection).await.map_err(|error| store_error(operation, error))
}

#[async_trait]
impl LeaseStore for PostgresStore {
    async fn list(&self) -> Result<Vec<Lease>, StoreError> {
        let operation = StoreOperation::List;
        let mut session = self.session(operation).await?;
        let rows = all(self.statement(&self.statements.list), session.connection(), operation).await?;
        session.close(operation).await?;
        rows.iter().map(|row| row::lease(row, operation)).collect()
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, StoreError> {
        let operation = StoreOperation::Get;
        let mut session = self.session(operation).await?;
        let lease = self.stored(session.connection(), key, operation).await?;
        session.close(operation).await?;
        Ok(lease)
    }

    async fn put(&self, expected: Expected, next: &Lease) -> Result<Outcome<Lease>, StoreError> {
        let mut session = self.session(StoreOperation::Put).await?;
        let puts = &self.statements.in_own_transaction;
        let outcome = self.put_by(puts, session.connection(), expected, next).await?;
        session.close(StoreOperation::Put).await?;
        Ok(outcome)
    }

    async fn delete(&self, lease: &Lease) -> Result<Outcome<Lease>, StoreError> {
        let (operation, key) = (StoreOperation::Delete, &lease.key);
        let version = column_number(lease.version.0, operation)?;
        let epoch = column_number(lease.epoch.0, operation)?;
        let mut session = self.session(operation).await?;
        let statement = self.lease_statement(&self.statements.delete, key).bind(version).bind(epoch);
        let outcome = match one(statement, session.connection(), operation).await? {
            Some(_) => Outcome::Applied,
            None => Outcome::Conflict { current: self.stored(session.connection(), key, operation).await? },
        };
        session.close(operation).await?;
        Ok(outcome)
    }

    async fn heartbeat(&self, me: &WorkerRow) -> Result<Beat, StoreError> {
        let operation = StoreOperation::Heartbeat;
        let mut session = self.session(operation).await?;
        let connection = session.connection();
        let beat = loop {
            let statement = row::bind_worker(self.statement(&self.statements.heartbeat), me)?;
            if one(statement.bind(self.channel_if(me.is_news())), connection, operation).await?.is_some() {
                let rows = all(self.statement(&self.statements.workers), connection, operation).await;
                let rows = rows.map_err(StoreError::after_a_write)?;
                let workers = rows.iter().map(|row| row::worker(row, operation)).collect::<Result<_, _>>()?;
                break Beat::Written { workers, epoch_floor: Epoch::NEVER_OWNED };
            }
            // A row that was in the way and is gone was forgotten meanwhile: the name is free.
            if let Some(by) = self.stored_worker(connection, &me.name, operation).await? {
                break Beat::Replaced { by };
            }
        };
        session.close(operation).await?;
        Ok(beat)
    }

    async fn forget(&self, worker: &WorkerRow) -> Result<Outcome<WorkerRow>, StoreError> {
        let operation = StoreOperation::Forget;
        let mut session = self.session(operation).await?;
        let statement = row::bind_worker(self.statement(&self.statements.forget), worker)?;
        let outcome = match one(statement.bind(self.channel_if(true)), session.connection(), operation).await? {
            Some(_) => Outcome::Applied,
            None => {
                let current = self.stored_worker(session.connection(), &worker.name, operation).await?;
                Outcome::Conflict { current }
            }
        };
        session.close(operation).await?;
        Ok(outcome)
    }

    fn hints(&self) -> Option<Box<dyn Hints>> {
        let hints = || PostgresHints::new(self.pool.clone(), self.channel());
        self.has_hints.then(|| Box::new(hints()) as Box<dyn Hints>)
    }
}

/// Without the pool, whose options hold the password.
impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("PostgresStore");
        debug.field("application", &self.application).field("schema", &self.schema);
        debug.finish_non_exhaustive()
    }
}
