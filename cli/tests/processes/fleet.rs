//! Real processes that consume one stream, put under load, and what each of them printed.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use serde_json::Value;
use tests::backends::DynamodbServer;

use crate::common::{self, Server};

pub(crate) const LEASE_DURATION: Duration = Duration::from_secs(3);
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(300);

const DEADLINE: Duration = Duration::from_secs(60);

/// A line that a process printed.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) worker: String,
    pub(crate) shard: String,
    pub(crate) fencing_token: u64,
    pub(crate) at: Instant,
}

/// All that was printed.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// The lines of each record, by its payload.
    pub(crate) records: BTreeMap<String, Vec<Line>>,
    /// The sequence number of the newest record of a shard that a process has printed.
    newest: BTreeMap<(String, String), String>,
    /// How many records came, for the first time, before an earlier one of their shard.
    pub(crate) out_of_order: usize,
}

impl Lines {
    fn note(&mut self, worker: &str, record: &Value) {
        let text = |member: &str| record[member].as_str().expect("text").to_owned();
        let lines = self.records.entry(text("data")).or_default();
        let is_repeated = lines.iter().any(|line| line.worker == worker);
        let fencing_token = record["fencing_token"].as_u64().expect("a number");
        lines.push(Line { worker: worker.to_owned(), shard: text("shard"), fencing_token, at: Instant::now() });
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

    /// The lines of each shard, in the order in which they came.
    pub(crate) fn by_shard(&self) -> BTreeMap<String, Vec<Line>> {
        let mut shards = BTreeMap::<String, Vec<Line>>::new();
        for line in self.records.values().flatten() {
            shards.entry(line.shard.clone()).or_default().push(line.clone());
        }
        shards.values_mut().for_each(|lines| lines.sort_by_key(|line| line.at));
        shards
    }

    /// The longest time between two lines of one shard, and who printed them.
    pub(crate) fn longest_silence(&self) -> (Duration, String) {
        let shards = self.by_shard();
        let silence = |pair: &[Line]| {
            let about = format!("{}, from {} to {}", pair[0].shard, pair[0].worker, pair[1].worker);
            (pair[1].at - pair[0].at, about)
        };
        shards.values().flat_map(|lines| lines.windows(2).map(silence)).max().unwrap_or_default()
    }

    pub(crate) fn repeated(&self) -> Vec<(&String, &Vec<Line>)> {
        self.records.iter().filter(|(_, lines)| lines.len() > 1).collect()
    }
}

/// Where the leases are of those who keep them in that `DynamoDB`.
pub(crate) fn leases_in(database: &DynamodbServer) -> String {
    format!("dynamodb://leases?endpoint={}&create=true", database.url())
}

/// One `leasehold consume`, whose lines are noted as they come. Killed when dropped.
pub(crate) struct Process {
    child: Child,
    gate: Arc<Gate>,
    threads: Vec<JoinHandle<()>>,
    log: Arc<Mutex<String>>,
}

/// Lets lines pass, or holds them back.
#[derive(Default)]
struct Gate {
    is_closed: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let closed = self.is_closed.lock().expect("no thread panics");
        drop(self.changed.wait_while(closed, |closed| *closed).expect("no thread panics"));
    }

    fn set(&self, is_closed: bool) {
        *self.is_closed.lock().expect("no thread panics") = is_closed;
        self.changed.notify_all();
    }
}

/// A stream, and where the leases of its readers are.
pub(crate) struct World {
    server: Server,
    leases: String,
    application: String,
    /// How often each process heartbeats.
    pub(crate) heartbeat: Duration,
    lines: Arc<Mutex<Lines>>,
    client: Client,
    pub(crate) produced: usize,
}

impl World {
    pub(crate) fn new(leases: String) -> Self {
        let server = common::kinesis(&["--stream", "orders:8"]);
        let config = aws_sdk_kinesis::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .endpoint_url(&server.url)
            .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        let application = format!("processes-{:016x}", fastrand::u64(..));
        let client = Client::from_conf(config.build());
        Self { server, leases, application, heartbeat: HEARTBEAT, lines: Arc::default(), client, produced: 0 }
    }

    /// Starts a process with these further arguments.
    pub(crate) fn start(&self, worker: &str, arguments: &[&str]) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
        command.args(["consume", "--stream", "orders", "--endpoint-url", &self.server.url, "--worker", worker]);
        command.args(["--leases", &self.leases, "--application", &self.application]);
        command.args(["--lease-duration", &format!("{LEASE_DURATION:?}")]);
        command.args(["--heartbeat-interval", &format!("{:?}", self.heartbeat), "--poll-interval", "200ms"]);
        command.args(arguments);
        command.env("RUST_LOG", "consumer=info").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the command runs");
        let printed = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        let logged = BufReader::new(child.stderr.take().expect("its log is piped")).lines();
        let (lines, gate, log) = (Arc::clone(&self.lines), Arc::<Gate>::default(), Arc::<Mutex<String>>::default());
        let (passed, kept, worker) = (Arc::clone(&gate), Arc::clone(&log), worker.to_owned());
        let noting = std::thread::spawn(move || {
            for line in printed.map_while(Result::ok) {
                passed.pass();
                // The last line of a process that was killed may be cut.
                let Ok(record) = serde_json::from_str::<Value>(&line) else { continue };
                lines.lock().expect("no thread panics").note(&worker, &record);
            }
        });
        let keeping = std::thread::spawn(move || {
            for line in logged.map_while(Result::ok) {
                let mut kept = kept.lock().expect("no thread panics");
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        Process { child, gate, threads: vec![noting, keeping], log }
    }

    pub(crate) async fn put(&mut self, count: usize) {
        let entry = |number: usize| {
            let entry = PutRecordsRequestEntry::builder().partition_key(format!("key-{}", number % 97));
            entry.data(Blob::new(format!("record {number}"))).build().expect("an entry")
        };
        let entries = (self.produced..self.produced + count).map(entry).collect();
        let answer = self.client.put_records().stream_name("orders").set_records(Some(entries)).send().await;
        assert_eq!(answer.expect("the records are taken").failed_record_count, Some(0));
        self.produced += count;
    }

    pub(crate) fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().expect("no thread panics")
    }

    /// How many lines that worker has printed.
    pub(crate) fn printed_by(&self, worker: &str) -> usize {
        self.lines().records.values().flatten().filter(|line| line.worker == worker).count()
    }

    /// Who printed the newest line of each shard.
    pub(crate) fn newest_readers(&self) -> BTreeMap<String, String> {
        let newest = |(shard, lines): (String, Vec<Line>)| Some((shard, lines.last()?.worker.clone()));
        self.lines().by_shard().into_iter().filter_map(newest).collect()
    }

    /// How many records have been printed.
    pub(crate) fn printed(&self) -> usize {
        self.lines().records.len()
    }

    pub(crate) async fn wait_until_printed(&mut self) {
        self.load_until("all is printed", 0, |world| world.printed() == world.produced).await;
    }

    /// Puts so many records every tenth of a second until the condition holds.
    pub(crate) async fn load_until(&mut self, what: &str, count: usize, mut condition: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !condition(self) {
            let (printed, produced) = (self.printed(), self.produced);
            assert!(begun.elapsed() < DEADLINE, "never {what}; {printed} of {produced} records were printed");
            if count > 0 {
                self.put(count).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            } else {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

impl Process {
    pub(crate) fn signal(&self, signal: &str) {
        let told = Command::new("kill").args([signal, &self.child.id().to_string()]).status().expect("kill runs");
        assert!(told.success());
    }

    /// Leaves what it prints unread, or no longer.
    pub(crate) fn hold_back(&self, is_held_back: bool) {
        self.gate.set(is_held_back);
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it can be asked").is_some()
    }

    /// Asks it to end, and waits until it has. Returns its log.
    pub(crate) fn ask_to_leave(self) -> String {
        self.signal("-TERM");
        self.expect_success()
    }

    /// Waits until it has ended. Returns its log.
    pub(crate) fn expect_success(self) -> String {
        let (succeeded, log) = self.wait();
        assert!(succeeded, "a polite leave is no failure: {log}");
        log
    }

    /// Waits until it has ended, with a failure. Returns its log.
    pub(crate) fn expect_failure(self) -> String {
        let (succeeded, log) = self.wait();
        assert!(!succeeded, "{log}");
        log
    }

    fn wait(mut self) -> (bool, String) {
        let ended = self.child.wait().expect("it ends");
        self.join();
        let log = std::mem::take(&mut *self.log.lock().expect("no thread panics"));
        (ended.success(), log)
    }

    fn join(&mut self) {
        self.gate.set(false);
        self.threads.drain(..).for_each(|thread| thread.join().expect("no thread panics"));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already needs no killing.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
        self.join();
    }
}
