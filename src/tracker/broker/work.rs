//! The work that torrents want done, and who gets it done now.

use super::lane::Lane;
use super::torrent::{Stage, Torrent};
use super::{Broker, Output, relay_of};
use crate::engine::contact::Family;
use crate::engine::id::Id;
use crate::engine::time::Instant;
use crate::tracker::Phase;
use crate::tracker::swarm::Member;

impl Broker {
    /// Puts the torrent in line for what it wants done.
    pub(super) fn order_work(&mut self, now: Instant, id: Id) {
        let torrent = self.torrents.get_mut(&id).expect("the caller has it");
        let urgent = !torrent.held.is_empty();
        let line_up = |lane: &mut Lane, stage: &mut Stage| {
            // Who is in line already may still move ahead.
            let stands_well = *stage == Stage::Queued { urgent: true } || *stage == Stage::Queued { urgent };
            if *stage != Stage::Running && !stands_well && lane.push(id, urgent) {
                *stage = Stage::Queued { urgent };
            }
        };
        if torrent.wants_probe(now, self.policy) || matches!(torrent.probe, Stage::Queued { .. }) {
            line_up(&mut self.probes, &mut torrent.probe);
        }
        if torrent.wants_lookup(now, self.policy) {
            line_up(&mut self.lookups, &mut torrent.lookup);
        }
        if torrent.next_announce(self.policy).is_some_and(|(at, _)| at <= now) {
            line_up(&mut self.announces, &mut torrent.announce);
        }
        if torrent.next_relay(self.policy).is_some_and(|(at, _)| at <= now) {
            line_up(&mut self.relays, &mut torrent.relay);
        }
    }

    /// Starts what is in line, as far as workers are free. The DHT is not asked before it is ready.
    pub(super) fn pump(&mut self) {
        while let Some(id) = self.probes.pop() {
            self.start_probe(id);
        }
        while self.network.ready
            && let Some(id) = self.lookups.pop()
        {
            self.start_lookup(id);
        }
        while self.network.ready
            && let Some(id) = self.announces.pop()
        {
            self.start_announce(id);
        }
        while let Some(id) = self.relays.pop() {
            self.start_relay(id);
        }
        self.pump_surveys();
    }

    fn start_probe(&mut self, id: Id) {
        let queued = |torrent: &&mut Torrent| matches!(torrent.probe, Stage::Queued { .. });
        let Some(torrent) = self.torrents.get_mut(&id).filter(queued) else { return };
        torrent.probe = Stage::Idle;
        if let Some((peer, complete)) = torrent.witness().map(|witness| (witness.addr, witness.seed)) {
            torrent.probe = Stage::Running;
            self.probes.start();
            self.outputs.push_back(Output::Probe { info_hash: id, peer, complete });
        }
    }

    fn start_lookup(&mut self, id: Id) {
        let queued = |torrent: &&mut Torrent| matches!(torrent.lookup, Stage::Queued { .. });
        let Some(torrent) = self.torrents.get_mut(&id).filter(queued) else { return };
        torrent.lookup = Stage::Idle;
        if torrent.is_forbidden(self.policy) {
            return;
        }
        (torrent.lookup, torrent.asked) = (Stage::Running, false);
        self.lookups.start();
        self.outputs.push_back(Output::Lookup(id));
    }

    fn start_announce(&mut self, id: Id) {
        let queued = |torrent: &&mut Torrent| matches!(torrent.announce, Stage::Queued { .. });
        let Some(torrent) = self.torrents.get_mut(&id).filter(queued) else { return };
        torrent.announce = Stage::Idle;
        if let Some((_, member)) = torrent.next_announce(self.policy) {
            torrent.announce = Stage::Running;
            self.announces.start();
            let (client, seed, nearness) = (member.addr, member.seed, member.nearness);
            let twin = |other: &Member| {
                let same =
                    other.peer_id == member.peer_id && other.addr.port() == client.port() && other.nearness == nearness;
                same && Family::of(&other.addr) != Family::of(&client)
            };
            let dual = torrent.swarm.members().iter().any(twin);
            self.outputs.push_back(Output::Announce { info_hash: id, client, seed, nearness, dual });
        }
    }

    fn start_relay(&mut self, id: Id) {
        let queued = |torrent: &&mut Torrent| matches!(torrent.relay, Stage::Queued { .. });
        let Some(torrent) = self.torrents.get_mut(&id).filter(queued) else { return };
        torrent.relay = Stage::Idle;
        if let Some((_, member)) = torrent.next_relay(self.policy) {
            torrent.relay = Stage::Running;
            self.relays.start();
            let event = if member.relayed { Phase::Update } else { Phase::Started };
            self.outputs.push_back(Output::Relay(relay_of(id, &member, event)));
        }
    }
}
