//! Asks a client for its metadata over TCP. What is said is decided by [`Interview`].

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::engine::id::Id;
use crate::tracker::metadata::{Interview, Verdict};

/// A client on this host or in its network answers in milliseconds; one that is busy with its disk in seconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// An address in 127/8 that nobody else uses. Systems other than Linux may lack it.
const OWN_LOOPBACK: [u8; 4] = [127, 84, 75, 1];

/// What the client at `peer` lets us know about the torrent.
pub(super) async fn ask(info_hash: Id, peer: SocketAddr, complete: bool, our_peer_id: [u8; 20]) -> Verdict {
    let mut interview = Interview::new(info_hash, our_peer_id, complete);
    match timeout(PATIENCE, converse(&mut interview, peer)).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(_)) | Err(_) => Verdict::Unknown,
    }
}

/// libtorrent keeps one connection per address and torrent, and the client may be connected to another client on this host
/// already. On the loopback we have addresses to spare.
async fn connect(peer: SocketAddr) -> io::Result<TcpStream> {
    if peer.is_ipv4() && peer.ip().is_loopback() {
        let socket = TcpSocket::new_v4()?;
        if socket.bind(SocketAddr::from((OWN_LOOPBACK, 0))).is_ok() {
            return socket.connect(peer).await;
        }
    }
    TcpStream::connect(peer).await
}

async fn converse(interview: &mut Interview, peer: SocketAddr) -> io::Result<Verdict> {
    let mut stream = connect(peer).await?;
    let mut buffer = vec![0; 32 << 10];
    loop {
        stream.write_all(&interview.take_output()).await?;
        if let Some(verdict) = interview.verdict() {
            return Ok(verdict);
        }
        match stream.read(&mut buffer).await? {
            0 => return Ok(Verdict::Unknown),
            length => interview.handle_bytes(&buffer[..length]),
        }
    }
}
