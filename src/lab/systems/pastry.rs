//! Pastry with PAST's replicas.
//!
//! Rules (Rowstron and Druschel, Middleware 2001, section 2; PAST: SOSP 2001):
//! - ids are read as digits of b = 4 bits; a node keeps a routing table, one row per shared prefix and one entry per
//!   next digit, and a leaf set of the 8 closest nodes on either side (|L| = 16);
//! - a key within the leaf set goes to the numerically closest leaf; any other to the table entry that shares one
//!   more digit; if there is none, to any known node that shares as many digits and is numerically closer;
//! - an object lives on the nodes numerically closest to its key;
//! - a node that does not answer is passed over, and the same three rules choose among the rest.
//!
//! Tables are built by an oracle from all ids, a random fitting node per entry: proximity plays no part here.

use std::collections::BTreeSet;

use super::ring::{DIGIT_BITS, Ring, around, digit, point, shared_digits};
use crate::engine::id::Id;
use crate::lab::overlay::{Dead, Overlay, Walk};
use crate::sim::random::Dice;

const LEAVES_PER_SIDE: usize = 8;

/// A Pastry network.
#[derive(Debug)]
pub struct Pastry {
    ring: Ring,
    seed: u64,
}

impl Pastry {
    /// The network of these nodes.
    #[must_use]
    pub fn new(ids: &[Id], seed: u64) -> Self {
        Self { ring: Ring::new(ids), seed }
    }

    /// The leaf set of `node`, and `node` itself.
    fn leaves(&self, node: usize) -> impl Iterator<Item = usize> {
        let (n, place) = (self.ring.len(), self.ring.place(node));
        let side = LEAVES_PER_SIDE.min((n - 1) / 2);
        (0..=2 * side).map(move |offset| self.ring.node(place + n + offset - side))
    }

    /// The entry of `node`'s table in `row` for `column`: a random node with that prefix, the same each time.
    fn entry(&self, node: usize, row: u32, column: u32) -> Option<usize> {
        let own = self.ring.point(node);
        let shift = 64 - DIGIT_BITS * (row + 1);
        let prefix = own & !(0xf << shift) | u64::from(column) << shift;
        let fitting = self.ring.sharing(prefix, DIGIT_BITS * (row + 1));
        let draw = Dice::keyed(self.seed, &[node as u64, u64::from(row), u64::from(column)]).below(fitting.len());
        fitting.clone().nth(draw).map(|place| self.ring.node(place))
    }

    /// Whether `key` lies between the outermost leaves of `node`.
    fn in_leaf_range(&self, node: usize, key: u64) -> bool {
        let reach = |leaf: usize| around(self.ring.point(leaf), self.ring.point(node));
        let own = self.ring.point(node);
        let side = |ahead: bool| {
            self.leaves(node).filter(move |&leaf| (self.ring.point(leaf).wrapping_sub(own) < 1 << 63) == ahead)
        };
        let ahead = key.wrapping_sub(own) < 1 << 63;
        side(ahead).map(reach).max().is_some_and(|farthest| around(key, own) <= farthest)
    }

    /// Whom `node` proposes for `key`, best first.
    fn proposals(&self, node: usize, key: u64) -> Vec<usize> {
        let own = self.ring.point(node);
        let row = shared_digits(own, key);
        if row >= 64 / DIGIT_BITS {
            return Vec::new();
        }
        let closer = |&other: &usize| around(self.ring.point(other), key) < around(own, key);
        let mut rest: Vec<usize> = self.leaves(node).chain(self.row(node, row)).filter(closer).collect();
        rest.retain(|&other| self.in_leaf_range(node, key) || shared_digits(self.ring.point(other), key) >= row);
        rest.sort_unstable_by_key(|&other| around(self.ring.point(other), key));
        if !self.in_leaf_range(node, key)
            && let Some(entry) = self.entry(node, row, digit(key, row))
        {
            rest.insert(0, entry);
        }
        rest
    }

    /// The table of `node` in `row`: nodes that share `row` digits with each key that `node` shares them with.
    fn row(&self, node: usize, row: u32) -> impl Iterator<Item = usize> {
        (0..1 << DIGIT_BITS).filter_map(move |column| self.entry(node, row, column)).filter(move |&other| other != node)
    }
}

impl Overlay for Pastry {
    fn holders(&self, key: Id, copies: usize) -> Vec<usize> {
        self.ring.nearest(point(key), copies)
    }

    fn find(&self, source: usize, key: Id, copies: usize, dead: &Dead) -> Walk {
        let target = point(key);
        // Whom this lookup need not ask again: the silent, and those on the path.
        let (mut walk, mut at, mut spent) = (Walk::default(), source, BTreeSet::from([source]));
        let mut ask = |node: usize, walk: &mut Walk| spent.insert(node) && walk.ask(node, dead);
        while let Some(next) = self.proposals(at, target).into_iter().find(|&node| ask(node, &mut walk)) {
            at = next;
        }
        // The closest node that lives asks its leaves for the copies that it may lack itself.
        let holders = self.holders(key, copies);
        if holders.contains(&at) || holders.contains(&source) {
            walk.found = true;
            return walk;
        }
        let known: BTreeSet<usize> = self.leaves(at).collect();
        let left = holders.into_iter().filter(|holder| known.contains(holder) && !spent.contains(holder));
        walk.fetch(source, left, dead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_where_it_is_placed() {
        let mut dice = Dice::new(1);
        let ids: Vec<Id> = (0..500).map(|_| dice.id()).collect();
        let pastry = Pastry::new(&ids, 1);
        let nobody = Dead::nobody(ids.len());
        for _ in 0..500 {
            let walk = pastry.find(dice.below(ids.len()), dice.id(), 1, &nobody);
            // Less than ceil(log_16 500) hops "under normal conditions", and one more in the rare case.
            assert!(walk.found && walk.hops <= 4 && walk.timeouts == 0, "{walk:?}");
        }
    }
}
