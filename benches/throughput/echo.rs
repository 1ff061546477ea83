//! The floor: what it costs the kernel and a socket to take a query and give a reply, with nothing in between.
//!
//! A query's first bytes come back, padded to the length that the query names in place of its target: see
//! [`reply_len`]. So one echo serves replies of every size.

use std::io;
use std::net::SocketAddr;

use tokio::net::UdpSocket;
use trackerless::net::socket::{BATCH, MAX_DATAGRAM, Socket};

use crate::server::Kind;

/// A query's target begins with this when it names a length.
pub const MARK: [u8; 6] = *b"length";
/// Where the infohash of a `get_peers` query starts.
const TARGET_AT: usize = 46;

/// Serves until killed.
pub fn serve(kind: Kind, addr: SocketAddr) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match kind {
            Kind::Echo => batched(addr).await,
            _ => one_by_one(addr).await,
        }
    })
}

/// How long the reply to `query` shall be.
fn reply_len(query: &[u8]) -> usize {
    match query.get(TARGET_AT..TARGET_AT + 8).and_then(|target| target.strip_prefix(&MARK)) {
        Some([a, b]) => usize::from(u16::from_le_bytes([*a, *b])).clamp(query.len(), MAX_DATAGRAM),
        _ => query.len(),
    }
}

async fn batched(addr: SocketAddr) -> io::Result<()> {
    let mut socket = Socket::bind(addr)?;
    let mut replies = vec![[0_u8; MAX_DATAGRAM]; BATCH];
    let mut to = Vec::with_capacity(BATCH);
    loop {
        socket.readable().await?;
        to.clear();
        socket.receive(|from, query| {
            let len = reply_len(query);
            replies[to.len()][..query.len()].copy_from_slice(query);
            to.push((from, len));
        })?;
        for (reply, (from, len)) in replies.iter().zip(&to) {
            while !socket.push(*from, &reply[..*len]) {
                socket.writable().await?;
                socket.flush();
            }
        }
        while socket.flush().left > 0 {
            socket.writable().await?;
        }
    }
}

async fn one_by_one(addr: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind(addr).await?;
    let mut buffer = [0; MAX_DATAGRAM];
    loop {
        let (len, from) = socket.recv_from(&mut buffer).await?;
        let len = reply_len(&buffer[..len]);
        // An echo that fails is a reply lost, which the load generator counts.
        let _ = socket.send_to(&buffer[..len], from).await;
    }
}
