//! The store.

use std::fmt;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use lease_core::{
    Beat, Epoch, Expected, Hints, Lease, LeaseKey, LeaseStore, Outcome, RowFields, StoreError, StoreOperation,
    WorkerRow,
};
use stream_types::Name;

use crate::codec::{APPLICATION, Item, LEASES, ROW, WORKERS, decode_lease, decode_worker, item, lease_row, worker_row};
use crate::condition::Condition;
use crate::error::store_error;
use crate::table::Table;

/// The leases and workers of one application, in a DynamoDB table. Clones share the client.
#[derive(Clone)]
pub struct DynamodbStore {
    client: Client,
    table: Table,
    application: Name,
}

/// How a conditional write ended.
enum Written {
    Yes,
    No { there: Option<Item> },
}

impl DynamodbStore {
    /// Uses a client of yours, and the table of that name or ARN. Asks nothing of DynamoDB yet.
    #[must_use]
    pub fn from_client(client: Client, table: impl Into<String>, application: Name) -> Self {
        Self { client, table: Table::new(table), application }
    }

    /// The same table, as another application sees it.
    #[must_use]
    pub fn for_application(&self, application: Name) -> Self {
        Self { application, ..self.clone() }
    }

    /// The table.
    #[must_use]
    pub const fn table(&self) -> &Table {
        &self.table
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) const fn application(&self) -> &Name {
        &self.application
    }

    /// All rows whose sort key begins with that, page after page.
    async fn rows<Row>(
        &self,
        prefix: &str,
        operation: StoreOperation,
        decode: fn(&Item, StoreOperation) -> Result<Row, StoreError>,
    ) -> Result<Vec<Row>, StoreError> {
        let query = self.client.query().table_name(self.table.name()).consistent_read(true);
        let query = query.key_condition_expression("#application = :application AND begins_with(#row, :prefix)");
        let query = query.expression_attribute_names("#application", APPLICATION);
        let query = query.expression_attribute_names("#row", ROW);
        let query = query.expression_attribute_values(":application", AttributeValue::S(self.application.to_string()));
        let query = query.expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()));
        let mut pages = query.into_paginator().send();
        let mut rows = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| store_error(&self.table, operation, error))?;
            for item in page.items() {
                rows.push(decode(item, operation)?);
            }
        }
        Ok(rows)
    }

    async fn put_if(
        &self,
        condition: Condition,
        row: String,
        fields: &RowFields,
        operation: StoreOperation,
    ) -> Result<Written, StoreError> {
        let Condition { expression, names, values } = condition;
        let put = self.client.put_item().table_name(self.table.name());
        let put = put.set_item(Some(item(&self.application, row, fields))).condition_expression(expression);
        let put = put.set_expression_attribute_names(Some(names.into_iter().collect()));
        let put = put.set_expression_attribute_values(some_unless_empty(values));
        let put = put.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match put.send().await {
            Ok(_) => Ok(Written::Yes),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                    Ok(Written::No { there: failed.item.clone() })
                }
                _ => Err(store_error(&self.table, operation, error)),
            },
        }
    }

    async fn delete_if(
        &self,
        condition: Condition,
        row: String,
        operation: StoreOperation,
    ) -> Result<Written, StoreError> {
        let Condition { expression, names, values } = condition;
        let delete = self.client.delete_item().table_name(self.table.name()).condition_expression(expression);
        let delete = delete.key(APPLICATION, AttributeValue::S(self.application.to_string()));
        let delete = delete.key(ROW, AttributeValue::S(row));
        let delete = delete.set_expression_attribute_names(Some(names.into_iter().collect()));
        let delete = delete.set_expression_attribute_values(some_unless_empty(values));
        let delete = delete.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match delete.send().await {
            Ok(_) => Ok(Written::Yes),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(failed)) => {
                    Ok(Written::No { there: failed.item.clone() })
                }
                _ => Err(store_error(&self.table, operation, error)),
            },
        }
    }
}

/// `DynamoDB` refuses an empty list of values.
pub(crate) fn some_unless_empty<Values: FromIterator<(String, AttributeValue)>>(
    values: Vec<(String, AttributeValue)>,
) -> Option<Values> {
    (!values.is_empty()).then(|| values.into_iter().collect())
}

/// What a conditional write of one row means to the caller.
fn outcome<Row>(
    written: Written,
    operation: StoreOperation,
    decode: fn(&Item, StoreOperation) -> Result<Row, StoreError>,
) -> Result<Outcome<Row>, StoreError> {
    match written {
        Written::Yes => Ok(Outcome::Applied),
        Written::No { there } => {
            Ok(Outcome::Conflict { current: there.map(|item| decode(&item, operation)).transpose()? })
        }
    }
}

#[async_trait]
impl LeaseStore for DynamodbStore {
    async fn list(&self) -> Result<Vec<Lease>, StoreError> {
        let mut leases = self.rows(LEASES, StoreOperation::List, decode_lease).await?;
        // The table's order is that of the keys' text.
        leases.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(leases)
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Lease>, StoreError> {
        let operation = StoreOperation::Get;
        let get = self.client.get_item().table_name(self.table.name()).consistent_read(true);
        let get = get.key(APPLICATION, AttributeValue::S(self.application.to_string()));
        let answer = get.key(ROW, AttributeValue::S(lease_row(key))).send().await;
        let answer = answer.map_err(|error| store_error(&self.table, operation, error))?;
        answer.item().map(|item| decode_lease(item, operation)).transpose()
    }

    async fn put(&self, expected: Expected, next: &Lease) -> Result<Outcome<Lease>, StoreError> {
        StoreError::check_successor(expected, next)?;
        let (operation, condition) = (StoreOperation::Put, Condition::of(expected));
        let written = self.put_if(condition, lease_row(&next.key), &next.to_fields(), operation).await?;
        outcome(written, operation, decode_lease)
    }

    async fn delete(&self, lease: &Lease) -> Result<Outcome<Lease>, StoreError> {
        let (operation, condition) = (StoreOperation::Delete, Condition::of(Expected::row(lease)));
        let written = self.delete_if(condition, lease_row(&lease.key), operation).await?;
        outcome(written, operation, decode_lease)
    }

    async fn heartbeat(&self, me: &WorkerRow) -> Result<Beat, StoreError> {
        let (operation, condition) = (StoreOperation::Heartbeat, Condition::is_replaced_by(me));
        let written = self.put_if(condition, worker_row(&me.name), &me.to_fields(), operation).await?;
        match written {
            Written::Yes => {
                let workers = self.rows(WORKERS, operation, decode_worker).await;
                let mut workers = workers.map_err(StoreError::after_a_write)?;
                workers.sort_by(|a, b| a.name.cmp(&b.name));
                Ok(Beat::Written { workers, epoch_floor: Epoch::NEVER_OWNED })
            }
            Written::No { there } => {
                let there = there.ok_or_else(|| missing_row(operation))?;
                Ok(Beat::Replaced { by: decode_worker(&there, operation)? })
            }
        }
    }

    async fn forget(&self, worker: &WorkerRow) -> Result<Outcome<WorkerRow>, StoreError> {
        let operation = StoreOperation::Forget;
        let written = self.delete_if(Condition::equals(worker), worker_row(&worker.name), operation).await?;
        outcome(written, operation, decode_worker)
    }

    /// DynamoDB pushes nothing: workers find out with their next heartbeat.
    fn hints(&self) -> Option<Box<dyn Hints>> {
        None
    }
}

/// The condition of a heartbeat holds where there is no row.
fn missing_row(operation: StoreOperation) -> StoreError {
    let message = "DynamoDB: a heartbeat was refused without the row that is in its way; \
                   the endpoint must know ReturnValuesOnConditionCheckFailure";
    StoreError::new(lease_core::StoreErrorKind::Invalid, operation, message)
}

/// Without the client, which knows the credentials.
impl fmt::Debug for DynamodbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("DynamodbStore");
        debug.field("table", &self.table).field("application", &self.application);
        debug.finish_non_exhaustive()
    }
}
