//! What Postgres' errors mean for a worker.

use std::io;

use lease_core::{StoreError, StoreErrorKind, StoreOperation};
use sqlx::Error;

/// Turns an error of sqlx into one with a kind, keeping it as the cause.
pub(crate) fn store_error(operation: StoreOperation, error: Error) -> StoreError {
    let (kind, message) = judge(operation, &error);
    StoreError::new(kind, operation, format!("Postgres: {message}")).caused_by(error)
}

fn judge(operation: StoreOperation, error: &Error) -> (StoreErrorKind, String) {
    let writes = !matches!(operation, StoreOperation::Connect | StoreOperation::List | StoreOperation::Get);
    // The connection broke. Whether before or after the write, nobody knows.
    let broken = if writes { StoreErrorKind::Ambiguous } else { StoreErrorKind::Unavailable };
    match error {
        Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            let (kind, advice) = judge_code(&code, operation, broken);
            (kind, format!("{} (SQLSTATE {code}){advice}", database.message()))
        }
        Error::Io(cause)
            if operation == StoreOperation::Connect || cause.kind() == io::ErrorKind::ConnectionRefused =>
        {
            (StoreErrorKind::Unavailable, format!("{cause}; check the host and the port"))
        }
        Error::Io(cause) => (broken, cause.to_string()),
        Error::PoolTimedOut => (StoreErrorKind::Unavailable, "no connection became free in time".into()),
        Error::PoolClosed => (StoreErrorKind::Invalid, "the pool was closed".into()),
        Error::Tls(cause) => {
            let advice = "the server and sqlx's TLS features must agree on an encrypted connection";
            (StoreErrorKind::Invalid, format!("{cause}; {advice}"))
        }
        Error::Configuration(cause) => {
            (StoreErrorKind::Invalid, format!("{cause}; write postgres://USER:PASSWORD@HOST:PORT/DATABASE"))
        }
        Error::ColumnDecode { .. } | Error::ColumnNotFound(_) | Error::Decode(_) | Error::TypeNotFound { .. } => {
            (StoreErrorKind::Corrupt, format!("{error}; the tables are of another shape"))
        }
        _ => (broken, error.to_string()),
    }
}

/// What a code of the SQL standard means (PostgreSQL documentation, appendix A).
fn judge_code(code: &str, operation: StoreOperation, broken: StoreErrorKind) -> (StoreErrorKind, &'static str) {
    match code {
        "42501" if operation == StoreOperation::Prepare => (
            StoreErrorKind::Invalid,
            "; the role needs CREATE on the database, or on the schema if that is there; or run the statements of \
             Schema::ddl(), which `leasehold schema postgres` prints, as another role",
        ),
        "26000" | "42P05" => (
            StoreErrorKind::Invalid,
            "; a proxy seems to pool transactions: use PostgresStore::without_hints(), \
             or hints=false in the URL of the leasehold command",
        ),
        "42P01" | "3F000" => (
            StoreErrorKind::Invalid,
            "; create the tables by prepare(), or run the statements of \
             Schema::ddl(), which `leasehold schema postgres` prints",
        ),
        "42703" | "42804" | "42883" => (StoreErrorKind::Invalid, "; the tables are of another shape"),
        "42501" => (StoreErrorKind::Invalid, "; the role needs USAGE on the schema, and to read and write both tables"),
        // After a failover, until the address leads to the new primary.
        "25006" => (StoreErrorKind::Unavailable, "; connect to the primary, with a role that may write"),
        // It was rolled back.
        "25P03" => (
            StoreErrorKind::Unavailable,
            "; this process stood still for so long that the server ended its transaction",
        ),
        "3D000" => (StoreErrorKind::Invalid, "; check the database's name"),
        _ => match code.get(..2).unwrap_or_default() {
            "28" => (StoreErrorKind::Invalid, "; check the user, the password, and whether TLS is required"),
            "53" => (StoreErrorKind::Throttled, ""),
            "40" | "55" => (StoreErrorKind::Unavailable, ""),
            "08" | "57" | "58" | "XX" => (broken, ""),
            _ => (StoreErrorKind::Invalid, ""),
        },
    }
}
