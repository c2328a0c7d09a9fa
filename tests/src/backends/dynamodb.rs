//! DynamoDB, in a table of its own.

use std::fmt;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use dynoxide::Database;
use lease_core::LeaseStore;
use lease_dynamodb::{DynamodbStore, TableSettings};
use stream_types::Name;
use tokio::net::TcpListener;
use tokio::sync::{OnceCell, oneshot};

use super::{Backend, runtime};

/// A DynamoDB in this process, on loopback. Stopped when dropped; started again, it has the tables that it had.
pub struct DynamodbServer {
    database: Database,
    port: u16,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl DynamodbServer {
    /// Starts an empty one.
    ///
    /// # Panics
    ///
    /// It does not start.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a default should have no consequences")]
    pub fn new() -> Self {
        let database = Database::memory().expect("a database in memory opens");
        let mut server = Self { database, port: 0, running: None };
        server.restart();
        server
    }

    /// Starts it again, on the same port and with the tables that it had.
    ///
    /// # Panics
    ///
    /// The port was taken meanwhile.
    pub fn restart(&mut self) {
        self.stop();
        let (stop, stopped) = oneshot::channel();
        let (ready, listening) = std::sync::mpsc::channel();
        let (database, port) = (self.database.clone(), self.port);
        // On a thread of its own: tests have runtimes that end with them.
        let thread = std::thread::spawn(move || {
            let runtime = runtime();
            runtime.block_on(async {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.expect("the port is free");
                let port = listener.local_addr().expect("it is bound").port();
                ready.send(port).expect("somebody waits for it");
                let serving = dynoxide::server::serve_with_shutdown(listener, database, std::future::pending());
                tokio::select! {
                    biased;
                    _ = stopped => {}
                    ended = serving => ended.expect("it serves until it is stopped"),
                }
            });
            // Connections end with their tasks, as those of a server that crashed.
            runtime.shutdown_background();
        });
        self.port = listening.recv().expect("the server starts");
        self.running = Some(Running { stop, thread });
    }

    /// Stops it: its connections break, and it takes no more.
    pub fn stop(&mut self) {
        if let Some(Running { stop, thread }) = self.running.take() {
            // A server that has ended by itself needs no stopping.
            let _ended = stop.send(());
            let _joined = thread.join();
        }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl fmt::Debug for DynamodbServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamodbServer").field("port", &self.port).finish_non_exhaustive()
    }
}

impl Drop for DynamodbServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One table.
#[derive(Debug)]
pub struct Dynamodb {
    /// Where DynamoDB is.
    pub url: String,
    /// The table's name.
    pub table: String,
    opened: OnceCell<DynamodbStore>,
}

/// The server that all tests of this process share, unless a variable names one.
static SHARED: Mutex<Option<DynamodbServer>> = Mutex::new(None);

impl Dynamodb {
    /// A table of its own at that endpoint.
    #[must_use]
    pub fn at(url: String) -> Self {
        Self { url, table: format!("leases-{:016x}", fastrand::u64(..)), opened: OnceCell::new() }
    }

    /// The same place by another way to the server.
    #[must_use]
    pub fn behind(&self, url: String) -> Self {
        Self { url, table: self.table.clone(), opened: OnceCell::new() }
    }

    /// A client of the endpoint, which takes any signature.
    #[must_use]
    pub fn client(&self) -> Client {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .endpoint_url(&self.url)
            .credentials_provider(Credentials::new("test", "secret-word", None, None, "tests"))
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        Client::from_conf(config.build())
    }

    /// The store, without its table.
    #[must_use]
    pub fn store(&self, application: Name) -> DynamodbStore {
        DynamodbStore::from_client(self.client(), self.table.clone(), application)
    }
}

#[async_trait]
impl Backend for Dynamodb {
    fn fresh() -> Option<Self> {
        let given = std::env::var("LEASEHOLD_TEST_DYNAMODB").ok();
        let url = given.unwrap_or_else(|| {
            let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
            shared.get_or_insert_with(DynamodbServer::new).url()
        });
        Some(Self::at(url))
    }

    async fn open(&self, application: Name) -> Arc<dyn LeaseStore> {
        let open = async || {
            let store = self.store(application.clone());
            store.prepare(&TableSettings::default()).await.expect("the table is created");
            store
        };
        Arc::new(self.opened.get_or_init(open).await.for_application(application.clone()))
    }
}
