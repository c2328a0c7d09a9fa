//! What Redis' errors mean for a worker.

use lease_core::{StoreError, StoreErrorKind, StoreOperation};
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Turns an error of the client into one with a kind, keeping it as the cause.
pub(crate) fn store_error(operation: StoreOperation, error: RedisError) -> StoreError {
    let (kind, advice) = judge(operation, &error);
    StoreError::new(kind, operation, format!("Redis: {error}{advice}")).caused_by(error)
}

/// The first error in a pipeline: its place, its code, and its text. The client only tells those of a single command by itself.
fn first_in_pipeline(error: &RedisError) -> Option<(usize, String, String)> {
    let errors = error.clone().into_server_errors()?;
    let (index, first) = errors.first()?;
    Some((*index, first.code().to_owned(), first.details().unwrap_or_default().to_owned()))
}

fn judge(operation: StoreOperation, error: &RedisError) -> (StoreErrorKind, &'static str) {
    let reads = matches!(operation, StoreOperation::Connect | StoreOperation::List | StoreOperation::Get);
    // The connection broke. Whether before or after the write, nobody knows.
    let broken = if reads { StoreErrorKind::Unavailable } else { StoreErrorKind::Ambiguous };
    if error.is_connection_refusal() {
        return (StoreErrorKind::Unavailable, "; check the host and the port");
    }
    let in_pipeline = first_in_pipeline(error);
    if let Some((1.., _, _)) = in_pipeline {
        // The write was carried out, and what waits for it was refused.
        return (StoreErrorKind::Ambiguous, "");
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
        ErrorKind::Server(ServerErrorKind::ResponseError) => {
            let told = in_pipeline.unwrap_or_else(|| {
                let part = |text: Option<&str>| text.unwrap_or_default().to_owned();
                (0, part(error.code()), part(error.detail()))
            });
            judge_code(code_in_script(&told.1, &told.2))
        }
        ErrorKind::Server(kind) => judge_server(kind, broken),
        ErrorKind::Extension => match in_pipeline {
            Some((_, code, _)) => judge_code(&code),
            None => judge_code(error.code().unwrap_or_default()),
        },
        ErrorKind::Client => (StoreErrorKind::Invalid, ""),
        ErrorKind::UnexpectedReturnType => (StoreErrorKind::Corrupt, "; the keys are of another shape"),
        _ => (broken, ""),
    }
}

/// Before Redis 7, an error of a command in a script is `ERR`, and its own code stands in the text.
fn code_in_script<'error>(code: &'error str, told: &str) -> &'error str {
    let inner = CODES_IN_SCRIPTS.into_iter().find(|inner| told.contains(&format!("-{inner} ")));
    inner.unwrap_or(code)
}

const CODES_IN_SCRIPTS: [&str; 6] = ["READONLY", "OOM", "MISCONF", "NOREPLICAS", "NOPERM", "WRONGTYPE"];

fn judge_server(kind: ServerErrorKind, broken: StoreErrorKind) -> (StoreErrorKind, &'static str) {
    match kind {
        ServerErrorKind::BusyLoading
        | ServerErrorKind::ClusterDown
        | ServerErrorKind::MasterDown
        | ServerErrorKind::TryAgain
        | ServerErrorKind::Moved
        | ServerErrorKind::Ask => (StoreErrorKind::Unavailable, ""),
        ServerErrorKind::ReadOnly => judge_code("READONLY"),
        ServerErrorKind::NoPerm => judge_code("NOPERM"),
        _ => (broken, ""),
    }
}

/// What the first word of an error means (Redis documentation, "RESP protocol", simple errors).
fn judge_code(code: &str) -> (StoreErrorKind, &'static str) {
    match code {
        "WRONGTYPE" => {
            (StoreErrorKind::Invalid, "; a key of this name is not Leasehold's: choose another application name")
        }
        "READONLY" => (StoreErrorKind::Unavailable, "; this server is a replica: connect to the primary"),
        "NOPERM" => (StoreErrorKind::Invalid, "; `leasehold schema redis` prints the rights that a worker needs"),
        "NOAUTH" | "WRONGPASS" => (StoreErrorKind::Invalid, "; check the user and the password"),
        "OOM" => (StoreErrorKind::Throttled, "; the server's memory is full"),
        "MISCONF" => (StoreErrorKind::Unavailable, "; the server cannot write to its disk"),
        "BUSY" | "NOREPLICAS" | "UNKILLABLE" => (StoreErrorKind::Unavailable, ""),
        _ => (StoreErrorKind::Invalid, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(error: &str) -> RedisError {
        let answer = redis::parse_redis_value(format!("-{error}\r\n").as_bytes()).unwrap();
        answer.extract_error().unwrap_err()
    }

    /// As Redis 6.2 and servers like it say what Redis 7 says in its first word.
    #[test]
    fn an_error_of_a_command_in_a_script_is_judged_by_its_own_code() {
        let in_script = |said: &str| {
            let place = "ERR Error running script (call to f_0123456789abcdef): @user_script:4: @user_script: 4: ";
            judge(StoreOperation::Put, &answered(&format!("{place}-{said}"))).0
        };
        let cases = [
            ("READONLY You can't write against a read only replica.", StoreErrorKind::Unavailable),
            ("OOM command not allowed when used memory > 'maxmemory'.", StoreErrorKind::Throttled),
            ("MISCONF Redis is configured to save RDB snapshots", StoreErrorKind::Unavailable),
            ("NOREPLICAS Not enough good replicas to write.", StoreErrorKind::Unavailable),
            ("NOPERM this user has no permissions", StoreErrorKind::Invalid),
            ("Wrong number of args calling Redis command From Lua script", StoreErrorKind::Invalid),
        ];
        for (said, expected) in cases {
            assert_eq!(in_script(said), expected, "{said}");
        }
        let plain = answered("READONLY You can't write against a read only replica. script: f_01, on @user_script:4.");
        assert_eq!(judge(StoreOperation::Put, &plain).0, StoreErrorKind::Unavailable);
    }
}
