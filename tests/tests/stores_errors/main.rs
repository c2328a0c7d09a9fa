//! What goes wrong with a store is told clearly: the store, the operation, what happened, what to do; never a secret.

mod dynamodb;
mod postgres;
mod redis;

use lease_core::{StoreError, StoreErrorKind};

/// Each text stands in the message, and the secret word nowhere.
#[track_caller]
fn says(error: &StoreError, kind: StoreErrorKind, parts: &[&str]) {
    let text = error.to_string();
    assert_eq!(error.kind(), kind, "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing: {text}");
    }
    assert!(!format!("{text} {error:?}").contains("secret-word"), "a secret is shown: {text}");
}
