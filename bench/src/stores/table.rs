//! The lease tables that are measured, each fresh.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use lease_core::{LeaseStore, MemoryStore};
use lease_dynamodb::{DynamodbStore, TableSettings};
use lease_redis::RedisSettings;
use stream_types::Name;
use tests::backends::{Backend, Dynamodb, Postgres, Redis};

use super::capacity::Capacity;

/// Which kind of table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Memory,
    Postgres,
    Redis,
    Dynamodb,
}

/// All that keep leases beyond one process.
pub(super) const REAL: [Kind; 3] = [Kind::Postgres, Kind::Redis, Kind::Dynamodb];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Memory => "memory",
            Self::Postgres => "Postgres",
            Self::Redis => "Redis",
            Self::Dynamodb => "DynamoDB",
        })
    }
}

/// A fresh table.
pub(super) struct Table {
    pub(super) store: Arc<dyn LeaseStore>,
    /// What DynamoDB says that its requests have consumed.
    pub(super) capacity: Option<Capacity>,
}

impl Kind {
    /// A fresh table of this kind.
    pub(super) async fn open(self, has_hints: bool) -> Result<Table, Box<dyn Error>> {
        let application = Name::new("bench")?;
        let missing = || format!("no {self} is there: run this by cargo xtask bench stores");
        let mut capacity = None;
        let store: Arc<dyn LeaseStore> = match self {
            Self::Memory => Arc::new(MemoryStore::new(application)),
            Self::Postgres => {
                let store = Postgres::fresh().ok_or_else(missing)?.store(application).await;
                Arc::new(if has_hints { store } else { store.without_hints() })
            }
            Self::Redis => {
                let settings = RedisSettings { has_hints, ..RedisSettings::default() };
                Arc::new(Redis::fresh().ok_or_else(missing)?.store(&application, settings).await)
            }
            Self::Dynamodb => {
                let place = Dynamodb::fresh().ok_or_else(missing)?;
                let counted = Capacity::default();
                let config = place.client().config().to_builder().interceptor(counted.clone()).build();
                capacity = Some(counted);
                let store = DynamodbStore::from_client(Client::from_conf(config), place.table.clone(), application);
                store.prepare(&TableSettings::default()).await?;
                Arc::new(store)
            }
        };
        Ok(Table { store, capacity })
    }
}
