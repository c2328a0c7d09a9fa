//! The scripts that the server runs, one per verb that writes: each is carried out whole, with nothing in between.

use redis::Script;

/// The scripts, with their hashes.
pub(crate) struct Scripts {
    pub(crate) write_lease: Script,
    pub(crate) heartbeat: Script,
    pub(crate) forget: Script,
}

/// The text of the script that writes a lease, for where it is sent together with other commands.
pub(crate) const WRITE_LEASE: &str = include_str!("scripts/write_lease.lua");

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            write_lease: Script::new(WRITE_LEASE),
            heartbeat: Script::new(include_str!("scripts/heartbeat.lua")),
            forget: Script::new(include_str!("scripts/forget.lua")),
        }
    }
}
