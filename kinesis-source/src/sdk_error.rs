//! What the SDK's errors mean for a reader.

use std::error::Error;

use aws_sdk_kinesis::config::http::HttpResponse;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};

use crate::{SourceError, SourceErrorKind};

/// Turns an error of the SDK into one with a kind, keeping it as the cause.
pub(crate) fn source_error<E>(operation: &'static str, about: &str, error: SdkError<E, HttpResponse>) -> SourceError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    let kind = kind(&error, status);
    let said = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{about}: {code}: {message}"),
        (Some(code), None) => format!("{about}: {code}"),
        (None, _) => format!("{about}: {}", chain(&error)),
    };
    SourceError::new(kind, operation, said).caused_by(error)
}

/// The text of an error and of all its causes: the outer one only says that something failed.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| Error::source(*error));
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn kind<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>, status: Option<u16>) -> SourceErrorKind {
    match error.code() {
        Some(
            "ProvisionedThroughputExceededException"
            | "LimitExceededException"
            | "KMSThrottlingException"
            | "ThrottlingException"
            | "RequestLimitExceeded",
        ) => SourceErrorKind::Throttled,
        Some("ExpiredIteratorException" | "ExpiredNextTokenException") => SourceErrorKind::Expired,
        Some("ResourceNotFoundException") => SourceErrorKind::NotFound,
        Some(
            "AccessDeniedException"
            | "UnrecognizedClientException"
            | "InvalidSignatureException"
            | "MissingAuthenticationTokenException"
            | "IncompleteSignature"
            | "KMSAccessDeniedException"
            | "KMSDisabledException"
            | "KMSOptInRequired"
            | "KMSNotFoundException"
            | "OptInRequired",
        ) => SourceErrorKind::Denied,
        Some("InvalidArgumentException" | "ValidationException" | "UnknownOperationException") => {
            SourceErrorKind::Invalid
        }
        // An expired token is renewed by the credentials provider, a resource in use becomes free: all that is left
        // may pass by itself, unless the service itself says that the request was at fault.
        Some(_) if status.is_some_and(|status| (400..500).contains(&status)) => match error.code() {
            Some("ExpiredTokenException" | "ResourceInUseException") => SourceErrorKind::Unavailable,
            _ => SourceErrorKind::Invalid,
        },
        _ => match error {
            SdkError::ConstructionFailure(_) => SourceErrorKind::Invalid,
            _ => SourceErrorKind::Unavailable,
        },
    }
}
