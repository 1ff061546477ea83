//! Looking for the peers of a swarm (BEP 5, `get_peers`).
//!
//! What we store ourselves is reported at once. Each node of the lookup is asked; the peers that it names are reported as
//! they come, each once. A search that no node answered is tried once more.

use std::net::SocketAddr;

use super::super::Node;
use super::super::event::{OpId, Summary};
use super::goal::Goal;
use crate::engine::contact::decode_addr;
use crate::engine::id::{Id, InfoHash};
use crate::engine::krpc::encode::Ask;
use crate::engine::limits::PEERS_PER_LOOKUP;
use crate::engine::time::Instant;

/// A search for peers keeps nothing besides what every operation keeps.
#[derive(Clone, Debug)]
pub(in crate::engine::node) struct Peers;

impl Goal for Peers {
    fn name(&self) -> &'static str {
        "find peers"
    }

    fn query(&self, target: Id) -> Ask<'static> {
        Ask::GetPeers(InfoHash(target))
    }

    fn hurries(&self) -> bool {
        true
    }

    fn is_keyed(&self) -> bool {
        true
    }

    fn visits(&self) -> bool {
        true
    }

    fn found_nothing(&self, summary: &Summary) -> bool {
        summary.peers == 0
    }
}

impl Node {
    pub(in crate::engine::node) fn begin_peers(&mut self, now: Instant, info_hash: InfoHash) -> OpId {
        let op = self.open(now, *info_hash, Peers);
        let stored = self.peers.choose(&info_hash, PEERS_PER_LOOKUP, false, &mut self.random);
        let stored: Vec<SocketAddr> = stored.iter().flat_map(|choice| choice.iter()).filter_map(decode_addr).collect();
        self.report_peers(op, None, stored.into_iter());
        self.drive(now, op);
        op
    }
}
