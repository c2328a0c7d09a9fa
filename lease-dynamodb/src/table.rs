//! Which table, and what it looks like.

use std::fmt;

use aws_sdk_dynamodb::types::{KeyType, ScalarAttributeType, TableDescription};

use crate::codec::{APPLICATION, ROW};

/// A table of leases, by name or ARN.
///
/// ```
/// use lease_dynamodb::Table;
///
/// let table = Table::new("leasehold");
/// assert!(table.creation_command().starts_with("aws dynamodb create-table --table-name leasehold"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    name: String,
}

/// What a worker does with the table. Creating it is for those who call `prepare`.
const ACTIONS: [&str; 5] = ["DeleteItem", "DescribeTable", "GetItem", "PutItem", "Query"];

impl Table {
    /// The table of that name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    /// The name, as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The command of the AWS command line that creates the table.
    #[must_use]
    pub fn creation_command(&self) -> String {
        format!(
            "aws dynamodb create-table --table-name {} --billing-mode PAY_PER_REQUEST \
             --attribute-definitions AttributeName={APPLICATION},AttributeType=S AttributeName={ROW},AttributeType=S \
             --key-schema AttributeName={APPLICATION},KeyType=HASH AttributeName={ROW},KeyType=RANGE",
            self.name
        )
    }

    /// The IAM policy with the least rights that a worker needs, as JSON.
    #[must_use]
    pub fn policy(&self) -> String {
        let actions = ACTIONS.map(|action| format!("\"dynamodb:{action}\"")).join(",");
        let resource = if self.name.starts_with("arn:") {
            self.name.clone()
        } else {
            format!("arn:aws:dynamodb:*:*:table/{}", self.name)
        };
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":[{actions}],"Resource":"{resource}"}}]}}"#
        )
    }

    /// What is wrong with a table of this name that is there, if anything is.
    pub(crate) fn misfit(description: &TableDescription) -> Option<String> {
        let keys: Vec<(&str, &KeyType)> =
            description.key_schema().iter().map(|key| (key.attribute_name(), key.key_type())).collect();
        if keys != [(APPLICATION, &KeyType::Hash), (ROW, &KeyType::Range)] {
            let found = keys.iter().map(|(name, kind)| format!("{name} ({kind})")).collect::<Vec<_>>().join(", ");
            return Some(format!("its key is {found} instead of {APPLICATION} (HASH), {ROW} (RANGE)"));
        }
        let other = description.attribute_definitions().iter().find(|attribute| {
            [APPLICATION, ROW].contains(&attribute.attribute_name())
                && *attribute.attribute_type() != ScalarAttributeType::S
        });
        other.map(|attribute| {
            format!("its key attribute {} is of type {}, not S", attribute.attribute_name(), attribute.attribute_type())
        })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}
