//! Every store keeps the contract, on a real server.

use tests::backends;

macro_rules! conformance {
    ($($module:ident: $backend:ident,)*) => {
        $(mod $module {
            use super::backends::{$backend, Fresh};

            lease_core::lease_store_conformance!(Fresh::<$backend>::new());
        })*
    };
}

conformance! {
    dynamodb: Dynamodb,
    postgres: Postgres,
    postgres_behind_a_pooling_proxy: PooledPostgres,
    redis: Redis,
    redis_cluster: RedisCluster,
}
