//! The Postgres store keeps the contract, on a real server.

use lease_core::lease_store_conformance;
use tests::postgres::FreshSchema;

lease_store_conformance!(FreshSchema::new());
