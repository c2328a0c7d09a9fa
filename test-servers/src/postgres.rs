//! A private Postgres.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::certificate::Certificate;
use crate::folder::Folder;
use crate::port::{LOOK, START_DEADLINE, free_port, wait_until_it_listens};
use crate::program::{as_user, found_or_installed, is_root, run};
use crate::small_disk::SmallDisk;

/// Not secret: the server is private, on loopback, and gone after the tests.
pub(crate) const PASSWORD: &str = "leasehold-tests";

/// Where distributions keep the server's programs.
const VERSIONS: &str = "/usr/lib/postgresql";

/// The server refuses to run as root.
pub(crate) const USER: &str = "postgres";

/// A running server. Stopped when dropped, and its data removed.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    /// Declared before the folder, which it is unmounted from.
    disk: Option<SmallDisk>,
    folder: Folder,
    port: u16,
    arguments: Vec<String>,
    server: Option<Child>,
}

impl Postgres {
    /// Starts a server without any tables.
    ///
    /// # Errors
    ///
    /// Its programs are not on this machine and cannot be installed, or it does not start.
    pub fn start() -> Result<Self, String> {
        Self::start_in(Folder::new("postgres")?, None)
    }

    /// Starts a server whose data is on a disk of so many megabytes, which [can be filled](Self::fill_disk).
    ///
    /// # Errors
    ///
    /// Those of [`Postgres::start`]; or the disk cannot be mounted, which only root may do.
    pub fn start_on_small_disk(megabytes: u32) -> Result<Self, String> {
        let folder = Folder::new("postgres")?;
        let disk = SmallDisk::over(folder.path(), megabytes)?;
        Self::start_in(folder, Some(disk))
    }

    fn start_in(folder: Folder, disk: Option<SmallDisk>) -> Result<Self, String> {
        let programs = found_or_installed("postgresql", programs)?;
        let password = folder.path().join("password");
        fs::write(&password, PASSWORD).map_err(|error| error.to_string())?;
        if is_root()? {
            run(Command::new("chown").arg("-R").arg(USER).arg(folder.path()))?;
        }
        let mut init = as_user(USER, &programs.join("initdb"))?;
        init.arg("--pgdata").arg(folder.path().join("data"));
        // Small segments of the log, for a small disk.
        init.arg("--wal-segsize=1").args([
            "--username=leasehold",
            "--auth=scram-sha-256",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
        ]);
        run(init.arg("--pwfile").arg(&password))?;
        let mut postgres = Self { programs, disk, folder, port: free_port()?, arguments: Vec::new(), server: None };
        postgres.restart()?;
        Ok(postgres)
    }

    /// Starts a server that takes encrypted connections only.
    ///
    /// # Errors
    ///
    /// Those of [`Postgres::start`].
    pub fn start_with_tls() -> Result<Self, String> {
        let mut postgres = Self::start()?;
        let Certificate { certificate, key } = Certificate::new(postgres.folder.path())?;
        if is_root()? {
            run(Command::new("chown").arg(USER).args([&certificate, &key]))?;
        }
        let rule = "hostssl all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(postgres.data().join("pg_hba.conf"), rule).map_err(|error| error.to_string())?;
        let setting = |name: &str, file: &Path| ["-c".to_owned(), format!("{name}={}", file.display())];
        postgres.arguments.extend(["-c", "ssl=on"].map(str::to_owned));
        postgres.arguments.extend(setting("ssl_cert_file", &certificate));
        postgres.arguments.extend(setting("ssl_key_file", &key));
        postgres.restart()?;
        Ok(postgres)
    }

    /// Starts the server again, on the same port and with the data that it had.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn restart(&mut self) -> Result<(), String> {
        self.stop();
        let mut server = as_user(USER, &self.programs.join("postgres"))?;
        server.arg("-D").arg(self.data()).args(["-p", &self.port.to_string(), "-k", "", "-h", "127.0.0.1"]);
        // What a crash of the machine would destroy is not worth waiting for in a test.
        server.args(["-c", "fsync=off", "-c", "max_connections=400"]).args(&self.arguments);
        let server = server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.server = Some(server.map_err(|error| format!("postgres cannot be run: {error}"))?);
        wait_until_it_listens(self.port)?;
        self.wait_until_it_is_ready()
    }

    /// It listens before it takes anybody in.
    fn wait_until_it_is_ready(&self) -> Result<(), String> {
        let mut last = String::new();
        let begun = Instant::now();
        while begun.elapsed() < START_DEADLINE {
            let mut ask = Command::new(self.programs.join("pg_isready"));
            match run(ask.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])) {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
            std::thread::sleep(LOOK);
        }
        Err(format!("Postgres is not ready after {START_DEADLINE:?}: {last}"))
    }

    /// Whether it was started [on a small disk](Self::start_on_small_disk).
    #[must_use]
    pub const fn has_small_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// Fills the disk, so that the server can write nothing.
    ///
    /// # Errors
    ///
    /// The server is not on a small disk.
    pub fn fill_disk(&self) -> Result<(), String> {
        self.disk.as_ref().ok_or("the server is not on a small disk")?.fill()
    }

    /// Gives the room on the disk back, and starts the server again if that has ended it.
    ///
    /// # Errors
    ///
    /// The disk was not filled, or the server does not start.
    pub fn clear_disk(&mut self) -> Result<(), String> {
        self.disk.as_ref().ok_or("the server is not on a small disk")?.clear()?;
        let has_ended = self.server.as_mut().is_none_or(|server| !matches!(server.try_wait(), Ok(None)));
        if has_ended { self.restart() } else { self.wait_until_it_is_ready() }
    }

    /// Stops the server: its connections break, and it takes no more.
    pub fn stop(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        let pid = fs::read_to_string(self.data().join("postmaster.pid"));
        if let Some(pid) = pid.ok().and_then(|text| text.lines().next().map(str::to_owned)) {
            let _stopped = Command::new("kill").args(["-INT", &pid]).status();
        }
        let _ended = server.wait();
    }

    /// The certificate of a server that takes encrypted connections only.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        Certificate::path_in(self.folder.path())
    }

    /// The URL of its database, as a user who may do everything.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://leasehold:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The folder of the newest server on this machine.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir(Path::new(VERSIONS)).ok()?;
    let folders = versions.filter_map(|entry| entry.ok().map(|entry| entry.path().join("bin")));
    folders.filter(|folder| folder.join("initdb").exists()).max()
}
