//! Rows as items: each field an attribute of its own name, beside the two of the key.

use aws_sdk_dynamodb::types::AttributeValue;
use lease_core::{FieldValue, Lease, LeaseKey, RowFields, StoreError, StoreOperation, UnreadableRow, WorkerRow};
use stream_types::Name;

/// The attribute of the partition key.
pub(crate) const APPLICATION: &str = "application";

/// The attribute of the sort key.
pub(crate) const ROW: &str = "row";

/// What the sort keys of leases begin with.
pub(crate) const LEASES: &str = "lease/";

/// What the sort keys of workers begin with.
pub(crate) const WORKERS: &str = "worker/";

/// An item as the SDK has it.
#[expect(clippy::disallowed_types, reason = "the SDK's type; nothing depends on its order")]
pub(crate) type Item = std::collections::HashMap<String, AttributeValue>;

pub(crate) fn lease_row(key: &LeaseKey) -> String {
    format!("{LEASES}{key}")
}

pub(crate) fn worker_row(name: &Name) -> String {
    format!("{WORKERS}{name}")
}

/// A row with its key.
pub(crate) fn item(application: &Name, row: String, fields: &RowFields) -> Item {
    let key = [(APPLICATION, application.to_string()), (ROW, row)];
    let key = key.map(|(name, text)| (name.to_owned(), AttributeValue::S(text)));
    fields.iter().map(|(name, value)| (name.to_owned(), attribute(value))).chain(key).collect()
}

/// The attribute for a field.
pub(crate) fn attribute(value: &FieldValue) -> AttributeValue {
    match value {
        FieldValue::Text(text) => AttributeValue::S(text.clone()),
        FieldValue::Number(number) => AttributeValue::N(number.to_string()),
        FieldValue::Flag(flag) => AttributeValue::Bool(*flag),
        FieldValue::Texts(texts) => AttributeValue::L(texts.iter().cloned().map(AttributeValue::S).collect()),
    }
}

pub(crate) fn decode_lease(item: &Item, operation: StoreOperation) -> Result<Lease, StoreError> {
    Lease::from_fields(&fields(item)).map_err(|error| unreadable(operation, error))
}

pub(crate) fn decode_worker(item: &Item, operation: StoreOperation) -> Result<WorkerRow, StoreError> {
    WorkerRow::from_fields(&fields(item)).map_err(|error| unreadable(operation, error))
}

fn unreadable(operation: StoreOperation, error: UnreadableRow) -> StoreError {
    StoreError::unreadable("DynamoDB", operation, error)
}

fn fields(item: &Item) -> RowFields {
    item.iter().filter_map(|(name, value)| Some((name.clone(), field(value)?))).collect()
}

/// What is of no known type counts as missing, which is said of the row.
fn field(value: &AttributeValue) -> Option<FieldValue> {
    match value {
        AttributeValue::S(text) => Some(FieldValue::Text(text.clone())),
        AttributeValue::N(number) => {
            Some(number.parse().map_or_else(|_| FieldValue::Text(number.clone()), FieldValue::Number))
        }
        AttributeValue::Bool(flag) => Some(FieldValue::Flag(*flag)),
        AttributeValue::L(texts) => {
            let texts = texts.iter().map(|text| text.as_s().ok().cloned());
            texts.collect::<Option<Vec<String>>>().map(FieldValue::Texts)
        }
        _ => None,
    }
}
