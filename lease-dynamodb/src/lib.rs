//! Leasehold's lease table in DynamoDB: one implementation of [`LeaseStore`](lease_core::LeaseStore).
//!
//! One table holds the rows of any number of applications, each in a partition of its own. There is no index and no second
//! table.
//!
//! ```no_run
//! use lease_dynamodb::{DynamodbStore, TableSettings};
//! use stream_types::Name;
//!
//! # async fn example(client: aws_sdk_dynamodb::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let store = DynamodbStore::from_client(client, "leasehold", Name::new("billing")?);
//! store.prepare(&TableSettings::default()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`DynamodbStore::prepare`] creates the table if it is missing, safely when many workers start at once. Or create it
//! yourself, by the command that [`Table::creation_command`] prints; the workers then need no more rights than those of
//! [`Table::policy`].
//!
//! # What it costs
//!
//! A heartbeat is one write and one strongly consistent query of the workers' rows, which are about 200 bytes each; a
//! checkpoint is one write. A lease is smaller than 1 KB, so each write is one write unit (Amazon DynamoDB Developer Guide,
//! "Read and write operations"). An application has one partition, which takes 1,000 write units and 3,000 read units a
//! second.

mod codec;
mod condition;
mod error;
mod prepare;
mod store;
mod table;
mod transaction;

pub use prepare::TableSettings;
pub use store::DynamodbStore;
pub use table::Table;
