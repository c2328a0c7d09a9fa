//! What DynamoDB's errors mean for a worker.

use std::error::Error;
use std::io;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use lease_core::{StoreError, StoreErrorKind, StoreOperation};

use crate::table::Table;

/// Turns an error of the SDK into one with a kind, keeping it as the cause.
pub(crate) fn store_error<Refusal, Response>(
    table: &Table,
    operation: StoreOperation,
    error: SdkError<Refusal, Response>,
) -> StoreError
where
    Refusal: ProvideErrorMetadata + Error + Send + Sync + 'static,
    Response: std::fmt::Debug + Send + Sync + 'static,
{
    let (kind, message) = judge(table, operation, &error);
    StoreError::new(kind, operation, format!("DynamoDB: table {table}: {message}")).caused_by(error)
}

fn judge<Refusal, Response>(
    table: &Table,
    operation: StoreOperation,
    error: &SdkError<Refusal, Response>,
) -> (StoreErrorKind, String)
where
    Refusal: ProvideErrorMetadata + Error + 'static,
    Response: std::fmt::Debug + 'static,
{
    let reads = matches!(operation, StoreOperation::Connect | StoreOperation::List | StoreOperation::Get);
    // The request broke off. Whether before or after the write, nobody knows.
    let broken = if reads { StoreErrorKind::Unavailable } else { StoreErrorKind::Ambiguous };
    match error {
        SdkError::ServiceError(refusal) => {
            let code = refusal.err().code().unwrap_or(WITHOUT_CODE);
            let said = refusal.err().message().unwrap_or("without a message");
            let (kind, advice) = judge_code(table, operation, code, broken);
            (kind, format!("{code}: {said}{advice}"))
        }
        SdkError::ConstructionFailure(_) => (StoreErrorKind::Invalid, causes(error)),
        _ if is_refused_connection(error) => {
            (StoreErrorKind::Unavailable, format!("{}; check the endpoint and the region", causes(error)))
        }
        _ => (broken, causes(error)),
    }
}

/// Beside what a worker needs.
const CREATION_ACTIONS: &str = "dynamodb:CreateTable and dynamodb:DescribeTable, dynamodb:TagResource for tags, dynamodb:UpdateContinuousBackups for \
     point-in-time recovery";

const WITHOUT_CODE: &str = "an error without a code";

/// What a code means (Amazon DynamoDB Developer Guide, "Error handling with DynamoDB").
fn judge_code(
    table: &Table,
    operation: StoreOperation,
    code: &str,
    broken: StoreErrorKind,
) -> (StoreErrorKind, String) {
    let advice = |text: &str| format!("; {text}");
    match code {
        "ProvisionedThroughputExceededException" | "RequestLimitExceeded" | "ThrottlingException" | "Throttling" => {
            (StoreErrorKind::Throttled, String::new())
        }
        "TransactionConflictException" | "ReplicatedWriteConflictException" => {
            (StoreErrorKind::Unavailable, String::new())
        }
        "ResourceNotFoundException" => (
            StoreErrorKind::Invalid,
            format!(
                "; create the table by DynamodbStore::prepare(), by create=true in the URL of the leasehold command, or by: {}; a worker needs this policy: {}",
                table.creation_command(),
                table.policy()
            ),
        ),
        "AccessDeniedException" if operation == StoreOperation::Prepare => (
            StoreErrorKind::Invalid,
            format!("; to create the table takes {CREATION_ACTIONS}; or create it by: {}", table.creation_command()),
        ),
        "AccessDeniedException" => {
            (StoreErrorKind::Invalid, format!("; a worker needs this policy: {}", table.policy()))
        }
        // The transaction with this token is still on its way.
        "TransactionInProgressException" => (StoreErrorKind::Ambiguous, String::new()),
        "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken" => (StoreErrorKind::Invalid, advice("check the credentials")),
        "ExpiredTokenException" | "ExpiredToken" => {
            (StoreErrorKind::Unavailable, advice("the credentials have expired"))
        }
        "ValidationException" => {
            (StoreErrorKind::Invalid, advice("the table may be of another shape: choose another name"))
        }
        "InternalServerError"
        | "InternalFailure"
        | "RequestTimeout"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => (broken, String::new()),
        // What stands between us and the service answers without a code.
        WITHOUT_CODE => (broken, String::new()),
        _ => (StoreErrorKind::Invalid, String::new()),
    }
}

/// An error and what caused it, as one sentence. The SDK's own errors say little by themselves.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    for cause in chain(error) {
        let text = cause.to_string();
        if !said.contains(&text) {
            said.push(text);
        }
    }
    said.join(": ")
}

fn chain<'error>(error: &'error (dyn Error + 'static)) -> impl Iterator<Item = &'error (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| Error::source(*error))
}

fn is_refused_connection(error: &(dyn Error + 'static)) -> bool {
    let refused = |cause: &io::Error| cause.kind() == io::ErrorKind::ConnectionRefused;
    chain(error).any(|cause| cause.downcast_ref().is_some_and(refused))
}
