//! What the tests across the crates share.

pub mod backends;
pub mod behaviour;
pub mod differential;
pub mod endpoints;
pub mod faulty_store;
pub mod forgetful_store;
pub mod reshards;
pub mod rough_proxy;
pub mod soak;
pub mod virtual_world;

/// The examples of the READMEs compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[doc = include_str!("../../lease-dynamodb/README.md")]
#[doc = include_str!("../../lease-postgres/README.md")]
#[doc = include_str!("../../lease-redis/README.md")]
pub struct Readmes;
