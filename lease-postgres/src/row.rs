//! Rows of the tables as the named fields of lease-core: each column bears the name of its field.

use std::time::Duration;

use lease_core::{FieldValue, Lease, RowFields, StoreError, StoreErrorKind, StoreOperation, WorkerRow};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Column, Postgres, Row, TypeInfo};

use crate::error::store_error;

/// What is read of a lease.
pub(crate) const LEASE_COLUMNS: &str = "stream, shard, version, epoch, owner_name, owner_number, owner_nonce, \
     position, parents, hash_start::text || '-' || hash_end::text AS hash_range, stream_created_ms, stream_start, \
     updated_name, updated_number, updated_nonce, last_change";

/// What is read of a worker.
pub(crate) const WORKER_COLUMNS: &str = "name, number, nonce, heartbeat, generation, capacity, zone, plan_version, leaving, returns_within_ms, \
     streams, lease_duration_ms";

pub(crate) type Statement<'sql> = Query<'sql, Postgres, PgArguments>;

/// Numbers that grow by one from zero fit into the type of the column for longer than anything runs.
pub(crate) fn column_number(number: u64, operation: StoreOperation) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| {
        let message = format!("Postgres: {number} is beyond what a bigint holds");
        StoreError::new(StoreErrorKind::Invalid, operation, message)
    })
}

/// Binds the columns of a lease that a write sets, from `version` to `last_change`.
pub(crate) fn bind_lease<'sql>(statement: Statement<'sql>, lease: &Lease) -> Result<Statement<'sql>, StoreError> {
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

/// Binds the columns of a worker that a write sets, from `name` on.
pub(crate) fn bind_worker<'sql>(statement: Statement<'sql>, row: &WorkerRow) -> Result<Statement<'sql>, StoreError> {
    let number = |number| column_number(number, StoreOperation::Heartbeat);
    let streams = row.streams.as_ref().map(|streams| streams.iter().map(ToString::to_string).collect::<Vec<_>>());
    let milliseconds = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    Ok(statement
        .bind(row.name.to_string())
        .bind(number(row.incarnation.number)?)
        .bind(row.incarnation.nonce.cast_signed())
        .bind(number(row.heartbeat)?)
        .bind(number(row.generation)?)
        .bind(row.capacity.map(|capacity| i64::from(capacity.get())))
        .bind(row.zone.as_ref().map(ToString::to_string))
        .bind(i64::from(row.plan_version.0))
        .bind(row.leaving)
        .bind(row.returns_within.map(milliseconds))
        .bind(streams)
        .bind(row.lease_duration.map(milliseconds)))
}

/// Reads a lease.
pub(crate) fn lease(row: &PgRow, operation: StoreOperation) -> Result<Lease, StoreError> {
    Lease::from_fields(&fields(row, operation)?).map_err(|error| StoreError::unreadable("Postgres", operation, error))
}

/// Reads a worker's row.
pub(crate) fn worker(row: &PgRow, operation: StoreOperation) -> Result<WorkerRow, StoreError> {
    WorkerRow::from_fields(&fields(row, operation)?)
        .map_err(|error| StoreError::unreadable("Postgres", operation, error))
}

fn fields(row: &PgRow, operation: StoreOperation) -> Result<RowFields, StoreError> {
    let mut fields = RowFields::default();
    for column in row.columns() {
        let value = match column.type_info().name() {
            "TEXT" => row.try_get::<Option<String>, _>(column.ordinal()).map(|text| text.map(FieldValue::Text)),
            "INT8" => row.try_get::<Option<i64>, _>(column.ordinal()).map(|n| n.map(|n| number(column.name(), n))),
            "BOOL" => row.try_get::<Option<bool>, _>(column.ordinal()).map(|flag| flag.map(FieldValue::Flag)),
            "TEXT[]" => row.try_get::<Option<Vec<String>>, _>(column.ordinal()).map(|list| list.map(FieldValue::Texts)),
            // A field that cannot be read counts as missing, which is said of the row.
            _ => Ok(None),
        };
        if let Some(value) = value.map_err(|error| store_error(operation, error))? {
            fields.set(column.name(), value);
        }
    }
    Ok(fields)
}

/// A nonce uses all 64 bits of its column; every other number counts from zero.
fn number(column: &str, number: i64) -> FieldValue {
    if column.ends_with("nonce") {
        return FieldValue::Number(number.cast_unsigned());
    }
    u64::try_from(number).map_or_else(|_| FieldValue::Text(number.to_string()), FieldValue::Number)
}
