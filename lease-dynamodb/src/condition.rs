//! The conditions under which rows are written.

use aws_sdk_dynamodb::types::AttributeValue;
use lease_core::{Expected, FieldValue, WorkerRow};

use crate::codec::{ROW, attribute};

/// A condition on the row that is there, as DynamoDB takes it: an expression, the attributes that it names, and the values
/// that it compares.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) expression: String,
    pub(crate) names: Vec<(String, String)>,
    pub(crate) values: Vec<(String, AttributeValue)>,
}

/// The fields of a worker's row that may be absent.
const OPTIONAL: [&str; 5] = ["capacity", "lease_duration_ms", "returns_within_ms", "streams", "zone"];

impl Condition {
    pub(crate) fn of(expected: Expected) -> Self {
        match expected {
            Expected::Absent => Self::new("attribute_not_exists(#row)", &[ROW], &[]),
            Expected::Row { version, epoch } => Self::new(
                "#version = :version AND #epoch = :epoch",
                &["version", "epoch"],
                &[("version", version.0), ("epoch", epoch.0)],
            ),
        }
    }

    /// The rule of [`WorkerRow::may_replace`], or no row.
    pub(crate) fn is_replaced_by(row: &WorkerRow) -> Self {
        Self::new(
            "attribute_not_exists(#row) \
             OR (#number = :number AND #nonce = :nonce AND #heartbeat <= :heartbeat) \
             OR (:heartbeat = :registers AND #number < :number)",
            &[ROW, "number", "nonce", "heartbeat"],
            &[
                ("number", row.incarnation.number),
                ("nonce", row.incarnation.nonce),
                ("heartbeat", row.heartbeat),
                ("registers", WorkerRow::REGISTERS),
            ],
        )
    }

    /// The very same row.
    pub(crate) fn equals(row: &WorkerRow) -> Self {
        let fields = row.to_fields();
        let absent: Vec<&str> = OPTIONAL.into_iter().filter(|name| fields.get(name).is_none()).collect();
        let present: Vec<&str> = fields.iter().map(|(name, _)| name).collect();
        let parts = present.iter().map(|name| format!("#{name} = :{name}"));
        let parts = parts.chain(absent.iter().map(|name| format!("attribute_not_exists(#{name})")));
        Self {
            expression: parts.collect::<Vec<_>>().join(" AND "),
            names: present.iter().chain(&absent).map(|name| (format!("#{name}"), (*name).to_owned())).collect(),
            values: fields.iter().map(|(name, value)| (format!(":{name}"), attribute(value))).collect(),
        }
    }

    /// Placeholders are called after what they stand for: many names of attributes are words of DynamoDB's own.
    fn new(expression: &str, names: &[&str], values: &[(&str, u64)]) -> Self {
        let value = |number: &u64| attribute(&FieldValue::Number(*number));
        Self {
            expression: expression.into(),
            names: names.iter().map(|name| (format!("#{name}"), (*name).to_owned())).collect(),
            values: values.iter().map(|(name, number)| (format!(":{name}"), value(number))).collect(),
        }
    }
}
