//! Answering queries (BEP 5, Queries; BEP 32, `want`; BEP 33, scrapes; BEP 42, `ip`; BEP 43, read-only nodes).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use arrayvec::ArrayVec;

use super::Node;
use super::newcomers::HeardFrom;
use crate::engine::bloom::SwarmFilters;
use crate::engine::contact::{Contact, Family, decode_addr};
use crate::engine::id::Id;
use crate::engine::krpc::encode::{self, Filters, Response};
use crate::engine::krpc::{Fault, Method, Query, Want};
use crate::engine::limits::K;
use crate::engine::peers::{Stored, StoredPeer};
use crate::engine::time::Instant;

impl Node {
    pub(super) fn serve(&mut self, now: Instant, from: SocketAddr, transaction: &[u8], query: &Query<'_>) {
        if self.is_read_only() {
            self.note_stranger(now, from);
        }
        if self.is_read_only() || query.id == *self.id() {
            self.stats.ignored += 1;
            return;
        }
        if !self.admits(now, from) {
            return;
        }
        let asker = Contact { id: query.id, addr: from };
        // BEP 43: a read-only node never enters the table. Any other must first answer a query of ours.
        if !query.read_only && !self.table.asked_us(now, &asker) {
            self.verify_later(now, asker, HeardFrom::Itself);
        }
        match query.method {
            Method::Ping => {
                self.stats.pings += 1;
                self.respond(now, from, transaction, |_, _| {});
            }
            Method::FindNode { target, want } => {
                self.stats.find_nodes += 1;
                self.respond(now, from, transaction, |node, response| node.write_nearby(response, &target, want));
            }
            Method::GetPeers { info_hash, want, noseed, scrape } => {
                self.stats.get_peers += 1;
                let filters = if scrape { self.swarm_filters(&info_hash) } else { None };
                self.stats.scrapes += u64::from(filters.is_some());
                self.respond_with(now, from, transaction, filters.as_ref(), |node, response| {
                    node.write_nearby(response, &info_hash, want);
                    node.write_peers(response, &info_hash, from.ip(), noseed);
                });
            }
            Method::Get { target, seq, want } => self.serve_get(now, from, transaction, &target, seq, want),
            Method::Put(put) => self.serve_put(now, from, transaction, &put),
            Method::SampleInfohashes { target, want } => self.serve_samples(now, from, transaction, &target, want),
            Method::AnnouncePeer { info_hash, port, seed, token } => {
                self.stats.announces += 1;
                if !self.tokens.accept(token, from.ip(), &info_hash) {
                    self.stats.bad_tokens += 1;
                    return self.refuse(now, from, transaction, Fault::Token);
                }
                // The peer is where the datagram came from, never an address from its payload.
                let peer = SocketAddr::new(from.ip(), port.unwrap_or(from.port()));
                self.store(now, &info_hash, peer, seed);
                // Also when nothing was stored: an error would make the announcer look elsewhere for nothing.
                self.respond(now, from, transaction, |_, _| {});
            }
        }
    }

    pub(super) fn refuse_if_admitted(&mut self, now: Instant, from: SocketAddr, transaction: &[u8], fault: Fault) {
        if self.is_read_only() {
            self.stats.ignored += 1;
        } else if self.admits(now, from) {
            self.refuse(now, from, transaction, fault);
        }
    }

    fn admits(&mut self, now: Instant, from: SocketAddr) -> bool {
        let admitted = self.reply_guard.as_mut().is_none_or(|guard| guard.admits(now, from.ip()));
        self.stats.limited += u64::from(!admitted);
        admitted
    }

    /// A token unless full, and values when known, as many as there is room for. Nodes come with them always: BEP 5 says
    /// either, everyone deployed says both.
    fn write_peers(&mut self, response: &mut Response<'_>, info_hash: &Id, asker: IpAddr, noseed: bool) {
        if self.peers.accepts(self.id(), info_hash, asker) {
            response.token(&self.tokens.give(asker, info_hash));
        }
        let family = self.config.family;
        let room = response.room_for_values(family);
        if let Some(sample) = self.peers.sample(info_hash, room, noseed, &mut self.random) {
            response.values(family, sample.iter());
        }
    }

    /// The filters of what we store; `None` for a swarm without peers.
    pub(super) fn swarm_filters(&self, info_hash: &Id) -> Option<SwarmFilters> {
        let mut filters = SwarmFilters::default();
        for (peer, seed) in self.peers.swarm(info_hash)? {
            if let Some(peer) = decode_addr(peer) {
                filters.insert(peer.ip(), seed);
            }
        }
        Some(filters)
    }

    fn store(&mut self, now: Instant, info_hash: &Id, peer: SocketAddr, seed: bool) {
        let announced = StoredPeer { info_hash: *info_hash, peer, seed, age: Duration::ZERO };
        let stored = if self.rules.admits(&peer) {
            self.peers.announce(now, self.table.own(), &announced)
        } else {
            Stored::Full
        };
        self.stats.announces_not_stored += u64::from(stored == Stored::Full);
        self.stats.displaced_swarms += u64::from(stored == Stored::DisplacedSwarm);
        self.keep_sweeping(now);
    }

    /// The contacts closest to `target` of each family that is wanted.
    pub(super) fn write_nearby(&self, response: &mut Response<'_>, target: &Id, want: Want) {
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

    pub(super) fn respond(
        &mut self,
        now: Instant,
        to: SocketAddr,
        transaction: &[u8],
        write: impl FnOnce(&mut Self, &mut Response<'_>),
    ) {
        self.respond_with(now, to, transaction, None, write);
    }

    /// The same, with filters of a whole swarm (BEP 33) where they are asked for.
    fn respond_with(
        &mut self,
        now: Instant,
        to: SocketAddr,
        transaction: &[u8],
        filters: Option<&SwarmFilters>,
        write: impl FnOnce(&mut Self, &mut Response<'_>),
    ) {
        let own = *self.id();
        let filters = filters.map(|both| Filters { seeds: both.seeds.as_bytes(), peers: both.peers.as_bytes() });
        let mut outbox = std::mem::take(&mut self.outbox);
        let length = outbox.push(to, |out| {
            let mut response = Response::begin_scrape(out, &own, &to, transaction, filters);
            write(self, &mut response);
            response.end();
        });
        self.outbox = outbox;
        self.count_reply(now, length);
    }

    pub(super) fn refuse(&mut self, now: Instant, to: SocketAddr, transaction: &[u8], fault: Fault) {
        self.stats.refused += 1;
        let length = self.outbox.push(to, |out| encode::error(out, transaction, &to, fault));
        self.count_reply(now, length);
    }

    fn count_reply(&mut self, now: Instant, length: usize) {
        if let Some(guard) = &mut self.reply_guard {
            guard.note_reply(now, length);
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
