//! The checkpoint in the user's own transaction.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::{TransactWriteItemsError, TransactWriteItemsOutput};
use aws_sdk_dynamodb::types::{CancellationReason, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem};
use lease_core::{Expected, Lease, Outcome, StoreError, StoreErrorKind, StoreOperation};

use crate::codec::{decode_lease, item, lease_row};
use crate::condition::Condition;
use crate::error::store_error;
use crate::store::{DynamodbStore, some_unless_empty};

const OPERATION: StoreOperation = StoreOperation::Put;

impl DynamodbStore {
    /// The conditional write of a lease as an item of **your** `TransactWriteItems`: your results and the checkpoint are
    /// stored together, or neither is. Give what comes back to [`DynamodbStore::transaction_outcome`].
    ///
    /// # Errors
    ///
    /// The row does not follow from what is expected.
    pub fn transaction_item(&self, expected: Expected, next: &Lease) -> Result<TransactWriteItem, StoreError> {
        StoreError::check_successor(expected, next)?;
        let Condition { expression, names, values } = Condition::of(expected);
        let put = Put::builder().table_name(self.table().name()).condition_expression(expression);
        let put = put.set_item(Some(item(self.application(), lease_row(&next.key), &next.to_fields())));
        let put = put.set_expression_attribute_names(Some(names.into_iter().collect()));
        let put = put.set_expression_attribute_values(some_unless_empty(values));
        let put = put.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld).build();
        let put = put.map_err(|error| {
            let message = "DynamoDB: the transaction's item is incomplete";
            StoreError::new(StoreErrorKind::Invalid, OPERATION, message).caused_by(error)
        })?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// What a transaction's end means for the checkpoint in it, which was its item of that index, counted from zero.
    ///
    /// # Errors
    ///
    /// The transaction failed for another reason than that the row is not as expected, such as a condition of its other
    /// items. It may be tried again if [`StoreError::is_retryable`] says so.
    pub fn transaction_outcome(
        &self,
        answer: Result<TransactWriteItemsOutput, SdkError<TransactWriteItemsError>>,
        index: usize,
    ) -> Result<Outcome<Lease>, StoreError> {
        let error = match answer {
            Ok(_) => return Ok(Outcome::Applied),
            Err(error) => error,
        };
        let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) = error.as_service_error() else {
            return Err(store_error(self.table(), OPERATION, error));
        };
        let reasons = canceled.cancellation_reasons();
        if let Some(reason) = reasons.get(index).filter(|reason| reason.code() == Some("ConditionalCheckFailed")) {
            let current = reason.item().map(|item| decode_lease(item, OPERATION)).transpose()?;
            return Ok(Outcome::Conflict { current });
        }
        let (kind, said) = judge(reasons);
        let message = format!("DynamoDB: table {}: the transaction was canceled: {said}", self.table());
        Err(StoreError::new(kind, OPERATION, message).caused_by(error))
    }
}

/// Why a transaction was canceled (Amazon DynamoDB API Reference, `TransactionCanceledException`), and whether that may
/// pass.
fn judge(reasons: &[CancellationReason]) -> (StoreErrorKind, String) {
    let kind_of = |code: &str| match code {
        "TransactionConflict" | "DuplicateItem" => StoreErrorKind::Unavailable,
        "ProvisionedThroughputExceeded" | "ThrottlingError" => StoreErrorKind::Throttled,
        _ => StoreErrorKind::Invalid,
    };
    let real = reasons.iter().enumerate().filter_map(|(index, reason)| Some((index, reason.code()?, reason.message())));
    let real: Vec<_> = real.filter(|(_, code, _)| *code != "None").collect();
    let kind = real.iter().map(|(_, code, _)| kind_of(code)).find(|kind| !kind.is_retryable());
    let kind = kind.or_else(|| real.first().map(|(_, code, _)| kind_of(code))).unwrap_or(StoreErrorKind::Unavailable);
    let said = real
        .iter()
        .map(|(index, code, message)| format!("item {index}: {code} ({})", message.unwrap_or("without a message")));
    (kind, said.collect::<Vec<_>>().join(", "))
}
