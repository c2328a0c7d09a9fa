//! The programs of others that the tests talk to: installed below the target folder, started on free ports of loopback.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use test_servers::{PgBouncer, Postgres, Redis, free_port, wait_until_it_listens};

use crate::command::{run, target};

/// A Kinesis that others wrote.
const KINESIS_LOCAL: &str = "kinesis-local@0.6.2";

/// The AWS SDK for Python, and the published way to put many user records into one record.
const PYTHON_PACKAGES: [&str; 2] = ["boto3==1.44.5", "aws-kinesis-agg==1.2.3"];

/// The running servers. They are stopped when this is dropped, also after a failure.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    children: Vec<Child>,
    pgbouncer: Option<PgBouncer>,
    postgres: Option<Postgres>,
    redis: Vec<Redis>,
    environment: Vec<(&'static str, String)>,
}

impl Servers {
    /// Starts whatever the tests need. What cannot be had is skipped loudly; in CI, it is a failure.
    pub(crate) fn start() -> Result<Self, String> {
        let mut servers = Self::default();
        let all = [
            ("Python and its packages", servers.prepare_python()),
            ("kinesis-local", servers.start_kinesis_local()),
            ("Postgres", servers.start_postgres()),
            ("Redis", servers.start_redis()),
        ];
        for (what, started) in all {
            match started {
                Ok(()) => {}
                Err(reason) if std::env::var_os("CI").is_some() => {
                    return Err(format!("{what} cannot be had, and CI skips nothing: {reason}"));
                }
                Err(reason) => println!("== SKIPPED: all tests that need {what}, because {reason}"),
            }
        }
        Ok(servers)
    }

    /// The variables by which the tests find the servers.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.environment.iter().map(|(variable, value)| (*variable, value.as_str()))
    }

    fn prepare_python(&mut self) -> Result<(), String> {
        let folder = folder("python")?;
        let python = folder.join("bin").join("python");
        if !python.exists() {
            run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        }
        // Does nothing when it is installed already.
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        run(Command::new(&python).args(install).args(PYTHON_PACKAGES))?;
        self.environment.push(("LEASEHOLD_TEST_PYTHON", python.display().to_string()));
        Ok(())
    }

    /// The lease tables that measurements need.
    pub(crate) fn start_databases() -> Result<Self, String> {
        let mut servers = Self::default();
        servers.start_postgres()?;
        servers.start_redis()?;
        Ok(servers)
    }

    /// A Postgres given by a variable, or a private one.
    fn start_postgres(&mut self) -> Result<(), String> {
        if std::env::var_os("LEASEHOLD_TEST_POSTGRES").is_none() {
            let postgres = Postgres::start()?;
            println!("== Postgres at {}", postgres.url());
            self.environment.push(("LEASEHOLD_TEST_POSTGRES", postgres.url()));
            let pgbouncer = PgBouncer::start(&postgres)?;
            println!("== PgBouncer at {}", pgbouncer.url());
            self.environment.push(("LEASEHOLD_TEST_PGBOUNCER", pgbouncer.url()));
            self.pgbouncer = Some(pgbouncer);
            self.postgres = Some(postgres);
        }
        Ok(())
    }

    /// A Redis and a Redis Cluster given by variables, or private ones.
    fn start_redis(&mut self) -> Result<(), String> {
        type Start = fn() -> Result<Redis, String>;
        let kinds: [(_, Start); 2] =
            [("LEASEHOLD_TEST_REDIS", || Redis::start(&[])), ("LEASEHOLD_TEST_REDIS_CLUSTER", Redis::start_cluster)];
        for (variable, start) in kinds {
            if std::env::var_os(variable).is_none() {
                let redis = start()?;
                println!("== Redis at {} ({variable})", redis.url());
                self.environment.push((variable, redis.url()));
                self.redis.push(redis);
            }
        }
        Ok(())
    }

    fn start_kinesis_local(&mut self) -> Result<(), String> {
        let folder = folder("node")?;
        let package = folder.join("node_modules").join("kinesis-local");
        if !package.exists() {
            let install = ["install", "--silent", "--no-audit", "--no-fund", "--prefix"];
            run(Command::new("npm").args(install).arg(&folder).arg(KINESIS_LOCAL))?;
        }
        let preload = folder.join("loopback_only.js");
        fs::write(&preload, include_str!("loopback_only.js")).map_err(|error| error.to_string())?;
        let log = fs::File::create(folder.join("kinesis-local.log")).map_err(|error| error.to_string())?;
        let (plain, tls) = (free_port()?, free_port()?);

        let mut server = Command::new("node");
        server.arg("-r").arg(preload).arg(package.join("main.js"));
        server.env("KINESIS_MOCK_PLAIN_PORT", plain.to_string()).env("KINESIS_MOCK_TLS_PORT", tls.to_string());
        server.env("KINESIS_MOCK_CERT_PATH", package.join("server.json")).env("SHARD_LIMIT", "1000");
        for operation in ["CREATE_STREAM", "DELETE_STREAM", "SPLIT_SHARD", "MERGE_SHARDS", "UPDATE_SHARD_COUNT"] {
            server.env(format!("{operation}_DURATION"), "50ms");
        }
        println!("== kinesis-local on port {plain}");
        let child = server.stdin(Stdio::null()).stdout(log).stderr(Stdio::null()).spawn();
        self.children.push(child.map_err(|error| format!("node cannot be run: {error}"))?);
        wait_until_it_listens(plain)?;
        self.environment.push(("LEASEHOLD_TEST_KINESIS_LOCAL", format!("http://127.0.0.1:{plain}")));
        Ok(())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.children {
            // One that has ended already needs no killing.
            let _killed = child.kill();
            let _ended = child.wait();
        }
    }
}

/// The folder of that name for what the tests install.
fn folder(name: &str) -> Result<PathBuf, String> {
    let folder = target().join("test-servers").join(name);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))
}
