//! A network of hundreds of thousands, in which only those under observation are real.
//!
//! The nodes of a [`Crowd`] are no programs but answers: each names whom a node of its place would know, keeps what is
//! announced to it, and is dead or hostile if it is meant to be. Among them live production nodes ([`Stage`]), each alone
//! with the crowd, so that a lookup costs what its own datagrams cost, whatever the size of the network.
//!
//! What a node knows: of the side of the key space that shares more bits with a target than its own id does, eight at
//! random, from the part that shares up to four bits more; around itself everybody, so that the eight closest are named.
//! A round trip to a node is log-normal (median 156 ms, nine of ten within 290 ms); each datagram varies by 5 %.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::Duration;

use super::map::Map;
use super::random::Dice;
use crate::engine::contact::{CompactAddr, Contact, Family};
use crate::engine::id::{Id, NodeId};
use crate::engine::krpc::encode::Reply;
use crate::engine::krpc::{Kind, Message, Method};
use crate::engine::limits::K;
use crate::engine::node::{Command, Event, Node, OpId, Output};
use crate::engine::time::Instant;

/// What a node of the crowd is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    /// Answers as BEP 5 wants it, and keeps what is announced.
    Honest,
    /// Is named by others, and answers nothing.
    Dead,
    /// Hostile: answers like an honest node, and never hands out a peer.
    Hiding,
    /// Hostile: answers pings, so that others name it, and nothing else.
    Silent,
    /// Hostile: hands out peers that do not exist.
    Inventing,
    /// Hostile: hands out no peer, and names its accomplices only.
    Clique,
}

impl Manner {
    const fn is_hostile(self) -> bool {
        !matches!(self, Self::Honest | Self::Dead)
    }
}

/// A node of the crowd.
#[derive(Clone, Copy, Debug)]
pub struct Extra {
    /// Its id and address.
    pub contact: Contact,
    /// What it is.
    pub manner: Manner,
}

/// What a node says when it is asked for peers.
#[derive(Clone, Debug)]
pub struct Answer {
    /// After which time.
    pub round_trip: Duration,
    /// Whom it names.
    pub names: Vec<Contact>,
    /// Whether it has peers.
    pub has_peers: bool,
}

/// The nodes that are only answers.
#[derive(Clone, Debug)]
pub struct Crowd {
    seed: u64,
    /// In the order of their ids.
    nodes: Vec<Extra>,
    /// Whether they name no dead ones.
    names_living_only: bool,
    by_addr: Map<SocketAddr, Extra>,
    /// Those that have entered last, in the order of their ids.
    intruders: Vec<Extra>,
    /// What is announced, by node and key.
    stored: Map<(SocketAddr, Id), Vec<SocketAddr>>,
}

/// Bits by which contacts lie closer to a target than the node that names them.
const STEP_BITS: usize = 4;
const MEDIAN_MS: f64 = 156.0;
/// ln(290 / 156) / 1.2816: nine of ten within 290 ms.
const SIGMA: f64 = 0.484;
const RTT: u64 = 20;
const NAMES: u64 = 21;

impl Crowd {
    /// A crowd of these nodes.
    #[must_use]
    pub fn new(mut nodes: Vec<Extra>, seed: u64) -> Self {
        nodes.sort_by_key(|node| node.contact.id);
        let by_addr = nodes.iter().map(|node| (node.contact.addr, *node)).collect();
        Self { seed, nodes, names_living_only: false, by_addr, intruders: Vec::new(), stored: Map::default() }
    }

    /// These nodes are in the network too, in the place of those that were let in before.
    pub fn let_in(&mut self, intruders: &[Extra]) {
        for gone in std::mem::take(&mut self.intruders) {
            self.by_addr.remove(&gone.contact.addr);
        }
        self.intruders = intruders.to_vec();
        self.intruders.sort_by_key(|node| node.contact.id);
        self.by_addr.extend(intruders.iter().map(|node| (node.contact.addr, *node)));
    }

    /// Whether nodes name only such as live.
    pub const fn name_living_only(&mut self, living_only: bool) {
        self.names_living_only = living_only;
    }

    /// Living nodes drawn at random of those that share exactly as many bits with `own`; `None` where nobody shares so many.
    #[must_use]
    pub fn bucket(&self, own: &Id, bits: usize, count: usize, dice: &mut Dice) -> Option<Vec<Contact>> {
        let shares = |node: &&Extra| node.contact.id.common_prefix_len(own) == bits && node.manner != Manner::Dead;
        let near = sharing(&self.nodes, own, bits);
        let mut all: Vec<Contact> = near.iter().filter(shares).map(|node| node.contact).collect();
        for place in 0..count.min(all.len()) {
            let drawn = place + dice.below(all.len() - place);
            all.swap(place, drawn);
        }
        all.truncate(count);
        (!near.is_empty()).then_some(all)
    }

    /// What `node` answers to a client at `actor` that asks for the peers of `key`.
    #[must_use]
    pub fn ask(&self, actor: &SocketAddr, node: &Contact, key: &Id, dice: &mut Dice) -> Option<Answer> {
        let node = self.by_addr.get(&node.addr).filter(|node| node.manner == Manner::Honest)?;
        Some(Answer {
            round_trip: self.round_trip_now(actor, &node.contact.addr, dice),
            names: self.named_by(node, key),
            has_peers: !self.peers_of(node, key).is_empty(),
        })
    }

    /// Nothing is stored any more.
    pub fn forget(&mut self) {
        self.stored.clear();
    }

    /// The closest nodes of `target` that are not dead, closest first, without those that were let in.
    #[must_use]
    pub fn closest_living(&self, target: &Id, count: usize) -> Vec<Contact> {
        let mut bits = Id::BITS;
        loop {
            let near = sharing(&self.nodes, target, bits);
            let mut living: Vec<Contact> =
                near.iter().filter(|node| node.manner != Manner::Dead).map(|node| node.contact).collect();
            if living.len() >= count || bits == 0 {
                living.sort_by_key(|contact| contact.id.distance(target));
                living.truncate(count);
                return living;
            }
            bits -= 1;
        }
    }

    /// Stores a peer at a node, as if it had been announced there.
    pub fn store(&mut self, at: &Contact, key: Id, peer: SocketAddr) {
        let peers = self.stored.entry((at.addr, key)).or_default();
        if !peers.contains(&peer) {
            peers.push(peer);
        }
    }

    /// Nodes drawn at random: those that a router names.
    fn random(&self, dice: &mut Dice) -> Vec<Contact> {
        (0..K).filter_map(|_| dice.pick(&self.nodes)).map(|node| node.contact).collect()
    }

    fn round_trip(&self, actor: &SocketAddr, node: &SocketAddr) -> f64 {
        let names = [RTT, super::random::name_of(actor.ip()), super::random::name_of(node.ip()), node.port().into()];
        Dice::keyed(self.seed, &names).log_normal(MEDIAN_MS, SIGMA)
    }

    fn round_trip_now(&self, actor: &SocketAddr, node: &SocketAddr, dice: &mut Dice) -> Duration {
        let millis = self.round_trip(actor, node) * (1.0 + 0.05 * dice.normal()).max(0.5);
        Duration::from_micros((millis * 1e3) as u64)
    }

    /// The answer of the node at `at` to a datagram, if it gives one.
    fn answer(&mut self, at: &SocketAddr, from: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
        let node = *self.by_addr.get(at)?;
        let Ok(Message { transaction, kind: Kind::Query(query), .. }) = Message::decode(bytes) else { return None };
        let is_ping = matches!(query.method, Method::Ping);
        if node.manner == Manner::Dead || (node.manner == Manner::Silent && !is_ping) {
            return None;
        }
        let mut reply = Vec::with_capacity(512);
        let mut response = Reply::begin(&mut reply, &node.contact.id, &from, transaction);
        match query.method {
            Method::FindNode { target, .. } => {
                response.contacts(Family::of(&from), self.named_by(&node, &target).iter());
            }
            Method::GetPeers { info_hash, .. } => {
                response.contacts(Family::of(&from), self.named_by(&node, &info_hash).iter());
                response.token(b"tokentok");
                let peers: Vec<CompactAddr> = self.peers_of(&node, &info_hash).iter().map(CompactAddr::new).collect();
                response.values(Family::of(&from), peers.iter().map(CompactAddr::as_bytes));
            }
            Method::AnnouncePeer { info_hash, port, .. } if !node.manner.is_hostile() => {
                let peer = SocketAddr::new(from.ip(), port.unwrap_or(from.port()));
                self.store(&node.contact, *info_hash, peer);
            }
            _ => {}
        }
        response.end();
        Some(reply)
    }

    fn peers_of(&self, node: &Extra, key: &Id) -> Vec<SocketAddr> {
        match node.manner {
            Manner::Honest => self.stored.get(&(node.contact.addr, *key)).cloned().unwrap_or_default(),
            Manner::Inventing => {
                let mut dice = Dice::keyed(self.seed, &[key.head(), node.contact.id.as_bytes()[19].into()]);
                (0..8).map(|_| invented(node, &mut dice)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whom a node names.
    fn named_by(&self, node: &Extra, target: &Id) -> Vec<Contact> {
        if node.manner == Manner::Clique {
            return nearest(self.intruders.iter().filter(|other| other.manner == Manner::Clique), target);
        }
        let shared = node.contact.id.common_prefix_len(target);
        let deep = (shared + 1..=shared + STEP_BITS).rev().find(|&bits| self.count_sharing(target, bits) >= K);
        let Some(bits) = deep else { return self.nearest_to(target, shared) };
        let mut all: Vec<&Extra> = self.sharing(target, bits).collect();
        if self.names_living_only {
            all.retain(|other| other.manner != Manner::Dead);
        }
        let most = K.min(all.len());
        let prefix = target.head() >> (64 - bits.clamp(1, 64));
        let mut dice = Dice::keyed(self.seed, &[NAMES, node.contact.id.head(), bits as u64, prefix]);
        let mut names: Vec<Contact> = Vec::with_capacity(K);
        while names.len() < most {
            let contact = all[dice.below(all.len())].contact;
            if !names.contains(&contact) {
                names.push(contact);
            }
        }
        names
    }

    fn nearest_to(&self, target: &Id, bits: usize) -> Vec<Contact> {
        let bits = (0..=bits).rev().find(|&bits| self.count_sharing(target, bits) >= K).unwrap_or(0);
        let is_named = |node: &&Extra| !self.names_living_only || node.manner != Manner::Dead;
        nearest(self.sharing(target, bits).filter(is_named), target)
    }

    fn sharing(&self, target: &Id, bits: usize) -> impl Iterator<Item = &Extra> {
        sharing(&self.nodes, target, bits).iter().chain(sharing(&self.intruders, target, bits))
    }

    fn count_sharing(&self, target: &Id, bits: usize) -> usize {
        sharing(&self.nodes, target, bits).len() + sharing(&self.intruders, target, bits).len()
    }
}

/// Whether a peer was invented: 198.18.0.0/15 (RFC 2544), or 2001:2::/48 (RFC 5180).
#[must_use]
pub fn is_invented(peer: &SocketAddr) -> bool {
    match peer.ip() {
        std::net::IpAddr::V4(ip) => ip.octets()[0] == 198 && ip.octets()[1] & 0xfe == 18,
        std::net::IpAddr::V6(ip) => ip.segments()[..3] == [0x2001, 2, 0],
    }
}

fn invented(by: &Extra, dice: &mut Dice) -> SocketAddr {
    let bits = dice.bits();
    let port = 1024 | (bits >> 48) as u16;
    if by.contact.addr.is_ipv4() {
        ([198, 18 | (bits & 1) as u8, (bits >> 8) as u8, (bits >> 16) as u8], port).into()
    } else {
        ([0x2001, 2, 0, (bits >> 16) as u16, bits as u16, 0, 0, 1], port).into()
    }
}

/// Those of sorted nodes that share as many leading bits with `target`.
fn sharing<'a>(nodes: &'a [Extra], target: &Id, bits: usize) -> &'a [Extra] {
    let side = |node: &Extra| {
        let shares = node.contact.id.common_prefix_len(target) >= bits;
        if shares { std::cmp::Ordering::Equal } else { Id::cmp(&node.contact.id, target) }
    };
    let from = nodes.partition_point(|node| side(node).is_lt());
    let to = nodes.partition_point(|node| side(node).is_le());
    &nodes[from..to]
}

fn nearest<'a>(nodes: impl Iterator<Item = &'a Extra>, target: &Id) -> Vec<Contact> {
    let mut all: Vec<Contact> = nodes.map(|node| node.contact).collect();
    all.sort_by_key(|contact| contact.id.distance(target));
    all.truncate(K);
    all
}

/// When a datagram arrives, in which order, from where, and its bytes.
type Arrival = (Instant, u64, SocketAddr, Vec<u8>);

/// A production node alone in a crowd.
#[derive(Clone, Debug)]
pub struct Stage {
    /// Virtual time.
    now: Instant,
    addr: SocketAddr,
    router: SocketAddr,
    node: Node,
    /// What is under way to the node: when, in which order, from where, what.
    arriving: BinaryHeap<Reverse<Arrival>>,
    events: Vec<(Instant, Event)>,
    sent: u64,
    dice: Dice,
}

impl Stage {
    /// A node at `addr` that has not begun.
    #[must_use]
    pub fn new(node: Node, addr: SocketAddr, seed: u64) -> Self {
        let router = if addr.is_ipv4() {
            ([192, 0, 2, 1], 6881).into()
        } else {
            ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 6881).into()
        };
        let (now, dice) = (Instant::ZERO, Dice::keyed(seed, &[0x57a6e]));
        Self { now, addr, router, node, arriving: BinaryHeap::new(), events: Vec::new(), sent: 0, dice }
    }

    /// The node.
    #[must_use]
    pub const fn node(&self) -> &Node {
        &self.node
    }

    /// Virtual time.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Where it lives.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Datagrams that it has sent.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Begins an operation.
    pub fn begin(&mut self, command: Command) -> OpId {
        self.node.begin(self.now, command)
    }

    /// Ends an operation.
    pub fn cancel(&mut self, op: OpId) {
        self.node.cancel(op);
    }

    /// Takes the events since the last call, with their times.
    pub fn take_events(&mut self) -> Vec<(Instant, Event)> {
        std::mem::take(&mut self.events)
    }

    /// Runs for this long.
    pub fn run_for(&mut self, crowd: &mut Crowd, duration: Duration) {
        let end = self.now + duration;
        while self.step(crowd, end) {}
        self.now = end;
    }

    /// Runs until `done` says so of an event, for no longer than `limit`.
    pub fn run_until(&mut self, crowd: &mut Crowd, limit: Duration, mut done: impl FnMut(&Event) -> bool) {
        let (end, mut seen) = (self.now + limit, self.events.len());
        loop {
            let more = self.step(crowd, end);
            if self.events[seen..].iter().any(|(_, event)| done(event)) || !more {
                return;
            }
            seen = self.events.len();
        }
    }

    /// Lets the node do what it wants, and then waits for the next thing to happen; `false` if that is not due until `end`.
    fn step(&mut self, crowd: &mut Crowd, end: Instant) -> bool {
        let deadline = self.drain(crowd);
        let arrival = self.arriving.peek().map(|Reverse((at, ..))| *at);
        if arrival.is_some_and(|at| at <= deadline && at <= end) {
            let Reverse((at, _, from, bytes)) = self.arriving.pop().expect("it was looked at");
            self.now = self.now.max(at);
            self.node.handle_datagram(self.now, from, &bytes);
        } else if deadline <= end {
            self.now = self.now.max(deadline);
            self.node.handle_timeout(self.now);
        } else {
            return false;
        }
        true
    }

    fn drain(&mut self, crowd: &mut Crowd) -> Instant {
        loop {
            match self.node.poll_output() {
                Output::Transmit { to, payload } => {
                    self.sent += 1;
                    let (mut answer, mut rtt) = (None, Duration::from_millis(100));
                    if to == self.router {
                        answer = from_router(crowd, &self.addr, payload, &mut self.dice);
                    } else if let Some(bytes) = crowd.answer(&to, self.addr, payload) {
                        rtt = crowd.round_trip_now(&self.addr, &to, &mut self.dice);
                        answer = Some(bytes);
                    }
                    if let Some(bytes) = answer {
                        let at = self.now + rtt;
                        self.arriving.push(Reverse((at, self.sent, to, bytes)));
                    }
                }
                Output::Event(Event::RoutersWanted) => self.node.add_routers(self.now, &[self.router]),
                Output::Event(event) => self.events.push((self.now, event)),
                Output::Wait(deadline, _) => return deadline,
            }
        }
    }
}

/// The answer of a router: nodes at random.
fn from_router(crowd: &Crowd, from: &SocketAddr, bytes: &[u8], dice: &mut Dice) -> Option<Vec<u8>> {
    let Ok(Message { transaction, kind: Kind::Query(_), .. }) = Message::decode(bytes) else { return None };
    let mut reply = Vec::new();
    let mut response = Reply::begin(&mut reply, &NodeId::new([0x11; 20]), from, transaction);
    response.contacts(Family::of(from), crowd.random(dice).iter());
    response.end();
    Some(reply)
}
