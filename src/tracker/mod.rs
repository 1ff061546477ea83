//! The gateway: a tracker in front, the DHT behind.
//!
//! A client that knows no DHT announces here, by HTTP ([`http`]: BEP 3, 7, 23, 24, 48) or by UDP ([`udp`]: BEP 15, 41),
//! and gets the peers that announced here and those that the DHT knows; where that is safe, the gateway announces it to
//! the DHT in turn.
//!
//! These parts are pure and are told the time: [`http`] and [`udp`] turn bytes into the words below and back,
//! [`swarm`] remembers the peers of one infohash, [`broker`] decides what is answered now, what is held, and what is
//! asked of the DHT. [`net::nearness`](crate::net::nearness) says whom we may announce for, [`metadata`] finds out whether
//! a torrent is private, [`upstream`] speaks to other trackers, [`ranking`] says which of many.
#![forbid(unsafe_code)]

pub mod broker;
mod dht;
pub mod http;
pub mod metadata;
pub mod ranking;
pub mod saved;
pub mod server;
pub mod swarm;
pub mod udp;
pub mod upstream;

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::engine::id::InfoHash;

/// Most peers in one answer: as many as clients ask for, and as fit in one datagram (BEP 15: 200 x 6 bytes).
pub const MAX_WANTED: usize = 200;
/// Peers in an answer to a client that names no number (BEP 3 leaves it open; 50 is what clients expect).
pub const DEFAULT_WANTED: usize = 50;
/// Most infohashes in one scrape: what fits in a datagram (BEP 15), and the same over HTTP. The rest is not answered.
pub const MAX_SCRAPED: usize = 74;

/// What a client says when it announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announce {
    /// Which swarm; for a v2 torrent the first 20 bytes of its SHA-256 (BEP 52).
    pub info_hash: InfoHash,
    /// The client's own name; its first bytes tell the program (BEP 20).
    pub peer_id: [u8; 20],
    /// Where it accepts connections; 0 when it does not say (aria2 without a listener), 1 from behind a proxy.
    pub port: u16,
    /// Bytes still missing; `None` when it cannot say (a magnet link).
    pub left: Option<u64>,
    /// Bytes received since it started.
    pub downloaded: u64,
    /// Why it announces.
    pub phase: Phase,
    /// How many peers it wants; `None` leaves that to us.
    pub wanted: Option<usize>,
    /// Where the last batch of peers ended: our own `tracker id`, sent back.
    pub cursor: Option<u32>,
    /// Addresses that it claims to have (`ip=`, `ipv4=`). Never believed as a peer's address: see [`net::nearness`](crate::net::nearness).
    pub claimed_v4: Option<Ipv4Addr>,
    /// The same for IPv6.
    pub claimed_v6: Option<Ipv6Addr>,
}

/// Why a client announces (BEP 3). `paused` (BEP 21) and whatever else clients invent count as [`Phase::Update`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// The regular announce.
    #[default]
    Update,
    /// The first announce.
    Started,
    /// The download is complete.
    Completed,
    /// The client leaves the swarm.
    Stopped,
}

impl Announce {
    /// Whether the client says that it has everything.
    #[must_use]
    pub fn is_seed(&self) -> bool {
        self.phase == Phase::Completed || self.left == Some(0)
    }

    /// Whether that is certain from the announce alone. Some clients report 0 bytes left for a magnet link, whose size they
    /// do not know yet (aria2; webtorrent over UDP), but none that it has downloaded something.
    #[must_use]
    pub fn is_surely_seed(&self) -> bool {
        self.phase == Phase::Completed || (self.left == Some(0) && self.downloaded > 0)
    }

    /// How many peers the answer may hold.
    #[must_use]
    pub fn wanted(&self) -> usize {
        if self.phase == Phase::Stopped { 0 } else { self.wanted.unwrap_or(DEFAULT_WANTED).min(MAX_WANTED) }
    }

    /// The addresses that tell where a client is that sent this from `sender`: those that it claims, and that one.
    pub fn addresses(&self, sender: IpAddr) -> impl Iterator<Item = IpAddr> {
        [self.claimed_v4.map(IpAddr::V4), self.claimed_v6.map(IpAddr::V6), Some(sender)].into_iter().flatten()
    }

    /// Whether a peer can be reached at the announced port. Clients behind a proxy announce 1.
    #[must_use]
    pub const fn is_reachable(&self) -> bool {
        self.port > 1
    }
}

/// What an announce is answered with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// When to announce again.
    pub interval: Duration,
    /// When at the earliest.
    pub min_interval: Duration,
    /// What is known about the swarm.
    pub counts: Counts,
    /// Peers, the best first, of both families.
    pub peers: Vec<SocketAddr>,
    /// Where the next batch begins.
    pub cursor: u32,
    /// The address under which the world sees the client (BEP 24).
    pub external_ip: Option<IpAddr>,
    /// Something that the user should read.
    pub warning: Option<Cow<'static, str>>,
}

impl Reply {
    /// Whether it warns that the client is not announced to the DHT.
    #[must_use]
    pub fn is_not_announced(&self) -> bool {
        self.warning.as_deref().is_some_and(|warning| warning.starts_with("not announced"))
    }
}

/// How large a swarm is, as far as we know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Peers that have everything.
    pub complete: u32,
    /// Peers that do not, or of which we do not know.
    pub incomplete: u32,
    /// Downloads that were reported finished to this gateway.
    pub downloaded: u32,
}

/// Why an announce is not served. Sent as a success of the transport, because clients show a status code instead of the
/// reason, and always with an interval, because libtorrent sleeps half an hour without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For the user. Never contains "unregistered" or "not registered": Transmission and rTorrent give up on these.
    pub reason: Cow<'static, str>,
    /// When to try again.
    pub interval: Duration,
}

impl Failure {
    /// A request that cannot be read; the client may have been fixed in half an hour.
    #[must_use]
    pub const fn malformed(reason: &'static str) -> Self {
        Self { reason: Cow::Borrowed(reason), interval: Duration::from_secs(1800) }
    }
}

/// The outcome of an announce.
pub type Answer = Result<Reply, Failure>;
