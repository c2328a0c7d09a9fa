//! `leasehold consume`: the records of streams as JSON lines.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_kinesis::Client;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use consumer::{
    Consumer, ConsumerError, ConsumerSettings, Departure, ShardBatch, ShardContext, StartingPosition, each_batch,
};
use kinesis_source::{KinesisSource, PollingSettings, Record, SourceErrorKind, StreamReference};
use lease_core::worker::WorkerSettings;
use serde_json::json;
use stream_types::{Name, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::arguments::ConsumeOptions;
use crate::aws;
use crate::failure::Failure;
use crate::leases;
use crate::signals::{asked_to_end_at_once, asked_to_leave};

pub(crate) async fn run(options: ConsumeOptions) -> Result<(), Failure> {
    let parse = |stream: &String| stream.parse().map_err(|error| Failure::new(format!("--stream: {error}")));
    let streams: Vec<StreamReference> = options.streams.iter().map(parse).collect::<Result<_, _>>()?;
    // In whatever order they are given, the same streams are the same application.
    let names: BTreeSet<&str> = streams.iter().map(|stream| stream.name().as_str()).collect();
    let default_application = || format!("leasehold-consume/{}", Vec::from_iter(names).join("+"));
    let application = named("--application", &options.application.clone().unwrap_or_else(default_application))?;
    let worker = options.worker.as_deref().map(|worker| named("--worker", worker)).transpose()?;
    let settings = settings(&options)?;
    // What the settings refuse is told before anything is asked of the network.
    settings.validate().map_err(|error| Failure::new(error.to_string()))?;
    let config = aws::config(options.endpoint_url.as_deref(), options.region.as_deref()).await?;
    let polling = PollingSettings { tip_pause: options.poll_interval, ..PollingSettings::default() };
    let client = Client::new(&config);
    let source = |stream: StreamReference| Arc::new(KinesisSource::new(client.clone(), stream, polling.clone()));
    let store = leases::open(&options.leases, application).await?;

    let printer = Arc::new(Printer::new(options.max_records));
    let (done, printing) = (printer.done.clone(), Arc::clone(&printer));
    let mut streams = streams.into_iter().map(source);
    let first = streams.next().ok_or_else(|| Failure::new("--stream: name at least one"))?;
    let builder = streams.fold(Consumer::builder(store, first), |builder, source| builder.follow(source));
    let builder = builder.settings(settings);
    let builder = match worker {
        Some(worker) => builder.worker_name(worker),
        None => builder,
    };
    let consumer = builder
        .build(each_batch(move |batch| {
            let printer = Arc::clone(&printing);
            async move { printer.print(&batch).await }
        }))
        .map_err(|error| Failure::new(error.to_string()))?;
    let departure = options.returns_within.map_or(Departure::ForGood, |within| Departure::ToReturn { within });
    let stop = async {
        tokio::select! {
            biased;
            () = done.cancelled() => Departure::ForGood,
            () = asked_to_leave() => departure,
        }
    };
    let report = tokio::select! {
        biased;
        report = consumer.run_until(stop) => report.map_err(|error| explained(&error, &options))?,
        () = asked_to_end_at_once() => {
            let after = options.lease_duration;
            return Err(Failure::new(format!("ended at once: other processes go on with its shards after {after:?}")));
        }
    };
    if let Some(error) = printer.broken() {
        return Err(Failure::new(format!("standard output takes no more: {error}")));
    }
    if report.left_in_time {
        return Ok(());
    }
    Err(Failure::new(format!(
        "not everything was handed over in time: other processes go on with it after {:?}",
        options.lease_duration
    )))
}

fn named(option: &str, text: &str) -> Result<Name, Failure> {
    Name::new(text).map_err(|error| Failure::new(format!("{option}: {error}")))
}

fn settings(options: &ConsumeOptions) -> Result<ConsumerSettings, Failure> {
    let worker = WorkerSettings {
        lease_duration: options.lease_duration,
        heartbeat_interval: options.heartbeat_interval,
        ..WorkerSettings::default()
    };
    Ok(ConsumerSettings { worker, starting_position: starting_position(&options.from)?, ..ConsumerSettings::default() })
}

fn starting_position(from: &str) -> Result<StartingPosition, Failure> {
    match from {
        "horizon" => Ok(StartingPosition::Horizon),
        "latest" => Ok(StartingPosition::Latest),
        time => {
            let parsed = DateTime::from_str(time, Format::DateTimeWithOffset).ok();
            let millis = parsed.and_then(|time| time.to_millis().ok()).and_then(|millis| u64::try_from(millis).ok());
            let timestamp = millis.map(Timestamp::from_unix_millis).ok_or_else(|| {
                Failure::new(format!(
                    "--from {time:?} is no starting position: write horizon, latest, or a time since 1970 such as \
                     2026-11-23T12:00:00Z"
                ))
            })?;
            Ok(StartingPosition::Timestamp(timestamp))
        }
    }
}

const READING_RIGHTS: &str = "check the credentials, and that they allow kinesis:DescribeStreamSummary, kinesis:ListShards, \
    kinesis:GetShardIterator and kinesis:GetRecords on the stream, and kms:Decrypt if it is encrypted by a key of your own";

/// What to do about an error, where it can be told.
fn explained(error: &ConsumerError, options: &ConsumeOptions) -> Failure {
    let ConsumerError::Stream(source) = error else { return Failure::new(error.to_string()) };
    let place = options.endpoint_url.as_deref().unwrap_or("AWS");
    let advice = match source.kind() {
        SourceErrorKind::NotFound => "check --stream, --region and --endpoint-url".into(),
        SourceErrorKind::Unavailable => format!("check that {place} can be reached, and --endpoint-url"),
        SourceErrorKind::Denied => READING_RIGHTS.into(),
        _ => return Failure::new(error.to_string()),
    };
    Failure::new(format!("{error}; {advice}"))
}

/// Prints records, a line each, until there are enough or nobody reads them.
struct Printer {
    max_records: Option<u64>,
    printed: AtomicU64,
    done: CancellationToken,
    /// What standard output said when it took no more.
    broken: Mutex<Option<io::Error>>,
}

impl Printer {
    fn new(max_records: Option<u64>) -> Self {
        Self { max_records, printed: AtomicU64::new(0), done: CancellationToken::new(), broken: Mutex::new(None) }
    }

    /// Why standard output takes no more, unless whoever read it has seen enough.
    fn broken(&self) -> Option<io::Error> {
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner).take();
        broken.filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
    }

    /// Prints a batch. One that is not printed to its end is not done: its last record that was printed is checkpointed,
    /// and the rest comes again to whoever reads the stream next.
    async fn print(&self, batch: &ShardBatch) -> Result<(), Unfinished> {
        // Standard output may be slow, or stand still; the heartbeats must go on meanwhile.
        let Err(last) = tokio::task::block_in_place(|| self.try_print(batch)) else { return Ok(()) };
        self.done.cancel();
        if let Some(record) = last {
            batch.shard().checkpoint(record).await.map_err(|_lost| Unfinished)?;
        }
        Err(Unfinished)
    }

    /// Prints what is wanted of a batch. If that is not all, returns the last record that was printed.
    fn try_print<'batch>(&self, batch: &'batch ShardBatch) -> Result<(), Option<&'batch Record>> {
        // Held for the whole batch, so that the count is exact and batches do not mingle.
        let mut out = io::stdout().lock();
        let mut last = None;
        for record in batch.records() {
            let printed = self.printed.load(Ordering::SeqCst);
            if self.max_records.is_some_and(|max| printed >= max) {
                return Err(last);
            }
            // Line by line, so that what was printed before a failure is known.
            if let Err(error) = writeln!(out, "{}", line(batch.shard(), record)).and_then(|()| out.flush()) {
                self.broken.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                return Err(last);
            }
            self.printed.store(printed + 1, Ordering::SeqCst);
            last = Some(record);
        }
        if self.max_records.is_some_and(|max| self.printed.load(Ordering::SeqCst) >= max) {
            self.done.cancel();
        }
        Ok(())
    }
}

/// A batch was not printed to its end.
#[derive(Debug, thiserror::Error)]
#[error("no more records are printed")]
struct Unfinished;

/// Payloads that are text are shown as such, others in base64.
fn line(shard: &ShardContext, record: &Record) -> serde_json::Value {
    let (member, data) = match std::str::from_utf8(&record.data) {
        Ok(text) => ("data", text.to_owned()),
        Err(_) => ("data_base64", STANDARD.encode(&record.data)),
    };
    json!({
        "stream": shard.stream().as_str(),
        "shard": shard.shard().as_str(),
        "fencing_token": shard.fencing_token().0,
        "sequence_number": record.sequence_number.as_str(),
        "sub_sequence_number": record.sub_sequence_number,
        "partition_key": &*record.partition_key,
        "arrival_unix_millis": record.arrival.map(Timestamp::unix_millis),
        member: data,
    })
}
