//! What a query was sent for: each transaction carries it, and its response or its timeout goes where it says.

use super::event::OpId;
use crate::engine::lookup::Probe;

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A step of the lookup of an operation.
    Lookup {
        op: OpId,
        attempt: Attempt,
        /// Every deployed node answers this method: silence says something about the node.
        basic: bool,
    },
    /// A step of the search of a whole region, for an operation.
    Sweep {
        op: OpId,
        attempt: Attempt,
        /// Every deployed node answers this method.
        basic: bool,
        probe: Probe,
    },
    /// A step of joining, to a router whose id is unknown.
    Router(OpId),
    /// An announce or a put to one node.
    Write { op: OpId, attempt: Attempt },
    /// A ping that the caller asked for.
    Ping(OpId),
    /// A question for a sample that the caller asked for.
    Sample(OpId),
    /// A question for the peers and the count of one swarm that the caller asked for.
    PeersAt(OpId),
    /// Whether a node that stored our announce names us.
    Verify(OpId),
    /// Maintenance: does the contact live?
    Check,
    /// Maintenance: does the contact know others for a bucket that has room?
    Refresh,
}

/// What fails the first time may be tried once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    First,
    Second,
}
