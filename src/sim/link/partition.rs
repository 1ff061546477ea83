//! A network that falls into two parts for a while.

use std::net::IpAddr;

use super::{Copies, Element, Passing};
use crate::engine::time::Instant;

/// Between `from` and `until` no packet passes between the two sides.
#[derive(Clone, Copy, Debug)]
pub struct Partition {
    /// When the network splits.
    pub from: Instant,
    /// When it heals.
    pub until: Instant,
    /// Which side an address is on.
    pub side: fn(IpAddr) -> bool,
}

impl Element for Partition {
    fn pass(&mut self, packet: &Passing, copies: &mut Copies) {
        let split = self.from <= packet.now && packet.now < self.until;
        if split && (self.side)(packet.from.ip()) != (self.side)(packet.to.ip()) {
            copies.clear();
        }
    }

    fn fork(&self) -> Box<dyn Element> {
        Box::new(*self)
    }
}
