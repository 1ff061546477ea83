//! What the schedule wants done, and what it is told of how that went.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::engine::contact::Contact;
use crate::engine::id::InfoHash;
use crate::engine::node::Holder;
use crate::engine::time::Instant;

/// What is to be begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// This announce.
    Announce(AnnounceOrder),
    /// This look.
    Look(LookOrder),
    /// Nothing before this instant, or before something that is under way has come to its end.
    Wait(Option<Instant>),
}

/// An announce that is to be begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnounceOrder {
    /// The infohash.
    pub info_hash: InfoHash,
    /// The port at which our client listens.
    pub port: u16,
    /// Whether it has the whole torrent (BEP 33).
    pub seed: bool,
    /// Whether it goes to nodes of IPv4 only.
    pub ipv4_only: bool,
    /// The nodes with which it begins.
    pub holders: Arc<[Holder]>,
}

/// A look that is to be begun: a lookup of a node that did not announce it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookOrder {
    /// The infohash.
    pub info_hash: InfoHash,
    /// The port that was announced.
    pub port: u16,
}

/// How an announce went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// The infohash.
    pub info_hash: InfoHash,
    /// The nodes that stored it, with the first bytes of their `v`.
    pub stored: Vec<(Contact, [u8; 4])>,
    /// Queries sent.
    pub asked: usize,
    /// Queries answered.
    pub answered: usize,
    /// Seeds and other peers that were counted on the way.
    pub swarm: Option<(u32, u32)>,
}

/// How a look went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The infohash.
    pub info_hash: InfoHash,
    /// The address under which it was found.
    pub seen_as: Option<SocketAddr>,
    /// Queries sent.
    pub asked: usize,
    /// Queries answered.
    pub answered: usize,
}
