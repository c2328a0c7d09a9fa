//! `leasehold schema`: how to create a lease table by hand.

use std::io::{self, Write};

use crate::arguments::SchemaOptions;
use crate::failure::Failure;

/// Prints how to create the lease table.
pub(crate) fn print_schema(options: &SchemaOptions) -> Result<(), Failure> {
    let text = text(options)?;
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever read it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::new(format!("standard output: {error}"))),
    }
}

fn text(options: &SchemaOptions) -> Result<String, Failure> {
    match options {
        #[cfg(feature = "dynamodb")]
        SchemaOptions::Dynamodb { table } => Ok(super::dynamodb::schema(table)),
        #[cfg(not(feature = "dynamodb"))]
        SchemaOptions::Dynamodb { .. } => Err(super::without("schema", "dynamodb")),
        #[cfg(feature = "postgres")]
        SchemaOptions::Postgres { schema } => super::postgres::schema(schema),
        #[cfg(not(feature = "postgres"))]
        SchemaOptions::Postgres { .. } => Err(super::without("schema", "postgres")),
        #[cfg(feature = "redis")]
        SchemaOptions::Redis => Ok(super::redis::schema()),
        #[cfg(not(feature = "redis"))]
        SchemaOptions::Redis => Err(super::without("schema", "redis")),
    }
}
