//! Leasehold's lease table in Redis: **not written yet**.
//!
//! This crate holds the place and the name. Until it implements `lease_core::LeaseStore`, the only lease table is
//! `lease_core::MemoryStore`, which lives and dies with its process.
