//! What the tests across the crates share.

pub mod backends;
pub mod behaviour;
pub mod cutting_proxy;
pub mod differential;
pub mod endpoints;
pub mod faulty_store;
pub mod fleet;

/// The example of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
