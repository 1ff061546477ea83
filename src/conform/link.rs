//! What the checks need of a network: sources of their own that can send to the target and hear from it.

use std::net::{Ipv4Addr, SocketAddr};

/// One of our addresses, named by the part that it plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Asks nearly everything.
    Main,
    /// Has another IP address, where this host has one to give.
    Other,
    /// Has the IP address of `Main` and another port.
    SecondPort,
    /// Never answers the target.
    Mute,
    /// Never answers the target either, and has asked nothing before the one check that it is for.
    Unheard,
    /// Says that it is read-only (BEP 43).
    ReadOnly,
    /// One of many, each with its own IP address: only where this host has a whole network of addresses.
    Crowd(u8),
    /// A newcomer with an IP address of its own, for one check; so are all whose addresses this host has.
    Fresh(u8),
    /// Has the IP address of the newcomer of this number, and another port.
    Twin(u8),
    /// Has the IP address of `Main` and a port of its own.
    Port(u8),
    /// Is named by others, and neither asks nor answers: it only hears.
    Ghost(u8),
}

/// A network whose addresses all belong to this host, so that each source has an IP address of its own: 127.0.0.0/8 by
/// itself, any other after `ip route add local NETWORK dev lo`. Its first 17 bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool(Ipv4Addr);

impl Pool {
    /// The one of loopback.
    pub const LOOPBACK: Self = Self(Ipv4Addr::new(127, 240, 0, 0));

    /// The /15 that `ip` is in.
    #[must_use]
    pub const fn around(ip: Ipv4Addr) -> Self {
        Self(Ipv4Addr::from_bits(ip.to_bits() & 0xfffe_0000))
    }

    /// The address of `source`. Each has a /24 of its own (libtorrent keeps one contact of a /24 in a bucket), and
    /// those of `Main`, `Other`, `Mute` and `ReadOnly` cancel out when XORed, which a check of the tokens needs.
    #[must_use]
    pub const fn address(self, source: Source) -> Ipv4Addr {
        let [network, subnet]: [u8; 2] = match source {
            Source::Main | Source::SecondPort | Source::Port(_) => [0, 4],
            Source::Other => [0, 5],
            Source::Mute => [0, 6],
            Source::ReadOnly => [0, 7],
            Source::Unheard => [0, 8],
            Source::Fresh(number) | Source::Twin(number) => [0, 16 + number % 128],
            Source::Ghost(number) => [0, 160 + number % 64],
            Source::Crowd(number) => [1, number],
        };
        Ipv4Addr::from_bits(self.0.to_bits() + u32::from_be_bytes([0, network, subnet, 1]))
    }
}

/// How long to wait for a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// An answer is due: as long as one may take.
    Answer,
    /// Time must pass.
    Moment,
    /// Nothing should come: only as long as a reply may be overtaken by the next one.
    Straggler,
}

/// A way to the target.
pub trait Link {
    /// The target.
    fn target(&self) -> SocketAddr;

    /// The address of `source` as the target sees it; `None` where this host has no such address.
    fn address(&mut self, source: Source) -> Option<SocketAddr>;

    /// Sends `datagram` to the target, at the pace that is polite unless `burst`.
    fn send(&mut self, source: Source, datagram: &[u8], burst: bool);

    /// The next datagram from the target, to any source; `None` when the wait is over.
    fn receive(&mut self, wait: Wait) -> Option<(Source, Vec<u8>)>;

    /// Lets limits of the target recover, which a flood would meet half spent.
    fn rest(&mut self) {}

    /// Datagrams that came from the IP address of the target, but not from its port.
    fn strays(&self) -> usize {
        0
    }

    /// Whether the target may be sent bursts: only on this machine.
    fn may_burst(&self) -> bool {
        self.target().ip().is_loopback()
    }
}
