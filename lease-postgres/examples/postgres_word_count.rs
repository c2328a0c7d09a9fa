//! Counts the words of a stream in Postgres, exactly: start it several times, kill some, start others.
//!
//! ```console
//! $ leasehold kinesis --stream words:4 --produce 10    # or a stream of yours
//! $ export AWS_ENDPOINT_URL=http://127.0.0.1:4567 AWS_REGION=us-east-1 AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any
//! $ cargo run -p lease-postgres --example postgres_word_count -- words postgres://me:secret@localhost/app
//! ```
//!
//! The counts and the checkpoint are stored in one transaction, so that no word is counted twice and none is missed.

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
use lease_postgres::PostgresStore;
use sqlx::PgPool;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [stream, database] = &arguments[..] else {
        return Err("usage: postgres_word_count STREAM DATABASE_URL".into());
    };
    let pool = PgPool::connect(database).await?;
    let store = PostgresStore::from_pool(pool.clone(), "word-count".parse()?);
    store.prepare().await?;
    let create = "CREATE TABLE IF NOT EXISTS word_counts (word text PRIMARY KEY, count bigint NOT NULL)";
    if let Err(error) = sqlx::query(create).execute(&pool).await {
        eprintln!("the table of counts was not created, perhaps because another process is creating it: {error}");
    }

    let https = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_config::defaults(BehaviorVersion::latest()).http_client(https).load().await;
    let polling = PollingSettings { tip_pause: Duration::from_millis(200), ..PollingSettings::default() };
    let source = Arc::new(KinesisSource::new(Client::new(&config), stream.parse()?, polling));
    let worker = WorkerSettings {
        lease_duration: Duration::from_secs(3),
        heartbeat_interval: Duration::from_millis(300),
        ..WorkerSettings::default()
    };
    // The transactions make the checkpoints.
    let settings = ConsumerSettings { worker, checkpoints: Checkpoints::Manual, ..ConsumerSettings::default() };
    let counter = store.clone();
    let consumer = Consumer::builder(Arc::new(store), source).settings(settings).build(each_batch(move |batch| {
        let (pool, store) = (pool.clone(), counter.clone());
        async move { count(&pool, &store, &batch).await }
    }))?;
    let ctrl_c = async { drop(tokio::signal::ctrl_c().await) };
    let report = consumer.run_until(ctrl_c).await?;
    println!("{} records", report.records_processed);
    Ok(())
}

/// Adds the words of a batch to the counts, and stores the checkpoint with them.
async fn count(pool: &PgPool, store: &PostgresStore, batch: &ShardBatch) -> Result<(), Failure> {
    let Some(checkpoint) = batch.begin_checkpoint().await? else { return Ok(()) };
    let mut transaction = pool.begin().await?;
    // In alphabetical order: transactions that lock rows in the same order do not lock each other out.
    for (word, count) in words(batch) {
        sqlx::query(
            "INSERT INTO word_counts (word, count) VALUES ($1, $2) \
             ON CONFLICT (word) DO UPDATE SET count = word_counts.count + $2",
        )
        .bind(word)
        .bind(count)
        .execute(&mut *transaction)
        .await?;
    }
    match store.put_in(&mut transaction, checkpoint.expected(), checkpoint.next()).await? {
        Outcome::Applied => {
            transaction.commit().await?;
            checkpoint.committed();
        }
        Outcome::Conflict { current } => {
            transaction.rollback().await?;
            checkpoint.conflicted(current)?;
        }
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
