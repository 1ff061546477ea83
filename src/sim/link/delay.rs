//! A fixed one-way delay.

use std::time::Duration;

use super::{Copies, Element, Passing};

/// Adds the same delay to every packet.
#[derive(Clone, Copy, Debug)]
pub struct Delay(pub Duration);

impl Element for Delay {
    fn pass(&mut self, _packet: &Passing, copies: &mut Copies) {
        copies.iter_mut().for_each(|delay| *delay += self.0);
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
    fn everything_is_late_by_the_same() {
        let delay = Duration::from_millis(30);
        assert!(burst(&mut link().with(Delay(delay)), 100).iter().all(|copies| copies.as_slice() == [delay]));
    }
}
