//! Creating the table.

use std::time::Duration;

use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::operation::update_continuous_backups::UpdateContinuousBackupsError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, PointInTimeRecoverySpecification, ScalarAttributeType,
    TableDescription, TableStatus, Tag,
};
use lease_core::{StoreError, StoreErrorKind, StoreOperation};
use tokio::time::{Instant, sleep};

use crate::codec::{APPLICATION, ROW};
use crate::error::store_error;
use crate::store::DynamodbStore;
use crate::table::Table;

/// What a new table is given. Billing is by request; an existing table is left as it is.
#[derive(Debug, Clone, Default)]
pub struct TableSettings {
    /// Keep backups from which any moment of the last days can be restored. Costs by the size. Default: no.
    ///
    /// Only the call that creates the table turns it on: if that call fails afterwards, look whether it did.
    pub point_in_time_recovery: bool,
    /// Refuse to delete the table until this is turned off again. Default: no.
    pub deletion_protection: bool,
    /// Tags, such as for costs: name and value. Default: none.
    pub tags: Vec<(String, String)>,
}

/// How long a new table may take to become usable, and how often it is looked at.
const CREATION_DEADLINE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(250);

const OPERATION: StoreOperation = StoreOperation::Prepare;

impl DynamodbStore {
    /// Creates the table if it is missing, and waits until it can be used. Workers that start together may all call it.
    ///
    /// # Errors
    ///
    /// DynamoDB cannot be reached, the credentials may not create tables, or there is a table of this name with another
    /// key. Then nothing is changed.
    pub async fn prepare(&self, settings: &TableSettings) -> Result<(), StoreError> {
        let begun = Instant::now();
        let mut is_mine = false;
        loop {
            let Some(description) = self.described().await? else {
                is_mine |= self.create(settings).await?;
                self.pause(begun, "there").await?;
                continue;
            };
            match description.table_status() {
                Some(TableStatus::Active | TableStatus::Updating) => {
                    refuse_misfit(self.table(), OPERATION, &description)?;
                    break;
                }
                Some(TableStatus::Creating | TableStatus::Deleting) => self.pause(begun, "usable").await?,
                status => return Err(self.unusable(OPERATION, status)),
            }
        }
        // An existing table is left as it is.
        while is_mine && settings.point_in_time_recovery && !self.turn_on_recovery().await? {
            self.pause(begun, "ready for point-in-time recovery").await?;
        }
        Ok(())
    }

    /// Looks whether the table is there, and what it looks like. Changes nothing.
    ///
    /// # Errors
    ///
    /// DynamoDB cannot be reached, or there is no table of this name that can be used, or one with another key.
    pub async fn verify(&self) -> Result<(), StoreError> {
        let operation = StoreOperation::Connect;
        let answer = self.client().describe_table().table_name(self.table().name()).send().await;
        let answer = answer.map_err(|error| store_error(self.table(), operation, error))?;
        match answer.table().map(|description| (description, description.table_status())) {
            Some((description, Some(TableStatus::Active | TableStatus::Updating))) => {
                refuse_misfit(self.table(), operation, description)
            }
            other => Err(self.unusable(operation, other.and_then(|(_, status)| status))),
        }
    }

    fn unusable(&self, operation: StoreOperation, status: Option<&TableStatus>) -> StoreError {
        let status = status.map_or("without a status", TableStatus::as_str);
        refused(StoreErrorKind::Unavailable, operation, &format!("table {} is {status}", self.table()))
    }

    /// Waits before the table is looked at again.
    async fn pause(&self, begun: Instant, what: &str) -> Result<(), StoreError> {
        if begun.elapsed() > CREATION_DEADLINE {
            let message = format!("table {} is not {what} after {CREATION_DEADLINE:?}", self.table());
            return Err(refused(StoreErrorKind::Unavailable, OPERATION, &message));
        }
        sleep(LOOK).await;
        Ok(())
    }

    async fn described(&self) -> Result<Option<TableDescription>, StoreError> {
        let answer = self.client().describe_table().table_name(self.table().name()).send().await;
        match answer {
            Ok(answer) => Ok(answer.table),
            Err(error) if error.as_service_error().is_some_and(DescribeTableError::is_resource_not_found_exception) => {
                Ok(None)
            }
            Err(error) => Err(store_error(self.table(), OPERATION, error)),
        }
    }

    /// Returns whether the table is of this making.
    async fn create(&self, settings: &TableSettings) -> Result<bool, StoreError> {
        let mut create = self.client().create_table().table_name(self.table().name());
        for (name, kind) in [(APPLICATION, KeyType::Hash), (ROW, KeyType::Range)] {
            let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
            let key = KeySchemaElement::builder().attribute_name(name).key_type(kind);
            create = create.attribute_definitions(attribute.build().map_err(incomplete)?);
            create = create.key_schema(key.build().map_err(incomplete)?);
        }
        for (name, value) in &settings.tags {
            create = create.tags(Tag::builder().key(name).value(value).build().map_err(incomplete)?);
        }
        let create = create.billing_mode(BillingMode::PayPerRequest);
        match create.deletion_protection_enabled(settings.deletion_protection).send().await {
            Ok(_created) => Ok(true),
            // Another worker was faster.
            Err(error) if error.as_service_error().is_some_and(CreateTableError::is_resource_in_use_exception) => {
                Ok(false)
            }
            Err(error) => Err(store_error(self.table(), OPERATION, error)),
        }
    }

    /// Returns whether it is on. A new table takes a while before it can be.
    async fn turn_on_recovery(&self) -> Result<bool, StoreError> {
        let on = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true);
        let update = self.client().update_continuous_backups().table_name(self.table().name());
        let update = update.point_in_time_recovery_specification(on.build().map_err(incomplete)?);
        match update.send().await {
            Ok(_on) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(UpdateContinuousBackupsError::ContinuousBackupsUnavailableException(_)) => Ok(false),
                _ => Err(store_error(self.table(), OPERATION, error)),
            },
        }
    }
}

fn refuse_misfit(table: &Table, operation: StoreOperation, description: &TableDescription) -> Result<(), StoreError> {
    match Table::misfit(description) {
        None => Ok(()),
        Some(misfit) => {
            let message =
                format!("table {table} is there, but it is not a table of leases: {misfit}; choose another name");
            Err(refused(StoreErrorKind::Invalid, operation, &message))
        }
    }
}

fn refused(kind: StoreErrorKind, operation: StoreOperation, message: &str) -> StoreError {
    StoreError::new(kind, operation, format!("DynamoDB: {message}"))
}

fn incomplete(error: aws_sdk_dynamodb::error::BuildError) -> StoreError {
    refused(StoreErrorKind::Invalid, OPERATION, "the request is incomplete").caused_by(error)
}
