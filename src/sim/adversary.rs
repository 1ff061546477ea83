//! Attackers, to see what a network of production nodes makes of them.
//!
//! Every attacker explores: it asks the router and then the nodes that it heard of, so that nodes learn of it and verify it
//! as they verify any other. What it does with their questions is its attack.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::host::{Action, Host};
use super::random::Dice;
use crate::engine::contact::{CompactAddr, Contact, Family};
use crate::engine::id::{Id, InfoHash, NodeId, Target};
use crate::engine::krpc::encode::{self, Ask, Reply};
use crate::engine::krpc::{Kind, Message, Method, Query};
use crate::engine::limits::K;
use crate::engine::node::Event;
use crate::engine::time::Instant;

/// What an attacker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attack {
    /// Answers pings, so that it stays in tables, and swallows everything else.
    Silent,
    /// Answers with contacts that do not exist, close to the target of each query, and with peers that do not exist.
    Liar,
    /// Has an id next to one key, names only its accomplices, keeps nothing and hands out nothing.
    Sybil,
    /// Answers with another id each time.
    IdChanger,
    /// Has an id next to that of each node that it talks to, for each another one, to fill the buckets that matter most.
    Poisoner,
    /// Asks one victim a thousand times a second.
    Flooder,
    /// Announces with tokens that other nodes gave, and with invented ones.
    TokenThief,
}

impl Attack {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Silent, Self::Liar, Self::Sybil, Self::IdChanger, Self::Poisoner, Self::Flooder, Self::TokenThief];
}

/// What an attacker is told.
#[derive(Clone, Copy, Debug)]
pub struct Brief {
    /// What it does.
    pub attack: Attack,
    /// Its id: for a Sybil close to the key.
    pub id: NodeId,
    /// The key that it is after.
    pub key: Id,
    /// Where it enters, and which node a flooder floods.
    pub victim: SocketAddr,
}

const EXPLORE_EVERY: Duration = Duration::from_millis(200);
const FLOOD_EVERY: Duration = Duration::from_millis(1);
/// Most contacts that it remembers.
const ADDRESS_BOOK: usize = 512;
/// Leading bytes that ids next to each other share: more than any two honest ones.
const NEXT_TO: usize = 6;

/// An attacker.
#[derive(Clone, Debug)]
pub struct Adversary {
    brief: Brief,
    accomplices: Vec<Contact>,
    address_book: Vec<Contact>,
    /// A token, and who gave it.
    stolen: Option<(SocketAddr, Vec<u8>)>,
    next_query: Instant,
    dice: Dice,
    outbox: VecDeque<(SocketAddr, Vec<u8>)>,
    sending: Vec<u8>,
}

impl Adversary {
    /// An attacker that begins now. `accomplices` are the others of the same attack.
    #[must_use]
    pub fn new(brief: Brief, accomplices: &[Contact], seed: u64, now: Instant) -> Self {
        Self {
            brief,
            accomplices: accomplices.to_vec(),
            address_book: Vec::new(),
            stolen: None,
            next_query: now,
            dice: Dice::new(seed),
            outbox: VecDeque::new(),
            sending: Vec::new(),
        }
    }

    /// Its id in a message to the node with this id.
    fn id_towards(&mut self, other: &Id) -> NodeId {
        let mut id = self.brief.id;
        match self.brief.attack {
            Attack::IdChanger => NodeId(self.dice.id()),
            Attack::Poisoner => {
                id.0.0[..NEXT_TO].copy_from_slice(&other.0[..NEXT_TO]);
                id
            }
            _ => id,
        }
    }

    // Answers.

    fn answer(&mut self, from: SocketAddr, transaction: &[u8], query: &Query<'_>) {
        self.remember(Contact { id: query.id, addr: from });
        let (asks_ping, target) = match query.method {
            Method::Ping => (true, self.brief.key),
            Method::FindNode { target, .. } | Method::SampleInfohashes { target, .. } | Method::Get { target, .. } => {
                (false, *target)
            }
            Method::Put(_) => (false, self.brief.key),
            Method::GetPeers { info_hash, .. } | Method::AnnouncePeer { info_hash, .. } => (false, *info_hash),
        };
        if self.brief.attack == Attack::Silent && !asks_ping {
            return;
        }
        let (own, wants_peers) = (self.id_towards(&query.id), matches!(query.method, Method::GetPeers { .. }));
        let contacts = if asks_ping { Vec::new() } else { self.contacts_for(&target) };
        let lie = CompactAddr::new(&self.nowhere());
        let mut bytes = Vec::new();
        let mut response = Reply::begin(&mut bytes, &own, &from, transaction);
        response.contacts(Family::of(&from), contacts.iter());
        if wants_peers {
            response.token(b"tokentok");
            if self.brief.attack == Attack::Liar {
                response.values(Family::of(&from), std::iter::once(lie.as_bytes()));
            }
        }
        response.end();
        self.outbox.push_back((from, bytes));
    }

    fn contacts_for(&mut self, target: &Id) -> Vec<Contact> {
        match self.brief.attack {
            Attack::Liar => (0..K).map(|_| self.invented(target)).collect(),
            Attack::Sybil => self.accomplices.iter().take(K).copied().collect(),
            _ => self.closest_known(target),
        }
    }

    /// A contact that does not exist, close to `target`.
    fn invented(&mut self, target: &Id) -> Contact {
        let mut id = *target;
        id.0[10..].copy_from_slice(&self.dice.id().0[10..]);
        Contact { id: NodeId(id), addr: self.nowhere() }
    }

    /// 198.18.0.0/15 is for benchmarks (RFC 2544): no host lives there.
    fn nowhere(&mut self) -> SocketAddr {
        let bits = self.dice.bits();
        SocketAddr::from((Ipv4Addr::from(0xc612_0000 | bits as u32 & 0x1_ffff), 1024 | (bits >> 32) as u16))
    }

    fn closest_known(&self, target: &Id) -> Vec<Contact> {
        let mut known = self.address_book.clone();
        known.sort_by(|a, b| target.closer(&a.id, &b.id));
        known.truncate(K);
        known
    }

    fn remember(&mut self, contact: Contact) {
        if self.address_book.len() < ADDRESS_BOOK && !self.address_book.iter().any(|known| known.addr == contact.addr) {
            self.address_book.push(contact);
        }
    }

    // Questions.

    fn explore(&mut self) {
        let known = self.dice.pick(&self.address_book).copied();
        let known = known.filter(|_| self.brief.attack != Attack::Flooder);
        let Contact { id, addr } = known.unwrap_or(Contact { id: self.brief.id, addr: self.brief.victim });
        let own = self.id_towards(&id);
        if self.brief.attack == Attack::TokenThief && known.is_some() {
            return self.steal(addr, &own);
        }
        let target = if self.brief.attack == Attack::Sybil { self.brief.key } else { self.dice.id() };
        self.ask(addr, &own, &Ask::FindNode(Target(target)));
    }

    /// Asks for a token, and announces with one that another node gave, or with an invented one.
    fn steal(&mut self, to: SocketAddr, own: &NodeId) {
        let info_hash = self.brief.key;
        self.ask(to, own, &Ask::GetPeers(InfoHash(info_hash)));
        let stolen = self.stolen.clone().filter(|(giver, _)| *giver != to);
        let token = stolen.map_or_else(|| b"invented".to_vec(), |(_, token)| token);
        self.ask(to, own, &Ask::AnnouncePeer { info_hash: InfoHash(info_hash), port: 666, seed: false, token: &token });
    }

    fn ask(&mut self, to: SocketAddr, own: &NodeId, ask: &Ask<'_>) {
        let mut bytes = Vec::new();
        encode::query(&mut bytes, (self.dice.bits() as u32).to_be_bytes(), own, false, ask);
        self.outbox.push_back((to, bytes));
    }
}

impl Host for Adversary {
    type Report = Event;

    fn handle_datagram(&mut self, _: Instant, from: SocketAddr, bytes: &[u8]) {
        match Message::decode(bytes) {
            Ok(Message { transaction, kind: Kind::Query(query), .. }) => self.answer(from, transaction, &query),
            Ok(Message { kind: Kind::Response(response), .. }) => {
                response.contacts(Family::of(&from)).for_each(|contact| self.remember(contact));
                self.stolen = response.token.map(|token| (from, token.to_vec())).or(self.stolen.take());
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if now >= self.next_query {
            self.next_query = now + if self.brief.attack == Attack::Flooder { FLOOD_EVERY } else { EXPLORE_EVERY };
            self.explore();
        }
    }

    fn poll_action(&mut self) -> Action<'_, Event> {
        match self.outbox.pop_front() {
            Some((to, payload)) => {
                self.sending = payload;
                Action::Transmit { to, payload: &self.sending }
            }
            None => Action::Wait(self.next_query),
        }
    }
}
