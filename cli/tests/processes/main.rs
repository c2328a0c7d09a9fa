//! Fleets of real processes on real servers: they come and go, are killed, frozen and restarted, and lose their database.
#![cfg(all(feature = "dynamodb", feature = "postgres", feature = "redis"))]

#[path = "../common/mod.rs"]
mod common;
mod deployments;
mod fleet;
mod freezes;
mod outages;
mod signals;
