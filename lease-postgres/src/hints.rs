//! Wake-ups by `LISTEN` and `NOTIFY`.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use lease_core::Hints;
use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{Executor, PgPool};
use tokio::time::{Instant, Sleep, sleep};
use tracing::debug;

/// Listens to the changes of one application, over a connection of its own that it makes again whenever it breaks.
pub(crate) struct PostgresHints {
    /// Of which only the options are used, as they are by then: whoever owns the pool may change its password.
    pool: PgPool,
    channel: String,
    state: State,
}

/// What is waited for is kept here, since the future of [`Hints::next`] may be dropped at any time.
enum State {
    Connecting(Pin<Box<dyn Future<Output = Result<PgListener, sqlx::Error>> + Send>>),
    Pausing(Pin<Box<Sleep>>),
    Listening(Box<PgListener>, Pin<Box<Sleep>>),
    /// Nothing has come for a while: is the server still there?
    Asking(Pin<Box<dyn Future<Output = Result<PgListener, sqlx::Error>> + Send>>),
}

/// The pause before a broken connection is made again.
const PAUSE: Duration = Duration::from_secs(1);

/// How long connecting, and an answer, may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// After how much silence the server is asked for a sign of life. A connection that only listens would never notice that it
/// was cut off.
const SILENCE: Duration = Duration::from_secs(30);

impl PostgresHints {
    pub(crate) fn new(pool: PgPool, channel: String) -> Self {
        let state = connecting(&pool, channel.clone());
        Self { pool, channel, state }
    }
}

async fn in_time<Answer>(call: impl Future<Output = Result<Answer, sqlx::Error>>) -> Result<Answer, sqlx::Error> {
    tokio::time::timeout(TIMEOUT, call).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Each connection has a pool of its own: it is not one of those that calls need, and where it hangs, the next one does not
/// wait for it.
fn connecting(pool: &PgPool, channel: String) -> State {
    let options = (*pool.connect_options()).clone();
    State::Connecting(Box::pin(in_time(async move {
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(TIMEOUT).connect_lazy_with(options);
        let mut listener = PgListener::connect_with(&pool).await?;
        // It would make the connection again by itself, within a future that may be dropped, and say nothing of the gap.
        listener.eager_reconnect(false);
        listener.listen(&channel).await?;
        Ok(listener)
    })))
}

fn asking(mut listener: PgListener) -> State {
    State::Asking(Box::pin(in_time(async move {
        listener.execute("SELECT 1").await?;
        Ok(listener)
    })))
}

fn listening(listener: PgListener) -> State {
    State::Listening(Box::new(listener), Box::pin(sleep(SILENCE)))
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
                        self.state = listening(listener);
                        // Whatever happened before is worth a look.
                        return;
                    }
                    Err(error) => self.pause(&error),
                },
                State::Pausing(pause) => {
                    pause.await;
                    self.state = connecting(&self.pool, self.channel.clone());
                }
                State::Listening(listener, silence) => {
                    let received = tokio::select! {
                        biased;
                        received = listener.try_recv() => Some(received),
                        () = &mut *silence => None,
                    };
                    match received {
                        Some(Ok(Some(_))) => {
                            silence.as_mut().reset(Instant::now() + SILENCE);
                            return;
                        }
                        // Nothing means that the connection was lost, and with it whatever it would have brought.
                        Some(Ok(None)) => self.state = connecting(&self.pool, self.channel.clone()),
                        Some(Err(error)) => self.pause(&error),
                        None => self.ask(),
                    }
                }
                State::Asking(asking) => match asking.await {
                    Ok(listener) => self.state = listening(listener),
                    Err(error) => self.pause(&error),
                },
            }
        }
    }
}

impl PostgresHints {
    fn pause(&mut self, error: &sqlx::Error) {
        debug!(%error, "no hints from Postgres for now");
        self.state = State::Pausing(Box::pin(sleep(PAUSE)));
    }

    fn ask(&mut self) {
        let pausing = State::Pausing(Box::pin(sleep(PAUSE)));
        self.state = match std::mem::replace(&mut self.state, pausing) {
            State::Listening(listener, _) => asking(*listener),
            other => other,
        };
    }
}
