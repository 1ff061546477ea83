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
pub mod duplicate;
pub mod loss;
pub mod mtu;
pub mod partition;
pub mod plane;
pub mod rate;
pub mod reorder;

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
        Self::new(seed).with(plane::Plane::new(seed)).with(loss::Loss(0.01))
    }

    /// The same link with one more element.
    #[must_use]
    pub fn with(mut self, element: impl Element + 'static) -> Self {
        self.elements.push(Box::new(element));
        self
    }

    /// The seed behind all that the elements draw.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
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

#[cfg(test)]
mod tests {
    use super::*;
    use duplicate::Duplicate;
    use loss::Loss;

    const FROM: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1)), 6881);
    const TO: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 2)), 6881);

    pub(super) fn link() -> Link {
        Link::new(1)
    }

    pub(super) fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    /// What becomes of 1,000 packets of this length between two addresses, sent one a millisecond.
    pub(super) fn burst(link: &mut Link, len_bytes: usize) -> Vec<Copies> {
        (0..1000).map(|ms| link.pass(at(ms), FROM, TO, len_bytes)).collect()
    }

    /// When the first copies of such packets arrive, in the order in which they were sent.
    pub(super) fn arrivals(burst: &[Copies]) -> Vec<Duration> {
        let sent = (0..).map(Duration::from_millis);
        sent.zip(burst).filter_map(|(sent, copies)| Some(sent + *copies.first()?)).collect()
    }

    #[test]
    fn elements_act_one_after_the_other() {
        let delay = |ms| delay::Delay(Duration::from_millis(ms));
        let doubled = |link: Link| burst(&mut link.with(Duplicate(1.0)), 100);
        assert!(doubled(link().with(delay(30)).with(delay(12))).iter().all(|copies| copies[0].as_millis() == 42));
        // Copies made before a loss are lost one by one, copies made after it only where something is left.
        let lossy_last = burst(&mut link().with(Duplicate(1.0)).with(Loss(0.5)), 100);
        assert!(lossy_last.iter().any(|copies| copies.len() == 1));
        assert!(doubled(link().with(Loss(0.5))).iter().all(|copies| copies.is_empty() || copies.len() == 2));
    }

    #[test]
    fn what_an_element_draws_is_nobody_elses_business() {
        let lost = |mut link: Link| -> Vec<bool> { burst(&mut link, 100).iter().map(Copies::is_empty).collect() };
        let alone = lost(link().with(Loss(0.2)));
        assert_eq!(alone, lost(link().with(plane::Plane::new(1)).with(Loss(0.2))), "nor other elements");
        let mut busy = link().with(Loss(0.2));
        let others = SocketAddr::new(FROM.ip(), 1024);
        let among_others: Vec<bool> = (0..1000)
            .map(|ms| {
                busy.pass(at(ms), others, TO, 100);
                busy.pass(at(ms), FROM, TO, 100).is_empty()
            })
            .collect();
        assert_eq!(alone, among_others, "nor unrelated traffic");
    }

    #[test]
    fn a_copy_goes_on_like_its_original() {
        let mut original = link().with(plane::Plane::new(1)).with(Loss(0.2)).with(Duplicate(0.2));
        burst(&mut original, 100);
        let mut copy = original.clone();
        assert_eq!(burst(&mut original, 100), burst(&mut copy, 100));
    }
}
