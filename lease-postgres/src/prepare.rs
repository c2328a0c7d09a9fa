//! Creating the tables.

use lease_core::{StoreError, StoreErrorKind, StoreOperation};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres, Row, SqlSafeStr, Transaction};

use crate::error::store_error;
use crate::schema::Schema;
use crate::store::PostgresStore;

/// Serialises those who prepare at the same time: a number that nobody else is likely to lock.
const LOCK: i64 = 0x6c65_6173_6568_6f6c;

impl PostgresStore {
    /// Creates the schema and the tables if they are missing, and brings those of an earlier version up to date. Workers that start together may all call it.
    ///
    /// # Errors
    ///
    /// Postgres cannot be reached, the role may not create tables, or there are tables of these names that are not
    /// Leasehold's, or of another version. Then nothing is changed.
    pub async fn prepare(&self) -> Result<(), StoreError> {
        self.try_prepare().await.map_err(|error| match error {
            PrepareError::Sql(error) => store_error(StoreOperation::Prepare, error),
            PrepareError::Refused(message) => {
                StoreError::new(StoreErrorKind::Invalid, StoreOperation::Prepare, format!("Postgres: {message}"))
            }
        })
    }

    async fn try_prepare(&self) -> Result<(), PrepareError> {
        let schema = self.schema();
        let mut transaction = self.pool().begin().await?;
        query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
        let marks = marks(&mut transaction, schema).await?;
        let is_ours = |mark: &str| mark == Schema::MARK || Schema::EARLIER_MARKS.contains(&mark);
        if let Some((table, mark)) = marks.iter().find(|(_, mark)| !mark.as_deref().is_some_and(is_ours)) {
            let found = mark.as_deref().unwrap_or("no mark");
            return Err(PrepareError::Refused(format!(
                "table {}.{table} is there, but it is not a table of {:?} (it has {found:?}): choose another schema",
                schema.name(),
                Schema::MARK,
            )));
        }
        let is_current = |mark: &Option<String>| mark.as_deref() == Some(Schema::MARK);
        if marks.len() == TABLES.len() && marks.iter().all(|(_, mark)| is_current(mark)) {
            return Ok(());
        }
        // Asked for first, because creating a schema that is there needs a right that the role may lack.
        let exists = query("SELECT 1 FROM pg_namespace WHERE nspname = $1").bind(schema.name());
        if exists.fetch_optional(&mut *transaction).await?.is_none() {
            let create = AssertSqlSafe(format!("CREATE SCHEMA {}", schema.quoted()));
            query(create).execute(&mut *transaction).await?;
        }
        for statement in schema.table_statements() {
            query(AssertSqlSafe(statement)).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

/// A statement that is not kept on its connection, which a proxy may give to somebody else afterwards.
fn query(text: impl SqlSafeStr) -> Query<'static, Postgres, PgArguments> {
    sqlx::query(text).persistent(false)
}

const TABLES: [&str; 2] = ["leases", "workers"];

/// The tables of these names that are there, and what they are marked with.
async fn marks(
    transaction: &mut Transaction<'static, Postgres>,
    schema: &Schema,
) -> Result<Vec<(String, Option<String>)>, sqlx::Error> {
    let rows = query(
        "SELECT relname::text AS name, obj_description(pg_class.oid, 'pg_class') AS mark FROM pg_class \
         JOIN pg_namespace ON pg_namespace.oid = relnamespace \
         WHERE nspname = $1 AND relname = ANY($2) AND relkind IN ('r', 'p', 'v', 'm', 'f')",
    )
    .bind(schema.name())
    .bind(TABLES.map(String::from).to_vec())
    .fetch_all(&mut **transaction)
    .await?;
    rows.iter().map(|row| Ok((row.try_get("name")?, row.try_get("mark")?))).collect()
}

enum PrepareError {
    Sql(sqlx::Error),
    Refused(String),
}

impl From<sqlx::Error> for PrepareError {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}
