//! The signals that ask a process to leave: Ctrl-C, and the one by which a supervisor asks a process to end.

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for the first signal.
pub(crate) async fn asked_to_leave() {
    signals(1).await;
}

/// Waits for the second signal: whoever sends it has no patience.
pub(crate) async fn asked_to_end_at_once() {
    signals(2).await;
}

/// Waits for so many signals from now on.
#[cfg(unix)]
async fn signals(count: usize) {
    let mut interrupted = signal(SignalKind::interrupt()).ok();
    let mut terminated = signal(SignalKind::terminate()).ok();
    for _ in 0..count {
        tokio::select! {
            biased;
            () = received(&mut interrupted) => {}
            () = received(&mut terminated) => {}
        }
    }
}

/// A signal that cannot be listened to never comes.
#[cfg(unix)]
async fn received(signal: &mut Option<Signal>) {
    let received = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if received.is_none() {
        std::future::pending().await
    }
}

#[cfg(not(unix))]
async fn signals(count: usize) {
    for _ in 0..count {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
