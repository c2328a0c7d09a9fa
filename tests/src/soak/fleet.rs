//! The processes, each behind networks of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::table::Table;
use super::truth::Truth;
use crate::rough_proxy::RoughProxy;

/// The times that the processes live by.
pub(crate) const LEASE_DURATION: Duration = Duration::from_secs(5);
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(500);

/// One `leasehold consume`.
pub(crate) struct Process {
    pub(crate) name: String,
    child: Child,
    threads: Vec<JoinHandle<()>>,
    log: Arc<Mutex<Vec<String>>>,
    pub(crate) to_table: RoughProxy,
    pub(crate) to_kinesis: RoughProxy,
}

impl Process {
    pub(crate) async fn start(
        program: &PathBuf,
        name: String,
        table: &Table,
        kinesis: SocketAddr,
        truth: Arc<Mutex<Truth>>,
    ) -> Result<Self, String> {
        let to_table = RoughProxy::start(table.address()).await;
        let to_kinesis = RoughProxy::start(kinesis).await;
        let mut command = Command::new(program);
        let endpoint = format!("http://{}", to_kinesis.address());
        command.args(["consume", "--stream", "orders", "--endpoint-url", &endpoint, "--worker", &name]);
        command.args(["--leases", &table.leases(to_table.address()), "--application", "soak"]);
        command.args(["--lease-duration", &format!("{LEASE_DURATION:?}")]);
        command.args(["--heartbeat-interval", &format!("{HEARTBEAT:?}"), "--poll-interval", "500ms"]);
        command
            .env("RUST_LOG", "warn,consumer=info")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        let printed = BufReader::new(child.stdout.take().ok_or("its output is piped")?).lines();
        let logged = BufReader::new(child.stderr.take().ok_or("its log is piped")?).lines();
        let (worker, log) = (name.clone(), Arc::<Mutex<Vec<String>>>::default());
        let noting = std::thread::spawn(move || {
            for line in printed.map_while(Result::ok) {
                // The last line of a process that was killed may be cut.
                let Some((token, record)) = read(&line) else { continue };
                truth.lock().unwrap_or_else(PoisonError::into_inner).printed(&worker, token, record);
            }
        });
        let kept = Arc::clone(&log);
        let keeping = std::thread::spawn(move || {
            for line in logged.map_while(Result::ok) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Ok(Self { name, child, threads: vec![noting, keeping], log, to_table, to_kinesis })
    }

    pub(crate) fn signal(&self, signal: &str) {
        // One that has ended is found out when it is asked for its end.
        let _told = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
    }

    /// Whether it has reached its table and its stream. One that cannot at its start ends, as a mistyped address should.
    pub(crate) fn has_started(&self) -> bool {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().any(|line| line.contains("the worker starts"))
    }

    /// Whether it has ended, and the end of its log if so.
    pub(crate) fn has_ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok()??;
        let lines = self.last_lines();
        Some(format!("{} ended with {status}: {}", self.name, lines[lines.len().saturating_sub(3)..].join(" | ")))
    }

    /// The end of its log.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log[log.len().saturating_sub(12)..].to_vec()
    }
}

/// The fencing token and the number of a record, from a line.
fn read(line: &str) -> Option<(u64, usize)> {
    let record: serde_json::Value = serde_json::from_str(line).ok()?;
    Some((record["fencing_token"].as_u64()?, record["data"].as_str()?.parse().ok()?))
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already needs no killing.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}
