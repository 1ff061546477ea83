//! Announcing that a client at our address takes part in a swarm (BEP 5, `announce_peer`).
//!
//! 1. A lookup asks every node for the peers of the swarm (`get_peers`): each answer brings a token, and on the way peers.
//! 2. `announce_peer` goes, with the token that each gave, to the closest nodes. A write whose answer does not come is
//!    sent once more: datagrams get lost, and that node was there a moment ago.
//! 3. Some of the nodes that stored it are asked for the peers of the swarm, as a stranger would ask. A node may say that
//!    it stored an announce and drop it (jech/dht does so when it is full). What it names is a choice of its peers, so
//!    that to be missing from a large swarm proves nothing; to be named proves all that matters.
//! 4. An announce that no node stored starts once more, from every contact that we know.
//!
//! One that is *renewed* begins with the nodes that stored it before, so that it costs two queries for each of them and what
//! the coming and going of nodes adds; those whose copy is young enough are not even asked. Its `get_peers` counts the
//! swarm on the way (BEP 33). It is not verified: the one who renews thousands looks for them in other ways.

use std::net::{IpAddr, SocketAddr};

use super::super::Node;
use super::super::command::Holder;
use super::super::event::{Event, OpId, Summary};
use super::goal::Goal;
use super::scrape::Scrape;
use crate::engine::contact::{Contact, Family};
use crate::engine::id::{Id, InfoHash};
use crate::engine::krpc::Response;
use crate::engine::krpc::encode::Ask;
use crate::engine::limits::PLACES;
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
    /// Nodes that still hold it and are not asked.
    held: usize,
    /// What was counted on the way, if it is counted.
    scrape: Option<Scrape>,
}

impl Goal for Announce {
    fn name(&self) -> &'static str {
        "announce"
    }

    fn query(&self, target: Id) -> Ask<'static> {
        if self.scrape.is_some() { Ask::Scrape(InfoHash(target)) } else { Ask::GetPeers(InfoHash(target)) }
    }

    fn hear(&mut self, _op: OpId, target: &Id, _from: Contact, response: &Response<'_>) -> Option<Event> {
        self.scrape.as_mut()?.add(target, response);
        None
    }

    fn is_keyed(&self) -> bool {
        true
    }

    /// A renewal asks the nodes that hold it.
    fn visits(&self) -> bool {
        self.scrape.is_none()
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
        summary.stored + self.held == 0
    }

    fn end(&mut self, node: &mut Node, now: Instant, op: OpId, target: Id, summary: Summary) {
        let stored = summary.stored + self.held;
        node.own_announces.note_announced(now, InfoHash(target), &Summary { stored, ..summary.clone() });
        if let Some((filters, reported)) = self.scrape.take().map(Scrape::total) {
            node.events.push_back(Event::Scraped { op, filters: Box::new(filters), reported });
        }
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
        let verify = self.config.verify_announces;
        let op = self.open(now, *info_hash, Announce { port, seed, verify, held: 0, scrape: None });
        self.drive(now, op);
        op
    }

    pub(in crate::engine::node) fn begin_announce_renewal(
        &mut self,
        now: Instant,
        info_hash: InfoHash,
        (port, seed): (u16, bool),
        holders: &[Holder],
    ) -> OpId {
        let (family, rules) = (self.config.family, self.rules);
        let usable =
            |holder: &&Holder| Family::of(&holder.contact.addr) == family && rules.admits(&holder.contact.addr);
        let holders = || holders.iter().filter(usable).take(PLACES);
        let held = holders().filter(|holder| holder.is_held).count();
        let scrape = Some(self.new_scrape(&info_hash));
        let op = self.open(now, *info_hash, Announce { port, seed, verify: false, held, scrape });
        if let Some(operation) = self.operations.get_mut(&op) {
            for Holder { contact, is_held } in holders() {
                if *is_held { operation.lookup.hold(*contact) } else { operation.lookup.add_holder(*contact) }
            }
        }
        self.drive(now, op);
        op
    }
}
