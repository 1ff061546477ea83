//! What a node tells its caller.

use std::net::SocketAddr;
use std::time::Duration;

use crate::engine::bloom::SwarmFilters;
use crate::engine::contact::Contact;
use crate::engine::id::{InfoHash, NodeId};
use crate::engine::items::Item;

/// An operation: a command that takes time. Its events carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub(super) u64);

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The node has joined. Said once.
    Ready {
        /// Contacts in the table; 0 for the first node of a private network.
        contacts: usize,
    },
    /// No node answers any more, though the node had joined: the link is down, or all contacts are gone. It goes on trying.
    Disconnected,
    /// A node answers again after [`Disconnected`](Self::Disconnected).
    Reconnected,
    /// Saved nodes do not answer, or there are none: the caller should resolve its bootstrap names and call
    /// [`Node::add_routers`](super::Node::add_routers). Said again, ever less often, while no node answers.
    RoutersWanted,
    /// Strangers have reached us: a node that was read-only until then serves from now on (BEP 43).
    Reachable,
    /// The id changed to fit our external address (BEP 42).
    IdChanged {
        /// The new one.
        id: NodeId,
        /// The address that it fits.
        external: SocketAddr,
    },
    /// Another node has our id, so we took another one.
    IdTaken {
        /// The new one.
        id: NodeId,
        /// Where the other node answered.
        by: SocketAddr,
    },
    /// The host slept, or this process stood still.
    Woke {
        /// Time without any input.
        slept: Duration,
    },
    /// A node answered a lookup.
    Answered {
        /// The operation.
        op: OpId,
        /// Who answered.
        contact: Contact,
        /// How many nodes told us of each other until we heard of it.
        hops: u8,
        /// Time from query to answer.
        rtt: Duration,
        /// Contacts in its answer.
        contacts: usize,
        /// Peers in its answer.
        peers: usize,
    },
    /// Peers that this operation had not reported yet.
    Peers {
        /// The operation.
        op: OpId,
        /// Who has them stored; `None` for our own store.
        from: Option<Contact>,
        /// The peers.
        peers: Vec<SocketAddr>,
    },
    /// A node has stored our announce, or our item.
    Stored {
        /// The operation.
        op: OpId,
        /// Where.
        at: Contact,
        /// Its `v`, at most 16 bytes.
        version: Vec<u8>,
    },
    /// A node has refused to store what we wanted stored.
    Refused {
        /// The operation.
        op: OpId,
        /// Who.
        by: Contact,
        /// The error code: BEP 5, Errors, and BEP 44, Errors.
        code: i64,
    },
    /// A genuine item, newer than those that this operation reported before (BEP 44).
    Item {
        /// The operation.
        op: OpId,
        /// Who has it stored; `None` for our own store.
        from: Option<Contact>,
        /// The item.
        item: Box<Item>,
    },
    /// What a scrape has counted (BEP 33).
    Scraped {
        /// The operation.
        op: OpId,
        /// The filters of all nodes, and our own, united.
        filters: Box<SwarmFilters>,
        /// How many nodes sent filters.
        reported: usize,
    },
    /// A node has sent a sample of its infohashes (BEP 51).
    Sampled {
        /// The operation.
        op: OpId,
        /// Who answered.
        contact: Contact,
        /// What it said; `None` where the node does not know the query.
        sample: Option<Sample>,
        /// Contacts near the target.
        contacts: Vec<Contact>,
    },
    /// The node may not be asked for a sample yet: its interval is not over.
    SampleTooSoon {
        /// The operation.
        op: OpId,
        /// What is left of the interval.
        wait: Duration,
    },
    /// A ping was answered.
    Pong {
        /// The operation.
        op: OpId,
        /// Who answered.
        contact: Contact,
        /// Its `v`, at most 16 bytes.
        version: Vec<u8>,
        /// Where it sees us.
        external: Option<SocketAddr>,
        /// Time from query to answer.
        rtt: Duration,
    },
    /// The operation is over; nothing of it follows.
    Done {
        /// The operation.
        op: OpId,
        /// What came of it.
        summary: Summary,
    },
}

/// A sample of the infohashes of a node (BEP 51).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Some of them.
    pub infohashes: Vec<InfoHash>,
    /// How many it has.
    pub total: u64,
    /// Before this has passed there is nothing new, and the node does not want to be asked.
    pub interval: Duration,
}

impl Event {
    /// The operation that it belongs to, if any.
    #[must_use]
    pub const fn op(&self) -> Option<OpId> {
        match self {
            Self::Answered { op, .. }
            | Self::Peers { op, .. }
            | Self::Stored { op, .. }
            | Self::Refused { op, .. }
            | Self::Item { op, .. }
            | Self::Scraped { op, .. }
            | Self::Sampled { op, .. }
            | Self::SampleTooSoon { op, .. }
            | Self::Pong { op, .. }
            | Self::Done { op, .. } => Some(*op),
            Self::Ready { .. }
            | Self::Disconnected
            | Self::Reconnected
            | Self::RoutersWanted
            | Self::Reachable
            | Self::IdChanged { .. }
            | Self::IdTaken { .. }
            | Self::Woke { .. } => None,
        }
    }
}

/// What came of an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Queries sent.
    pub asked: usize,
    /// Queries answered.
    pub answered: usize,
    /// Distinct peers reported.
    pub peers: usize,
    /// Nodes that stored our announce, or our item.
    pub stored: usize,
    /// Of the nodes that stored our announce, those that were asked for it by another query and answered.
    pub verified_at: usize,
    /// Of those, the ones that named us. A node with many peers names some of them only, so fewer prove nothing.
    pub verified: usize,
    /// The closest nodes that answered, closest first, at most K.
    pub closest: Vec<Contact>,
    /// Whether nodes crowd around the key as honest ones do not, so that the whole region around it was asked and written to.
    pub alarm: bool,
    /// Queries of the search of that region; also without alarm, where the closest nodes had nothing.
    pub swept: usize,
    /// From command to end.
    pub elapsed: Duration,
}
