//! A proxy that cuts a connection after the request has passed and before its answer has.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Passes on what comes, until it is told to lose an answer. Ends when dropped.
#[derive(Debug)]
pub struct CuttingProxy {
    address: SocketAddr,
    state: Arc<State>,
    _accepting: JoinSet<()>,
}

#[derive(Debug, Default)]
struct State {
    /// What the request says whose answer is to be lost.
    doomed: Mutex<Option<String>>,
    lost: AtomicU64,
}

impl CuttingProxy {
    /// A proxy in front of that server.
    ///
    /// # Panics
    ///
    /// No port is free.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(State::default());
        let mut accepting = JoinSet::new();
        let shared = Arc::clone(&state);
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(pass_on(client, server, Arc::clone(&shared)));
            }
        });
        Self { address, state, _accepting: accepting }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The answer to the next request with that text in it is lost, and the connection with it.
    ///
    /// # Panics
    ///
    /// A task of the proxy has panicked.
    pub fn lose_the_answer_to(&self, text: &str) {
        *self.state.doomed.lock().expect("no task panics") = Some(text.to_owned());
    }

    /// How many answers were lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.state.lost.load(Ordering::SeqCst)
    }
}

async fn pass_on(mut client: TcpStream, server: SocketAddr, state: Arc<State>) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let is_doomed = AtomicBool::new(false);
    let requests = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
            if state.dooms(&buffer[..count]) {
                is_doomed.store(true, Ordering::SeqCst);
            }
            if to_server.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    };
    let answers = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
            if is_doomed.load(Ordering::SeqCst) {
                state.lost.fetch_add(1, Ordering::SeqCst);
                return;
            }
            if to_client.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        () = answers => {}
        () = requests => {}
    }
}

impl State {
    /// Whether the answer to this request is to be lost. Requests in tests are small: each comes in one piece.
    fn dooms(&self, request: &[u8]) -> bool {
        let mut doomed = self.doomed.lock().expect("no task panics");
        let is_doomed = doomed.take_if(|text| request.windows(text.len()).any(|part| part == text.as_bytes()));
        is_doomed.is_some()
    }
}
