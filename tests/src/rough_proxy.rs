//! A network that is cut, slow, or breaks off in the middle of a reply.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
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
    roughness: Arc<AtomicU8>,
    _accepting: JoinSet<()>,
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
        let roughness = Arc::new(AtomicU8::new(Roughness::Fair as u8));
        let (mut accepting, shared) = (JoinSet::new(), Arc::clone(&roughness));
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                connections.spawn(pass_on(client, server, Arc::clone(&shared)));
            }
        });
        Self { address, roughness, _accepting: accepting }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, the network is like that.
    pub fn set(&self, roughness: Roughness) {
        self.roughness.store(roughness as u8, Ordering::SeqCst);
    }
}

fn is(roughness: &AtomicU8, expected: Roughness) -> bool {
    roughness.load(Ordering::SeqCst) == expected as u8
}

async fn pass_on(mut client: TcpStream, server: SocketAddr, roughness: Arc<AtomicU8>) {
    let cut = async {
        while !is(&roughness, Roughness::Cut) {
            sleep(LOOK).await;
        }
    };
    let passing = async {
        let Ok(mut server) = TcpStream::connect(server).await else { return };
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            biased;
            () = copy(from_server, to_client, &roughness, true) => {}
            () = copy(from_client, to_server, &roughness, false) => {}
        }
    };
    tokio::select! {
        biased;
        () = cut => {}
        () = passing => {}
    }
}

/// Passes on what comes, until an end is closed or the network breaks.
async fn copy(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    roughness: &AtomicU8,
    is_reply: bool,
) {
    let (mut buffer, mut replies) = (vec![0; 16 * 1024], 0_u32);
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        replies += u32::from(is_reply);
        while is(roughness, Roughness::Silent) {
            sleep(LOOK).await;
        }
        if is(roughness, Roughness::Slow) {
            sleep(Duration::from_millis(500)).await;
        }
        let breaks = is(roughness, Roughness::Breaking) && is_reply && replies.is_multiple_of(3);
        let passed = if breaks { count / 2 } else { count };
        if to.write_all(&buffer[..passed]).await.is_err() || breaks {
            return;
        }
    }
}
