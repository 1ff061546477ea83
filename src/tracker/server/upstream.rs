//! Asks other trackers on behalf of a client. What is said is in [`upstream`].

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST, LOCATION, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, info};

use crate::engine::contact::{Family, is_local};
use crate::tracker::upstream::{self, Relay, Told, Upstream};

/// How long the trackers may take, all together. The answers that wait for them are given earlier.
const PATIENCE: Duration = Duration::from_secs(15);
/// Time in which a tracker that took all its patience can still be noted as one that does not answer.
const GRACE: Duration = Duration::from_millis(500);
/// Other addresses to which one announce is sent on.
const MOST_REDIRECTS: usize = 3;
/// After this time a datagram is lost and sent again. BEP 15 says 15 s; a client that waits has no such patience.
const RESEND: Duration = Duration::from_secs(3);
/// Longest body that is read: 200 peers in the longest form are a fifth of it.
const MAX_BODY: usize = 64 << 10;

/// Tells every tracker of the client and passes on the peers of each as they come. Returns the longest interval that one
/// of them asked for; `None` if none of them took the announce.
pub(super) async fn announce(
    upstreams: &Arc<[Tracker]>,
    relay: &Relay,
    mut found: impl FnMut(&[SocketAddr]),
) -> Option<Duration> {
    let deadline = Instant::now() + PATIENCE + GRACE;
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

async fn ask(tracker: &Tracker, relay: &Relay) -> Option<Told> {
    let url = &tracker.url;
    let asking = async { if url.is_udp() { ask_by_udp(url, relay).await } else { ask_by_http(url, relay).await } };
    let answer = timeout(PATIENCE, asking).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let outcome = answer.as_ref().map(|told| told.as_ref().map(|told| told.peers.len()));
    debug!(tracker = url.label(), id = %relay.info_hash, ?outcome, "another tracker was asked");
    tracker.note(&answer);
    answer.ok().flatten()
}

/// A tracker, and whether it works as far as we know.
#[derive(Debug)]
pub(super) struct Tracker {
    url: Upstream,
    works: Mutex<Option<bool>>,
}

impl Tracker {
    pub(super) const fn new(url: Upstream) -> Self {
        Self { url, works: Mutex::new(None) }
    }

    /// Says when the tracker begins or ceases to work. One that refuses a torrent works.
    fn note(&self, answer: &io::Result<Option<Told>>) {
        let before = self.works.lock().expect("nothing panics while it holds the lock").replace(answer.is_ok());
        match answer {
            Ok(_) if before != Some(true) => info!(tracker = self.url.label(), "another tracker answers"),
            Err(error) if before != Some(false) => {
                info!(tracker = self.url.label(), %error, "another tracker does not answer; it is asked again with the next client");
            }
            Ok(_) | Err(_) => {}
        }
    }
}

/// The first address of the tracker that belongs to the client's family.
async fn resolve(tracker: &Upstream, family: Family) -> io::Result<SocketAddr> {
    let mut addrs = lookup_host((tracker.host(), tracker.port())).await?;
    addrs.find(|addr| Family::of(addr) == family).ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

/// Asks, at other addresses if the tracker says so.
async fn ask_by_http(tracker: &Upstream, relay: &Relay) -> io::Result<Option<Told>> {
    let (mut tracker, mut target) = (tracker.clone(), tracker.target(relay));
    for _ in 0..=MOST_REDIRECTS {
        match get(&tracker, &target, relay.family()).await? {
            Got::Body(addr, body) => return Ok(upstream::parse_body(&body).map(|told| admissible(addr, told))),
            Got::Moved(location) => {
                let other =
                    tracker.redirected(&location).ok_or_else(|| io::Error::other("it moved to no http:// URL"))?;
                // Most that move keep the query; one that drops it wants it again.
                target =
                    if other.path().contains("info_hash=") { other.path().to_owned() } else { other.target(relay) };
                tracker = other;
            }
        }
    }
    Err(io::Error::other("it moves from one URL to the next"))
}

/// What came of one request.
enum Got {
    /// A body, of a tracker at this address.
    Body(SocketAddr, Bytes),
    /// Another URL.
    Moved(String),
}

async fn get(tracker: &Upstream, target: &str, family: Family) -> io::Result<Got> {
    let addr = resolve(tracker, family).await?;
    let stream = TcpStream::connect(addr).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let mut request = Request::get(target)
        .header(HOST, tracker.authority())
        .header(USER_AGENT, concat!("trackerless/", env!("CARGO_PKG_VERSION")));
    if let Some(authorization) = tracker.authorization() {
        request = request.header(AUTHORIZATION, authorization);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
    let mut exchange = pin!(async move {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        if response.status().is_redirection() {
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            return Ok(Got::Moved(location.unwrap_or_default().to_owned()));
        }
        if !response.status().is_success() {
            return Err(io::Error::other(format!("HTTP status {}", response.status())));
        }
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await.map_err(io::Error::other)?;
        Ok(Got::Body(addr, body.to_bytes()))
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
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::engine::id::InfoHash;

    #[tokio::test]
    async fn a_tracker_that_has_moved_is_followed_with_its_query_and_password() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let client = "127.0.0.1:9".parse().unwrap();
        let (info_hash, phase) = (InfoHash::new([7; 20]), crate::tracker::Phase::Started);
        let relay = Relay { info_hash, peer_id: [8; 20], client, port: 6881, seed: true, phase };
        let url: Upstream = format!("http://user:pass@{addr}/announce").parse().unwrap();
        let tracker = async {
            let mut heads = Vec::new();
            for answer in [
                "HTTP/1.1 302 Found\r\nLocation: /moved\r\nContent-Length: 0\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nd8:intervali9e5:peers6:\x7f\0\0\x01\0\x05e",
            ] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0);
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
                heads.push(String::from_utf8(head).unwrap().to_lowercase());
            }
            heads
        };
        let (told, heads) = tokio::join!(ask_by_http(&url, &relay), tracker);
        assert_eq!(told.unwrap().unwrap().peers, ["127.0.0.1:5".parse().unwrap()]);
        assert!(
            heads[0].starts_with("get /announce?info_hash=%07") && heads[1].starts_with("get /moved?info_hash=%07")
        );
        assert!(heads[0].contains(&format!("host: {addr}\r\n")), "{heads:?}");
        assert!(heads[0].contains("authorization: basic dxnlcjpwyxnz\r\n"), "{heads:?}");
        assert!(heads[1].contains("authorization: basic dxnlcjpwyxnz\r\n"), "the same host: {heads:?}");
    }

    #[test]
    fn a_stranger_does_not_say_who_is_in_our_network() {
        let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
        let peers = vec![addr("127.0.0.1:22"), addr("192.168.1.1:80"), addr("203.0.113.9:6881")];
        let told = Told { peers, interval: Duration::ZERO };
        assert_eq!(admissible(addr("198.51.100.1:80"), told.clone()).peers, [addr("203.0.113.9:6881")]);
        assert_eq!(admissible(addr("192.168.1.1:80"), told.clone()), told);
    }
}
