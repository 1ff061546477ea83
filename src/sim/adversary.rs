//! Residents that mean ill, to see what a network of production nodes makes of them.
//!
//! Every adversary prowls: it asks the router and then whomever it heard of, so that nodes learn of it and verify it
//! as they verify anyone. What it does with their questions is its kind.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::host::{Host, Output};
use super::random::Dice;
use crate::engine::contact::{CompactAddr, Contact, Family};
use crate::engine::id::Id;
use crate::engine::krpc::encode::{self, Ask, Reply};
use crate::engine::krpc::{Kind as MessageKind, Message, Method, Query};
use crate::engine::limits::K;
use crate::engine::node::Event;
use crate::engine::time::Instant;

/// How an adversary is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Answers pings, so that it stays in tables, and swallows everything else.
    Silent,
    /// Answers with contacts that do not exist, close to whatever is asked for, and with peers that do not exist.
    Liar,
    /// Sits next to one key, knows only its own kind, keeps nothing and hands out nothing.
    Sybil,
    /// Answers with another id each time.
    IdChanger,
    /// Has an id next to that of whomever it talks to, for each another one, to fill the buckets that matter most.
    Poisoner,
    /// Asks one victim a thousand times a second.
    Flooder,
    /// Announces with tokens that other nodes gave, or nobody.
    TokenThief,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Silent, Self::Liar, Self::Sybil, Self::IdChanger, Self::Poisoner, Self::Flooder, Self::TokenThief];
}

/// What an adversary knows of its purpose.
#[derive(Clone, Copy, Debug)]
pub struct Brief {
    /// How it is bad.
    pub kind: Kind,
    /// Its id: for a Sybil close to the key.
    pub id: Id,
    /// The key that it is after.
    pub key: Id,
    /// Where it enters, and whom a flooder floods.
    pub victim: SocketAddr,
}

const PROWL_EVERY: Duration = Duration::from_millis(200);
const FLOOD_EVERY: Duration = Duration::from_millis(1);
/// Whom it remembers.
const ADDRESS_BOOK: usize = 512;
/// Bytes that ids next to each other share: more than any two honest ones.
const NEXT_TO: usize = 6;

/// An adversary.
#[derive(Clone, Debug)]
pub struct Adversary {
    brief: Brief,
    fellows: Vec<Contact>,
    address_book: Vec<Contact>,
    /// A token, and who gave it.
    stolen: Option<(SocketAddr, Vec<u8>)>,
    next_prowl: Instant,
    dice: Dice,
    outbox: VecDeque<(SocketAddr, Vec<u8>)>,
    sending: Vec<u8>,
}

impl Adversary {
    /// An adversary that begins now. `fellows` are the others of its kind.
    #[must_use]
    pub fn new(brief: Brief, fellows: &[Contact], seed: u64, now: Instant) -> Self {
        Self {
            brief,
            fellows: fellows.to_vec(),
            address_book: Vec::new(),
            stolen: None,
            next_prowl: now,
            dice: Dice::new(seed),
            outbox: VecDeque::new(),
            sending: Vec::new(),
        }
    }

    /// Its id in a message to the node with this id.
    fn id_towards(&mut self, other: &Id) -> Id {
        let mut id = self.brief.id;
        match self.brief.kind {
            Kind::IdChanger => self.dice.id(),
            Kind::Poisoner => {
                id.0[..NEXT_TO].copy_from_slice(&other.0[..NEXT_TO]);
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
                (false, target)
            }
            Method::Put(_) => (false, self.brief.key),
            Method::GetPeers { info_hash, .. } | Method::AnnouncePeer { info_hash, .. } => (false, info_hash),
        };
        if self.brief.kind == Kind::Silent && !asks_ping {
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
            if self.brief.kind == Kind::Liar {
                response.values(Family::of(&from), std::iter::once(lie.as_bytes()));
            }
        }
        response.end();
        self.outbox.push_back((from, bytes));
    }

    fn contacts_for(&mut self, target: &Id) -> Vec<Contact> {
        match self.brief.kind {
            Kind::Liar => (0..K).map(|_| self.invented(target)).collect(),
            Kind::Sybil => self.fellows.iter().take(K).copied().collect(),
            _ => self.closest_known(target),
        }
    }

    /// A contact that does not exist, close to `target`.
    fn invented(&mut self, target: &Id) -> Contact {
        let mut id = *target;
        id.0[10..].copy_from_slice(&self.dice.id().0[10..]);
        Contact { id, addr: self.nowhere() }
    }

    /// 198.18.0.0/15 is for benchmarks: nobody lives there.
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

    fn prowl(&mut self) {
        let known = self.dice.pick(&self.address_book).copied();
        let known = known.filter(|_| self.brief.kind != Kind::Flooder);
        let Contact { id, addr } = known.unwrap_or(Contact { id: self.brief.id, addr: self.brief.victim });
        let own = self.id_towards(&id);
        if self.brief.kind == Kind::TokenThief && known.is_some() {
            return self.steal(addr, &own);
        }
        let target = if self.brief.kind == Kind::Sybil { self.brief.key } else { self.dice.id() };
        self.ask(addr, &own, &Ask::FindNode(target));
    }

    /// Asks for a token, and announces with one that another node gave, or with an invented one.
    fn steal(&mut self, to: SocketAddr, own: &Id) {
        let info_hash = self.brief.key;
        self.ask(to, own, &Ask::GetPeers(info_hash));
        let stolen = self.stolen.clone().filter(|(giver, _)| *giver != to);
        let token = stolen.map_or_else(|| b"invented".to_vec(), |(_, token)| token);
        self.ask(to, own, &Ask::AnnouncePeer { info_hash, port: 666, seed: false, token: &token });
    }

    fn ask(&mut self, to: SocketAddr, own: &Id, ask: &Ask<'_>) {
        let mut bytes = Vec::new();
        encode::query(&mut bytes, (self.dice.bits() as u32).to_be_bytes(), own, false, ask);
        self.outbox.push_back((to, bytes));
    }
}

impl Host for Adversary {
    type Report = Event;

    fn handle_datagram(&mut self, _: Instant, from: SocketAddr, bytes: &[u8]) {
        match Message::decode(bytes) {
            Ok(Message { transaction, kind: MessageKind::Query(query), .. }) => self.answer(from, transaction, &query),
            Ok(Message { kind: MessageKind::Response(response), .. }) => {
                response.contacts(Family::of(&from)).for_each(|contact| self.remember(contact));
                self.stolen = response.token.map(|token| (from, token.to_vec())).or(self.stolen.take());
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if now >= self.next_prowl {
            self.next_prowl = now + if self.brief.kind == Kind::Flooder { FLOOD_EVERY } else { PROWL_EVERY };
            self.prowl();
        }
    }

    fn poll_output(&mut self) -> Output<'_, Event> {
        match self.outbox.pop_front() {
            Some((to, payload)) => {
                self.sending = payload;
                Output::Transmit { to, payload: &self.sending }
            }
            None => Output::Wait(self.next_prowl),
        }
    }
}
