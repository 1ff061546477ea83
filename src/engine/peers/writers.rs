//! How many swarms each network has begun here, so that none fills the store alone.
//!
//! A fixed table: a keyed hash picks the slot of a network (a /24, or a /48, which is what one customer of IPv6 gets),
//! and networks that meet in a slot share its count. A swarm stays on the account of whoever began it until it is gone;
//! nothing decays, so that the counts say at any time who holds how much.

use std::net::IpAddr;

use crate::engine::keyed_hash::KeyedHash;
use crate::engine::limits::WRITER_SLOTS;

/// The slot of a network.
pub(super) type Writer = u16;

/// The counts.
#[derive(Clone, Debug)]
pub(super) struct Writers {
    /// Empty until the first swarm: many nodes are never announced to.
    swarms: Vec<u16>,
    most: u16,
}

impl Writers {
    /// Nobody may begin more than `most` swarms.
    pub(super) fn new(most: usize) -> Self {
        Self { swarms: Vec::new(), most: u16::try_from(most).unwrap_or(u16::MAX) }
    }

    pub(super) fn slot(hash: &KeyedHash, ip: IpAddr) -> Writer {
        let hash = match ip {
            IpAddr::V4(ip) => hash.of(&ip.octets()[..3]),
            IpAddr::V6(ip) => hash.of(&ip.octets()[..6]),
        };
        (hash as usize % WRITER_SLOTS) as Writer
    }

    /// Whether `writer` may begin another swarm.
    pub(super) fn may_begin(&self, writer: Writer) -> bool {
        self.swarms.get(usize::from(writer)).is_none_or(|&swarms| swarms < self.most)
    }

    pub(super) fn begun(&mut self, writer: Writer) {
        if self.swarms.is_empty() {
            self.swarms.resize(WRITER_SLOTS, 0);
        }
        self.swarms[usize::from(writer)] += 1;
    }

    pub(super) fn gone(&mut self, writer: Writer) {
        self.swarms[usize::from(writer)] -= 1;
    }
}

#[cfg(test)]
impl Writers {
    /// All swarms that somebody has begun.
    pub(super) fn total(&self) -> usize {
        self.swarms.iter().map(|&swarms| usize::from(swarms)).sum()
    }
}
