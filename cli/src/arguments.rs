//! The command line.

use std::fmt;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::duration;
use crate::failure::Failure;

/// Share the shards of a Kinesis stream among a fleet of processes.
#[derive(Debug, Parser)]
#[command(name = "leasehold", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) task: Task,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Watch a fleet share a stream, in one of several stories.
    ///
    /// Everything runs in this one process: a Kinesis endpoint on loopback, read through the AWS SDK over HTTP, a lease
    /// table in memory, the workers, and a producer. The demo checks its own promises and fails when one is broken.
    Demo(DemoOptions),
    /// Print the records of Kinesis streams as JSON lines.
    ///
    /// With leases in memory, this is one worker that reads all shards. Started several times with --leases naming a
    /// table that all can reach, the processes share the shards. Ctrl-C leaves politely; a second one ends at once, like
    /// a crash.
    ///
    /// A line has the members stream, shard, fencing_token, sequence_number, sub_sequence_number (of a record that came out
    /// of an aggregate), partition_key, arrival_unix_millis, and data; or data_base64, where the payload is not UTF-8.
    Consume(ConsumeOptions),
    /// Print how to create a lease table, for those who do it themselves, and the rights that a worker needs.
    #[command(subcommand)]
    Schema(SchemaOptions),
    /// Serve a Kinesis in memory on loopback, for tests with the AWS SDK of any language.
    ///
    /// The SDK for Java has to be told to speak JSON: CBOR_ENABLED=false in its environment.
    Kinesis(KinesisOptions),
}

/// The stories that the demo can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StoryName {
    /// A worker joins, a shard splits, a worker crashes, a worker leaves.
    Fleet,
    /// The stream splits and merges all the time: every child is read after its parents.
    Reshard,
    /// Two deployments under load, under new names and under names that stay.
    Deploy,
    /// A worker is frozen in the middle of its work, and wakes up when others have its shards.
    Zombie,
    /// Some records fail for ever or make the processor panic.
    Poison,
}

impl fmt::Display for StoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_possible_value().map_or(Ok(()), |value| f.write_str(value.get_name()))
    }
}

/// What the demo plays.
#[derive(Debug, Clone, Args)]
pub(crate) struct DemoOptions {
    /// Which story.
    #[arg(long, value_enum, default_value_t = StoryName::Fleet)]
    pub(crate) story: StoryName,
    /// How many workers start together, 2 to 64.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(2..=64))]
    pub(crate) workers: u16,
    /// How many shards the stream has at first, 1 to 1000.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub(crate) shards: u16,
    /// How many records are produced, 1 to 10000000.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) records: u32,
    /// Decides which worker crashes, which leaves, which shard splits, and the partition keys.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How long a worker may be silent before others take its leases; the heartbeat interval is a tenth of it.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration::parse)]
    pub(crate) lease_duration: Duration,
    /// Where the leases are: memory:, postgres://USER:PASSWORD@HOST:PORT/DATABASE, redis://USER:PASSWORD@HOST:PORT
    /// (rediss:// with TLS, redis-cluster:// for a Cluster), or dynamodb://TABLE?region=REGION&create=true.
    #[arg(long, value_name = "URL", default_value = "memory:")]
    pub(crate) leases: String,
    /// Print one JSON object at the end, and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print plain lines, even on a terminal.
    #[arg(long)]
    pub(crate) plain: bool,
}

/// Which stream to print, and how.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConsumeOptions {
    /// The stream, by name or ARN. Given several times, one worker reads all of them.
    #[arg(long = "stream", value_name = "NAME", required = true)]
    pub(crate) streams: Vec<String>,
    /// Where Kinesis is, if not at AWS. For an endpoint on loopback no credentials are needed.
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint_url: Option<String>,
    /// The AWS region, if the environment or the profile does not say.
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// Where to start in a stream that the application has never read: horizon (the oldest record), latest, or a time such as
    /// 2026-11-23T12:00:00Z. One that it has goes on where it stopped; to start anew, name another --application.
    #[arg(long, value_name = "horizon|latest|TIMESTAMP", default_value = "horizon")]
    pub(crate) from: String,
    /// Where the leases are: memory:, postgres://USER:PASSWORD@HOST:PORT/DATABASE, redis://USER:PASSWORD@HOST:PORT
    /// (rediss:// with TLS, redis-cluster:// for a Cluster), or dynamodb://TABLE?region=REGION&create=true.
    #[arg(long, value_name = "URL", default_value = "memory:")]
    pub(crate) leases: String,
    /// The application whose processes share the shards. Default: leasehold-consume/STREAM, with the names of several streams
    /// in order, joined by +; to add or drop streams and go on, name one.
    #[arg(long, value_name = "NAME")]
    pub(crate) application: Option<String>,
    /// This process's name; each needs one of its own. Default: a random one.
    #[arg(long, value_name = "NAME")]
    pub(crate) worker: Option<String>,
    /// The pause between reads of a shard whose newest records were just read; a shard allows 5 reads a second.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration::parse)]
    pub(crate) poll_interval: Duration,
    /// Leave after this many records.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_records: Option<u64>,
    /// When asked to end, keep the shards for a process of the same --worker that starts within this time, instead of handing
    /// them to the others.
    #[arg(long, value_name = "DURATION", requires = "worker", value_parser = duration::parse)]
    pub(crate) returns_within: Option<Duration>,
    /// How long a worker may be silent before others take its leases, such as 500ms, 10s or 2m. The same for all processes.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration::parse)]
    pub(crate) lease_duration: Duration,
    /// How often a worker shows that it is alive: at most a third of --lease-duration. The same for all processes.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration::parse)]
    pub(crate) heartbeat_interval: Duration,
}

/// Which lease table.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum SchemaOptions {
    /// The command and the IAM policy for DynamoDB.
    Dynamodb {
        /// The name of the table.
        #[arg(long, default_value = "leasehold")]
        table: String,
    },
    /// The statements for Postgres.
    Postgres {
        /// The database schema to keep the tables in.
        #[arg(long, default_value = "leasehold")]
        schema: String,
    },
    /// The user for Redis, where nothing has to be created.
    Redis,
}

/// What to serve.
#[derive(Debug, Clone, Args)]
pub(crate) struct KinesisOptions {
    /// The port on 127.0.0.1; 0 = any free one.
    #[arg(long, default_value_t = 4567)]
    pub(crate) port: u16,
    /// A stream to create at the start, with its number of shards; may be given several times.
    #[arg(long, value_name = "NAME:SHARDS")]
    pub(crate) stream: Vec<String>,
    /// Put so many records a second into each of these streams, to have something to read.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) produce: Option<u32>,
}

impl Arguments {
    /// Reads the command line. Prints help and the version itself, and ends the process then.
    pub(crate) fn read() -> Result<Self, Failure> {
        Self::try_parse().map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
            _ => Failure::new(one_line(&error.to_string())),
        })
    }
}

/// What clap has to say, without its label and without the usage that follows it.
fn one_line(message: &str) -> String {
    let said = message.trim_start_matches("error: ").split("\n\nUsage").next().unwrap_or(message);
    let said = said.split("\n\nFor more").next().unwrap_or(said);
    format!("{said} (see --help)")
}
