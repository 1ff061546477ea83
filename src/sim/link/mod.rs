//! What befalls a packet between two addresses.
//!
//! A link is a list of elements. Each sees the packet and the list of its copies, one delay per copy, and changes that
//! list: an empty list is a lost packet, two entries are a duplicate. A new condition is a new small file here.
//!
//! Invariant: what an element draws depends only on the seed, the two addresses and the packet's number between them
//! ([`Passing::dice`]), so that two systems compared in one network meet the same network.

use std::net::SocketAddr;
use std::time::Duration;

use arrayvec::ArrayVec;

use super::random::{Dice, name_of};
use crate::engine::time::Instant;

pub mod delay;
pub mod impair;
pub mod partition;
pub mod plane;
pub mod rate;

/// The delays of a packet's copies: none means lost. No element makes more than four.
pub type Copies = ArrayVec<Duration, 4>;

/// A packet as the elements see it.
#[derive(Clone, Copy, Debug)]
pub struct Passing {
    /// When it was sent.
    pub now: Instant,
    /// The sender's address on the wire (that of its translator, if it has one).
    pub from: SocketAddr,
    /// Where it is going.
    pub to: SocketAddr,
    /// Its bytes, without headers.
    pub len_bytes: usize,
    draw: u64,
}

impl Passing {
    /// The draws of the element called `element` for this packet.
    #[must_use]
    pub fn dice(&self, element: u64) -> Dice {
        Dice::keyed(self.draw, &[element])
    }
}

/// One condition of the network.
pub trait Element: Send {
    /// Changes what becomes of the packet.
    fn pass(&mut self, packet: &Passing, copies: &mut Copies);

    /// A copy of itself, so that a world can be forked.
    fn fork(&self) -> Box<dyn Element>;
}

/// All conditions between any two addresses.
pub struct Link {
    seed: u64,
    elements: Vec<Box<dyn Element>>,
    /// How many packets a pair exchanged, by a hash of the pair. A collision makes two pairs share a counter, which
    /// skips numbers and harms nothing; a map of all pairs would outgrow the nodes.
    counters: Vec<u16>,
}

const COUNTERS: usize = 1 << 18;

impl Link {
    /// A perfect link without delay.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, elements: Vec::new(), counters: vec![0; COUNTERS] }
    }

    /// The link of the lab: the plane's round-trip times and 1 % loss.
    #[must_use]
    pub fn internet(seed: u64) -> Self {
        Self::new(seed).with(plane::Plane::new(seed)).with(impair::Loss(0.01))
    }

    /// The same link with one more element.
    #[must_use]
    pub fn with(mut self, element: impl Element + 'static) -> Self {
        self.elements.push(Box::new(element));
        self
    }

    /// The delays with which copies of this packet arrive; none if it is lost.
    pub(super) fn pass(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, len_bytes: usize) -> Copies {
        let draw = self.draw(from, to);
        let packet = Passing { now, from, to, len_bytes, draw };
        let mut copies = Copies::from_iter([Duration::ZERO]);
        self.elements.iter_mut().for_each(|element| element.pass(&packet, &mut copies));
        copies
    }

    fn draw(&mut self, from: SocketAddr, to: SocketAddr) -> u64 {
        let ports = u64::from(from.port()) << 16 | u64::from(to.port());
        let pair = Dice::keyed(self.seed, &[name_of(from.ip()), name_of(to.ip()), ports]).bits();
        let counter = &mut self.counters[pair as usize % COUNTERS];
        *counter = counter.wrapping_add(1);
        pair ^ u64::from(*counter).rotate_left(17)
    }
}

impl Clone for Link {
    fn clone(&self) -> Self {
        let elements = self.elements.iter().map(|element| element.fork()).collect();
        Self { seed: self.seed, elements, counters: self.counters.clone() }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link {{ seed: {}, elements: {} }}", self.seed, self.elements.len())
    }
}
