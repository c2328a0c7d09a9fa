//! The signals that ask a process to leave.

/// Waits for Ctrl-C, or for the signal by which a supervisor asks a process to end.
pub(crate) async fn asked_to_leave() {
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            // Without the signal there is still Ctrl-C.
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        biased;
        _pressed = tokio::signal::ctrl_c() => {}
        () = terminated => {}
    }
}
