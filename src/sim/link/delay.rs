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
