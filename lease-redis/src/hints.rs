//! Wake-ups by publish and subscribe.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use lease_core::Hints;
use redis::aio::PubSub;
use redis::{Client, RedisResult};
use tokio::time::{Sleep, sleep};
use tracing::debug;

use crate::connection::subscribed;

/// Listens to the changes of one application, over a connection of its own that it makes again whenever it breaks.
pub(crate) struct RedisHints {
    client: Client,
    channel: String,
    state: State,
}

/// What is waited for is kept here, since the future of [`Hints::next`] may be dropped at any time.
enum State {
    Connecting(Pin<Box<dyn Future<Output = RedisResult<PubSub>> + Send>>),
    Pausing(Pin<Box<Sleep>>),
    Listening(PubSub),
}

/// The pause before a broken connection is made again.
const PAUSE: Duration = Duration::from_secs(1);

impl RedisHints {
    pub(crate) fn new(client: Client, channel: String) -> Self {
        let state = connecting(client.clone(), channel.clone());
        Self { client, channel, state }
    }
}

fn connecting(client: Client, channel: String) -> State {
    State::Connecting(Box::pin(async move { subscribed(&client, &channel).await }))
}

impl fmt::Debug for RedisHints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisHints").field("channel", &self.channel).finish_non_exhaustive()
    }
}

#[async_trait]
impl Hints for RedisHints {
    async fn next(&mut self) {
        loop {
            match &mut self.state {
                State::Connecting(connecting) => match connecting.await {
                    Ok(listener) => {
                        self.state = State::Listening(listener);
                        // Whatever happened before is worth a look: the server may have gone back to older rows.
                        return;
                    }
                    Err(error) => {
                        debug!(%error, "no hints from Redis for now");
                        self.state = State::Pausing(Box::pin(sleep(PAUSE)));
                    }
                },
                State::Pausing(pause) => {
                    pause.await;
                    self.state = connecting(self.client.clone(), self.channel.clone());
                }
                State::Listening(listener) => {
                    if listener.on_message().next().await.is_some() {
                        return;
                    }
                    debug!("the connection for hints from Redis broke");
                    self.state = State::Pausing(Box::pin(sleep(PAUSE)));
                }
            }
        }
    }
}
