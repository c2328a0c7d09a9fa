//! Wake-ups by `LISTEN` and `NOTIFY`.

use std::time::Duration;

use async_trait::async_trait;
use lease_core::Hints;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::time::sleep;
use tracing::debug;

/// Listens to the changes of one application, over a connection of its own that it makes again whenever it breaks.
#[derive(Debug)]
pub(crate) struct PostgresHints {
    pool: PgPool,
    channel: String,
    listener: Option<PgListener>,
}

/// The pause before a broken connection is made again.
const PAUSE: Duration = Duration::from_secs(1);

impl PostgresHints {
    pub(crate) const fn new(pool: PgPool, channel: String) -> Self {
        Self { pool, channel, listener: None }
    }

    async fn listen(&self) -> Result<PgListener, sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(&self.channel).await?;
        Ok(listener)
    }
}

#[async_trait]
impl Hints for PostgresHints {
    async fn next(&mut self) {
        loop {
            let Some(listener) = &mut self.listener else {
                match self.listen().await {
                    Ok(listener) => {
                        self.listener = Some(listener);
                        // Whatever happened before is worth a look.
                        return;
                    }
                    Err(error) => {
                        debug!(%error, "no hints from Postgres for now");
                        sleep(PAUSE).await;
                        continue;
                    }
                }
            };
            match listener.try_recv().await {
                Ok(Some(_notification)) => return,
                // The connection was lost, and with it whatever it would have brought.
                Ok(None) => return,
                Err(error) => {
                    debug!(%error, "the connection for hints from Postgres broke");
                    self.listener = None;
                    sleep(PAUSE).await;
                }
            }
        }
    }
}
