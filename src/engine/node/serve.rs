//! Answering queries (BEP 5, Queries; BEP 32, `want`; BEP 33, scrapes; BEP 42, `ip`; BEP 43, read-only nodes).

use std::net::SocketAddr;
use std::time::Duration;

use arrayvec::ArrayVec;

use super::Node;
use super::newcomers::HeardFrom;
use crate::engine::bloom::SwarmFilters;
use crate::engine::budgets::{Demand, Room, Spent};
use crate::engine::contact::{Contact, Family};
use crate::engine::id::{Id, InfoHash};
use crate::engine::krpc::encode::{self, Reply, ReplyFilters, values_len};
use crate::engine::krpc::{Fault, Method, Query, Want};
use crate::engine::limits::{K, SHORT_REPLY_PEERS};
use crate::engine::peers::{AnnounceOutcome, Place, StoredPeer};
use crate::engine::time::Instant;

/// A query that is being answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// Where it came from.
    pub(super) from: SocketAddr,
    /// Its transaction id.
    pub(super) transaction: &'a [u8],
    /// Bytes of the query.
    bytes: usize,
    /// How much may be said in answer.
    room: Room,
    /// It comes of a client that drops an answer without a token.
    needs_token: bool,
}

/// What aria2 calls itself (`v`, BEP 20): it drops an answer to `get_peers` that has no token, with the peers in it
/// (`DHTGetPeersReplyMessage` is made only of one that has).
const ARIA2: &[u8] = b"A2";

/// What is said in answer to a question for the peers of a swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Granted {
    contacts: bool,
    token: bool,
}

impl Granted {
    const ALL: Self = Self { contacts: true, token: true };
}

impl<'a> Asked<'a> {
    /// A query of `bytes` bytes, before it is known how much may be said.
    pub(super) const fn new(from: SocketAddr, transaction: &'a [u8], bytes: usize) -> Self {
        Self { from, transaction, bytes, room: Room::Full, needs_token: false }
    }

    /// The same query, of a client with this name and version.
    pub(super) fn by(self, version: Option<&[u8]>) -> Self {
        Self { needs_token: version.is_some_and(|version| version.starts_with(ARIA2)), ..self }
    }
}

impl Node {
    pub(super) fn serve(&mut self, now: Instant, mut asked: Asked<'_>, query: &Query<'_>) {
        let from = asked.from;
        self.note_stranger(now, from);
        let has_our_id = query.id == self.id();
        if self.is_read_only() || has_our_id && self.is_our_own(asked.transaction) {
            self.stats.ignored += 1;
            return;
        }
        let asker = Contact { id: query.id, addr: from };
        let Some(room) = self.admit(now, &asked, Some(&asker)) else { return };
        asked.room = room;
        let asked = &asked;
        // BEP 43: a read-only node never enters the table. Any other must first answer a query of ours.
        if !query.read_only && !has_our_id && !self.table.asked_us(now, &asker) {
            self.verify_later(now, asker, HeardFrom::Itself);
        }
        match query.method {
            Method::Ping => {
                self.stats.pings += 1;
                self.respond(now, asked, |_, _| {});
            }
            Method::FindNode { target, want } => {
                self.stats.find_nodes += 1;
                self.respond(now, asked, |node, response| node.write_nearby(response, &target, want));
            }
            Method::GetPeers { info_hash, want, noseed, scrape } => {
                self.stats.get_peers += 1;
                if !self.admits_key(now, &info_hash) {
                    return;
                }
                let place = self.peers.place(&info_hash);
                let granted = self.grant(now, asked, &info_hash, place);
                let filters = if scrape && asked.room == Room::Full { self.peers.filters(&info_hash) } else { None };
                self.stats.scrapes += u64::from(filters.is_some());
                self.respond_with(now, asked, filters.as_ref(), |node, response| {
                    if response.is_limited() {
                        response.reserve(values_len(node.config.family, SHORT_REPLY_PEERS));
                    }
                    if granted.contacts {
                        node.write_nearby(response, &info_hash, want);
                    }
                    response.reserve(0);
                    if granted.token {
                        response.token(&node.tokens.give(from.ip(), &info_hash));
                    }
                    node.write_peers(response, place, noseed);
                });
            }
            Method::Get { target, seq, want } => self.serve_get(now, asked, &target, seq, want),
            Method::Put(put) => self.serve_put(now, asked, &put),
            Method::SampleInfohashes { target, want } => self.serve_samples(now, asked, &target, want),
            Method::AnnouncePeer { info_hash, port, seed, token } => {
                self.stats.announces += 1;
                if !self.tokens.accept(token, from.ip(), &info_hash) {
                    self.stats.bad_tokens += 1;
                    return self.refuse(now, asked, Fault::Token);
                }
                self.note_shown(now, from);
                // The peer is where the datagram came from, never an address from its payload.
                let peer = SocketAddr::new(from.ip(), port.unwrap_or(from.port()));
                match self.store(now, &info_hash, peer, seed) {
                    // An announcer that heeds it stores its announce at the next node.
                    Some(AnnounceOutcome::Full) => self.refuse(now, asked, Fault::NoRoom),
                    _ => self.respond(now, asked, |_, _| {}),
                }
            }
        }
    }

    pub(super) fn refuse_if_admitted(&mut self, now: Instant, mut asked: Asked<'_>, fault: Fault) {
        if self.is_read_only() {
            self.stats.ignored += 1;
        } else if let Some(room) = self.admit(now, &asked, None) {
            asked.room = room;
            self.refuse(now, &asked, fault);
        }
    }

    /// How much may be said in answer; `None` if the query is not to be answered at all.
    fn admit(&mut self, now: Instant, asked: &Asked<'_>, asker: Option<&Contact>) -> Option<Room> {
        let Some(budget) = &mut self.reply_budget else { return Some(Room::Full) };
        let table = &self.table;
        let in_table = || asker.is_some_and(|asker| table.contains(asker));
        match budget.admit(now, asked.from.ip(), asked.bytes, in_table) {
            Ok(room) => {
                self.stats.short_replies += u64::from(room != Room::Full);
                Some(room)
            }
            Err(spent) => {
                self.stats.limited += 1;
                self.stats.limited_by_network += u64::from(spent == Spent::Owner);
                self.stats.limited_by_all += u64::from(spent == Spent::All);
                None
            }
        }
    }

    /// Whether one more question for the peers of `info_hash` is answered now.
    fn admits_key(&mut self, now: Instant, info_hash: &InfoHash) -> bool {
        let admitted = self.reply_budget.as_mut().is_none_or(|budget| budget.admit_key(now, info_hash));
        self.stats.limited += u64::from(!admitted);
        self.stats.limited_by_key += u64::from(!admitted);
        admitted
    }

    /// The node at `from` has echoed a token of ours.
    pub(super) fn note_shown(&mut self, now: Instant, from: SocketAddr) {
        if let Some(budget) = &mut self.reply_budget {
            budget.note_shown(now, from.ip());
        }
    }

    /// What is said in answer to a question for the peers of a swarm. BEP 5 says contacts or peers, everyone deployed says
    /// both, and a token: so do we, but where a key is hot (`budgets/demand.rs`). A client that drops an answer without a token
    /// gets one always.
    fn grant(&mut self, now: Instant, asked: &Asked<'_>, info_hash: &InfoHash, place: Option<Place>) -> Granted {
        let (Some(rule), Some(place)) = (self.config.hot_keys, place) else { return Granted::ALL };
        let peers = self.peers.count_at(place);
        if asked.room != Room::Full || peers * 2 < rule.peers {
            return Granted::ALL;
        }
        let demand = self.demand.get_or_insert_with(|| Box::new(Demand::new(rule, &mut self.random)));
        let is_full = peers >= rule.peers;
        if !demand.note_query(now, info_hash) || is_full && demand.passes(now, info_hash) {
            return Granted::ALL;
        }
        let standing = self.peers.standing_at(place, asked.from.ip(), rule.peers);
        let mut admitted = || demand.admits_newcomer(now, info_hash, peers, &mut self.random);
        let token = asked.needs_token || standing.is_known || !standing.has_its_share && admitted();
        self.stats.hot_answers += u64::from(is_full);
        self.stats.tokens_withheld += u64::from(!token);
        Granted { contacts: !is_full, token }
    }

    /// Peers, where some are known, as many as there is room for.
    fn write_peers(&mut self, response: &mut Reply<'_>, place: Option<Place>, noseed: bool) {
        let family = self.config.family;
        let room = response.room_for_values(family);
        if room > 0
            && let Some(place) = place
        {
            response.values(family, self.peers.choose_at(place, room, noseed, &mut self.random).iter());
        }
    }

    /// Stores an announce. A peer whose address has no place in this network is dropped, and its node told nothing of it: it
    /// would be refused everywhere.
    pub(super) fn store(
        &mut self,
        now: Instant,
        info_hash: &InfoHash,
        peer: SocketAddr,
        seed: bool,
    ) -> Option<AnnounceOutcome> {
        let announced = StoredPeer { info_hash: *info_hash, peer, seed, age: Duration::ZERO };
        if !self.rules.admits(&peer) {
            self.stats.announces_not_stored += 1;
            return None;
        }
        let most = self.demand.as_mut().and_then(|demand| demand.most_peers(now, info_hash));
        let stored = self.peers.announce_to_hot(now, &self.id(), &announced, most);
        self.stats.announces_not_stored += u64::from(stored == AnnounceOutcome::Full);
        self.stats.displaced_peers += u64::from(stored == AnnounceOutcome::Displaced);
        self.stats.displaced_swarms += u64::from(stored == AnnounceOutcome::DisplacedSwarm);
        self.keep_sweeping(now);
        Some(stored)
    }

    /// The contacts closest to `target` of each family that is wanted.
    pub(super) fn write_nearby(&self, response: &mut Reply<'_>, target: &Id, want: Want) {
        let transport = self.config.family;
        for family in [Family::V4, Family::V6] {
            if want.includes(family, transport) {
                let closest = if family == transport {
                    self.table.closest(target)
                } else {
                    closest_of(&self.other_family, target)
                };
                response.contacts(family, closest.iter().copied());
            }
        }
    }

    pub(super) fn respond(&mut self, now: Instant, asked: &Asked<'_>, write: impl FnOnce(&mut Self, &mut Reply<'_>)) {
        self.respond_with(now, asked, None, write);
    }

    /// The same, with filters of a whole swarm (BEP 33) where they are asked for.
    fn respond_with(
        &mut self,
        now: Instant,
        asked: &Asked<'_>,
        filters: Option<&SwarmFilters>,
        write: impl FnOnce(&mut Self, &mut Reply<'_>),
    ) {
        let (own, to) = (self.id(), asked.from);
        let filters = filters.map(|both| ReplyFilters { seeds: both.seeds.as_bytes(), peers: both.peers.as_bytes() });
        let mut outbox = std::mem::take(&mut self.outbox);
        let length = outbox.push(to, |out| {
            let mut response = Reply::begin_scrape(out, &own, &to, asked.transaction, filters);
            response.limit(asked.room.most_bytes());
            write(self, &mut response);
            response.end();
        });
        self.outbox = outbox;
        self.count_reply(now, to, length);
    }

    /// Answers with an error, unless replies are short: an error brings the other side nothing.
    pub(super) fn refuse(&mut self, now: Instant, asked: &Asked<'_>, fault: Fault) {
        self.stats.refused += 1;
        if asked.room != Room::Full {
            return;
        }
        let length = self.outbox.push(asked.from, |out| encode::error(out, asked.transaction, &asked.from, fault));
        self.count_reply(now, asked.from, length);
    }

    fn count_reply(&mut self, now: Instant, to: SocketAddr, length: usize) {
        if let Some(budget) = &mut self.reply_budget {
            budget.note_reply(now, to.ip(), length);
        }
    }
}

/// The contacts closest to `target`, closest first.
fn closest_of<'a>(contacts: &'a [Contact], target: &Id) -> ArrayVec<&'a Contact, K> {
    let mut closest: ArrayVec<&Contact, K> = ArrayVec::new();
    for contact in contacts {
        let place = closest.partition_point(|other| target.closer(&other.id, &contact.id).is_le());
        if place < K {
            if closest.is_full() {
                closest.pop();
            }
            closest.insert(place, contact);
        }
    }
    closest
}
