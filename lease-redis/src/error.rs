//! What Redis' errors mean for a worker.

use lease_core::{StoreError, StoreErrorKind, StoreOperation};
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Turns an error of the client into one with a kind, keeping it as the cause.
pub(crate) fn store_error(operation: StoreOperation, error: RedisError) -> StoreError {
    let (kind, advice) = judge(operation, &error);
    StoreError::new(kind, operation, format!("Redis: {error}{advice}")).caused_by(error)
}

/// The code of the first error in a pipeline, and its place. The client only tells that of a single command by itself.
fn code_in_pipeline(error: &RedisError) -> Option<(usize, String)> {
    let errors = error.clone().into_server_errors()?;
    let (index, first) = errors.first()?;
    Some((*index, first.code().to_owned()))
}

fn judge(operation: StoreOperation, error: &RedisError) -> (StoreErrorKind, &'static str) {
    let reads = matches!(operation, StoreOperation::Connect | StoreOperation::List | StoreOperation::Get);
    // The connection broke. Whether before or after the write, nobody knows.
    let broken = if reads { StoreErrorKind::Unavailable } else { StoreErrorKind::Ambiguous };
    if error.is_connection_refusal() {
        return (StoreErrorKind::Unavailable, "; check the host and the port");
    }
    match error.kind() {
        ErrorKind::AuthenticationFailed => (StoreErrorKind::Invalid, "; check the user and the password"),
        ErrorKind::InvalidClientConfig => (
            StoreErrorKind::Invalid,
            "; write redis://USER:PASSWORD@HOST:PORT, or rediss:// for TLS, which needs a TLS feature of the client",
        ),
        ErrorKind::Io if operation == StoreOperation::Connect => {
            (broken, "; check the host and the port, and whether the server requires TLS (rediss://)")
        }
        ErrorKind::Server(kind) => judge_server(kind, error.code().unwrap_or_default(), broken),
        ErrorKind::Extension => match code_in_pipeline(error) {
            // The write was carried out, and what waits for it was refused.
            Some((1.., _)) => (StoreErrorKind::Ambiguous, ""),
            Some((_, code)) => judge_code(&code),
            None => judge_code(error.code().unwrap_or_default()),
        },
        ErrorKind::Client => (StoreErrorKind::Invalid, ""),
        ErrorKind::UnexpectedReturnType => (StoreErrorKind::Corrupt, "; the keys are of another shape"),
        _ => (broken, ""),
    }
}

fn judge_server(kind: ServerErrorKind, code: &str, broken: StoreErrorKind) -> (StoreErrorKind, &'static str) {
    match kind {
        ServerErrorKind::BusyLoading
        | ServerErrorKind::ClusterDown
        | ServerErrorKind::MasterDown
        | ServerErrorKind::TryAgain
        | ServerErrorKind::Moved
        | ServerErrorKind::Ask => (StoreErrorKind::Unavailable, ""),
        ServerErrorKind::ReadOnly => {
            (StoreErrorKind::Unavailable, "; this server is a replica: connect to the primary")
        }
        ServerErrorKind::NoPerm => {
            (StoreErrorKind::Invalid, "; `leasehold schema redis` prints the rights that a worker needs")
        }
        ServerErrorKind::ResponseError => judge_code(code),
        _ => (broken, ""),
    }
}

/// What the first word of an error means (Redis documentation, "RESP protocol", simple errors).
fn judge_code(code: &str) -> (StoreErrorKind, &'static str) {
    match code {
        "WRONGTYPE" => {
            (StoreErrorKind::Invalid, "; a key of this name is not Leasehold's: choose another application name")
        }
        "NOAUTH" | "WRONGPASS" => (StoreErrorKind::Invalid, "; check the user and the password"),
        "OOM" => (StoreErrorKind::Throttled, "; the server's memory is full"),
        "MISCONF" => (StoreErrorKind::Unavailable, "; the server cannot write to its disk"),
        "BUSY" | "NOREPLICAS" | "UNKILLABLE" => (StoreErrorKind::Unavailable, ""),
        _ => (StoreErrorKind::Invalid, ""),
    }
}
