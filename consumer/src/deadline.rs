//! Waiting for a moment that may never come.

use tokio::time::{Instant, sleep_until};

/// Waits until then; for ever if there is no such moment.
pub(crate) async fn sleep_until_some(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
