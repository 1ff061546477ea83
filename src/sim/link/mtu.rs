//! A path that carries no long packets.

use super::{Copies, Element, Passing};

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

#[cfg(test)]
mod tests {
    use super::super::tests::{burst, link};
    use super::*;

    #[test]
    fn what_fits_passes_and_nothing_else() {
        assert!(burst(&mut link().with(Mtu(1024)), 1024).iter().all(|copies| copies.len() == 1));
        assert!(burst(&mut link().with(Mtu(1024)), 1025).iter().all(Copies::is_empty));
    }
}
