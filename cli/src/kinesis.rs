//! `leasehold kinesis`: the Kinesis in memory as a server of its own.

use std::time::Duration;

use kinesis_testing::{Clock, Endpoint, Kinesis, Limits, PutEntry};
use tokio::time::{MissedTickBehavior, interval};

use crate::arguments::KinesisOptions;
use crate::failure::Failure;
use crate::signals::asked_to_leave;

pub(crate) async fn run(options: KinesisOptions) -> Result<(), Failure> {
    let kinesis = Kinesis::new(Clock::system(), Limits::of_the_service());
    let streams = options.stream.iter().map(|stream| create(&kinesis, stream)).collect::<Result<Vec<_>, _>>()?;
    let endpoint = Endpoint::start(kinesis.clone(), options.port).await.map_err(|error| {
        let port = options.port;
        Failure::new(format!("port {port} of 127.0.0.1 cannot be served: {error}; pass another one with --port"))
    })?;
    println!("serving Kinesis at {}", endpoint.url());
    tokio::select! {
        biased;
        () = asked_to_leave() => {}
        () = produce(&kinesis, &streams, options.produce) => {}
    }
    endpoint.stop().await;
    Ok(())
}

/// Creates a stream, and returns its name.
fn create(kinesis: &Kinesis, stream: &str) -> Result<String, Failure> {
    let parts = stream.split_once(':').and_then(|(name, count)| Some((name, count.parse().ok()?)));
    let Some((name, shard_count)) = parts else {
        return Err(Failure::new(format!("{stream:?} is no stream to create: write NAME:SHARDS, such as orders:4")));
    };
    kinesis.create_stream(name, shard_count).map_err(|error| Failure::new(error.to_string()))?;
    Ok(name.to_owned())
}

/// Puts records into the streams for as long as it is let.
async fn produce(kinesis: &Kinesis, streams: &[String], per_second: Option<u32>) {
    let Some(per_second) = per_second else { return std::future::pending().await };
    let mut beat = interval(Duration::from_secs(1) / per_second);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0_u64.. {
        beat.tick().await;
        for stream in streams {
            let partition_key = format!("key-{}", fastrand::u16(..));
            let entry = PutEntry { partition_key, explicit_hash_key: None, data: format!("record {number}").into() };
            // A shard that is full, or a stream that somebody has deleted, takes the next one or none.
            let _refused = kinesis.put_record(stream, entry);
        }
    }
}
