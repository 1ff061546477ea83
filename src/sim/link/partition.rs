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

#[cfg(test)]
mod tests {
    use super::super::tests::{at, burst, link};
    use super::*;

    #[test]
    fn nothing_crosses_while_it_lasts() {
        let split = |side| Partition { from: at(200), until: at(700), side };
        let crossing = burst(&mut link().with(split(|ip| ip == IpAddr::from([198, 51, 100, 1]))), 100);
        let lost: Vec<usize> = (0..1000).filter(|&ms| crossing[ms].is_empty()).collect();
        assert_eq!(lost, (200..700).collect::<Vec<_>>());
        let within = burst(&mut link().with(split(|_| true)), 100);
        assert!(within.iter().all(|copies| copies.len() == 1));
    }
}
