//! Asks a client for its metadata over TCP. What is said is decided by [`Interview`].

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::engine::id::Id;
use crate::tracker::metadata::{Interview, Verdict};

/// A client on this host or in its network answers in milliseconds; one that is busy with its disk in seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the client at `peer` lets us know about the torrent.
pub(super) async fn ask(info_hash: Id, peer: SocketAddr, complete: bool, our_peer_id: [u8; 20]) -> Verdict {
    let mut interview = Interview::new(info_hash, our_peer_id, complete);
    match timeout(PATIENCE, converse(&mut interview, peer)).await {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(_)) | Err(_) => Verdict::Unknown,
    }
}

async fn converse(interview: &mut Interview, peer: SocketAddr) -> io::Result<Verdict> {
    let mut stream = TcpStream::connect(peer).await?;
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
