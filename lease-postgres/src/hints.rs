//! Wake-ups by `LISTEN` and `NOTIFY`.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use lease_core::Hints;
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::time::{Sleep, sleep};
use tracing::debug;

/// Listens to the changes of one application, over a connection of its own that it makes again whenever it breaks.
pub(crate) struct PostgresHints {
    pool: PgPool,
    channel: String,
    state: State,
}

/// What is waited for is kept here, since the future of [`Hints::next`] may be dropped at any time.
enum State {
    Connecting(Pin<Box<dyn Future<Output = Result<PgListener, sqlx::Error>> + Send>>),
    Pausing(Pin<Box<Sleep>>),
    Listening(Box<PgListener>),
}

/// The pause before a broken connection is made again.
const PAUSE: Duration = Duration::from_secs(1);

impl PostgresHints {
    pub(crate) fn new(pool: PgPool, channel: String) -> Self {
        let state = connecting(pool.clone(), channel.clone());
        Self { pool, channel, state }
    }
}

fn connecting(pool: PgPool, channel: String) -> State {
    State::Connecting(Box::pin(async move {
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(&channel).await?;
        Ok(listener)
    }))
}

/// Without the pool, whose options hold the password.
impl fmt::Debug for PostgresHints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresHints").field("channel", &self.channel).finish_non_exhaustive()
    }
}

#[async_trait]
impl Hints for PostgresHints {
    async fn next(&mut self) {
        loop {
            match &mut self.state {
                State::Connecting(connecting) => match connecting.await {
                    Ok(listener) => {
                        self.state = State::Listening(Box::new(listener));
                        // Whatever happened before is worth a look.
                        return;
                    }
                    Err(error) => {
                        debug!(%error, "no hints from Postgres for now");
                        self.state = State::Pausing(Box::pin(sleep(PAUSE)));
                    }
                },
                State::Pausing(pause) => {
                    pause.await;
                    self.state = connecting(self.pool.clone(), self.channel.clone());
                }
                State::Listening(listener) => match listener.try_recv().await {
                    // Nothing means that the connection was lost, and with it whatever it would have brought.
                    Ok(Some(_) | None) => return,
                    Err(error) => {
                        debug!(%error, "the connection for hints from Postgres broke");
                        self.state = State::Pausing(Box::pin(sleep(PAUSE)));
                    }
                },
            }
        }
    }
}
