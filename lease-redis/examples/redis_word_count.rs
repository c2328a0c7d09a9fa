//! Counts the words of a stream in Redis, exactly: start it several times, kill some, start others.
//!
//! ```console
//! $ leasehold kinesis --stream words:4 --produce 10    # or a stream of yours
//! $ export AWS_ENDPOINT_URL=http://127.0.0.1:4567 AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any
//! $ cargo run -p lease-redis --example redis_word_count -- words redis://localhost
//! ```
//!
//! The counts and the checkpoint are stored by one script, so that no word is counted twice and none is missed.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_sdk_kinesis::Client;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use consumer::{Checkpoints, Consumer, ConsumerSettings, ShardBatch, each_batch};
use kinesis_source::{KinesisSource, PollingSettings};
use lease_core::Outcome;
use lease_core::worker::WorkerSettings;
use lease_redis::RedisStore;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [stream, server] = &arguments[..] else { return Err("usage: redis_word_count STREAM REDIS_URL".into()) };
    let store = RedisStore::connect(server, "word-count".parse()?).await?;

    let https = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_config::defaults(BehaviorVersion::latest()).http_client(https).load().await;
    let polling = PollingSettings { tip_pause: Duration::from_millis(200), ..PollingSettings::default() };
    let source = Arc::new(KinesisSource::new(Client::new(&config), stream.parse()?, polling));
    let worker = WorkerSettings {
        lease_duration: Duration::from_secs(3),
        heartbeat_interval: Duration::from_millis(300),
        ..WorkerSettings::default()
    };
    // The scripts make the checkpoints.
    let settings = ConsumerSettings { worker, checkpoints: Checkpoints::Manual, ..ConsumerSettings::default() };
    let counter = store.clone();
    let consumer = Consumer::builder(Arc::new(store), source).settings(settings).build(each_batch(move |batch| {
        let store = counter.clone();
        async move { count(&store, &batch).await }
    }))?;
    let ctrl_c = async { drop(tokio::signal::ctrl_c().await) };
    let report = consumer.run_until(ctrl_c).await?;
    println!("{} records", report.records_processed);
    Ok(())
}

/// Adds the words of a batch to the counts, and stores the checkpoint with them.
async fn count(store: &RedisStore, batch: &ShardBatch) -> Result<(), Failure> {
    let Some(checkpoint) = batch.begin_checkpoint().await? else { return Ok(()) };
    // With the hash tag, the key is on the node of the leases also in a Cluster.
    let key = format!("{}:words", store.hash_tag());
    let mut commands = redis::pipe();
    for (word, count) in words(batch) {
        commands.hincr(&key, word, count);
    }
    match store.put_with(checkpoint.expected(), checkpoint.next(), &commands).await? {
        Outcome::Applied => checkpoint.committed(),
        Outcome::Conflict { current } => checkpoint.conflicted(current)?,
    }
    Ok(())
}

fn words(batch: &ShardBatch) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for record in batch.records() {
        for word in String::from_utf8_lossy(&record.data).split_whitespace() {
            *counts.entry(word.to_owned()).or_default() += 1;
        }
    }
    counts
}
