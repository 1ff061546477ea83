//! Packets that never arrive.

use super::{Copies, Element, Passing};

const LOSS: u64 = 1;

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

#[cfg(test)]
mod tests {
    use super::super::tests::{burst, link};
    use super::*;

    #[test]
    fn a_share_is_lost_and_each_packet_by_itself() {
        let arrived = burst(&mut link().with(Loss(0.2)), 100);
        let lost = arrived.iter().filter(|copies| copies.is_empty()).count();
        assert!((160..240).contains(&lost), "{lost} of 1,000");
        // Independent losses: one in five of the packets after a lost one is lost too.
        let twice = arrived.windows(2).filter(|pair| pair.iter().all(Copies::is_empty)).count();
        assert!((20..60).contains(&twice), "{twice} of 1,000 after another");
        assert!(burst(&mut link().with(Loss(0.0)), 100).iter().all(|copies| copies.len() == 1));
        assert!(burst(&mut link().with(Loss(1.0)), 100).iter().all(Copies::is_empty));
    }
}
