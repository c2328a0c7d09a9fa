//! Whether a server can be trusted with leases.

use lease_core::{StoreError, StoreErrorKind, StoreOperation};
use redis::{Value, cmd};

use crate::connection::Connection;

/// Refuses a server that may delete leases by itself (Redis documentation, "Key eviction").
pub(crate) async fn refuse_eviction(connection: &Connection) -> Result<(), StoreError> {
    let answer: Value = connection.ask(StoreOperation::Connect, cmd("INFO").arg("memory")).await?;
    match policies(&answer).into_iter().find(|policy| policy != "noeviction") {
        None => Ok(()),
        Some(policy) => Err(StoreError::new(
            StoreErrorKind::Invalid,
            StoreOperation::Connect,
            format!(
                "Redis: maxmemory-policy is {policy}, under which the server may delete leases when its memory is full; \
                 set it to noeviction, or accept that by RedisSettings::accepts_eviction"
            ),
        )),
    }
}

/// The policy of each node that has answered.
fn policies(answer: &Value) -> Vec<String> {
    match answer {
        Value::Map(nodes) => nodes.iter().flat_map(|(_node, info)| policies(info)).collect(),
        Value::Array(nodes) => nodes.iter().flat_map(policies).collect(),
        Value::BulkString(text) => policy_of(&String::from_utf8_lossy(text)).into_iter().collect(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => policy_of(text).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn policy_of(info: &str) -> Option<String> {
    info.lines().find_map(|line| line.strip_prefix("maxmemory_policy:")).map(|policy| policy.trim().to_owned())
}
