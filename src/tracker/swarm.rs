//! The peers of one infohash, as this gateway knows them.
//!
//! Two kinds: *members* announced here, and their address is the one they sent from; *found* peers come from the DHT and are
//! kept with the time when they were last reported. Both lists are bounded and the oldest entry makes room.
//!
//! An answer begins with the members that are near, each under the address at which the asker can reach it; then comes
//! everybody else, as a ring that each asker walks with its own cursor, so that a big swarm is seen whole, one batch after
//! another. The asker itself is never in its answer, under none of its addresses.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::nearness::Nearness;
use super::{Counts, MAX_WANTED};
use crate::engine::bloom::{Filter, SwarmFilters};
use crate::engine::contact::{self, Family};
use crate::engine::time::Instant;

/// Members of one swarm: an answer's worth.
pub const MAX_MEMBERS: usize = MAX_WANTED;
/// Found peers of one swarm: two and a half answers, more than a client connects to.
pub const MAX_FOUND: usize = 500;
/// How long a member is believed to be there: two announce intervals and some patience.
pub const MEMBER_LIFETIME: Duration = Duration::from_secs(35 * 60);
/// How long a found peer is worth trying. The nodes that store it forget it after about half an hour.
pub const FOUND_LIFETIME: Duration = Duration::from_secs(45 * 60);
/// How long found peers are as good as those of a new lookup.
pub const FRESH: Duration = Duration::from_secs(10 * 60);

/// A client that announced here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The address that it sent from, and the port that it announced.
    pub addr: SocketAddr,
    /// Our address that it sent to.
    pub here: IpAddr,
    /// Where it is.
    pub nearness: Nearness,
    /// Its name, by which the two announces of a dual-stack client are counted as one.
    pub peer_id: [u8; 20],
    /// Whether it has everything.
    pub seed: bool,
    /// When it last announced.
    pub last: Instant,
    /// Where its next batch begins, for clients that do not bring the cursor back.
    pub cursor: u32,
    /// When it is announced to the DHT next; `None` while it must not be.
    pub announce_at: Option<Instant>,
    /// The same for other trackers.
    pub relay_at: Option<Instant>,
    /// Whether other trackers know of it.
    pub relayed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Found {
    addr: SocketAddr,
    seen: Instant,
    sightings: u32,
}

/// Who asks for peers.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The address that it sent from, and the port that it announced.
    pub addr: SocketAddr,
    /// Our address that it sent to.
    pub here: IpAddr,
    /// Where it is.
    pub nearness: Nearness,
    /// Whether it has everything, so that other seeds are of no use.
    pub seed: bool,
    /// The only family that the answer can carry (UDP), if there is one.
    pub family: Option<Family>,
    /// Our own addresses, as the world sees them.
    pub external: &'a [IpAddr],
}

/// How many addresses are in a swarm, as the DHT counts them (BEP 33).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Those that have everything.
    pub seeds: u32,
    /// The others.
    pub others: u32,
}

impl Size {
    /// What the filters tell.
    #[must_use]
    pub fn of(filters: &SwarmFilters) -> Self {
        let rounded = |filter: &Filter| filter.estimate().count.round() as u32;
        Self { seeds: rounded(&filters.seeds), others: rounded(&filters.peers) }
    }
}

/// The peers of one infohash.
#[derive(Debug, Default)]
pub struct Swarm {
    members: Vec<Member>,
    found: Vec<Found>,
    downloaded: u32,
    /// What [`Swarm::counts`] counted, until something changes.
    tally: Option<Tally>,
}

/// Members, dual-stack ones once, and found peers who are none of them.
#[derive(Clone, Copy, Debug)]
struct Tally {
    seeds: u32,
    others: u32,
    elsewhere: u32,
}

impl Swarm {
    /// Everyone who announced here and has not left.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member at `addr`.
    pub fn member_mut(&mut self, addr: SocketAddr) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.addr == addr)
    }

    /// Takes in an announce. What is known about the member (its cursor, its own calendar) is kept. Gives the member as it
    /// was, if it was one, and as it is.
    pub fn join(&mut self, member: Member) -> (Option<Member>, &mut Member) {
        if let Some(place) = self.members.iter().position(|known| known.addr == member.addr) {
            let place = &mut self.members[place];
            let known = *place;
            let Member { cursor, announce_at, relay_at, relayed, .. } = known;
            let same = known.seed == member.seed && known.peer_id == member.peer_id;
            *place = Member { cursor, announce_at, relay_at, relayed, ..member };
            self.tally = self.tally.filter(|_| same);
            return (Some(known), place);
        }
        self.tally = None;
        if self.members.len() == MAX_MEMBERS {
            // The remote ones go first: they can find each other elsewhere.
            let oldest = (0..MAX_MEMBERS).min_by_key(|&i| {
                let member = &self.members[i];
                (member.nearness != Nearness::Remote, member.last)
            });
            self.members.swap_remove(oldest.expect("the list is full"));
        }
        self.members.push(member);
        (None, self.members.last_mut().expect("it has just joined"))
    }

    /// Forgets the member at `addr`.
    pub fn leave(&mut self, addr: SocketAddr) {
        self.members.retain(|member| member.addr != addr);
        self.tally = None;
    }

    /// Sets the time of the next announce for every member that the DHT knows by `port`, in these `families`.
    pub fn postpone_announces(&mut self, port: u16, families: &[Family], until: Instant) {
        let is_known = |addr: &SocketAddr| addr.port() == port && families.contains(&Family::of(addr));
        let known = self.members.iter_mut().filter(|member| is_known(&member.addr));
        known.filter_map(|member| member.announce_at.as_mut()).for_each(|at| *at = until);
    }

    /// Every member that is announced to the DHT is due at once.
    pub fn announce_again(&mut self, now: Instant) {
        for at in self.members.iter_mut().filter_map(|member| member.announce_at.as_mut()) {
            *at = now.min(*at);
        }
    }

    /// Counts a finished download.
    pub const fn count_download(&mut self) {
        self.downloaded = self.downloaded.saturating_add(1);
    }

    /// Takes in a peer that the DHT reported.
    pub fn find(&mut self, now: Instant, addr: SocketAddr) {
        if !contact::is_sendable(&addr) {
            return;
        }
        if let Some(known) = self.found.iter_mut().find(|found| found.addr == addr) {
            (known.seen, known.sightings) = (now, known.sightings.saturating_add(1));
            return;
        }
        let found = Found { addr, seen: now, sightings: 1 };
        self.tally = None;
        if self.found.len() < MAX_FOUND {
            self.found.push(found);
        } else if let Some(oldest) = self.found.iter_mut().min_by_key(|found| found.seen) {
            *oldest = found;
        }
    }

    /// Puts first what was reported last and most often: to be called when a lookup is over.
    pub fn rank(&mut self) {
        self.found.sort_by_key(|found| std::cmp::Reverse((found.seen.as_secs() / 60, found.sightings)));
    }

    /// Forgets members and peers that are long gone.
    pub fn expire(&mut self, now: Instant) {
        let before = self.members.len() + self.found.len();
        self.members.retain(|member| now.since(member.last) < MEMBER_LIFETIME);
        self.found.retain(|found| now.since(found.seen) < FOUND_LIFETIME);
        self.tally = self.tally.filter(|_| self.members.len() + self.found.len() == before);
    }

    /// Forgets every found peer.
    pub fn clear_found(&mut self) {
        self.found = Vec::new();
        self.tally = None;
    }

    /// Whether at least so many found peers are as good as new.
    #[must_use]
    pub fn has_fresh(&self, now: Instant, at_least: usize) -> bool {
        self.found.iter().filter(|found| now.since(found.seen) < FRESH).take(at_least).count() == at_least
    }

    /// Whether nobody is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.members.is_empty() && self.found.is_empty()
    }

    /// Adds everybody who is known here to what the DHT counted (BEP 33): members under the address by which the world
    /// knows them, and found peers that it knows neither as seeds nor otherwise.
    pub fn add_to(&self, filters: &mut SwarmFilters, external: &[IpAddr]) {
        let public = |ip: IpAddr| external.iter().find(|ours| contact::is_local(ip) && ours.is_ipv4() == ip.is_ipv4());
        for member in &self.members {
            let ip = member.addr.ip();
            filters.insert(*public(ip).unwrap_or(&ip), member.seed);
        }
        for ip in self.found.iter().map(|found| found.addr.ip()) {
            if !filters.seeds.may_contain(ip) {
                filters.insert(ip, false);
            }
        }
    }

    /// How large the swarm is: what was counted lately, but no less than announced here. Where nothing was counted, every
    /// found peer is one that may have everything or not; what the DHT knows of our own members, under one of our
    /// `external` addresses, is not counted twice.
    #[must_use]
    pub fn counts(&mut self, external: &[IpAddr], counted: Option<Size>) -> Counts {
        let tally = *self.tally.get_or_insert_with(|| Tally::of(&self.members, &self.found, external));
        let (complete, incomplete) = match counted {
            Some(size) => (size.seeds.max(tally.seeds), size.others.max(tally.others)),
            None => (tally.seeds, tally.others.saturating_add(tally.elsewhere)),
        };
        Counts { complete, incomplete, downloaded: self.downloaded }
    }

    /// Has everything counted anew: our own addresses have changed.
    pub const fn recount(&mut self) {
        self.tally = None;
    }

    /// Puts at most `wanted` peers for `asker` into `peers`, the ring entered at `cursor`; returns where the next batch
    /// begins. `seen` and `peers` bring nothing but their memory.
    pub fn select(
        &self,
        asker: &Asker<'_>,
        wanted: usize,
        cursor: u32,
        seen: &mut Seen,
        peers: &mut Vec<SocketAddr>,
    ) -> u32 {
        let near = || self.members.iter().filter(|member| member.is_near(asker));
        let ring_len = self.members.len() + self.found.len();
        peers.clear();
        seen.clear(2 * self.members.len() + wanted.min(ring_len));
        for member in near() {
            let seen_as = member.seen_by(asker).filter(|_| peers.len() < wanted);
            // Two members behind our public address can look the same to a stranger.
            peers.extend(seen_as.filter(|peer| seen.add(*peer)));
            if seen_as != Some(member.addr) {
                seen.add(member.addr);
            }
        }
        // Under our public address the DHT knows the asker, and its neighbours, who are in the answer already.
        let is_own = |addr: SocketAddr| {
            let here = asker.nearness != Nearness::Remote && asker.external.contains(&addr.ip());
            let port = addr.port();
            addr == asker.addr
                || (here && (port == asker.addr.port() || near().any(|member| member.addr.port() == port)))
        };
        let at = |index: usize| match self.members.get(index) {
            Some(member) => member.seen_by(asker).filter(|_| !member.is_near(asker)),
            None => Some(self.found[index - self.members.len()].addr).filter(|addr| asker.takes(*addr)),
        };
        let start = cursor as usize % ring_len.max(1);
        let (mut index, mut walked) = (start, 0);
        while peers.len() < wanted && walked < ring_len {
            peers.extend(at(index).filter(|peer| !is_own(*peer) && seen.add(*peer)));
            walked += 1;
            index = if index + 1 == ring_len { 0 } else { index + 1 };
        }
        u32::try_from(index).unwrap_or(0)
    }
}

impl Tally {
    fn of(members: &[Member], found: &[Found], external: &[IpAddr]) -> Self {
        let count = |seed: bool| {
            let mut names: Vec<_> = members.iter().filter(|member| member.seed == seed).map(|m| m.peer_id).collect();
            names.sort_unstable();
            names.dedup();
            names.len()
        };
        let is = |member: &Member, addr: SocketAddr| {
            member.addr == addr || (member.addr.port() == addr.port() && external.contains(&addr.ip()))
        };
        let elsewhere = found.iter().filter(|found| !members.iter().any(|member| is(member, found.addr))).count();
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { seeds: small(count(true)), others: small(count(false)), elsewhere: small(elsewhere) }
    }
}

/// A set of addresses, at most half full: a table of where each stands in the list (open addressing). It is cleared and
/// filled for every answer, and keeps its memory.
#[derive(Debug, Default)]
pub struct Seen {
    /// One more than the place in the list; 0 for none.
    places: Vec<u16>,
    addrs: Vec<SocketAddr>,
}

impl Seen {
    /// Forgets everything and makes room for at most `most` addresses, far fewer than 65,535: members and an answer.
    fn clear(&mut self, most: usize) {
        self.places.clear();
        self.places.resize((2 * most + 1).next_power_of_two(), 0);
        self.addrs.clear();
    }

    /// Adds an address; `false` if it was there.
    fn add(&mut self, addr: SocketAddr) -> bool {
        let ip = match addr.ip() {
            IpAddr::V4(ip) => u64::from(ip.to_bits()),
            IpAddr::V6(ip) => (ip.to_bits() ^ (ip.to_bits() >> 64)) as u64,
        };
        // Multiplied by the golden ratio, the upper bits depend on all (Knuth).
        let hash = ((ip << 16) ^ u64::from(addr.port())).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let mask = self.places.len() - 1;
        let mut slot = hash as usize & mask;
        while let Some(&place @ 1..) = self.places.get(slot) {
            if self.addrs[usize::from(place) - 1] == addr {
                return false;
            }
            slot = (slot + 1) & mask;
        }
        self.addrs.push(addr);
        self.places[slot] = u16::try_from(self.addrs.len()).expect("a few hundred at most");
        true
    }
}

impl Asker<'_> {
    fn takes(&self, addr: SocketAddr) -> bool {
        self.family.is_none_or(|family| family == Family::of(&addr))
    }
}

impl Member {
    /// Whether the two share a host or a local network.
    fn is_near(&self, asker: &Asker<'_>) -> bool {
        self.nearness != Nearness::Remote && asker.nearness != Nearness::Remote
    }

    /// The address at which `asker` can reach this member, if there is one and it is of use to the asker.
    fn seen_by(&self, asker: &Asker<'_>) -> Option<SocketAddr> {
        let at = |ip| SocketAddr::new(ip, self.addr.port());
        let our_public = || asker.external.iter().find(|ip| ip.is_ipv4()).copied();
        let addr = match asker.nearness {
            // A neighbour reaches this host where it reached us.
            Nearness::Lan if self.addr.ip().is_loopback() => at(asker.here),
            // From outside, this host and its neighbours are behind our public address.
            Nearness::Remote if contact::is_local(self.addr.ip()) => at(our_public()?),
            Nearness::Host | Nearness::Lan | Nearness::Remote => self.addr,
        };
        let useful = self.addr != asker.addr && !(asker.seed && self.seed);
        (useful && asker.takes(addr)).then_some(addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn member(text: &str, nearness: Nearness) -> Member {
        let (addr, here) = (addr(text), "192.168.1.2".parse().unwrap());
        let (peer_id, last) = ([addr.port() as u8; 20], Instant::from_secs(addr.port().into()));
        Member {
            addr,
            here,
            nearness,
            peer_id,
            seed: false,
            last,
            cursor: 0,
            announce_at: None,
            relay_at: None,
            relayed: false,
        }
    }

    fn asker(text: &str, nearness: Nearness) -> Asker<'static> {
        let here = "192.168.1.2".parse().unwrap();
        Asker { addr: addr(text), here, nearness, seed: false, family: None, external: &[] }
    }

    fn select(swarm: &Swarm, asker: &Asker<'_>, wanted: usize, cursor: u32) -> (Vec<SocketAddr>, u32) {
        let mut peers = vec![addr("192.0.2.1:1")];
        let next = swarm.select(asker, wanted, cursor, &mut Seen::default(), &mut peers);
        (peers, next)
    }

    #[test]
    fn each_asker_gets_the_address_at_which_it_can_reach_a_member() {
        let mut swarm = Swarm::default();
        swarm.join(member("127.0.0.1:1", Nearness::Host));
        swarm.join(member("192.168.1.9:2", Nearness::Lan));
        swarm.join(member("203.0.113.9:3", Nearness::Remote));
        let external = ["198.51.100.1".parse().unwrap()];
        for (text, nearness, expected) in [
            ("127.0.0.1:9", Nearness::Host, ["127.0.0.1:1", "192.168.1.9:2", "203.0.113.9:3"]),
            ("192.168.1.7:9", Nearness::Lan, ["192.168.1.2:1", "192.168.1.9:2", "203.0.113.9:3"]),
            ("203.0.113.7:9", Nearness::Remote, ["198.51.100.1:1", "198.51.100.1:2", "203.0.113.9:3"]),
        ] {
            let asker = Asker { external: &external, ..asker(text, nearness) };
            assert_eq!(select(&swarm, &asker, 50, 0).0, expected.map(addr), "{text}");
        }
        // Without knowing our public address, there is nothing to tell a stranger about the neighbours.
        assert_eq!(select(&swarm, &asker("203.0.113.7:9", Nearness::Remote), 50, 0).0, [addr("203.0.113.9:3")]);
    }

    #[test]
    fn neighbours_with_the_same_port_are_one_endpoint_to_a_stranger() {
        let mut swarm = Swarm::default();
        swarm.join(member("127.0.0.1:1", Nearness::Host));
        swarm.join(member("192.168.1.9:1", Nearness::Lan));
        swarm.find(Instant::ZERO, addr("198.51.100.1:1"));
        let external = ["198.51.100.1".parse().unwrap()];
        let stranger = Asker { external: &external, ..asker("203.0.113.7:9", Nearness::Remote) };
        assert_eq!(select(&swarm, &stranger, 50, 0).0, [addr("198.51.100.1:1")]);
    }

    #[test]
    fn a_seed_is_not_told_of_seeds() {
        let mut swarm = Swarm::default();
        swarm.join(Member { seed: true, ..member("192.168.1.9:2", Nearness::Lan) });
        swarm.join(member("192.168.1.8:3", Nearness::Lan));
        let seed = Asker { seed: true, ..asker("127.0.0.1:9", Nearness::Host) };
        assert_eq!(select(&swarm, &seed, 50, 0).0, [addr("192.168.1.8:3")]);
        assert_eq!(select(&swarm, &asker("127.0.0.1:9", Nearness::Host), 50, 0).0.len(), 2);
    }

    #[test]
    fn a_full_swarm_keeps_the_near_and_the_new() {
        let mut swarm = Swarm::default();
        swarm.join(member("192.168.1.9:1", Nearness::Lan));
        for port in 2..1000u16 {
            swarm.join(member(&format!("203.0.113.9:{port}"), Nearness::Remote));
            swarm.find(Instant::from_secs(port.into()), addr(&format!("198.18.0.1:{port}")));
        }
        assert_eq!((swarm.members.len(), swarm.found.len()), (MAX_MEMBERS, MAX_FOUND));
        assert!(swarm.member_mut(addr("192.168.1.9:1")).is_some());
        assert!(swarm.member_mut(addr("203.0.113.9:999")).is_some());
        assert!(swarm.found.iter().all(|found| found.seen >= Instant::from_secs(500)));
    }

    #[test]
    fn both_announces_of_a_dual_stack_client_count_once() {
        let mut swarm = Swarm::default();
        swarm.join(member("203.0.113.9:5", Nearness::Remote));
        swarm.join(member("[2001:db8::9]:5", Nearness::Remote));
        assert_eq!(swarm.counts(&[], None).incomplete, 1);
        swarm.leave(addr("203.0.113.9:5"));
        swarm.leave(addr("[2001:db8::9]:5"));
        assert_eq!(swarm.counts(&[], None).incomplete, 0);
    }

    proptest! {
        /// The ring against the obvious: walk until everybody was there.
        #[test]
        fn walking_the_ring_shows_everybody(count in 0usize..300, wanted in 1usize..60, start in any::<u32>(), v6 in any::<bool>()) {
            let mut swarm = Swarm::default();
            let (v4_peer, v6_peer) = (|i| format!("198.18.0.1:{i}"), |i| format!("[2001:db8::1]:{i}"));
            (1..=count).for_each(|i| swarm.find(Instant::ZERO, addr(&if i % 3 == 0 { v6_peer(i) } else { v4_peer(i) })));
            let family = if v6 { Family::V6 } else { Family::V4 };
            let asker = Asker { family: Some(family), ..asker("127.0.0.1:9", Nearness::Host) };
            let (mut seen, mut cursor) = (std::collections::BTreeSet::new(), start);
            for _ in 0..count.div_ceil(wanted) {
                let (peers, next) = select(&swarm, &asker, wanted, cursor);
                prop_assert!(peers.len() <= wanted);
                seen.extend(peers);
                cursor = next;
            }
            let expected = (1..=count).filter(|i| (i % 3 == 0) == v6).count();
            prop_assert_eq!(seen.len(), expected);
            prop_assert!(seen.iter().all(|peer| Family::of(peer) == family));
        }
    }
}
