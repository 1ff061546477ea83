//! Packets that later ones overtake.

use std::time::Duration;

use super::{Copies, Element, Passing};

const REORDER: u64 = 3;

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

#[cfg(test)]
mod tests {
    use super::super::tests::{arrivals, burst, link};
    use super::*;

    #[test]
    fn a_share_is_held_back_and_overtaken() {
        let by = Duration::from_millis(20);
        let arrived = burst(&mut link().with(Reorder { share: 0.1, by }), 100);
        let held: Vec<Duration> = arrived.iter().map(|copies| copies[0]).filter(|delay| !delay.is_zero()).collect();
        assert!((70..130).contains(&held.len()), "{} of 1,000", held.len());
        assert!(held.iter().all(|delay| *delay < by));
        // A packet a millisecond: on average ten overtake the one that is held back.
        assert!(!arrivals(&arrived).is_sorted());
        assert!(arrivals(&burst(&mut link(), 100)).is_sorted());
    }
}
