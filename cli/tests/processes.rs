//! A fleet of real processes that share their leases through a database: one is killed, one is asked to leave.
#![cfg(feature = "postgres")]

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

const DEADLINE: Duration = Duration::from_secs(60);

/// Which processes printed a record, by its payload.
type Printed = Arc<Mutex<BTreeMap<String, Vec<String>>>>;

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
        let server = common::kinesis(&["orders:8"]);
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
        command.args(["--lease-duration", "3s", "--heartbeat-interval", "300ms"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the command runs");
        let lines = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        let (printed, worker) = (Arc::clone(&self.printed), worker.to_owned());
        let noting = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // The last line of a process that was killed may be cut.
                let Ok(record) = serde_json::from_str::<Value>(&line) else { continue };
                let payload = record["data"].as_str().expect("a payload").to_owned();
                printed.lock().expect("no thread panics").entry(payload).or_default().push(worker.clone());
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

    async fn wait_until_printed(&self) {
        let begun = Instant::now();
        loop {
            let printed = self.printed.lock().expect("no thread panics").len();
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

#[tokio::test]
async fn three_processes_share_a_stream_through_postgres_and_outlive_a_kill_and_a_leave() {
    let Ok(leases) = std::env::var("LEASEHOLD_TEST_POSTGRES") else {
        assert!(std::env::var_os("CI").is_none(), "LEASEHOLD_TEST_POSTGRES is not set");
        println!("SKIPPED: LEASEHOLD_TEST_POSTGRES is not set: run the tests by cargo xtask test");
        return;
    };
    let mut world = World::new(leases);
    let (victim, leaver, last) = (world.start("victim"), world.start("leaver"), world.start("last"));
    world.put(400).await;
    world.wait_until_printed().await;
    drop(victim);
    world.put(400).await;
    world.wait_until_printed().await;
    leaver.ask_to_leave();
    world.put(400).await;
    world.wait_until_printed().await;
    last.ask_to_leave();

    let printed = world.printed.lock().expect("no thread panics");
    let workers: Vec<&String> = printed.values().flatten().collect();
    for worker in ["victim", "leaver", "last"] {
        assert!(workers.iter().any(|printer| *printer == worker), "{worker} had a share");
    }
    for (payload, printers) in printed.iter().filter(|(_, printers)| printers.len() > 1) {
        assert_eq!(printers[0], "victim", "{payload} was repeated without a crash: {printers:?}");
    }
}
