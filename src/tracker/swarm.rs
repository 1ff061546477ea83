//! The peers of one infohash, as this gateway knows them.
//!
//! Two kinds: *members* announced here, and their address is the one they sent from; *found* peers come from the DHT and are
//! kept with the time when they were last reported. Both lists are bounded, in all and for each address and network, and
//! the oldest entry makes room. A member that has left is not found again: the DHT remembers it for half an hour.
//!
//! An answer begins with the members that are near, each under the address at which the asker can reach it; then come
//! all others, as a ring that each asker walks with its own cursor, so that a big swarm is seen whole, one batch after
//! another. The asker itself is never in its answer, under none of its addresses.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::metadata::Verdict;
use super::{Counts, MAX_WANTED};
use crate::engine::bloom::{Filter, SwarmFilters};
use crate::engine::contact::{self, Family};
use crate::engine::owner::{Allowance, Level, network};
use crate::engine::time::Instant;
use crate::net::nearness::Nearness;

/// Members of one swarm: an answer's worth.
pub const MAX_MEMBERS: usize = MAX_WANTED;
/// Found peers of one swarm: two and a half answers, more than a client connects to.
pub const MAX_FOUND: usize = 500;
/// Members, and found peers, of one swarm that have the same public address: several users behind one translator. Of an
/// address of this host or a local network [`PORTS_PER_LOCAL_ADDRESS`].
pub const PORTS_PER_ADDRESS: usize = 4;
/// The same for local addresses: one host may run many clients.
pub const PORTS_PER_LOCAL_ADDRESS: usize = 64;
/// What strangers of one network have of the members of a swarm.
pub const MEMBERS_SHARE: Allowance =
    Allowance { site: PORTS_PER_ADDRESS, owner: MAX_MEMBERS / 4, provider: MAX_MEMBERS / 2 };
/// What peers of one network have of those that were found.
pub const FOUND_SHARE: Allowance = Allowance { site: PORTS_PER_ADDRESS, owner: MAX_FOUND / 4, provider: MAX_FOUND / 2 };
/// The same for those of local networks.
const LOCAL_SHARE: Allowance = Allowance { site: PORTS_PER_LOCAL_ADDRESS, ..Allowance::UNBOUNDED };
/// Endpoints of members that have left, remembered for [`FOUND_LIFETIME`].
const MAX_DEPARTED: usize = 32;
/// Longest time that a member is believed to be there: two announce intervals and some patience.
pub const MEMBER_LIFETIME: Duration = Duration::from_secs(35 * 60);
/// Longest time that a found peer is worth trying. The nodes that store it forget it after about half an hour.
pub const FOUND_LIFETIME: Duration = Duration::from_secs(45 * 60);
/// Longest time that found peers are as good as those of a new lookup.
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
    /// Whether it has everything, as far as we know.
    pub seed: bool,
    /// Whether that is certain: some clients say so of a magnet link too.
    pub proven_seed: bool,
    /// Whether it has reported its download finished.
    pub finished: bool,
    /// What it said when it was asked for its metadata, and when.
    pub testimony: Option<(Verdict, Instant)>,
    /// When it may be asked next.
    pub probe_at: Instant,
    /// How many times it was asked without learning what we need.
    pub asked_in_vain: u8,
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
    /// Whether it certainly has everything, so that seeds are of no use.
    pub seed: bool,
    /// Whether members may be named that were not asked for their metadata, or withheld it.
    pub open: bool,
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

/// Found peers that are as good as new, of each family; without those that are members of ours under our own address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fresh {
    /// IPv4 peers.
    pub v4: usize,
    /// IPv6 peers.
    pub v6: usize,
}

impl Fresh {
    /// How many an answer can hold that is limited to `family`.
    #[must_use]
    pub const fn of(self, family: Option<Family>) -> usize {
        match family {
            None => self.v4 + self.v6,
            Some(Family::V4) => self.v4,
            Some(Family::V6) => self.v6,
        }
    }
}

/// Where a member was that has left.
#[derive(Clone, Copy, Debug)]
struct Departed {
    member: SocketAddr,
    /// One of the addresses by which the DHT may still know it.
    endpoint: SocketAddr,
    at: Instant,
}

/// The peers of one infohash.
#[derive(Debug, Default)]
pub struct Swarm {
    members: Vec<Member>,
    found: Vec<Found>,
    departed: Vec<Departed>,
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
    /// The clients that announced here and have not left.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member at `addr`.
    #[must_use]
    pub fn member(&self, addr: SocketAddr) -> Option<&Member> {
        self.members.iter().find(|member| member.addr == addr)
    }

    /// The same, to be changed.
    pub fn member_mut(&mut self, addr: SocketAddr) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.addr == addr)
    }

    /// Takes in an announce. What is known about the member (its cursor, its testimony, its calendar) is kept. Gives the
    /// member as it was, if it was one, and as it is.
    pub fn join(&mut self, member: Member) -> (Option<Member>, &mut Member) {
        if let Some(place) = self.members.iter().position(|known| known.addr == member.addr) {
            let place = &mut self.members[place];
            let known = *place;
            let Member { here, nearness, peer_id, seed, proven_seed, last, .. } = member;
            *place = Member { here, nearness, peer_id, seed, proven_seed, last, ..known };
            let same = known.seed == seed && known.peer_id == peer_id;
            self.tally = self.tally.filter(|_| same);
            return (Some(known), place);
        }
        self.tally = None;
        self.departed.retain(|departed| departed.member != member.addr);
        if let Some(index) = self.place_to_take(&member) {
            self.members.swap_remove(index);
        }
        if self.members.len() == self.members.capacity() {
            // Most swarms have one member or two: no room for four from the start.
            self.members.reserve_exact(self.members.len().max(1));
        }
        self.members.push(member);
        (None, self.members.last_mut().expect("it has just joined"))
    }

    /// The member that makes room for a new one: where its address or its network has its share, the oldest of those; where
    /// the list is full, the oldest stranger, since strangers can find each other elsewhere.
    fn place_to_take(&self, new: &Member) -> Option<usize> {
        let oldest = |of: &dyn Fn(&Member) -> bool, most: usize| {
            let of_it = || self.members.iter().enumerate().filter(|(_, member)| of(member));
            let oldest = || of_it().min_by_key(|(_, member)| (member.nearness != Nearness::Remote, member.last));
            (of_it().count() >= most).then(oldest).flatten().map(|(index, _)| index)
        };
        let ip = new.addr.ip();
        let stranger = new.nearness == Nearness::Remote;
        let of_strangers = |level, most| {
            let is_of_it = |member: &Member| member.nearness == Nearness::Remote && is_one(level, member.addr.ip(), ip);
            oldest(&is_of_it, if stranger { most } else { usize::MAX })
        };
        oldest(&|member| is_one(Level::Site, member.addr.ip(), ip), ports_per_address(ip))
            .or_else(|| of_strangers(Level::Owner, MEMBERS_SHARE.owner))
            .or_else(|| of_strangers(Level::Provider, MEMBERS_SHARE.provider))
            .or_else(|| oldest(&|_| true, MAX_MEMBERS))
    }

    /// Forgets the member at `addr`, and does not take it for a found peer while the DHT may remember it: under its
    /// address, or, if it was near, under one of our `external` addresses.
    pub fn leave(&mut self, now: Instant, addr: SocketAddr, external: &[IpAddr]) {
        let Some(index) = self.members.iter().position(|member| member.addr == addr) else { return };
        let left = self.members.swap_remove(index);
        self.tally = None;
        let port = addr.port();
        // A neighbour at the same port has the same public endpoint, and is still there.
        let shared =
            self.members.iter().any(|member| member.nearness != Nearness::Remote && member.addr.port() == port);
        let shares = |ip: &&IpAddr| match left.nearness {
            Nearness::Host => !shared,
            Nearness::Lan => !shared && ip.is_ipv4(),
            Nearness::Neighbour | Nearness::Remote => false,
        };
        let endpoints = external.iter().filter(shares).map(|ip| SocketAddr::new(*ip, port)).chain([addr]);
        for endpoint in endpoints {
            self.found.retain(|found| found.addr != endpoint);
            if self.departed.len() == MAX_DEPARTED {
                self.departed.remove(0);
            }
            self.departed.push(Departed { member: addr, endpoint, at: now });
        }
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

    /// Finished downloads that were reported.
    #[must_use]
    pub const fn downloaded(&self) -> u32 {
        self.downloaded
    }

    /// Takes over a count of finished downloads.
    pub const fn set_downloaded(&mut self, count: u32) {
        self.downloaded = count;
    }

    /// Counts a finished download.
    pub const fn count_download(&mut self) {
        self.downloaded = self.downloaded.saturating_add(1);
    }

    /// Takes in a peer that the DHT reported.
    pub fn find(&mut self, now: Instant, addr: SocketAddr) {
        let departed = || self.departed.iter().any(|departed| departed.endpoint == addr);
        if !contact::is_sendable(&addr) || departed() {
            return;
        }
        if let Some(known) = self.found.iter_mut().find(|found| found.addr == addr) {
            (known.seen, known.sightings) = (now, known.sightings.saturating_add(1));
            return;
        }
        let found = Found { addr, seen: now, sightings: 1 };
        self.tally = None;
        let (ip, full) = (addr.ip(), self.found.len() >= MAX_FOUND);
        let share = if contact::is_local(ip) { LOCAL_SHARE } else { FOUND_SHARE };
        let exhausted = share.exhausted(ip, self.found.iter().map(|found| found.addr.ip()));
        if !full && exhausted.is_none() {
            self.found.push(found);
            return;
        }
        let rivals =
            self.found.iter_mut().filter(|found| exhausted.is_none_or(|level| is_one(level, found.addr.ip(), ip)));
        if let Some(oldest) = rivals.min_by_key(|found| found.seen) {
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
        self.departed.retain(|departed| now.since(departed.at) < FOUND_LIFETIME);
        if self.members.len() + self.found.len() != before {
            self.tally = None;
            shrink(&mut self.members);
            shrink(&mut self.found);
        }
    }

    /// Forgets every found peer.
    pub fn clear_found(&mut self) {
        self.found = Vec::new();
        self.tally = None;
    }

    /// Whether there are found peers.
    #[must_use]
    pub const fn has_found(&self) -> bool {
        !self.found.is_empty()
    }

    /// Whether `addr` is a found peer.
    #[must_use]
    pub fn knows(&self, addr: SocketAddr) -> bool {
        self.found.iter().any(|found| found.addr == addr)
    }

    /// The found peers that are as good as new. Under one of our `external` addresses the DHT knows our own members.
    #[must_use]
    pub fn fresh(&self, now: Instant, external: &[IpAddr]) -> Fresh {
        let is_ours = |addr: SocketAddr| {
            let port = |member: &Member| member.nearness != Nearness::Remote && member.addr.port() == addr.port();
            external.contains(&addr.ip()) && self.members.iter().any(port)
        };
        let mut fresh = Fresh::default();
        for found in self.found.iter().filter(|found| now.since(found.seen) < FRESH && !is_ours(found.addr)) {
            *(if found.addr.is_ipv4() { &mut fresh.v4 } else { &mut fresh.v6 }) += 1;
        }
        fresh
    }

    /// Bytes of memory that the lists take.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.members.capacity() * size_of::<Member>()
            + self.found.capacity() * size_of::<Found>()
            + self.departed.capacity() * size_of::<Departed>()
    }

    /// Whether no peer is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.members.is_empty() && self.found.is_empty()
    }

    /// Adds all who are known here to what the DHT counted (BEP 33): members under the address by which the world
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
        // Members on the asker's host or network come first: they are the fastest, and no one else tells of them.
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
        // Members and found peers form one ring, members first. Each answer goes on where the last one stopped, so that
        // everyone in a large swarm is told in turn.
        let at = |index: usize| match self.members.get(index) {
            Some(member) => member.seen_by(asker).filter(|_| !member.is_near(asker)),
            None => Some(self.found[index - self.members.len()].addr).filter(|addr| asker.takes(*addr)),
        };
        let start = cursor as usize % ring_len.max(1);
        // Once around at most: what does not suit this asker is passed over.
        let (mut index, mut walked) = (start, 0);
        while peers.len() < wanted && walked < ring_len {
            peers.extend(at(index).filter(|peer| !is_own(*peer) && seen.add(*peer)));
            walked += 1;
            index = if index + 1 == ring_len { 0 } else { index + 1 };
        }
        u32::try_from(index).unwrap_or(0)
    }
}

/// Whether two addresses belong to one network of this width.
fn is_one(level: Level, a: IpAddr, b: IpAddr) -> bool {
    a.is_ipv4() == b.is_ipv4() && network(a, level) == network(b, level)
}

fn ports_per_address(ip: IpAddr) -> usize {
    if contact::is_local(ip) { PORTS_PER_LOCAL_ADDRESS } else { PORTS_PER_ADDRESS }
}

/// Gives back memory that a list has not needed for long.
fn shrink<T>(list: &mut Vec<T>) {
    if list.capacity() > 4 * list.len() + 4 {
        list.shrink_to(2 * list.len());
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
    /// A client that has announced for the first time, at `last`.
    #[must_use]
    pub const fn new(addr: SocketAddr, here: IpAddr, nearness: Nearness, peer_id: [u8; 20], last: Instant) -> Self {
        Self {
            addr,
            here,
            nearness,
            peer_id,
            seed: false,
            proven_seed: false,
            finished: false,
            testimony: None,
            probe_at: last,
            asked_in_vain: 0,
            last,
            cursor: 0,
            announce_at: None,
            relay_at: None,
            relayed: false,
        }
    }

    /// Whether it may be told to others only where the torrent is proven public: it is near and was not asked for its
    /// metadata yet, or withheld it.
    const fn is_hidden(&self) -> bool {
        let spoke = matches!(self.testimony, Some((Verdict::Public | Verdict::NotYet | Verdict::Unknown, _)));
        !matches!(self.nearness, Nearness::Remote) && !spoke
    }

    /// Whether the two share a host or a local network.
    fn is_near(&self, asker: &Asker<'_>) -> bool {
        self.nearness != Nearness::Remote && asker.nearness != Nearness::Remote
    }

    /// The address at which `asker` can reach this member, if there is one and it is of use to the asker.
    fn seen_by(&self, asker: &Asker<'_>) -> Option<SocketAddr> {
        let addr = SocketAddr::new(self.ip_seen_by(asker)?, self.addr.port());
        let useful = self.addr != asker.addr && !(asker.seed && self.seed) && (asker.open || !self.is_hidden());
        (useful && asker.takes(addr)).then_some(addr)
    }

    /// An address on the host or in the network that both are in, and of the asker's family; or a public one.
    fn ip_seen_by(&self, asker: &Asker<'_>) -> Option<IpAddr> {
        let ip = self.addr.ip();
        let same_family = |other: &IpAddr| other.is_ipv4() == ip.is_ipv4();
        match (self.nearness, asker.nearness) {
            // Answers hold no zone (BEP 7), and without one a link-local address leads nowhere.
            _ if matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()) => None,
            _ if !contact::is_local(ip) => Some(ip),
            (_, Nearness::Host) => Some(ip),
            // A neighbour reaches this host where it reached us.
            (Nearness::Host, Nearness::Lan | Nearness::Neighbour) if ip.is_loopback() => {
                Some(asker.here).filter(|here| same_family(here) && !here.is_loopback())
            }
            (_, Nearness::Lan | Nearness::Neighbour) => Some(ip).filter(|_| same_family(&asker.addr.ip())),
            // From outside, this host and those that share its address are behind our public one.
            (Nearness::Host | Nearness::Lan, Nearness::Remote) => asker.external.iter().copied().find(same_family),
            // A network that is neither ours nor public: those in it may reach each other.
            (Nearness::Neighbour | Nearness::Remote, Nearness::Remote) => {
                Some(ip).filter(|_| contact::is_local(asker.addr.ip()) && same_family(&asker.addr.ip()))
            }
        }
    }
}

#[cfg(test)]
mod tests;
