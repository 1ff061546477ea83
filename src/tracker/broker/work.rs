//! The work that torrents want done, and whose work is done now.

use super::torrent::{Facts, Proof, Torrent};
use super::{Broker, Order, Policy, relay_of};
use crate::engine::contact::Family;
use crate::engine::id::InfoHash;
use crate::engine::time::Instant;
use crate::tracker::Phase;
use crate::tracker::swarm::Member;

impl Broker {
    /// Puts the torrent in line for what it wants done, and takes it out where it wants nothing more.
    pub(super) fn order_work(&mut self, now: Instant, id: InfoHash, facts: &Facts) {
        let Some(torrent) = self.torrents.get_mut(&id) else { return };
        let near = torrent.near_priority();
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_due(torrent.next_probe(self.policy).map(|member| member.probe_at)) {
            self.probes.line_up(id, near, &mut torrent.probe);
        } else {
            self.probes.leave(&mut torrent.probe);
        }
        if torrent.wants_lookup(facts) {
            self.lookups.line_up(id, torrent.lookup_priority(), &mut torrent.lookup);
        } else {
            self.lookups.leave(&mut torrent.lookup);
        }
        if is_due(torrent.next_announce(self.policy).map(|(at, _)| at)) {
            self.announces.line_up(id, near, &mut torrent.announce);
        } else {
            self.announces.leave(&mut torrent.announce);
        }
        if is_due(torrent.next_relay(self.policy).map(|(at, _)| at)) {
            self.relays.line_up(id, near, &mut torrent.relay);
        } else {
            self.relays.leave(&mut torrent.relay);
        }
    }

    /// Starts what is in line, as far as workers are free. The DHT is not asked before it is ready.
    pub(super) fn pump(&mut self, now: Instant) {
        while let Some(id) = self.probes.next() {
            self.start_probe(id);
        }
        while self.standing.ready
            && let Some(id) = self.lookups.next()
        {
            self.start_lookup(now, id);
        }
        while self.standing.ready
            && let Some(id) = self.announces.next()
        {
            self.start_announce(id);
        }
        while let Some(id) = self.relays.next() {
            self.start_relay(id);
        }
        self.pump_surveys();
    }

    fn start_probe(&mut self, id: InfoHash) {
        let torrent = self.torrents.get_mut(&id).expect("what is forgotten leaves the line");
        match torrent.next_probe(self.policy).map(|member| (member.addr, member.proven_seed)) {
            Some((peer, complete)) => {
                self.probes.start(&mut torrent.probe);
                torrent.probe_begins(peer);
                self.outputs.push_back(Order::Probe { info_hash: id, peer, complete });
                self.relist(id);
            }
            None => self.probes.leave(&mut torrent.probe),
        }
    }

    fn start_lookup(&mut self, now: Instant, id: InfoHash) {
        let torrent = self.torrents.get_mut(&id).expect("what is forgotten leaves the line");
        if torrent.proof == Some(Proof::Private) && self.policy != Policy::Always {
            return self.lookups.leave(&mut torrent.lookup);
        }
        self.lookups.start(&mut torrent.lookup);
        torrent.lookup_begins(now);
        self.outputs.push_back(Order::Lookup(id));
        self.relist(id);
    }

    fn start_announce(&mut self, id: InfoHash) {
        let torrent = self.torrents.get_mut(&id).expect("what is forgotten leaves the line");
        let Some((_, member)) = torrent.next_announce(self.policy) else {
            return self.announces.leave(&mut torrent.announce);
        };
        self.announces.start(&mut torrent.announce);
        let Member { addr: client, seed, nearness, .. } = member;
        let dual = has_twin(torrent, &member);
        self.outputs.push_back(Order::Announce { info_hash: id, client, seed, nearness, dual });
        self.relist(id);
    }

    fn start_relay(&mut self, id: InfoHash) {
        let torrent = self.torrents.get_mut(&id).expect("what is forgotten leaves the line");
        let Some((_, member)) = torrent.next_relay(self.policy) else {
            return self.relays.leave(&mut torrent.relay);
        };
        self.relays.start(&mut torrent.relay);
        let phase = if member.relayed { Phase::Update } else { Phase::Started };
        self.outputs.push_back(Order::Relay(relay_of(id, &member, phase)));
        self.relist(id);
    }
}

/// Whether the client of this member is also a member in the other family.
fn has_twin(torrent: &Torrent, member: &Member) -> bool {
    let is_twin = |other: &Member| {
        let same = other.peer_id == member.peer_id && other.addr.port() == member.addr.port();
        same && other.nearness == member.nearness && Family::of(&other.addr) != Family::of(&member.addr)
    };
    torrent.swarm.members().iter().any(is_twin)
}
