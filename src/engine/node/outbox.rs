//! Datagrams on their way out: one buffer, used again and again, so that a reply allocates nothing.

use std::net::SocketAddr;
use std::ops::Range;

#[derive(Clone, Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    datagrams: Vec<(SocketAddr, Range<usize>)>,
    taken: usize,
}

impl Outbox {
    /// Appends what `write` writes as one datagram to `to`; returns its length.
    pub(super) fn push(&mut self, to: SocketAddr, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        if self.is_empty() {
            self.bytes.clear();
            self.datagrams.clear();
            self.taken = 0;
        }
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.datagrams.push((to, start..self.bytes.len()));
        self.bytes.len() - start
    }

    /// Whether all datagrams are taken.
    pub(super) const fn is_empty(&self) -> bool {
        self.taken == self.datagrams.len()
    }

    /// Takes the next datagram.
    pub(super) fn pop(&mut self) -> Option<(SocketAddr, &[u8])> {
        let (to, range) = self.datagrams.get(self.taken)?;
        self.taken += 1;
        Some((*to, &self.bytes[range.clone()]))
    }
}
