//! Packets that arrive twice.

use std::time::Duration;

use super::{Copies, Element, Passing};

const DUPLICATE: u64 = 2;
/// Longest delay of the second copy behind the first.
const LATER_BY: f64 = 0.05;

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
            let _ = copies.try_push(first + Duration::from_secs_f64(LATER_BY * dice.unit()));
        }
    }

    fn fork(&self) -> Box<dyn Element> {
        Box::new(*self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::loss::Loss;
    use super::super::tests::{burst, link};
    use super::*;

    #[test]
    fn a_share_arrives_twice_the_copy_a_little_later() {
        let arrived = burst(&mut link().with(Duplicate(0.1)), 100);
        let copies: Vec<_> = arrived.iter().filter_map(|copies| copies.get(1)).collect();
        assert!((70..130).contains(&copies.len()), "{} of 1,000", copies.len());
        assert!(copies.iter().all(|delay| **delay < Duration::from_millis(50)));
        assert!(arrived.iter().all(|copies| copies[0].is_zero()), "the first copy is not held back");
    }

    #[test]
    fn what_is_lost_is_not_doubled_and_nothing_more_than_fourfold() {
        let lost = burst(&mut link().with(Loss(1.0)).with(Duplicate(1.0)), 100);
        assert!(lost.iter().all(Copies::is_empty));
        let five_times = (0..5).fold(link(), |link, _| link.with(Duplicate(1.0)));
        assert!(burst(&mut { five_times }, 100).iter().all(Copies::is_full));
    }
}
