//! Counts the words of a stream in DynamoDB, exactly: start it several times, kill some, start others.
//!
//! ```console
//! $ leasehold kinesis --stream words:4 --produce 10    # or a stream of yours
//! $ export AWS_ENDPOINT_URL_KINESIS=http://127.0.0.1:4567 AWS_REGION=us-east-1
//! $ cargo run -p lease-dynamodb --example dynamodb_word_count -- words leasehold
//! ```
//!
//! It uses your AWS credentials, and creates the table if it is missing, which costs; `AWS_ENDPOINT_URL_DYNAMODB` is for a
//! DynamoDB on your own machine. Beside the rights of a worker it takes `dynamodb:UpdateItem`.
//!
//! The counts and the checkpoint are stored in one transaction, so that no word is counted twice and none is missed.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use consumer::{Checkpoints, Consumer, ConsumerSettings, ShardBatch, each_batch};
use kinesis_source::{KinesisSource, PollingSettings, Record};
use lease_core::Outcome;
use lease_core::worker::WorkerSettings;
use lease_dynamodb::{DynamodbStore, TableSettings};

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [stream, table] = &arguments[..] else { return Err("usage: dynamodb_word_count STREAM TABLE".into()) };
    let https = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_config::defaults(BehaviorVersion::latest()).http_client(https).load().await;
    let client = Client::new(&config);
    let store = DynamodbStore::from_client(client.clone(), table, "word-count".parse()?);
    store.prepare(&TableSettings::default()).await?;

    let polling = PollingSettings { tip_pause: Duration::from_millis(200), ..PollingSettings::default() };
    let source = Arc::new(KinesisSource::new(aws_sdk_kinesis::Client::new(&config), stream.parse()?, polling));
    let worker = WorkerSettings {
        lease_duration: Duration::from_secs(3),
        heartbeat_interval: Duration::from_millis(300),
        ..WorkerSettings::default()
    };
    // The transactions make the checkpoints.
    let settings = ConsumerSettings { worker, checkpoints: Checkpoints::Manual, ..ConsumerSettings::default() };
    let counter = store.clone();
    let consumer = Consumer::builder(Arc::new(store), source).settings(settings).build(each_batch(move |batch| {
        let (client, store) = (client.clone(), counter.clone());
        async move { count(&client, &store, &batch).await }
    }))?;
    let ctrl_c = async { drop(tokio::signal::ctrl_c().await) };
    let report = consumer.run_until(ctrl_c).await?;
    println!("{} records", report.records_processed);
    Ok(())
}

/// The most items of a transaction (Amazon DynamoDB API Reference, `TransactWriteItems`). One of them is the checkpoint.
const MAX_ITEMS: usize = 100;

/// Adds the words of a batch to the counts, and stores a checkpoint with them; in as many parts as it takes.
async fn count(client: &Client, store: &DynamodbStore, batch: &ShardBatch) -> Result<(), Failure> {
    let mut words = BTreeMap::new();
    let mut records = batch.records().iter().peekable();
    while let Some(record) = records.next() {
        add_words(record, &mut words);
        let is_full = |next: &&Record| {
            let mut with_next = words.clone();
            add_words(next, &mut with_next);
            with_next.len() >= MAX_ITEMS
        };
        if records.peek().is_none_or(is_full) {
            store_counts(client, store, batch, record, std::mem::take(&mut words)).await?;
        }
    }
    Ok(())
}

/// Stores that everything up to the record is counted, and the counts that are new with it.
async fn store_counts(
    client: &Client,
    store: &DynamodbStore,
    batch: &ShardBatch,
    last: &Record,
    words: BTreeMap<String, i64>,
) -> Result<(), Failure> {
    let Some(checkpoint) = batch.shard().begin_checkpoint(last).await? else { return Ok(()) };
    let item = store.transaction_item(checkpoint.expected(), checkpoint.next())?;
    let mut transaction = client.transact_write_items().transact_items(item);
    for (word, count) in words {
        let key = AttributeValue::S(word);
        // In the leases' table, under an application of its own.
        let update = Update::builder().table_name(store.table().name());
        let update = update.key("application", AttributeValue::S("word-count/words".into())).key("row", key);
        let update = update.update_expression("ADD #count :count").expression_attribute_names("#count", "count");
        let update = update.expression_attribute_values(":count", AttributeValue::N(count.to_string()));
        transaction = transaction.transact_items(TransactWriteItem::builder().update(update.build()?).build());
    }
    // The checkpoint is the first item. Transactions that meet at a word cancel each other, and are tried again.
    match store.transaction_outcome(transaction.send().await, 0)? {
        Outcome::Applied => checkpoint.committed(),
        Outcome::Conflict { current } => checkpoint.conflicted(current)?,
    }
    Ok(())
}

fn add_words(record: &Record, counts: &mut BTreeMap<String, i64>) {
    for word in String::from_utf8_lossy(&record.data).split_whitespace() {
        *counts.entry(word.to_owned()).or_default() += 1;
    }
}
