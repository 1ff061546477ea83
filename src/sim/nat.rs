//! Address translators.
//!
//! A translator gives its host a public endpoint when the host sends, and lets packets in as long as the host keeps
//! sending. The four kinds of RFC 3489 differ in who may use an endpoint; all of them forget. A cone keeps its port
//! when it forgets and opens again, as most home routers do; a symmetric translator uses another port each time.
//!
//! Out of scope: several hosts behind one translator, hairpinning, and translators behind translators.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::map::Map;
use crate::engine::time::Instant;

/// Who may send to an endpoint that a translator opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anyone.
    FullCone,
    /// Any port of an address that the host sent to.
    AddressRestricted,
    /// Only an endpoint that the host sent to.
    PortRestricted,
    /// Only an endpoint that the host sent to; every destination sees another port of ours.
    Symmetric,
}

/// The translator in front of one host.
#[derive(Clone, Debug)]
pub struct Nat {
    kind: Kind,
    public: SocketAddr,
    expiry: Duration,
    /// When the host last sent, by the part of the destination that this kind looks at.
    sent: Map<Peer, Instant>,
    /// Symmetric only: the port that a destination sees.
    ports: Map<SocketAddr, u16>,
    next_port: u16,
    next_sweep: Instant,
}

/// What a kind distinguishes of the other end: nothing, its address, or its endpoint.
type Peer = Option<(IpAddr, u16)>;

impl Nat {
    /// A translator that shows its host as `public` and forgets after `expiry` without a packet from inside.
    #[must_use]
    pub fn new(kind: Kind, public: SocketAddr, expiry: Duration) -> Self {
        let (sent, ports) = (Map::default(), Map::default());
        Self { kind, public, expiry, sent, ports, next_port: public.port(), next_sweep: Instant::ZERO }
    }

    /// The address that it shows to the world.
    #[must_use]
    pub const fn public_ip(&self) -> IpAddr {
        self.public.ip()
    }

    /// The host sends to `to`: which endpoint does `to` see?
    pub fn outbound(&mut self, now: Instant, to: SocketAddr) -> SocketAddr {
        self.sweep(now);
        let known = self.sent.insert(self.peer(to), now).is_some_and(|at| now.since(at) < self.expiry);
        if self.kind != Kind::Symmetric {
            return self.public;
        }
        if !known {
            // Ports below 1024 are never given out.
            self.next_port = self.next_port.checked_add(7).unwrap_or(1024);
            self.ports.insert(to, self.next_port);
        }
        SocketAddr::new(self.public.ip(), self.ports[&to])
    }

    /// A packet from `from` reached our port `port`: may it pass?
    #[must_use]
    pub fn admits(&self, now: Instant, from: SocketAddr, port: u16) -> bool {
        let opened = match self.kind {
            Kind::Symmetric => self.ports.get(&from) == Some(&port),
            _ => port == self.public.port(),
        };
        opened && self.sent.get(&self.peer(from)).is_some_and(|&at| now.since(at) < self.expiry)
    }

    const fn peer(&self, other: SocketAddr) -> Peer {
        match self.kind {
            Kind::FullCone => None,
            Kind::AddressRestricted => Some((other.ip(), 0)),
            Kind::PortRestricted | Kind::Symmetric => Some((other.ip(), other.port())),
        }
    }

    /// Forgets what has expired, now and then, so that the tables stay as small as what they let in.
    fn sweep(&mut self, now: Instant) {
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = now + self.expiry;
        let expiry = self.expiry;
        self.sent.retain(|_, at| now.since(*at) < expiry);
        let sent = &self.sent;
        self.ports.retain(|to, _| sent.contains_key(&Some((to.ip(), to.port()))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: &str = "203.0.113.7:6881";

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// Who gets in, after the host sent to 8.8.8.8:53: the same endpoint, another port of it, a stranger.
    fn admitted(kind: Kind) -> [bool; 3] {
        let mut nat = Nat::new(kind, addr(PUBLIC), Duration::from_secs(60));
        let port = nat.outbound(Instant::from_secs(1), addr("8.8.8.8:53")).port();
        ["8.8.8.8:53", "8.8.8.8:54", "9.9.9.9:53"].map(|from| nat.admits(Instant::from_secs(2), addr(from), port))
    }

    #[test]
    fn kinds_differ_in_whom_they_admit() {
        assert_eq!(admitted(Kind::FullCone), [true, true, true]);
        assert_eq!(admitted(Kind::AddressRestricted), [true, true, false]);
        assert_eq!(admitted(Kind::PortRestricted), [true, false, false]);
        assert_eq!(admitted(Kind::Symmetric), [true, false, false]);
    }

    #[test]
    fn mappings_expire_and_a_packet_from_inside_renews_them() {
        for kind in [Kind::FullCone, Kind::AddressRestricted, Kind::PortRestricted, Kind::Symmetric] {
            let mut nat = Nat::new(kind, addr(PUBLIC), Duration::from_secs(60));
            let to = addr("8.8.8.8:53");
            assert!(!nat.admits(Instant::ZERO, to, 6881), "{kind:?} admits before the host sent");
            let port = nat.outbound(Instant::ZERO, to).port();
            assert_eq!(nat.outbound(Instant::from_secs(59), to).port(), port);
            assert!(nat.admits(Instant::from_secs(118), to, port), "{kind:?}");
            assert!(!nat.admits(Instant::from_secs(119), to, port), "{kind:?}");
        }
    }

    #[test]
    fn a_symmetric_translator_shows_everyone_another_port() {
        let mut nat = Nat::new(Kind::Symmetric, addr(PUBLIC), Duration::from_secs(60));
        let mut port = |secs, to| nat.outbound(Instant::from_secs(secs), addr(to)).port();
        let first = port(0, "8.8.8.8:53");
        assert_ne!(port(0, "9.9.9.9:53"), first);
        assert_eq!(port(1, "8.8.8.8:53"), first);
        assert_ne!(port(200, "8.8.8.8:53"), first, "a forgotten mapping comes back with another port");
    }
}
