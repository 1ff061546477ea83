//! Nodes in the order of their ids: the oracle from which baselines build their tables.
//!
//! Baselines use the first 64 bits of an id. Among a hundred thousand nodes two such numbers are equal with
//! probability 3e-10; the ring refuses them.

use std::ops::Range;

use crate::engine::id::Id;

/// Hexadecimal digits, as Pastry and Tapestry with b = 4 read an id.
pub const DIGIT_BITS: u32 = 4;

/// The first 64 bits of an id.
#[must_use]
pub fn point(id: Id) -> u64 {
    u64::from_be_bytes(id.0[..8].try_into().expect("8 of 20 bytes"))
}

/// The distance from `from` clockwise to `to`.
#[must_use]
pub const fn clockwise(from: u64, to: u64) -> u64 {
    to.wrapping_sub(from)
}

/// The distance between two points, the shorter way round.
#[must_use]
pub fn around(a: u64, b: u64) -> u64 {
    clockwise(a, b).min(clockwise(b, a))
}

/// The `index`-th digit of a point.
#[must_use]
pub const fn digit(point: u64, index: u32) -> u32 {
    (point >> (64 - DIGIT_BITS * (index + 1))) as u32 & 0xf
}

/// How many leading digits two points share.
#[must_use]
pub const fn shared_digits(a: u64, b: u64) -> u32 {
    (a ^ b).leading_zeros() / DIGIT_BITS
}

/// All nodes, sorted. A *place* is a position in that order; a *node* is the number that the lab gave it.
#[derive(Clone, Debug)]
pub struct Ring {
    sorted: Vec<(u64, usize)>,
    place_of: Vec<usize>,
}

impl Ring {
    /// The ring of these ids.
    ///
    /// # Panics
    /// If two ids share their first 64 bits.
    #[must_use]
    pub fn new(ids: &[Id]) -> Self {
        let mut sorted: Vec<(u64, usize)> = ids.iter().map(|id| point(*id)).zip(0..).collect();
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|pair| pair[0].0 != pair[1].0), "two ids share their first 64 bits");
        let mut place_of = vec![0; ids.len()];
        sorted.iter().enumerate().for_each(|(place, &(_, node))| place_of[node] = place);
        Self { sorted, place_of }
    }

    /// How many nodes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// Where a node stands in the order.
    #[must_use]
    pub fn place(&self, node: usize) -> usize {
        self.place_of[node]
    }

    /// The node at a place, counted round the ring.
    #[must_use]
    pub fn node(&self, place: usize) -> usize {
        self.sorted[place % self.len()].1
    }

    /// The point of a node.
    #[must_use]
    pub fn point(&self, node: usize) -> u64 {
        self.sorted[self.place(node)].0
    }

    /// The place of the first node at `point` or clockwise of it.
    #[must_use]
    pub fn successor(&self, point: u64) -> usize {
        self.sorted.partition_point(|&(other, _)| other < point) % self.len()
    }

    /// The places of the nodes whose points share their first `bits` bits with `point`.
    #[must_use]
    pub fn sharing(&self, point: u64, bits: u32) -> Range<usize> {
        if bits == 0 {
            return 0..self.len();
        }
        let mask = u64::MAX << (64 - bits.min(64));
        let (low, high) = (point & mask, point | !mask);
        let place = |bound: u64, after: bool| self.sorted.partition_point(|&(p, _)| p < bound || after && p == bound);
        place(low, false)..place(high, true)
    }

    /// The `count` nodes closest to `point` by the shorter way round, closest first.
    #[must_use]
    pub fn nearest(&self, point: u64, count: usize) -> Vec<usize> {
        let count = count.min(self.len());
        let (middle, len) = (self.successor(point), self.len());
        let around_it = (0..2 * count).map(|offset| self.node(middle + len * 2 - count + offset));
        let mut nodes: Vec<usize> = around_it.collect();
        nodes.sort_unstable_by_key(|&node| (around(self.point(node), point), node));
        nodes.dedup();
        nodes.truncate(count);
        nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::random::Dice;
    use proptest::prelude::*;

    fn ring(n: usize, seed: u64) -> (Ring, Vec<u64>) {
        let mut dice = Dice::new(seed);
        let ids: Vec<Id> = (0..n).map(|_| dice.id()).collect();
        (Ring::new(&ids), ids.into_iter().map(point).collect())
    }

    proptest! {
        #[test]
        fn a_ring_agrees_with_a_walk_over_all_nodes(n in 1usize..40, seed: u64, at: u64, bits in 0u32..=64, count in 1usize..9) {
            let (ring, points) = ring(n, seed);
            let first = (0..n).min_by_key(|&node| clockwise(at, points[node]));
            prop_assert_eq!(Some(ring.node(ring.successor(at))), first);
            let mut near: Vec<usize> = (0..n).collect();
            near.sort_by_key(|&node| (around(points[node], at), node));
            near.truncate(count);
            prop_assert_eq!(ring.nearest(at, count), near);
            let sharing = (0..n).filter(|&node| (points[node] ^ at).leading_zeros() >= bits).count();
            prop_assert_eq!(ring.sharing(at, bits).len(), sharing);
        }
    }

    #[test]
    fn digits_are_read_from_the_left() {
        assert_eq!((digit(0x1234_0000_0000_000f, 0), digit(0x1234_0000_0000_000f, 3)), (1, 4));
        assert_eq!(digit(0x1234_0000_0000_000f, 15), 15);
        assert_eq!(shared_digits(0x1234_0000_0000_0000, 0x1235_0000_0000_0000), 3);
    }
}
