//! A connection for one call.

use lease_core::{StoreError, StoreErrorKind, StoreOperation};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use crate::error::store_error;

/// A connection for the statements of one call.
///
/// Behind a proxy that pools transactions, even one statement is prepared and carried out in two steps, which may reach two
/// different connections of the server, unless a transaction holds them together.
pub(crate) enum Session {
    Direct(PoolConnection<Postgres>),
    Pooled(Transaction<'static, Postgres>),
}

impl Session {
    pub(crate) async fn open(pool: &PgPool, operation: StoreOperation, is_pooled: bool) -> Result<Self, StoreError> {
        let opened =
            if is_pooled { pool.begin().await.map(Self::Pooled) } else { pool.acquire().await.map(Self::Direct) };
        // Nothing was sent yet, whatever went wrong.
        opened.map_err(|error| match store_error(operation, error) {
            error if error.kind() == StoreErrorKind::Ambiguous => error.with_kind(StoreErrorKind::Unavailable),
            error => error,
        })
    }

    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        match self {
            Self::Direct(connection) => connection,
            Self::Pooled(transaction) => transaction,
        }
    }

    /// What was written is written for good.
    pub(crate) async fn close(self, operation: StoreOperation) -> Result<(), StoreError> {
        match self {
            Self::Direct(_) => Ok(()),
            Self::Pooled(transaction) => transaction.commit().await.map_err(|error| store_error(operation, error)),
        }
    }
}
