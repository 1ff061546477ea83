//! Tapestry.
//!
//! Rules (Zhao, Huang, Stribling, Rhea, Joseph, Kubiatowicz, JSAC 22(1), 2004, section III):
//! - ids are read as digits of 4 bits; a node keeps, per shared prefix and next digit, a primary neighbour and two
//!   backups (section III-B; the backups: technical report UCB/CSD-01-1141);
//! - a message resolves one digit per hop; where no node has the digit that is wanted, the next digit that a node
//!   has is taken instead, round once (figure 3, NEXTHOP: surrogate routing), which every node decides alike, so each
//!   key has one root;
//! - a backup is tried when a primary does not answer; a slot in which no node answers counts as a hole;
//! - an object is published to several roots, those of its salted names, and a reader tries one name after another (the
//!   same report).
//!
//! Left out: pointers along the path to a root, which are copies that the other systems are not given (the root's pointer
//! stands for the object); the choice of near neighbours, as distance plays no part here; joining by multicast, as tables
//! are built by an oracle. Salted names whose root is taken already are passed over, so that copies lie on different nodes.

use super::ring::{DIGIT_BITS, Ring, digit, point};
use crate::engine::id::Id;
use crate::lab::overlay::{Dead, Overlay, Reader, Walk};
use crate::sim::random::Dice;

const NEIGHBOURS_PER_SLOT: usize = 3;
const DIGITS: u32 = 64 / DIGIT_BITS;

/// A Tapestry network.
#[derive(Debug)]
pub struct Tapestry {
    ring: Ring,
    seed: u64,
}

impl Tapestry {
    /// The network of these nodes.
    #[must_use]
    pub fn new(ids: &[Id], seed: u64) -> Self {
        Self { ring: Ring::new(ids), seed }
    }

    /// The salted names of a key whose roots differ, as many as there are copies, with their roots.
    fn names(&self, key: Id, copies: usize) -> Vec<(u64, usize)> {
        let mut names: Vec<(u64, usize)> = Vec::new();
        for salt in 0.. {
            if names.len() == copies.min(self.ring.len()) {
                break;
            }
            let name = if salt == 0 { point(key) } else { Dice::keyed(point(key), &[salt]).bits() };
            let root = self.root(name);
            if names.iter().all(|&(_, other)| other != root) {
                names.push((name, root));
            }
        }
        names
    }

    /// The node at which the surrogate route for `name` ends, if everyone lives.
    fn root(&self, name: u64) -> usize {
        let mut prefix = 0;
        for row in 0..DIGITS {
            let shift = 64 - DIGIT_BITS * (row + 1);
            let filled = |column: u32| {
                let longer = prefix | u64::from(column) << shift;
                (!self.ring.sharing(longer, DIGIT_BITS * (row + 1)).is_empty()).then_some(longer)
            };
            prefix = columns_from(digit(name, row)).find_map(filled).expect("the node itself has the prefix so far");
            let left = self.ring.sharing(prefix, DIGIT_BITS * (row + 1));
            if left.len() == 1 {
                return self.ring.node(left.start);
            }
        }
        unreachable!("sixteen digits name one node")
    }

    /// Primary and backups of `node` for `column` in `row`; `node` itself where the column is its own digit.
    fn slot(&self, node: usize, row: u32, column: u32) -> Vec<usize> {
        let own = self.ring.point(node);
        if digit(own, row) == column {
            return vec![node];
        }
        let shift = 64 - DIGIT_BITS * (row + 1);
        let prefix = own & !(0xf << shift) | u64::from(column) << shift;
        let fitting = self.ring.sharing(prefix, DIGIT_BITS * (row + 1));
        let mut dice = Dice::keyed(self.seed, &[node as u64, u64::from(row), u64::from(column)]);
        let mut places: Vec<usize> = fitting.collect();
        dice.shuffle(&mut places);
        places.into_iter().take(NEIGHBOURS_PER_SLOT).map(|place| self.ring.node(place)).collect()
    }

    /// Follows the surrogate route from `source`: where it ends for this reader.
    fn route(&self, source: usize, name: u64, reader: &mut Reader<'_>) -> usize {
        let mut at = source;
        for row in 0..DIGITS {
            // The columns of a row are tried from the wanted digit on; one's own column is always filled.
            let next = columns_from(digit(name, row))
                .find_map(|column| self.slot(at, row, column).into_iter().find(|&node| node == at || reader.ask(node)));
            at = next.expect("one's own column is filled");
        }
        at
    }
}

/// The columns of a row, from the wanted one on, once round.
fn columns_from(wanted: u32) -> impl Iterator<Item = u32> {
    (0..1 << DIGIT_BITS).map(move |step| (wanted + step) % (1 << DIGIT_BITS))
}

impl Overlay for Tapestry {
    fn holders(&self, key: Id, copies: usize) -> Vec<usize> {
        self.names(key, copies).into_iter().map(|(_, root)| root).collect()
    }

    fn find(&self, source: usize, key: Id, copies: usize, dead: &Dead) -> Walk {
        let (names, mut reader) = (self.names(key, copies), Reader::new(dead));
        let own = names.iter().any(|&(_, root)| root == source);
        let found = own || names.into_iter().any(|(name, root)| self.route(source, name, &mut reader) == root);
        reader.done(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_routes_to_a_name_end_at_one_root() {
        let mut dice = Dice::new(1);
        let ids: Vec<Id> = (0..300).map(|_| dice.id()).collect();
        let tapestry = Tapestry::new(&ids, 1);
        let alive = Dead::none(ids.len());
        for _ in 0..100 {
            let name = dice.bits();
            for _ in 0..5 {
                let end = tapestry.route(dice.below(ids.len()), name, &mut Reader::new(&alive));
                assert_eq!(end, tapestry.root(name));
            }
        }
    }

    #[test]
    fn copies_lie_on_different_nodes() {
        let mut dice = Dice::new(1);
        let ids: Vec<Id> = (0..20).map(|_| dice.id()).collect();
        let mut holders = Tapestry::new(&ids, 1).holders(dice.id(), 5);
        holders.sort_unstable();
        holders.dedup();
        assert_eq!(holders.len(), 5);
    }
}
