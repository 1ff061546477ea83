//! Announcing that a client at our address takes part in a swarm (BEP 5, `announce_peer`).
//!
//! 1. A lookup asks every node for the peers of the swarm (`get_peers`): each answer brings a token, and on the way peers.
//! 2. `announce_peer` goes, with the token that each gave, to the closest nodes. A write whose answer does not come is
//!    sent once more: datagrams get lost, and that node was there a moment ago.
//! 3. Some of the nodes that stored it are asked for the peers of the swarm, as a stranger would ask. A node may say that
//!    it stored an announce and drop it (jech/dht does so when it is full). What it names is a choice of its peers, so
//!    that to be missing from a large swarm proves nothing; to be named proves all that matters.
//! 4. An announce that no node stored starts once more, from every contact that we know.

use std::net::{IpAddr, SocketAddr};

use super::super::Node;
use super::super::event::{Event, OpId, Summary};
use super::goal::Goal;
use crate::engine::id::{Id, InfoHash};
use crate::engine::krpc::Response;
use crate::engine::krpc::encode::Ask;
use crate::engine::time::Instant;

/// What is announced.
#[derive(Clone, Debug)]
pub(in crate::engine::node) struct Announce {
    /// The port at which our client listens.
    port: u16,
    /// Whether it has the whole torrent (BEP 33).
    seed: bool,
    /// Whether nodes that stored it are asked whether it shows.
    verify: bool,
}

impl Goal for Announce {
    fn name(&self) -> &'static str {
        "announce"
    }

    fn query(&self, target: Id) -> Ask<'static> {
        Ask::GetPeers(InfoHash(target))
    }

    fn writes(&self) -> bool {
        true
    }

    fn write<'a>(&'a self, target: Id, _to: &SocketAddr, token: &'a [u8]) -> Option<Ask<'a>> {
        Some(Ask::AnnouncePeer { info_hash: InfoHash(target), port: self.port, seed: self.seed, token })
    }

    fn proof(&self, target: Id) -> Option<Ask<'static>> {
        self.verify.then_some(Ask::GetPeers(InfoHash(target)))
    }

    fn is_shown_by(&self, ours: Option<IpAddr>, response: &Response<'_>) -> bool {
        let is_ours = |peer: SocketAddr| peer.port() == self.port && ours.is_none_or(|ours| peer.ip() == ours);
        response.values.iter().any(is_ours)
    }

    fn failed(&self, summary: &Summary) -> bool {
        summary.stored == 0
    }

    fn end(&mut self, node: &mut Node, now: Instant, op: OpId, target: Id, summary: Summary) {
        node.own_announces.note_announced(now, InfoHash(target), &summary);
        node.events.push_back(Event::Done { op, summary });
    }
}

impl Node {
    pub(in crate::engine::node) fn begin_announce(
        &mut self,
        now: Instant,
        info_hash: InfoHash,
        port: u16,
        seed: bool,
    ) -> OpId {
        let announce = Announce { port, seed, verify: self.config.verify_announces };
        let op = self.open(now, *info_hash, announce);
        self.drive(now, op);
        op
    }
}
