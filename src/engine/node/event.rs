//! What a node tells its caller.

use std::net::SocketAddr;
use std::time::Duration;

use crate::engine::contact::Contact;
use crate::engine::id::Id;

/// An operation: a command that takes time. Its events carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub(super) u64);

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The node has joined: so many contacts answered. Said once; 0 for the first node of a private network.
    Ready {
        /// Contacts in the table.
        contacts: usize,
    },
    /// Saved nodes do not answer, or there are none: the caller should resolve its bootstrap names and call
    /// [`Node::add_routers`](super::Node::add_routers). Said again, ever less often, while nobody answers.
    RoutersWanted,
    /// The id changed to fit our external address (BEP 42).
    IdChanged {
        /// The new one.
        id: Id,
        /// The address that it fits.
        external: SocketAddr,
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
    /// A node has stored our announce.
    Stored {
        /// The operation.
        op: OpId,
        /// Where.
        at: Contact,
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

/// What came of an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Queries sent.
    pub asked: usize,
    /// Queries answered.
    pub answered: usize,
    /// Distinct peers reported.
    pub peers: usize,
    /// Nodes that stored our announce.
    pub stored: usize,
    /// The closest nodes that answered, closest first, at most K.
    pub closest: Vec<Contact>,
    /// From command to end.
    pub elapsed: Duration,
}
