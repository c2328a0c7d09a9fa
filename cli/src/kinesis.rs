//! `leasehold kinesis`: the Kinesis in memory as a server of its own.

use kinesis_testing::{Clock, Endpoint, Kinesis, Limits};

use crate::arguments::KinesisOptions;
use crate::failure::Failure;
use crate::signals::asked_to_leave;

pub(crate) async fn run(options: KinesisOptions) -> Result<(), Failure> {
    let kinesis = Kinesis::new(Clock::system(), Limits::of_the_service());
    for stream in &options.stream {
        create(&kinesis, stream)?;
    }
    let endpoint = Endpoint::start(kinesis, options.port).await.map_err(|error| {
        let port = options.port;
        Failure::new(format!("port {port} of 127.0.0.1 cannot be served: {error}; pass another one with --port"))
    })?;
    println!("serving Kinesis at {}", endpoint.url());
    asked_to_leave().await;
    endpoint.stop().await;
    Ok(())
}

fn create(kinesis: &Kinesis, stream: &str) -> Result<(), Failure> {
    let parts = stream.split_once(':').and_then(|(name, count)| Some((name, count.parse().ok()?)));
    let Some((name, shard_count)) = parts else {
        return Err(Failure::new(format!("{stream:?} is no stream to create: write NAME:SHARDS, such as orders:4")));
    };
    kinesis.create_stream(name, shard_count).map_err(|error| Failure::new(error.to_string()))
}
