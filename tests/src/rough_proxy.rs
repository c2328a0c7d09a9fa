//! A network that is cut, slow, breaks off in the middle of a reply, or loses one of them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Roughness {
    /// It passes everything on.
    Fair,
    /// It breaks every connection, and takes no new one.
    Cut,
    /// Each piece takes half a second.
    Slow,
    /// Every third reply is cut in the middle, and its connection broken.
    Breaking,
    /// Nothing comes through, and nobody is told.
    Silent,
}

/// A proxy in front of a server. Ends when dropped.
#[derive(Debug)]
pub struct RoughProxy {
    address: SocketAddr,
    network: Arc<Network>,
    _accepting: JoinSet<()>,
}

#[derive(Debug)]
struct Network {
    roughness: AtomicU8,
    /// What the request says whose answer is to be lost.
    doomed: Mutex<Option<String>>,
    /// What the last request says that passes.
    last: Mutex<Option<String>>,
    lost: AtomicU64,
}

/// How often a connection looks whether the network has changed.
const LOOK: Duration = Duration::from_millis(50);

impl RoughProxy {
    /// A proxy in front of that server.
    ///
    /// # Panics
    ///
    /// No port is free.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let network = Arc::new(Network {
            roughness: AtomicU8::new(Roughness::Fair as u8),
            doomed: Mutex::default(),
            last: Mutex::default(),
            lost: AtomicU64::default(),
        });
        let (mut accepting, shared) = (JoinSet::new(), Arc::clone(&network));
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                connections.spawn(pass_on(client, server, Arc::clone(&shared)));
            }
        });
        Self { address, network, _accepting: accepting }
    }

    /// A proxy in front of the server of that URL, which is on this machine.
    ///
    /// # Panics
    ///
    /// The URL has no address of this machine, or no port is free.
    pub async fn before(url: &str) -> Self {
        Self::start(address_in(url)).await
    }

    /// The URL of the same server behind this proxy.
    ///
    /// # Panics
    ///
    /// The URL has no address of this machine.
    #[must_use]
    pub fn instead_of(&self, url: &str) -> String {
        url.replacen(&address_in(url).to_string(), &self.address.to_string(), 1)
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, the network is like that.
    pub fn set(&self, roughness: Roughness) {
        self.network.roughness.store(roughness as u8, Ordering::SeqCst);
    }

    /// The answer to the next request with that text in it is lost, and the connection with it.
    ///
    /// # Panics
    ///
    /// A task of the proxy has panicked.
    pub fn lose_the_answer_to(&self, text: &str) {
        *self.network.doomed.lock().expect("no task panics") = Some(text.to_owned());
    }

    /// The network falls silent once the next request with that text in it has passed, as if the client were frozen.
    ///
    /// # Panics
    ///
    /// A task of the proxy has panicked.
    pub fn fall_silent_after(&self, text: &str) {
        *self.network.last.lock().expect("no task panics") = Some(text.to_owned());
    }

    /// How many answers were lost so.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.network.lost.load(Ordering::SeqCst)
    }
}

/// The address in a URL such as `scheme://user@127.0.0.1:1234/path`.
fn address_in(url: &str) -> SocketAddr {
    let (_, rest) = url.split_once("://").expect("a URL");
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let text = rest.split('/').next().expect("a host and a port").replace("localhost", "127.0.0.1");
    text.parse().expect("an address of this machine")
}

impl Network {
    fn is(&self, expected: Roughness) -> bool {
        self.roughness.load(Ordering::SeqCst) == expected as u8
    }

    /// Waits for as long as a piece takes to pass.
    async fn pass(&self) {
        while self.is(Roughness::Silent) {
            sleep(LOOK).await;
        }
        if self.is(Roughness::Slow) {
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// Whether the answer to this request is to be lost. Such requests are small: each comes in one piece.
    fn dooms(&self, request: &[u8]) -> bool {
        takes(&self.doomed, request)
    }

    /// Whether this request is the last that passes.
    fn ends_with(&self, request: &[u8]) -> bool {
        takes(&self.last, request)
    }
}

/// Whether the request has the text in it that is looked for. It is looked for once.
fn takes(text: &Mutex<Option<String>>, request: &[u8]) -> bool {
    let mut text = text.lock().expect("no task panics");
    text.take_if(|text| request.windows(text.len()).any(|part| part == text.as_bytes())).is_some()
}

async fn pass_on(mut client: TcpStream, server: SocketAddr, network: Arc<Network>) {
    let cut = async {
        while !network.is(Roughness::Cut) {
            sleep(LOOK).await;
        }
    };
    let passing = async {
        let Ok(mut server) = TcpStream::connect(server).await else { return };
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let is_doomed = AtomicBool::new(false);
        tokio::select! {
            biased;
            () = pass_replies(from_server, to_client, &network, &is_doomed) => {}
            () = pass_requests(from_client, to_server, &network, &is_doomed) => {}
        }
    };
    tokio::select! {
        biased;
        () = cut => {}
        () = passing => {}
    }
}

/// Passes on what comes, until an end is closed.
async fn pass_requests(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    network: &Network,
    is_doomed: &AtomicBool,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        network.pass().await;
        if network.dooms(&buffer[..count]) {
            is_doomed.store(true, Ordering::SeqCst);
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
        if network.ends_with(&buffer[..count]) {
            network.roughness.store(Roughness::Silent as u8, Ordering::SeqCst);
        }
    }
}

/// Passes on what comes, until an end is closed or the network breaks.
async fn pass_replies(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    network: &Network,
    is_doomed: &AtomicBool,
) {
    let (mut buffer, mut replies) = (vec![0; 16 * 1024], 0_u32);
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if is_doomed.load(Ordering::SeqCst) {
            network.lost.fetch_add(1, Ordering::SeqCst);
            return;
        }
        replies += 1;
        network.pass().await;
        let breaks = network.is(Roughness::Breaking) && replies.is_multiple_of(3);
        let passed = if breaks { count / 2 } else { count };
        if to.write_all(&buffer[..passed]).await.is_err() || breaks {
            return;
        }
    }
}
