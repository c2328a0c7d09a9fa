//! The memory store keeps the contract.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use lease_core::testing::{StoreFactory, block_on_ready};
use lease_core::{LeaseStore, MemoryStore};
use stream_types::Name;

#[derive(Debug)]
struct Memory(MemoryStore);

#[async_trait]
impl StoreFactory for Memory {
    async fn open(&self, application: Name) -> Arc<dyn LeaseStore> {
        Arc::new(self.0.for_application(application))
    }

    fn block_on(&self, check: Pin<Box<dyn Future<Output = ()> + '_>>) {
        block_on_ready(check);
    }
}

lease_core::lease_store_conformance!(Memory(MemoryStore::new(Name::new("any").unwrap())));
