//! A private Redis.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::certificate::Certificate;
use crate::folder::Folder;
use crate::port::{free_port, wait_until_it_listens};
use crate::program::{found_or_installed, in_path};

/// How many hash slots a Cluster has.
const SLOTS: u16 = 16_384;

/// A running server. Stopped when dropped, and its data removed.
#[derive(Debug)]
pub struct Redis {
    program: PathBuf,
    arguments: Vec<String>,
    folder: Folder,
    port: u16,
    server: Option<Child>,
}

impl Redis {
    /// Starts an empty server, with further arguments of `redis-server`.
    ///
    /// # Errors
    ///
    /// Its program is not on this machine and cannot be installed, or it does not start.
    pub fn start(arguments: &[&str]) -> Result<Self, String> {
        let program = found_or_installed("redis-server", || in_path("redis-server"))?;
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut redis = Self { program, arguments, folder: Folder::new("redis")?, port: free_port()?, server: None };
        redis.restart()?;
        Ok(redis)
    }

    /// Starts an empty server that takes encrypted connections only.
    ///
    /// # Errors
    ///
    /// Those of [`Redis::start`].
    pub fn start_with_tls() -> Result<Self, String> {
        let mut redis = Self::start(&[])?;
        let Certificate { certificate, key } = Certificate::new(redis.folder.path())?;
        let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
        let tls = ["--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-auth-clients", "no"];
        redis.arguments.extend(["--port", "0", "--tls-port", &redis.port.to_string()].map(str::to_owned));
        redis.arguments.extend(tls.map(str::to_owned));
        redis.restart()?;
        Ok(redis)
    }

    /// Starts a Cluster of one node.
    ///
    /// # Errors
    ///
    /// Those of [`Redis::start`].
    pub fn start_cluster() -> Result<Self, String> {
        // The port of the bus between nodes is ten thousand above the other unless it is named.
        let bus = free_port()?.to_string();
        let redis = Self::start(&["--cluster-enabled", "yes", "--cluster-port", &bus])?;
        redis.command(&["CLUSTER", "ADDSLOTSRANGE", "0", &(SLOTS - 1).to_string()])?;
        Ok(redis)
    }

    /// Starts the server again, on the same port and with the data that it last saved.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn restart(&mut self) -> Result<(), String> {
        self.stop();
        let mut server = Command::new(&self.program);
        // It writes to its disk when it is told to, and at no other time.
        server.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]);
        server.arg(self.folder.path()).args(&self.arguments);
        let server = server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.server = Some(server.map_err(|error| format!("redis-server cannot be run: {error}"))?);
        wait_until_it_listens(self.port)
    }

    /// Stops the server at once, without saving anything.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // One that has ended already needs no killing.
            let _killed = server.kill();
            let _ended = server.wait();
        }
    }

    /// Has the server save all that it has, which is what it has after the next start.
    ///
    /// # Errors
    ///
    /// It cannot.
    pub fn save(&self) -> Result<(), String> {
        self.command(&["SAVE"]).map(|_| ())
    }

    /// Sends a command by `redis-cli`, and returns what comes back.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, or refuses the command.
    pub fn command(&self, words: &[&str]) -> Result<String, String> {
        let mut client = Command::new("redis-cli");
        client.args(["-e", "-p", &self.port.to_string()]).args(words);
        let output =
            client.stdin(Stdio::null()).output().map_err(|error| format!("redis-cli cannot be run: {error}"))?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if output.status.success() { Ok(said) } else { Err(format!("Redis refuses {words:?}: {said}")) }
    }

    /// The certificate of a server that takes encrypted connections only.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        Certificate::path_in(self.folder.path())
    }

    /// The URL of the server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port of the server.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}
