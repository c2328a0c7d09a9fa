//! Workers as rows of a table.

use std::num::NonZeroU32;

use lease_core::plan::PlanVersion;
use lease_core::{Incarnation, StoreError, StoreOperation, WorkerRow};
use sqlx::postgres::PgRow;

use crate::lease_row::{Reader, Statement, column_number};

/// What is read of a worker.
pub(crate) const COLUMNS: &str = "name, number, nonce, heartbeat, generation, capacity, zone, plan_version, leaving";

/// Binds the columns that a write sets, from `name` on.
pub(crate) fn bind_values<'sql>(statement: Statement<'sql>, row: &WorkerRow) -> Result<Statement<'sql>, StoreError> {
    let number = |number| column_number(number, StoreOperation::Heartbeat);
    Ok(statement
        .bind(row.name.to_string())
        .bind(number(row.incarnation.number)?)
        .bind(row.incarnation.nonce.cast_signed())
        .bind(number(row.heartbeat)?)
        .bind(number(row.generation)?)
        .bind(row.capacity.map(|capacity| i64::from(capacity.get())))
        .bind(row.zone.as_ref().map(ToString::to_string))
        .bind(i64::from(row.plan_version.0))
        .bind(row.leaving))
}

/// Reads a worker's row.
pub(crate) fn decode(row: &PgRow, operation: StoreOperation) -> Result<WorkerRow, StoreError> {
    let reader = Reader::of_worker(row, operation)?;
    let small = |column: &str, number: i64| {
        u32::try_from(number).map_err(|_| reader.corrupt(column, format_args!("{number} is out of range")))
    };
    let capacity = match reader.optional::<i64>("capacity")? {
        Some(capacity) => {
            let capacity = NonZeroU32::new(small("capacity", capacity)?);
            Some(capacity.ok_or_else(|| reader.corrupt("capacity", "it is zero"))?)
        }
        None => None,
    };
    let zone = reader.optional::<String>("zone")?.map(|zone| reader.parsed("zone", &zone)).transpose()?;
    Ok(WorkerRow {
        name: reader.text("name")?,
        incarnation: Incarnation {
            number: reader.number("number")?,
            nonce: reader.required::<i64>("nonce")?.cast_unsigned(),
        },
        heartbeat: reader.number("heartbeat")?,
        generation: reader.number("generation")?,
        capacity,
        zone,
        plan_version: PlanVersion(small("plan_version", reader.required("plan_version")?)?),
        leaving: reader.required("leaving")?,
    })
}
