//! What a node keeps for its next run.
//!
//! A store may hold a million peers. To make a list of them takes a tenth of a second, in which no query is answered; so
//! they are copied in slices, as they are, and whoever writes them down does so piece by piece.

use std::time::Duration;

use super::{Node, OwnAnnounce, Timer};
use crate::engine::contact::Contact;
use crate::engine::id::NodeId;
use crate::engine::items::StoredItem;
use crate::engine::peers::{PackedPeers, StoredPeer};
use crate::engine::time::Instant;
use crate::engine::tokens::{ROTATION, Secrets};

/// What survives a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The node's id.
    pub id: Option<NodeId>,
    /// The secrets behind its tokens.
    pub secrets: Option<Secrets>,
    /// Time since the newer of them began to give out tokens.
    pub secrets_age: Duration,
    /// Contacts that answered; after a restart they are candidates, not yet believed.
    pub contacts: Vec<Contact>,
    /// Peers that others stored with it.
    pub peers: Vec<StoredPeer>,
    /// Items that others stored with it.
    pub items: Vec<StoredItem>,
    /// What came of its own announces.
    pub own_announces: Vec<OwnAnnounce>,
    /// The estimated number of nodes, for whoever reads the state.
    pub network_size: Option<u64>,
}

/// A snapshot that is being made: all but the peers, and the peers as far as they have been copied.
#[derive(Clone, Debug)]
pub struct SlicedSnapshot {
    rest: Snapshot,
    peers: PackedPeers,
}

impl SlicedSnapshot {
    /// All but the peers, and the peers.
    #[must_use]
    pub fn into_parts(self) -> (Snapshot, PackedPeers) {
        (self.rest, self.peers)
    }

    /// The snapshot. Takes a tenth of a second for a million peers.
    #[must_use]
    pub fn unpack(self) -> Snapshot {
        Snapshot { peers: self.peers.iter().collect(), ..self.rest }
    }
}

impl Node {
    /// What to keep for the next run, all at once.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let mut snapshot = self.begin_snapshot(now);
        while self.continue_snapshot(now, &mut snapshot) {}
        snapshot.unpack()
    }

    /// Begins a snapshot: everything but the peers that others stored.
    #[must_use]
    pub fn begin_snapshot(&self, now: Instant) -> SlicedSnapshot {
        let rest = Snapshot {
            id: Some(self.id()),
            secrets: Some(self.tokens.secrets()),
            secrets_age: ROTATION.saturating_sub(self.timers.at(Timer::RotateTokens).since(now)),
            contacts: self.contacts_to_save(now),
            peers: Vec::new(),
            items: self.items.iter(now).collect(),
            own_announces: self.own_announces(now).collect(),
            network_size: self.network_size().map(|nodes| nodes.round() as u64),
        };
        SlicedSnapshot { rest, peers: self.peers.begin_copy() }
    }

    /// Copies a slice of the peers; whether there is more to copy.
    pub fn continue_snapshot(&self, now: Instant, snapshot: &mut SlicedSnapshot) -> bool {
        self.peers.copy_slice(now, &mut snapshot.peers)
    }
}
