//! What the tests across the crates share.

pub mod behaviour;
pub mod endpoints;
pub mod faulty_store;
pub mod fleet;
