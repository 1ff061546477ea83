//! Whom we do not speak to: what strangers announce must not make us talk to other programs than BitTorrent clients.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpSocket, TcpStream};

use crate::engine::id::InfoHash;

/// Lowest port at which a client is asked. Below are the services of the system, which must not be spoken to.
pub const LOWEST_PORT: u16 = 1024;
/// An address in 127/8 that no other program uses. Systems other than Linux may lack it.
const OWN_LOOPBACK: [u8; 4] = [127, 84, 75, 1];

/// Why a peer is not spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Services of the system listen below [`LOWEST_PORT`].
    #[error("its port is below {LOWEST_PORT}, where services of the system are")]
    SystemPort,
    /// The infohash would be a command to a program that reads lines.
    #[error("its infohash looks like a command to another program")]
    Command,
}

/// Whether a client at `peer` may be spoken to about `info_hash`.
///
/// # Errors
/// The reason why not.
pub fn check(peer: SocketAddr, info_hash: InfoHash) -> Result<(), Reason> {
    match () {
        () if peer.port() < LOWEST_PORT => Err(Reason::SystemPort),
        () if is_a_command(info_hash) => Err(Reason::Command),
        () => Ok(()),
    }
}

/// Whether the infohash would be a line of text to a program that reads lines, after the bytes before it: one in six
/// thousand infohashes looks like one. Such a torrent cannot be checked.
fn is_a_command(info_hash: InfoHash) -> bool {
    let mut lines = info_hash.as_bytes().split(|byte| matches!(byte, b'\r' | b'\n')).skip(1);
    lines.any(|line| line.iter().take_while(|byte| matches!(byte, b' '..=b'~')).count() >= 5)
}

/// Connects to a client. libtorrent keeps one connection per address and torrent, and a client on this host may be connected
/// to another one here already; on the loopback we have addresses to spare.
///
/// # Errors
/// The reason of the system.
pub async fn connect(peer: SocketAddr) -> io::Result<TcpStream> {
    if peer.is_ipv4() && peer.ip().is_loopback() {
        let socket = TcpSocket::new_v4()?;
        if socket.bind(SocketAddr::from((OWN_LOOPBACK, 0))).is_ok() {
            return socket.connect(peer).await;
        }
    }
    TcpStream::connect(peer).await
}
