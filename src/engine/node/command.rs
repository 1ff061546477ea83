//! What a caller may ask of a node: each command is one value, and begins one operation.
//!
//! [`Node::begin`] takes any of them; the named methods say the same in fewer words. What an operation does on its way
//! is told in the file of its kind, in `operation/`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::Node;
use super::event::OpId;
use crate::engine::contact::Contact;
use crate::engine::id::{InfoHash, Target};
use crate::engine::items::Item;
use crate::engine::limits::OPERATIONS;
use crate::engine::time::Instant;

/// Something that takes time, as a value. The events of the operation that it begins carry its [`OpId`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Look for peers of a swarm: first in our own store, then on other nodes. Peers arrive as
    /// [`Event::Peers`](super::Event::Peers).
    FindPeers {
        /// The swarm.
        info_hash: InfoHash,
    },
    /// Announce to the closest nodes that a client at our address takes part in a swarm. Where it is stored arrives as
    /// [`Event::Stored`](super::Event::Stored), peers found on the way as [`Event::Peers`](super::Event::Peers).
    Announce {
        /// The swarm.
        info_hash: InfoHash,
        /// The port at which our client listens.
        port: u16,
        /// Whether it has the whole torrent (BEP 33).
        seed: bool,
    },
    /// Announce again, beginning with the nodes that stored it before. Where it is stored arrives as
    /// [`Event::Stored`](super::Event::Stored), and what was counted on the way (BEP 33) as
    /// [`Event::Scraped`](super::Event::Scraped).
    RenewAnnounce {
        /// The swarm.
        info_hash: InfoHash,
        /// The port at which our client listens.
        port: u16,
        /// Whether it has the whole torrent (BEP 33).
        seed: bool,
        /// The nodes that stored it, of any family; none at the first time.
        holders: Arc<[Holder]>,
    },
    /// Look whether a node that a stranger would ask names a client of ours, with few queries: one after the other, until
    /// one names it, which arrives as [`Event::Peers`](super::Event::Peers).
    Look {
        /// The swarm.
        info_hash: InfoHash,
        /// The port at which the client listens.
        port: u16,
        /// The addresses that it may have; none: any.
        addresses: Arc<[IpAddr]>,
    },
    /// Count the seeds and peers of a swarm (BEP 33): on the nodes of a whole lookup, and in our own store. The result
    /// arrives as [`Event::Scraped`](super::Event::Scraped).
    Scrape {
        /// The swarm.
        info_hash: InfoHash,
    },
    /// Look for the nodes closest to a target.
    FindNode {
        /// The target.
        target: Target,
    },
    /// Look for an item (BEP 44). Each newer value arrives as [`Event::Item`](super::Event::Item).
    GetItem {
        /// Where it is found.
        target: Target,
        /// The salt that a mutable item was stored with.
        salt: Box<[u8]>,
    },
    /// Look for an item, and store the newest that was found on those of the closest nodes that lack it. Where it is
    /// stored arrives as [`Event::Stored`](super::Event::Stored).
    RenewItem {
        /// Where it is found.
        target: Target,
        /// The salt that a mutable item was stored with.
        salt: Box<[u8]>,
    },
    /// Store an item on the nodes closest to its target. Where it is stored arrives as
    /// [`Event::Stored`](super::Event::Stored), a refusal as [`Event::Refused`](super::Event::Refused), a value that is
    /// there already as [`Event::Item`](super::Event::Item).
    PutItem {
        /// The item.
        item: Arc<Item>,
        /// Only in place of an item with this sequence number.
        cas: Option<i64>,
    },
    /// Ask one node for some of its infohashes, and for contacts near a target (BEP 51). The answer arrives as
    /// [`Event::Sampled`](super::Event::Sampled), or [`Event::SampleTooSoon`](super::Event::SampleTooSoon) where the node
    /// must not be asked yet.
    Sample {
        /// The node.
        addr: SocketAddr,
        /// Near which contacts are wanted.
        target: Target,
    },
    /// Ask one node for the peers that it has stored of a swarm, and for their number (BEP 33). The answer arrives as
    /// [`Event::Peers`](super::Event::Peers) and [`Event::Scraped`](super::Event::Scraped).
    PeersAt {
        /// The node.
        addr: SocketAddr,
        /// The swarm.
        info_hash: InfoHash,
    },
    /// Ping one node. An answer arrives as [`Event::Pong`](super::Event::Pong).
    Ping {
        /// The node.
        addr: SocketAddr,
    },
}

/// A node that has stored an announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The node.
    pub contact: Contact,
    /// Its copy is young enough: it counts as one of the closest, and is neither asked nor written to.
    pub is_held: bool,
}

impl Node {
    /// Begins an operation. Its end arrives as [`Event::Done`](super::Event::Done), whatever happens. Where there is no
    /// [room](Self::has_room_for_operations) for another, it ends at once, having asked no node.
    pub fn begin(&mut self, now: Instant, command: Command) -> OpId {
        match command {
            Command::FindPeers { info_hash } => self.begin_peers(now, info_hash),
            Command::Announce { info_hash, port, seed } => self.begin_announce(now, info_hash, port, seed),
            Command::RenewAnnounce { info_hash, port, seed, holders } => {
                self.begin_announce_renewal(now, info_hash, (port, seed), &holders)
            }
            Command::Look { info_hash, port, addresses } => self.begin_look(now, info_hash, port, addresses),
            Command::Scrape { info_hash } => self.begin_scrape(now, info_hash),
            Command::FindNode { target } => self.begin_nodes(now, target),
            Command::GetItem { target, salt } => self.begin_get(now, target, salt),
            Command::RenewItem { target, salt } => self.begin_renewal(now, target, salt),
            Command::PutItem { item, cas } => self.begin_put(now, item, cas),
            Command::Sample { addr, target } => self.begin_sample(now, addr, target),
            Command::PeersAt { addr, info_hash } => self.begin_peers_at(now, addr, info_hash),
            Command::Ping { addr } => self.begin_ping(now, addr),
        }
    }

    /// Begins [`Command::FindPeers`].
    pub fn find_peers(&mut self, now: Instant, info_hash: InfoHash) -> OpId {
        self.begin(now, Command::FindPeers { info_hash })
    }

    /// Begins [`Command::Announce`].
    pub fn announce(&mut self, now: Instant, info_hash: InfoHash, port: u16, seed: bool) -> OpId {
        self.begin(now, Command::Announce { info_hash, port, seed })
    }

    /// Begins [`Command::RenewAnnounce`].
    pub fn renew_announce(
        &mut self,
        now: Instant,
        info_hash: InfoHash,
        port: u16,
        seed: bool,
        holders: Arc<[Holder]>,
    ) -> OpId {
        self.begin(now, Command::RenewAnnounce { info_hash, port, seed, holders })
    }

    /// Begins [`Command::Look`].
    pub fn look(&mut self, now: Instant, info_hash: InfoHash, port: u16, addresses: Arc<[IpAddr]>) -> OpId {
        self.begin(now, Command::Look { info_hash, port, addresses })
    }

    /// Begins [`Command::Scrape`].
    pub fn scrape(&mut self, now: Instant, info_hash: InfoHash) -> OpId {
        self.begin(now, Command::Scrape { info_hash })
    }

    /// Begins [`Command::FindNode`].
    pub fn find_node(&mut self, now: Instant, target: Target) -> OpId {
        self.begin(now, Command::FindNode { target })
    }

    /// Begins [`Command::GetItem`].
    pub fn get_item(&mut self, now: Instant, target: Target, salt: &[u8]) -> OpId {
        self.begin(now, Command::GetItem { target, salt: salt.into() })
    }

    /// Begins [`Command::RenewItem`].
    pub fn renew_item(&mut self, now: Instant, target: Target, salt: &[u8]) -> OpId {
        self.begin(now, Command::RenewItem { target, salt: salt.into() })
    }

    /// Begins [`Command::PutItem`].
    pub fn put_item(&mut self, now: Instant, item: Arc<Item>, cas: Option<i64>) -> OpId {
        self.begin(now, Command::PutItem { item, cas })
    }

    /// Begins [`Command::Sample`].
    pub fn sample(&mut self, now: Instant, addr: SocketAddr, target: Target) -> OpId {
        self.begin(now, Command::Sample { addr, target })
    }

    /// Begins [`Command::PeersAt`].
    pub fn peers_at(&mut self, now: Instant, addr: SocketAddr, info_hash: InfoHash) -> OpId {
        self.begin(now, Command::PeersAt { addr, info_hash })
    }

    /// Begins [`Command::Ping`].
    pub fn ping(&mut self, now: Instant, addr: SocketAddr) -> OpId {
        self.begin(now, Command::Ping { addr })
    }

    /// Ends `op` at once, without any further event. Answers that are still on their way are not wasted: they keep the
    /// routing table fresh.
    pub fn cancel(&mut self, op: OpId) {
        self.operations.remove(&op);
    }

    /// Whether another operation can begin; see [`OPERATIONS`].
    #[must_use]
    pub fn has_room_for_operations(&self) -> bool {
        self.operations.len() < OPERATIONS
    }

    /// How many queries `op` has sent; `None` once it is over.
    #[must_use]
    pub fn asked(&self, op: OpId) -> Option<usize> {
        Some(self.operations.get(&op)?.summary.asked)
    }
}
