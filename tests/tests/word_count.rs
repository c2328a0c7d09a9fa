//! The word counts of the lease crates' examples stay exact, though processes are killed all the time.
//!
//! The examples are built by `cargo test --workspace`, or by `cargo build --examples` in their crates.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use kinesis_testing::{Clock, Endpoint, Kinesis, Limits, PutEntry};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use tests::backends::{Backend, Dynamodb, Postgres, Redis};

const STREAM: &str = "words";
const SHARDS: usize = 4;
const PROCESSES: usize = 3;
const KILLS: usize = 12;
const RECORDS_BETWEEN_KILLS: usize = 200;

/// How long the last ones may take to count what is left.
const DEADLINE: Duration = Duration::from_secs(90);

/// More words than a transaction of DynamoDB has items.
const VOCABULARY: usize = 150;

type Counts = BTreeMap<String, u64>;

/// One running example. Killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already needs no killing.
        let _killed = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// The fleet of examples, and the truth.
struct Fleet {
    example: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    processes: Vec<Process>,
    kinesis: Kinesis,
    truth: Counts,
    random: fastrand::Rng,
}

impl Fleet {
    fn start(&mut self) {
        let mut command = Command::new(&self.example);
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let shown = self.example.display();
        self.processes.push(Process(child.unwrap_or_else(|error| panic!("{shown}: {error}: cargo build --examples"))));
    }

    fn produce(&mut self, count: usize) {
        for _ in 0..count {
            let words: Vec<String> =
                (0..self.random.usize(1..4)).map(|_| format!("word-{}", self.random.usize(0..VOCABULARY))).collect();
            let partition_key = format!("key-{}", self.random.u32(..));
            let entry = PutEntry { partition_key, explicit_hash_key: None, data: words.join(" ").into() };
            self.kinesis.put_record(STREAM, entry).expect("the model takes the record");
            words.into_iter().for_each(|word| *self.truth.entry(word).or_default() += 1);
        }
    }

    /// Kills one after the other, at any moment, and starts another in its place.
    async fn outlive_kills(&mut self) {
        for _ in 0..KILLS {
            self.produce(RECORDS_BETWEEN_KILLS);
            // Nothing is waited for: the moment of the kill is what is random.
            tokio::time::sleep(Duration::from_millis(self.random.u64(100..1_500))).await;
            let victim = self.random.usize(0..self.processes.len());
            drop(self.processes.swap_remove(victim));
            self.start();
        }
    }
}

fn example(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().expect("this test is a program");
    path.pop();
    path.pop();
    path.join("examples").join(name)
}

async fn stays_exact<Reading: Future<Output = Counts>>(
    name: &str,
    place: &str,
    environment: &[(&'static str, String)],
    read: impl Fn() -> Reading,
) {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let kinesis = Kinesis::new(Clock::system(), Limits::of_the_service());
    kinesis.create_stream(STREAM, SHARDS).expect("a new stream");
    let endpoint = Endpoint::start(kinesis.clone(), 0).await.expect("a port is free");
    let mut environment = environment.to_vec();
    environment.extend([
        ("AWS_ENDPOINT_URL_KINESIS", endpoint.url()),
        ("AWS_REGION", "us-east-1".into()),
        ("AWS_ACCESS_KEY_ID", "any".into()),
        ("AWS_SECRET_ACCESS_KEY", "any".into()),
    ]);
    let mut fleet = Fleet {
        example: example(name),
        arguments: vec![STREAM.into(), place.into()],
        environment,
        processes: Vec::new(),
        kinesis,
        truth: Counts::new(),
        random: fastrand::Rng::with_seed(seed),
    };
    (0..PROCESSES).for_each(|_| fleet.start());
    fleet.outlive_kills().await;

    let total = |counts: &Counts| counts.values().sum::<u64>();
    let begun = Instant::now();
    while total(&read().await) < total(&fleet.truth) {
        assert!(begun.elapsed() < DEADLINE, "{} of {} words were counted", total(&read().await), total(&fleet.truth));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Nobody is at work any more that could count something once more.
    fleet.processes.clear();
    assert_eq!(read().await, fleet.truth);
    drop(fleet);
    endpoint.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_count_in_postgres_stays_exact_though_processes_are_killed() {
    let Some(place) = Postgres::fresh() else { return };
    let name = format!("words_{:016x}", fastrand::u64(..));
    let mut admin = PgConnection::connect(&place.url).await.expect("the server answers");
    admin.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.expect("a new database");
    let url = format!("{}/{name}", place.url.rsplit_once('/').expect("the URL names a database").0);
    let read = async || {
        let mut connection = PgConnection::connect(&url).await.expect("the server answers");
        let rows = connection.fetch_all("SELECT word, count FROM word_counts").await.unwrap_or_default();
        rows.iter().map(|row| (row.get("word"), row.get::<i64, _>("count").unsigned_abs())).collect()
    };
    stays_exact("postgres_word_count", &url, &[], read).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_count_in_redis_stays_exact_though_processes_are_killed() {
    if Redis::fresh().is_none() {
        return;
    }
    let server = test_servers::Redis::start(&[]).expect("it starts, as the shared one did");
    let client = redis::Client::open(server.url()).expect("a valid URL");
    let read = async || {
        let mut connection = client.get_multiplexed_async_connection().await.expect("the server answers");
        let words = redis::cmd("HGETALL").arg("{leasehold:word-count}:words").query_async(&mut connection).await;
        words.expect("the counts are there")
    };
    stays_exact("redis_word_count", &server.url(), &[], read).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_count_in_dynamodb_stays_exact_though_processes_are_killed() {
    let Some(place) = Dynamodb::fresh() else { return };
    let client = place.client();
    let read = async || {
        let query = client.query().table_name(&place.table).consistent_read(true);
        let query = query.key_condition_expression("application = :words");
        let query = query.expression_attribute_values(":words", AttributeValue::S("word-count/words".into()));
        // Until the first process has created it, there is no table.
        let Ok(answer) = query.send().await else { return Counts::new() };
        let text = |value: Option<&AttributeValue>| match value {
            Some(AttributeValue::S(text) | AttributeValue::N(text)) => text.clone(),
            other => panic!("{other:?} is neither text nor number"),
        };
        answer
            .items()
            .iter()
            .map(|item| (text(item.get("row")), text(item.get("count")).parse().expect("a count")))
            .collect()
    };
    let environment = [("AWS_ENDPOINT_URL_DYNAMODB", place.url.clone())];
    stays_exact("dynamodb_word_count", &place.table, &environment, read).await;
}
