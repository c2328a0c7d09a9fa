//! A private PgBouncer, which pools transactions.

use std::fs;
use std::process::{Child, Command, Stdio};

use crate::folder::Folder;
use crate::port::{free_port, wait_until_it_listens};
use crate::postgres::{PASSWORD, Postgres, USER};
use crate::program::{as_user, found_or_installed, in_path, is_root, run};

/// A running proxy in front of a Postgres: each transaction may be on another connection than the one before. Stopped when
/// dropped.
#[derive(Debug)]
pub struct PgBouncer {
    _folder: Folder,
    port: u16,
    server: Child,
}

impl PgBouncer {
    /// Starts a proxy in front of that server.
    ///
    /// # Errors
    ///
    /// Its program is not on this machine and cannot be installed, or it does not start.
    pub fn start(postgres: &Postgres) -> Result<Self, String> {
        let program = found_or_installed("pgbouncer", || in_path("pgbouncer"))?;
        let folder = Folder::new("pgbouncer")?;
        let port = free_port()?;
        let (users, settings) = (folder.path().join("users"), folder.path().join("settings"));
        fs::write(&users, format!("\"leasehold\" \"{PASSWORD}\"\n")).map_err(|error| error.to_string())?;
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = transaction\n\
             max_client_conn = 400\ndefault_pool_size = 20\nignore_startup_parameters = extra_float_digits\n",
            postgres.port(),
            users.display()
        );
        fs::write(&settings, text).map_err(|error| error.to_string())?;
        if is_root()? {
            run(Command::new("chown").arg("-R").arg(USER).arg(folder.path()))?;
        }
        let mut server = as_user(USER, &program)?;
        server.arg("-q").arg(&settings).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = server.spawn().map_err(|error| format!("pgbouncer cannot be run: {error}"))?;
        let bouncer = Self { _folder: folder, port, server };
        wait_until_it_listens(port)?;
        Ok(bouncer)
    }

    /// The URL of the database behind it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://leasehold:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // One that has ended already needs no killing.
        let _killed = self.server.kill();
        let _ended = self.server.wait();
    }
}
