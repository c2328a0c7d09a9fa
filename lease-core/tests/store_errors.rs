//! What a store's error says to the program, and to a person.

use std::error::Error as _;

use lease_core::StoreErrorKind::{Ambiguous, Corrupt, Invalid, Throttled, Unavailable};
use lease_core::testing::{lease, worker};
use lease_core::{Expected, Lease, StoreError, StoreOperation};

#[test]
fn the_kind_tells_whether_to_try_again_and_whether_anything_was_written() {
    for (kind, is_retryable, has_no_side_effects) in [
        (Throttled, true, true),
        (Unavailable, true, true),
        (Ambiguous, true, false),
        (Corrupt, false, true),
        (Invalid, false, true),
    ] {
        let error = StoreError::new(kind, StoreOperation::Put, "what happened");
        let told = (error.kind(), kind.is_retryable(), error.is_retryable(), error.has_no_side_effects());
        assert_eq!(told, (kind, is_retryable, is_retryable, has_no_side_effects));
        // What may pass may also have happened, if a write came before it.
        let after = error.after_a_write();
        assert_eq!(after.kind(), if is_retryable { Ambiguous } else { kind });
        assert_eq!(after.operation(), StoreOperation::Put);
    }
}

#[test]
fn an_error_names_its_cause() {
    let cause = std::io::Error::other("the cable");
    let error = StoreError::new(Unavailable, StoreOperation::List, "no answer").caused_by(cause);
    assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("the cable"));
    let error = error.with_kind(Invalid);
    assert_eq!((error.kind(), error.source().is_some()), (Invalid, true));
    assert_eq!(error.to_string(), "the lease store refuses a list: no answer");
    assert!(StoreError::new(Invalid, StoreOperation::List, "no").source().is_none());
}

#[test]
fn a_row_that_does_not_follow_is_told_with_what_it_should_follow() {
    let free = lease("a");
    let taken = free.taken_by(&worker("one"));
    let told = |expected, next| StoreError::check_successor(expected, next).unwrap_err().to_string();
    let of = "the lease store refuses a put: lease stream/a: ";
    assert_eq!(told(Expected::Absent, &taken), format!("{of}version 2 of epoch 1 does not follow from no row"));
    let back = Lease { epoch: free.epoch, ..taken.released(&worker("one")) };
    let row = Expected::row(&taken);
    assert_eq!(told(row, &back), format!("{of}version 3 of epoch 0 does not follow from version 2 of epoch 1"));
    assert!(StoreError::check_successor(row, &taken.released(&worker("one"))).is_ok());
}
