//! A fleet of real processes that share their leases through a database: one joins, one is killed, one is asked to leave,
//! and the database itself goes away for longer than a lease lasts.
#![cfg(all(feature = "dynamodb", feature = "postgres", feature = "redis"))]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use serde_json::Value;
use tests::backends::DynamodbServer;

const DEADLINE: Duration = Duration::from_secs(60);

const LEASE_DURATION: Duration = Duration::from_secs(3);

/// How long the database is away.
const OUTAGE: Duration = Duration::from_secs(20);

/// Who printed what.
type Printed = Arc<Mutex<Lines>>;

#[derive(Debug, Default)]
struct Lines {
    /// Which processes printed a record, by its payload.
    printers: BTreeMap<String, Vec<String>>,
    /// The sequence number of the newest record of a shard that a process has printed, and how many came out of order.
    newest: BTreeMap<(String, String), String>,
    out_of_order: usize,
}

impl Lines {
    fn note(&mut self, worker: &str, record: &Value) {
        let text = |member: &str| record[member].as_str().expect("text").to_owned();
        let printers = self.printers.entry(text("data")).or_default();
        let is_repeated = printers.iter().any(|printer| printer == worker);
        printers.push(worker.to_owned());
        let newest = self.newest.entry((worker.to_owned(), text("shard"))).or_default();
        let number = text("sequence_number");
        // A process may go back to its last checkpoint, but what it prints for the first time comes in order.
        if is_repeated {
            return;
        }
        let (before, now) = ((newest.len(), newest.as_str()), (number.len(), number.as_str()));
        self.out_of_order += usize::from(now <= before);
        *newest = number;
    }
}

/// A database that can be stopped and started again.
trait Database {
    fn leases(&self) -> String;
    fn stop(&mut self);
    fn restart(&mut self);
}

impl Database for test_servers::Postgres {
    fn leases(&self) -> String {
        self.url()
    }

    fn stop(&mut self) {
        Self::stop(self);
    }

    fn restart(&mut self) {
        Self::restart(self).expect("it starts again");
    }
}

impl Database for test_servers::Redis {
    fn leases(&self) -> String {
        self.url()
    }

    fn stop(&mut self) {
        Self::stop(self);
    }

    fn restart(&mut self) {
        Self::restart(self).expect("it starts again");
    }
}

impl Database for DynamodbServer {
    fn leases(&self) -> String {
        format!("dynamodb://leases?endpoint={}&create=true", self.url())
    }

    fn stop(&mut self) {
        Self::stop(self);
    }

    fn restart(&mut self) {
        Self::restart(self);
    }
}

/// One `leasehold consume`, whose lines are noted as they come. Killed when dropped.
struct Process {
    child: Child,
    noting: Option<JoinHandle<()>>,
}

struct World {
    server: common::Server,
    leases: String,
    application: String,
    printed: Printed,
    client: Client,
    produced: usize,
}

impl World {
    fn new(leases: String) -> Self {
        let server = common::kinesis(&["--stream", "orders:8"]);
        let config = aws_sdk_kinesis::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .endpoint_url(&server.url)
            .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        let application = format!("processes-{:016x}", fastrand::u64(..));
        let client = Client::from_conf(config.build());
        Self { server, leases, application, printed: Printed::default(), client, produced: 0 }
    }

    fn start(&self, worker: &str) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
        command.args(["consume", "--stream", "orders", "--endpoint-url", &self.server.url, "--worker", worker]);
        command.args(["--leases", &self.leases, "--application", &self.application]);
        command.args(["--lease-duration", &format!("{LEASE_DURATION:?}"), "--heartbeat-interval", "300ms"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the command runs");
        let lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        let (printed, worker) = (Arc::clone(&self.printed), worker.to_owned());
        let noting = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // The last line of a process that was killed may be cut.
                let Ok(record) = serde_json::from_str::<Value>(&line) else { continue };
                printed.lock().expect("no thread panics").note(&worker, &record);
            }
        });
        Process { child, noting: Some(noting) }
    }

    async fn put(&mut self, count: usize) {
        let entry = |number: usize| {
            let entry = PutRecordsRequestEntry::builder().partition_key(format!("key-{}", number % 97));
            entry.data(Blob::new(format!("record {number}"))).build().expect("an entry")
        };
        let entries = (self.produced..self.produced + count).map(entry).collect();
        let answer = self.client.put_records().stream_name("orders").set_records(Some(entries)).send().await;
        assert_eq!(answer.expect("the records are taken").failed_record_count, Some(0));
        self.produced += count;
    }

    /// How many records have been printed.
    fn printed(&self) -> usize {
        self.printed.lock().expect("no thread panics").printers.len()
    }

    async fn wait_until_printed(&self) {
        let begun = Instant::now();
        loop {
            let printed = self.printed();
            if printed == self.produced {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "{printed} of {} records were printed", self.produced);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Process {
    fn ask_to_leave(mut self) {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill runs");
        assert!(told.success());
        assert!(self.child.wait().expect("it ends").success(), "a polite leave is no failure");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already needs no killing.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
        self.noting.take().into_iter().for_each(|noting| noting.join().expect("no thread panics"));
    }
}

/// Where the shared server was had, a private one can be.
fn can_have(variable: &str) -> bool {
    tests::endpoints::required(variable).is_some()
}

async fn three_processes_outlive_everything(mut database: impl Database) {
    let mut world = World::new(database.leases());
    let (victim, leaver, last) = (world.start("victim"), world.start("leaver"), world.start("last"));
    world.put(400).await;
    world.wait_until_printed().await;
    let joiner = world.start("joiner");
    world.put(400).await;
    world.wait_until_printed().await;
    drop(victim);
    world.put(400).await;
    world.wait_until_printed().await;
    leaver.ask_to_leave();
    world.put(400).await;
    world.wait_until_printed().await;
    {
        let lines = world.printed.lock().expect("no thread panics");
        for worker in ["victim", "leaver", "last", "joiner"] {
            assert!(lines.printers.values().flatten().any(|printer| printer == worker), "{worker} had a share");
        }
        for (payload, printers) in lines.printers.iter().filter(|(_, printers)| printers.len() > 1) {
            assert_eq!(printers[0], "victim", "{payload} was repeated without a crash: {printers:?}");
            assert_eq!(printers.len(), 2, "{payload} was repeated more than once: {printers:?}");
        }
    }

    database.stop();
    let stopped = Instant::now();
    // Not a wait for anything: by then every worker must have stopped by itself, because others may take its leases.
    tokio::time::sleep(LEASE_DURATION).await;
    let before = world.printed();
    world.put(400).await;
    tokio::time::sleep(OUTAGE.saturating_sub(stopped.elapsed())).await;
    assert_eq!(world.printed(), before, "records were delivered without a lease");
    database.restart();
    world.wait_until_printed().await;
    world.put(400).await;
    world.wait_until_printed().await;
    last.ask_to_leave();
    joiner.ask_to_leave();
    assert_eq!(world.printed.lock().expect("no thread panics").out_of_order, 0);
}

#[tokio::test]
async fn three_processes_on_postgres_outlive_a_kill_a_leave_and_an_outage() {
    if can_have("LEASEHOLD_TEST_POSTGRES") {
        three_processes_outlive_everything(test_servers::Postgres::start().expect("it starts")).await;
    }
}

#[tokio::test]
async fn three_processes_on_redis_outlive_a_kill_a_leave_and_an_outage() {
    if can_have("LEASEHOLD_TEST_REDIS") {
        let redis = test_servers::Redis::start(&["--appendonly", "yes"]).expect("it starts");
        three_processes_outlive_everything(redis).await;
    }
}

#[tokio::test]
async fn three_processes_on_dynamodb_outlive_a_kill_a_leave_and_an_outage() {
    three_processes_outlive_everything(DynamodbServer::new()).await;
}
