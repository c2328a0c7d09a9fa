//! Ports of loopback.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// How long a server may take to start.
pub(crate) const START_DEADLINE: Duration = Duration::from_secs(60);

/// How often a port is looked at.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// A port that nobody listens on.
///
/// # Errors
///
/// There is none.
pub fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}

/// Waits until a server takes connections.
///
/// # Errors
///
/// It does not within a minute.
pub fn wait_until_it_listens(port: u16) -> Result<(), String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let begun = Instant::now();
    while begun.elapsed() < START_DEADLINE {
        if TcpStream::connect_timeout(&address, START_DEADLINE).is_ok() {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
    Err(format!("nothing listens on port {port} after {START_DEADLINE:?}"))
}
