//! Asks a client for its metadata over TCP. What is said is decided by [`Interview`].
//!
//! A client that closes the connection without a word is asked once more on an encrypted one: some take nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::engine::id::InfoHash;
use crate::engine::time::Instant;
use crate::net::entropy;
use crate::net::peers::caution::{self, connect};
use crate::peer::encryption::Randomness;
use crate::tracker::metadata::{Interview, Verdict};

/// A client on this host or in its network answers in milliseconds; one that is busy with its disk in seconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// Endpoints at which no client of BitTorrent answered, that are asked in one [`Budget::PERIOD`]: a client announces one
/// port, and one more in its other family. More are a search for what else listens there.
const MOST_IN_VAIN: usize = 16;
/// Hosts whose endpoints are remembered. When there are more, no further ones are asked until a period ends.
const MOST_HOSTS: usize = 1_000;

/// Which endpoints may be asked: nothing may make us speak to other programs than BitTorrent clients. Told the time.
#[derive(Debug)]
pub(super) struct Budget {
    /// Ports at which we ourselves listen.
    own_ports: BTreeSet<u16>,
    /// Whether this host has an address.
    is_here: fn(IpAddr) -> bool,
    /// The start of the period.
    since: Instant,
    /// The ports of each host that were asked in vain in this period.
    in_vain: BTreeMap<IpAddr, BTreeSet<u16>>,
}

impl Budget {
    /// Time after which endpoints that were asked in vain are forgotten.
    const PERIOD: Duration = Duration::from_secs(10 * 60);

    pub(super) fn new(own_ports: impl IntoIterator<Item = u16>, is_here: fn(IpAddr) -> bool) -> Self {
        Self { own_ports: own_ports.into_iter().collect(), is_here, since: Instant::ZERO, in_vain: BTreeMap::new() }
    }

    /// Whether the client at `peer` may be asked about `info_hash`; counts it as in vain until [`Budget::answered`].
    pub(super) fn may_ask(&mut self, now: Instant, peer: SocketAddr, info_hash: InfoHash) -> bool {
        if now.since(self.since) >= Self::PERIOD {
            (self.since, self.in_vain) = (now, BTreeMap::new());
        }
        let own = self.own_ports.contains(&peer.port()) && (peer.ip().is_loopback() || (self.is_here)(peer.ip()));
        if own || caution::check(peer, info_hash).is_err() {
            return false;
        }
        if self.in_vain.len() >= MOST_HOSTS && !self.in_vain.contains_key(&peer.ip()) {
            return false;
        }
        let ports = self.in_vain.entry(peer.ip()).or_default();
        ports.contains(&peer.port()) || (ports.len() < MOST_IN_VAIN && ports.insert(peer.port()))
    }

    /// A client of BitTorrent has answered at `peer`.
    pub(super) fn answered(&mut self, peer: SocketAddr) {
        if let Some(ports) = self.in_vain.get_mut(&peer.ip()) {
            ports.remove(&peer.port());
        }
    }
}

/// What the client at `peer` lets us know about the torrent, or why that is nothing.
pub(super) async fn ask(
    info_hash: InfoHash,
    peer: SocketAddr,
    complete: bool,
    our_peer_id: [u8; 20],
) -> Result<Verdict, String> {
    let fresh = || Interview::new(info_hash, our_peer_id, complete);
    match timeout(PATIENCE, plain_or_encrypted(fresh, peer)).await {
        Ok(Ok(Verdict::Unknown)) => Err("no client of this torrent that gives metadata answers there".to_owned()),
        Ok(Ok(verdict)) => Ok(verdict),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no metadata came within {} s", PATIENCE.as_secs())),
    }
}

async fn plain_or_encrypted(fresh: impl Fn() -> Interview, peer: SocketAddr) -> io::Result<Verdict> {
    if let Some(verdict) = converse(fresh(), peer).await? {
        return Ok(verdict);
    }
    let random = Randomness::from_seed(entropy::seed()?);
    Ok(converse(fresh().encrypted(random), peer).await?.unwrap_or(Verdict::Unknown))
}

/// What the client at `peer` says; `None` where it closes the connection without a word.
async fn converse(mut interview: Interview, peer: SocketAddr) -> io::Result<Option<Verdict>> {
    let mut stream = connect(peer).await?;
    let mut buffer = vec![0; 32 << 10];
    let mut heard = false;
    loop {
        // A client that has closed the connection refuses what is written too.
        let output = interview.take_output();
        let read = match stream.write_all(&output).await {
            Ok(()) if interview.verdict().is_some() => return Ok(interview.verdict()),
            Ok(()) => stream.read(&mut buffer).await,
            Err(error) => Err(error),
        };
        match read {
            Ok(0) | Err(_) if !heard => return Ok(None),
            Ok(0) => return Ok(Some(Verdict::Unknown)),
            Ok(length) => interview.handle_bytes(&buffer[..length]),
            Err(error) => return Err(error),
        }
        heard = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use tokio::net::TcpListener;

    use crate::peer::encryption::responder::{Responder, public_key};
    use crate::peer::handshake::Handshake;
    use crate::peer::message::push_extended;

    const HASH: InfoHash = InfoHash::new([0xab; 20]);

    /// A client that gives no metadata, and takes only encrypted connections: two of them.
    async fn encrypted_client(listener: TcpListener) -> io::Result<()> {
        drop(listener.accept().await?);
        let (mut stream, _) = listener.accept().await?;
        let mut key = [0; 96];
        stream.read_exact(&mut key).await?;
        let mut responder = Responder::new(HASH.as_bytes(), &key);
        let mut said = Handshake { info_hash: HASH, peer_id: [b'p'; 20], extensions: true }.encode().to_vec();
        push_extended(&mut said, 0, b"d1:mdee");
        let said = [public_key(), responder.choose(2, 9), responder.say(2, &said)].concat();
        stream.write_all(&said).await?;
        while stream.read(&mut key).await? > 0 {}
        Ok(())
    }

    #[tokio::test]
    async fn a_client_that_closes_without_a_word_is_asked_once_more_encrypted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = listener.local_addr().unwrap();
        let (said, served) = tokio::join!(ask(HASH, peer, false, [b'o'; 20]), encrypted_client(listener));
        assert_eq!(said, Ok(Verdict::Withheld));
        served.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = listener.local_addr().unwrap();
        let closes = async {
            drop(listener.accept().await);
            drop(listener.accept().await);
            tokio::time::timeout(Duration::from_millis(50), listener.accept()).await.is_err()
        };
        let (said, no_third) = tokio::join!(ask(HASH, peer, false, [b'o'; 20]), closes);
        assert!(said.unwrap_err().contains("no client of this torrent") && no_third);
    }

    /// The budget of a gateway at 192.168.1.2.
    fn fresh() -> Budget {
        Budget::new([6969, 6880], |ip| ip == IpAddr::from([192, 168, 1, 2]))
    }

    fn peer(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn services_of_the_system_and_our_own_are_not_spoken_to() {
        let mut budget = fresh();
        for (addr, asked) in [
            ("127.0.0.1:22", false),
            ("127.0.0.1:1023", false),
            ("192.168.1.9:80", false),
            ("127.0.0.1:1024", true),
            ("127.0.0.1:6881", true),
            ("127.0.0.1:6969", false),
            ("127.0.0.1:6880", false),
            ("[::1]:6969", false),
            ("192.168.1.9:6969", true),
            ("192.168.1.2:6969", false),
            ("192.168.1.2:6880", false),
            ("192.168.1.2:6881", true),
        ] {
            assert_eq!(budget.may_ask(Instant::ZERO, peer(addr), HASH), asked, "{addr}");
        }
    }

    #[test]
    fn an_infohash_that_is_a_line_of_text_is_not_sent() {
        let mut budget = fresh();
        for (hash, asked) in [
            (b"\r\nflush_all\r\nxxxxxxx", false),
            (b"xxxx\nSHUTDOWN\nyyyyyy", false),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\nquit ", false),
            (b"no line begins here.", true),
            (b"\n\x01\x02\x03\xff\nabc\x80xxxxxxxxxx", true),
        ] {
            let hash = InfoHash::new(*hash);
            assert_eq!(budget.may_ask(Instant::ZERO, peer("127.0.0.1:11211"), hash), asked, "{hash}");
        }
    }

    #[test]
    fn ports_are_not_searched_for_listeners() {
        let mut budget = fresh();
        let asked = |budget: &mut Budget, now| {
            (1024..=u16::MAX)
                .filter(|port| budget.may_ask(now, SocketAddr::from(([127, 0, 0, 1], *port)), HASH))
                .count()
        };
        assert_eq!(asked(&mut budget, Instant::ZERO), MOST_IN_VAIN);
        assert!(budget.may_ask(Instant::ZERO, peer("127.0.0.1:1024"), HASH), "the same client once more");
        assert!(budget.may_ask(Instant::ZERO, peer("192.168.1.9:1024"), HASH), "another host");
        budget.answered(peer("127.0.0.1:1024"));
        assert!(budget.may_ask(Instant::ZERO, peer("127.0.0.1:50000"), HASH), "a real client costs nothing");
        assert_eq!(asked(&mut budget, Instant::ZERO + Budget::PERIOD), MOST_IN_VAIN);
        let hosts = (0..2000u32).map(|i| SocketAddr::from(((0x0a00_0000 + i).to_be_bytes(), 5000)));
        let mut budget = fresh();
        assert_eq!(hosts.filter(|peer| budget.may_ask(Instant::ZERO, *peer, HASH)).count(), MOST_HOSTS);
    }
}
