//! Leases as rows of a table.

use std::fmt::Display;
use std::str::FromStr;

use lease_core::{
    Change, Epoch, Incarnation, Lease, LeaseKey, StoreError, StoreErrorKind, StoreOperation, StreamFacts, Version,
    WorkerId,
};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Postgres, Row};
use stream_types::{HashRange, Name, ShardId, Timestamp};

use crate::error::{corrupt, store_error};

/// What is read of a lease, in the order of the table.
pub(crate) const COLUMNS: &str = "stream, shard, version, epoch, owner_name, owner_number, owner_nonce, position, \
     parents, hash_start::text AS hash_start, hash_end::text AS hash_end, stream_created_ms, stream_start, \
     updated_name, updated_number, updated_nonce, last_change";

pub(crate) type Statement<'sql> = Query<'sql, Postgres, PgArguments>;

/// Numbers that grow by one from zero fit into the type of the column for longer than anything runs.
pub(crate) fn column_number(number: u64, operation: StoreOperation) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| {
        let message = format!("Postgres: {number} is beyond what a bigint holds");
        StoreError::new(StoreErrorKind::Invalid, operation, message)
    })
}

/// Binds the columns that a write sets, from `version` to `last_change`.
pub(crate) fn bind_values<'sql>(statement: Statement<'sql>, lease: &Lease) -> Result<Statement<'sql>, StoreError> {
    let number = |number| column_number(number, StoreOperation::Put);
    let owner = lease.owner.as_ref();
    let parents: Vec<String> = lease.parents.iter().map(ToString::to_string).collect();
    let created = lease.stream.created.map(|created| number(created.unix_millis())).transpose()?;
    Ok(statement
        .bind(number(lease.version.0)?)
        .bind(number(lease.epoch.0)?)
        .bind(owner.map(|owner| owner.name.to_string()))
        .bind(owner.map(|owner| number(owner.incarnation.number)).transpose()?)
        .bind(owner.map(|owner| owner.incarnation.nonce.cast_signed()))
        .bind(lease.position.to_string())
        .bind(parents)
        .bind(lease.hash_range.map(|range| range.start().to_string()))
        .bind(lease.hash_range.map(|range| range.end().to_string()))
        .bind(created)
        .bind(lease.stream.start.to_string())
        .bind(lease.updated_by.name.to_string())
        .bind(number(lease.updated_by.incarnation.number)?)
        .bind(lease.updated_by.incarnation.nonce.cast_signed())
        .bind(lease.last_change.as_str()))
}

/// Reads a lease.
pub(crate) fn decode(row: &PgRow, operation: StoreOperation) -> Result<Lease, StoreError> {
    let reader = Reader::of_lease(row, operation)?;
    let range = match (reader.optional::<String>("hash_start")?, reader.optional::<String>("hash_end")?) {
        (Some(start), Some(end)) => Some(reader.parsed::<HashRange>("hash_start", &format!("{start}-{end}"))?),
        _ => None,
    };
    let owner = match reader.optional::<String>("owner_name")? {
        Some(name) => Some(reader.worker(&name, "owner_name", "owner_number", "owner_nonce")?),
        None => None,
    };
    let created = reader.optional::<i64>("stream_created_ms")?;
    let created = created.map(|millis| reader.unsigned("stream_created_ms", millis)).transpose()?;
    let parents = reader.required::<Vec<String>>("parents")?;
    let change = reader.required::<String>("last_change")?;
    Ok(Lease {
        key: LeaseKey::new(reader.text("stream")?, reader.text("shard")?),
        version: Version(reader.number("version")?),
        epoch: Epoch(reader.number("epoch")?),
        owner,
        position: reader.text("position")?,
        parents: parents.iter().map(|id| reader.parsed::<ShardId>("parents", id)).collect::<Result<_, _>>()?,
        hash_range: range,
        stream: StreamFacts { created: created.map(Timestamp::from_unix_millis), start: reader.text("stream_start")? },
        updated_by: reader.worker(
            &reader.required::<String>("updated_name")?,
            "updated_name",
            "updated_number",
            "updated_nonce",
        )?,
        last_change: Change::from_word(&change)
            .ok_or_else(|| reader.corrupt("last_change", format_args!("{change:?} is no change of a lease")))?,
    })
}

/// Reads a row column by column, and says which one of which row cannot be read.
pub(crate) struct Reader<'row> {
    row: &'row PgRow,
    operation: StoreOperation,
    shown: String,
}

impl<'row> Reader<'row> {
    fn of_lease(row: &'row PgRow, operation: StoreOperation) -> Result<Self, StoreError> {
        let text = |column| row.try_get::<String, _>(column).map_err(|error| store_error(operation, error));
        let shown = format!("lease {}/{}", text("stream")?, text("shard")?);
        Ok(Self { row, operation, shown })
    }

    pub(crate) fn of_worker(row: &'row PgRow, operation: StoreOperation) -> Result<Self, StoreError> {
        let name = row.try_get::<String, _>("name").map_err(|error| store_error(operation, error))?;
        Ok(Self { row, operation, shown: format!("worker {name}") })
    }

    pub(crate) fn corrupt(&self, column: &str, why: impl Display) -> StoreError {
        corrupt(self.operation, &self.shown, column, why)
    }

    pub(crate) fn optional<Value>(&self, column: &str) -> Result<Option<Value>, StoreError>
    where
        Value: for<'r> sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>,
    {
        self.row.try_get::<Option<Value>, _>(column).map_err(|error| self.corrupt(column, error))
    }

    pub(crate) fn required<Value>(&self, column: &str) -> Result<Value, StoreError>
    where
        Value: for<'r> sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>,
    {
        self.optional(column)?.ok_or_else(|| self.corrupt(column, "it is null"))
    }

    pub(crate) fn parsed<Value: FromStr<Err: Display>>(&self, column: &str, text: &str) -> Result<Value, StoreError> {
        text.parse().map_err(|error| self.corrupt(column, error))
    }

    /// A column of text that has a meaning.
    pub(crate) fn text<Value: FromStr<Err: Display>>(&self, column: &str) -> Result<Value, StoreError> {
        self.parsed(column, &self.required::<String>(column)?)
    }

    fn unsigned(&self, column: &str, number: i64) -> Result<u64, StoreError> {
        u64::try_from(number).map_err(|_| self.corrupt(column, format_args!("{number} is below zero")))
    }

    /// A column of a number that is not below zero.
    pub(crate) fn number(&self, column: &str) -> Result<u64, StoreError> {
        self.unsigned(column, self.required(column)?)
    }

    fn worker(&self, name: &str, column: &str, number: &str, nonce: &str) -> Result<WorkerId, StoreError> {
        let incarnation =
            Incarnation { number: self.number(number)?, nonce: self.required::<i64>(nonce)?.cast_unsigned() };
        Ok(WorkerId { name: self.parsed::<Name>(column, name)?, incarnation })
    }
}
