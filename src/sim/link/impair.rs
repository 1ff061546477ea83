//! What goes wrong with single packets: loss, duplicates, reordering, packets that are too long.

use std::time::Duration;

use super::{Copies, Element, Passing};

const LOSS: u64 = 1;
const DUPLICATE: u64 = 2;
const REORDER: u64 = 3;

/// Loses this share of the packets, each by its own draw.
#[derive(Clone, Copy, Debug)]
pub struct Loss(pub f64);

impl Element for Loss {
    fn pass(&mut self, packet: &Passing, copies: &mut Copies) {
        let mut dice = packet.dice(LOSS);
        copies.retain(|_| !dice.chance(self.0));
    }

    fn fork(&self) -> Box<dyn Element> {
        Box::new(*self)
    }
}

/// Delivers this share of the packets twice, the copy up to 50 ms later.
#[derive(Clone, Copy, Debug)]
pub struct Duplicate(pub f64);

impl Element for Duplicate {
    fn pass(&mut self, packet: &Passing, copies: &mut Copies) {
        let mut dice = packet.dice(DUPLICATE);
        if let Some(&first) = copies.first()
            && dice.chance(self.0)
        {
            // A packet that was doubled often enough already is not doubled again.
            let _ = copies.try_push(first + Duration::from_secs_f64(0.05 * dice.unit()));
        }
    }

    fn fork(&self) -> Box<dyn Element> {
        Box::new(*self)
    }
}

/// Holds back a share of the packets, so that later ones overtake them.
#[derive(Clone, Copy, Debug)]
pub struct Reorder {
    /// The share held back.
    pub share: f64,
    /// By how much at most.
    pub by: Duration,
}

impl Element for Reorder {
    fn pass(&mut self, packet: &Passing, copies: &mut Copies) {
        let mut dice = packet.dice(REORDER);
        for delay in copies {
            if dice.chance(self.share) {
                *delay += self.by.mul_f64(dice.unit());
            }
        }
    }

    fn fork(&self) -> Box<dyn Element> {
        Box::new(*self)
    }
}

/// Drops datagrams above this many bytes of payload, as a path that loses fragments does.
#[derive(Clone, Copy, Debug)]
pub struct Mtu(pub usize);

impl Element for Mtu {
    fn pass(&mut self, packet: &Passing, copies: &mut Copies) {
        if packet.len_bytes > self.0 {
            copies.clear();
        }
    }

    fn fork(&self) -> Box<dyn Element> {
        Box::new(*self)
    }
}
