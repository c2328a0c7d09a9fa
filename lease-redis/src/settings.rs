//! What users may say about their server.

use std::time::Duration;

/// How a [`RedisStore`](crate::RedisStore) treats its server. The default is the safe choice.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// Tell the other workers by pub/sub when a lease changes hands, and listen to them: one more connection for each
    /// worker. Default: yes.
    pub has_hints: bool,
    /// Use a server whose `maxmemory-policy` is not `noeviction`. Such a server may delete leases when its memory is
    /// full: then shards are read again from where the application first started. Default: no, it is refused.
    pub accepts_eviction: bool,
    /// Count a write of a lease as done only when so many replicas have it. Default: the primary is enough.
    ///
    /// It makes a lost tail unlikely, not impossible: Redis may still promote a replica that was not among them. Not for
    /// Cluster.
    pub acknowledgement: Option<Acknowledgement>,
}

impl Default for RedisSettings {
    fn default() -> Self {
        Self { has_hints: true, accepts_eviction: false, acknowledgement: None }
    }
}

/// How many replicas must have a write, by Redis' command `WAIT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The least number of replicas.
    pub replicas: u32,
    /// How long they may take. Later, the write counts as neither done nor undone, and is sent again.
    pub within: Duration,
}
