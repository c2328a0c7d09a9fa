//! Wake-ups by publish and subscribe.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use lease_core::Hints;
use redis::Client;
use redis::aio::PubSub;
use tokio::time::sleep;
use tracing::debug;

use crate::connection::subscribed;

/// Listens to the changes of one application, over a connection of its own that it makes again whenever it breaks.
pub(crate) struct RedisHints {
    client: Client,
    channel: String,
    listener: Option<PubSub>,
}

/// The pause before a broken connection is made again.
const PAUSE: Duration = Duration::from_secs(1);

impl RedisHints {
    pub(crate) const fn new(client: Client, channel: String) -> Self {
        Self { client, channel, listener: None }
    }
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
            let Some(listener) = &mut self.listener else {
                match subscribed(&self.client, &self.channel).await {
                    Ok(listener) => {
                        self.listener = Some(listener);
                        // Whatever happened before is worth a look: the server may have gone back to older rows.
                        return;
                    }
                    Err(error) => {
                        debug!(%error, "no hints from Redis for now");
                        sleep(PAUSE).await;
                        continue;
                    }
                }
            };
            if listener.on_message().next().await.is_some() {
                return;
            }
            debug!("the connection for hints from Redis broke");
            self.listener = None;
            sleep(PAUSE).await;
        }
    }
}
