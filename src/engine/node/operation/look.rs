//! Looking whether others can see a client of ours: whether a node that a stranger would ask names it (BEP 5, `get_peers`).
//!
//! It has time and is to cost little, so it asks one node after the other, and is over as soon as one of them names the
//! client. What we store ourselves proves nothing and is left aside. Where no node names it, the whole lookup has been made,
//! as by any search for peers (`peers.rs`).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::super::Node;
use super::super::event::{Event, OpId, Summary};
use super::goal::Goal;
use crate::engine::contact::Contact;
use crate::engine::id::{Id, InfoHash};
use crate::engine::krpc::Response;
use crate::engine::krpc::encode::Ask;
use crate::engine::time::Instant;

/// Whom it looks for.
#[derive(Clone, Debug)]
pub(in crate::engine::node) struct Look {
    port: u16,
    /// The addresses that the client may have; none: any.
    addresses: Arc<[IpAddr]>,
    is_seen: bool,
}

impl Goal for Look {
    fn name(&self) -> &'static str {
        "look"
    }

    fn query(&self, target: Id) -> Ask<'static> {
        Ask::GetPeers(InfoHash(target))
    }

    fn is_keyed(&self) -> bool {
        true
    }

    fn has_time(&self) -> bool {
        true
    }

    fn found_nothing(&self, _summary: &Summary) -> bool {
        !self.is_seen
    }

    fn is_reported(&self) -> bool {
        false
    }

    fn hear(&mut self, op: OpId, _target: &Id, from: Contact, response: &Response<'_>) -> Option<Event> {
        let is_it = |peer: &SocketAddr| {
            peer.port() == self.port && (self.addresses.is_empty() || self.addresses.contains(&peer.ip()))
        };
        let peer = response.values.iter().find(is_it)?;
        self.is_seen = true;
        Some(Event::Peers { op, from: Some(from), peers: vec![peer] })
    }

    fn is_satisfied(&self) -> bool {
        self.is_seen
    }

    fn end(&mut self, node: &mut Node, _now: Instant, op: OpId, _target: Id, summary: Summary) {
        let summary = Summary { peers: usize::from(self.is_seen), ..summary };
        node.events.push_back(Event::Done { op, summary });
    }
}

impl Node {
    pub(in crate::engine::node) fn begin_look(
        &mut self,
        now: Instant,
        info_hash: InfoHash,
        port: u16,
        addresses: Arc<[IpAddr]>,
    ) -> OpId {
        let op = self.open(now, *info_hash, Look { port, addresses, is_seen: false });
        self.drive(now, op);
        op
    }
}
