//! What the tests of this crate share.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod process;
pub(crate) mod rows;
pub(crate) mod silence;
pub(crate) mod stage;
pub(crate) mod world;
