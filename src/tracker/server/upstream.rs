//! Asks other trackers on behalf of a client. What is said is in [`upstream`].

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

use crate::engine::contact::{Family, is_local};
use crate::tracker::upstream::{self, Relay, Told, Upstream};

/// How long the trackers may take, all together. The answers that wait for them are given earlier.
const PATIENCE: Duration = Duration::from_secs(15);
/// After this time a datagram is lost and sent again. BEP 15 says 15 s; a client that waits has no such patience.
const RESEND: Duration = Duration::from_secs(3);
/// Longest body that is read: 200 peers in the longest form are a fifth of it.
const MAX_BODY: usize = 64 << 10;

/// Tells every tracker of the client and passes on the peers of each as they come. Returns the longest interval that one
/// of them asked for; `None` if none of them took the announce.
pub(super) async fn announce(
    upstreams: &Arc<[Upstream]>,
    relay: &Relay,
    mut found: impl FnMut(&[SocketAddr]),
) -> Option<Duration> {
    let deadline = Instant::now() + PATIENCE;
    let mut asked = JoinSet::new();
    for index in 0..upstreams.len() {
        let (upstreams, relay) = (Arc::clone(upstreams), relay.clone());
        asked.spawn(async move { ask(&upstreams[index], &relay).await });
    }
    let mut interval = None;
    while let Ok(Some(outcome)) = timeout_at(deadline, asked.join_next()).await {
        if let Ok(Some(told)) = outcome {
            found(&told.peers);
            interval = interval.max(Some(told.interval));
        }
    }
    interval
}

async fn ask(tracker: &Upstream, relay: &Relay) -> Option<Told> {
    let answer = if tracker.is_udp() { ask_by_udp(tracker, relay).await } else { ask_by_http(tracker, relay).await };
    let outcome = answer.as_ref().map(|told| told.as_ref().map(|told| told.peers.len()));
    debug!(%tracker, id = %relay.info_hash, ?outcome, "another tracker was asked");
    answer.ok().flatten()
}

/// The first address of the tracker that belongs to the client's family.
async fn resolve(tracker: &Upstream, family: Family) -> io::Result<SocketAddr> {
    let mut addrs = lookup_host((tracker.host(), tracker.port())).await?;
    addrs.find(|addr| Family::of(addr) == family).ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

async fn ask_by_http(tracker: &Upstream, relay: &Relay) -> io::Result<Option<Told>> {
    let addr = resolve(tracker, relay.family()).await?;
    let stream = TcpStream::connect(addr).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let request = Request::get(tracker.target(relay))
        .header(HOST, tracker.authority())
        .header(USER_AGENT, concat!("trackerless/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let mut exchange = pin!(async move {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await.map_err(io::Error::other)?;
        Ok(upstream::parse_body(&body.to_bytes()).map(|told| admissible(addr, told)))
    });
    tokio::select! {
        answer = &mut exchange => answer,
        // The tracker has closed the connection; what it said before that is still to be read.
        _ = connection => exchange.await,
    }
}

async fn ask_by_udp(tracker: &Upstream, relay: &Relay) -> io::Result<Option<Told>> {
    let addr = resolve(tracker, relay.family()).await?;
    let any: SocketAddr = match relay.family() {
        Family::V4 => (Ipv4Addr::UNSPECIFIED, 0).into(),
        Family::V6 => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(addr).await?;
    // The socket takes datagrams of the tracker only; the numbers tell its answers apart.
    let connected = exchange(&socket, &upstream::connect_request(1), 1).await?;
    let Some(connection) = upstream::parse_connected(&connected, 1) else { return Ok(None) };
    let announced = exchange(&socket, &upstream::announce_request(connection, 2, relay), 2).await?;
    Ok(upstream::parse_announced(&announced, 2, relay.family()).map(|told| admissible(addr, told)))
}

/// Leaves out addresses of local networks, unless the tracker is in one itself: nobody else knows who is there.
fn admissible(tracker: SocketAddr, mut told: Told) -> Told {
    told.peers.retain(|peer| is_local(tracker.ip()) || !is_local(peer.ip()));
    told
}

/// Sends the request until its answer comes. The caller sets the deadline.
async fn exchange(socket: &UdpSocket, request: &[u8], transaction: u32) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; 4096];
    loop {
        socket.send(request).await?;
        let answer = async {
            loop {
                let length = socket.recv(&mut buffer).await?;
                if upstream::is_answer(&buffer[..length], transaction) {
                    return Ok(buffer[..length].to_vec());
                }
            }
        };
        if let Ok(answer) = timeout(RESEND, answer).await {
            return answer;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_does_not_say_who_is_in_our_network() {
        let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
        let peers = vec![addr("127.0.0.1:22"), addr("192.168.1.1:80"), addr("203.0.113.9:6881")];
        let told = Told { peers, interval: Duration::ZERO };
        assert_eq!(admissible(addr("198.51.100.1:80"), told.clone()).peers, [addr("203.0.113.9:6881")]);
        assert_eq!(admissible(addr("192.168.1.1:80"), told.clone()), told);
    }
}
