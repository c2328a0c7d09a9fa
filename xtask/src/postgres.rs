//! A private Postgres for the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::command::run;

/// Where the tests find the server, and where users name one of their own.
pub(crate) const VARIABLE: &str = "LEASEHOLD_TEST_POSTGRES";

/// Not secret: the server is private, on loopback, and gone after the tests.
const PASSWORD: &str = "leasehold-tests";

/// Where distributions keep the server's programs, besides the usual path.
const VERSIONS: &str = "/usr/lib/postgresql";

/// A running server with its data in a folder of its own. Stopped and removed when dropped.
#[derive(Debug)]
pub(crate) struct Postgres {
    server: Child,
    folder: PathBuf,
    port: u16,
}

impl Postgres {
    pub(crate) fn start(port: u16) -> Result<Self, String> {
        let programs = programs()?;
        let folder = std::env::temp_dir().join(format!("leasehold-postgres-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let password = folder.join("password");
        fs::write(&password, PASSWORD).map_err(|error| error.to_string())?;
        let data = folder.join("data");
        if is_root()? {
            run(Command::new("chown").arg("-R").arg("postgres").arg(&folder))?;
        }
        let mut init = as_user(&programs.join("initdb"))?;
        init.arg("--pgdata").arg(&data).args(["--username=leasehold", "--auth=scram-sha-256", "--no-sync"]);
        run(init.arg("--pwfile").arg(&password).args(["--encoding=UTF8", "--locale=C"]).stdout(Stdio::null()))?;
        let mut server = as_user(&programs.join("postgres"))?;
        server.arg("-D").arg(&data).args(["-p", &port.to_string(), "-k", "", "-h", "127.0.0.1"]);
        // What a crash of the machine would destroy is not worth waiting for in a test.
        server.args(["-c", "fsync=off", "-c", "max_connections=400"]);
        let server = server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let server = server.map_err(|error| format!("postgres cannot be run: {error}"))?;
        println!("== Postgres on port {port}");
        Ok(Self { server, folder, port })
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://leasehold:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A server run as another user is the child of the program that changed the user: its own pid is in its folder.
        let pid = fs::read_to_string(self.folder.join("data").join("postmaster.pid"));
        if let Some(pid) = pid.ok().and_then(|text| text.lines().next().map(str::to_owned)) {
            let _stopped = Command::new("kill").args(["-INT", &pid]).status();
        }
        let _ended = self.server.wait();
        let _removed = fs::remove_dir_all(&self.folder);
    }
}

/// The folder of the newest server on this machine.
fn programs() -> Result<PathBuf, String> {
    let versions = fs::read_dir(VERSIONS).map_err(|_| format!("no Postgres server is below {VERSIONS}"))?;
    let mut folders: Vec<PathBuf> = versions
        .filter_map(|entry| entry.ok().map(|entry| entry.path().join("bin")))
        .filter(|folder| folder.join("initdb").exists())
        .collect();
    folders.sort();
    folders.pop().ok_or_else(|| format!("no Postgres server is below {VERSIONS}"))
}

fn is_root() -> Result<bool, String> {
    let id = Command::new("id").arg("-u").output().map_err(|error| format!("id cannot be run: {error}"))?;
    Ok(id.stdout.starts_with(b"0\n"))
}

/// A command that runs as this user or, for root, as the user that the distribution made for Postgres, which refuses to
/// run as root.
fn as_user(program: &Path) -> Result<Command, String> {
    if !is_root()? {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    Ok(command)
}
