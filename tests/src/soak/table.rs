//! The private server that has the lease table.

use std::net::SocketAddr;

use test_servers::{Postgres, Redis};

use crate::backends::DynamodbServer;

/// How large the disk under Postgres is, in megabytes.
const DISK: u32 = 256;

/// A server that can be stopped and started again.
pub(crate) enum Table {
    Postgres(Postgres),
    Redis(Redis),
    Dynamodb(DynamodbServer),
}

impl Table {
    /// Starts that kind of server.
    pub(crate) fn start(kind: &str) -> Result<Self, String> {
        match kind {
            "postgres" => {
                let small = Postgres::start_on_small_disk(DISK).or_else(|reason| {
                    println!("the disk will not be full, because {reason}");
                    Postgres::start()
                });
                Ok(Self::Postgres(small?))
            }
            // Each write is on its disk before it is answered: a server that forgets is another experiment.
            "redis" => Ok(Self::Redis(Redis::start(&["--appendonly", "yes", "--appendfsync", "always"])?)),
            "dynamodb" => Ok(Self::Dynamodb(DynamodbServer::new())),
            other => Err(format!("{other:?} is no lease table: take postgres, redis or dynamodb")),
        }
    }

    fn url(&self) -> String {
        match self {
            Self::Postgres(server) => server.url(),
            Self::Redis(server) => server.url(),
            Self::Dynamodb(server) => server.url().to_owned(),
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        let url = self.url();
        let after_scheme = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let authority = after_scheme.split('/').next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        host.parse().expect("private servers listen on numbers")
    }

    /// What `--leases` takes, if the server is reached at that address.
    pub(crate) fn leases(&self, at: SocketAddr) -> String {
        let there = self.url().replace(&self.address().to_string(), &at.to_string());
        match self {
            Self::Postgres(_) | Self::Redis(_) => there,
            Self::Dynamodb(_) => format!("dynamodb://leases?endpoint={there}&create=true"),
        }
    }

    pub(crate) fn stop(&mut self) {
        match self {
            Self::Postgres(server) => server.stop(),
            Self::Redis(server) => server.stop(),
            Self::Dynamodb(server) => server.stop(),
        }
    }

    pub(crate) fn restart(&mut self) -> Result<(), String> {
        match self {
            Self::Postgres(server) => server.restart(),
            Self::Redis(server) => server.restart(),
            Self::Dynamodb(server) => {
                server.restart();
                Ok(())
            }
        }
    }

    /// Whether it has a disk of its own, which can be full.
    pub(crate) const fn has_a_disk(&self) -> bool {
        matches!(self, Self::Postgres(server) if server.has_small_disk())
    }

    pub(crate) fn fill_disk(&self) -> Result<(), String> {
        match self {
            Self::Postgres(server) => server.fill_disk(),
            Self::Redis(_) | Self::Dynamodb(_) => Ok(()),
        }
    }

    pub(crate) fn clear_disk(&mut self) -> Result<(), String> {
        match self {
            Self::Postgres(server) => server.clear_disk(),
            Self::Redis(_) | Self::Dynamodb(_) => Ok(()),
        }
    }
}
