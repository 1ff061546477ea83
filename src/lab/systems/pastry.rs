//! Pastry with PAST's replicas.
//!
//! Rules (Rowstron and Druschel, Middleware 2001, section 2; PAST: the same, SOSP 2001):
//! - ids are read as digits of b = 4 bits; a node keeps a routing table R, one row per shared prefix and one entry per
//!   next digit, a leaf set L of the 8 closest nodes on either side (|L| = 16), and a neighbourhood set M of 32 nodes
//!   ("Pastry node state");
//! - a key within the leaf set goes to the numerically closest leaf; any other to the table entry that shares one
//!   more digit; where there is none or it does not answer, to a node of L, R or M that shares as many digits with the
//!   key and is numerically closer, here the closest such ("Routing", the procedure and its "rare case");
//! - a leaf that does not answer is passed over for the next closest ("Node departure": leaves watch each other);
//! - an object lives on the nodes numerically closest to its key, and the first of them on the way answers (PAST).
//!
//! Left out: proximity. An entry of the table is a random node of those that fit, and M, the nearest nodes in the network,
//! is 32 random ones. Joining and repair, as tables are built by an oracle and not repaired; the random choice among
//! several next hops, against nodes that lie; PAST's caches and diverted replicas.

use super::ring::{DIGIT_BITS, Ring, around, digit, point, shared_digits};
use crate::engine::id::Id;
use crate::lab::overlay::{Dead, Overlay, Reader, Walk};
use crate::sim::random::Dice;

const LEAVES_PER_SIDE: usize = 8;
const NEIGHBOURS: usize = 32;
/// Names the draws of the neighbourhood set beside those of table entries, which have a row.
const NEIGHBOURHOOD: u64 = u64::MAX;

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

    /// The table of `node` from `row` on: those who share as many digits with each key with which `node` shares `row`.
    fn table_from(&self, node: usize, row: u32) -> impl Iterator<Item = usize> {
        let own = self.ring.point(node);
        let filled = move |row: &u32| self.ring.sharing(own, DIGIT_BITS * row).len() > 1;
        let entries = move |row| (0..1 << DIGIT_BITS).filter_map(move |column| self.entry(node, row, column));
        (row..64 / DIGIT_BITS).take_while(filled).flat_map(entries)
    }

    /// The neighbourhood set of `node`: the same nodes each time.
    fn neighbourhood(&self, node: usize) -> impl Iterator<Item = usize> {
        let mut dice = Dice::keyed(self.seed, &[node as u64, NEIGHBOURHOOD]);
        (0..NEIGHBOURS).map(move |_| self.ring.node(dice.below(self.ring.len())))
    }

    /// Those among `nodes` that are numerically closer to `key` than `node` is, closest first.
    fn closer(&self, node: usize, key: u64, nodes: impl Iterator<Item = usize>) -> Vec<usize> {
        let distance = |node: usize| around(self.ring.point(node), key);
        let mut closer: Vec<usize> = nodes.filter(|&other| distance(other) < distance(node)).collect();
        closer.sort_unstable_by_key(|&other| (distance(other), other));
        closer.dedup();
        closer
    }

    /// To whom the message for `key` goes from `node`: the routing procedure, line by line.
    fn next(&self, node: usize, key: u64, reader: &mut Reader<'_>) -> Option<usize> {
        if self.in_leaf_range(node, key) {
            return reader.ask_each(self.closer(node, key, self.leaves(node)));
        }
        let shared = shared_digits(self.ring.point(node), key);
        reader.ask_each(self.entry(node, shared, digit(key, shared))).or_else(|| {
            let all = self.leaves(node).chain(self.table_from(node, shared)).chain(self.neighbourhood(node));
            let sharing = all.filter(|&other| shared_digits(self.ring.point(other), key) >= shared);
            reader.ask_each(self.closer(node, key, sharing))
        })
    }
}

impl Overlay for Pastry {
    fn holders(&self, key: Id, copies: usize) -> Vec<usize> {
        self.ring.nearest(point(key), copies)
    }

    fn find(&self, source: usize, key: Id, copies: usize, dead: &Dead) -> Walk {
        let (holders, mut reader, mut at) = (self.holders(key, copies), Reader::new(dead), source);
        while !holders.contains(&at) {
            match self.next(at, point(key), &mut reader) {
                Some(next) => at = next,
                None => break,
            }
        }
        reader.done(holders.contains(&at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pastry(n: usize) -> (Pastry, Dice) {
        let mut dice = Dice::new(1);
        let ids: Vec<Id> = (0..n).map(|_| dice.id()).collect();
        (Pastry::new(&ids, 1), dice)
    }

    #[test]
    fn every_key_is_found_where_it_is_placed() {
        let (pastry, mut dice) = pastry(500);
        let alive = Dead::none(500);
        for _ in 0..500 {
            let walk = pastry.find(dice.below(500), dice.id(), 1, &alive);
            // Less than ceil(log_16 500) hops "under normal conditions", and one more in the rare case.
            assert!(walk.found && walk.hops <= 4 && walk.timeouts == 0, "{walk:?}");
        }
    }

    #[test]
    fn in_the_rare_case_the_message_goes_to_anyone_known_who_is_closer_and_shares_as_much() {
        let (pastry, mut dice) = pastry(2_000);
        let mut deeper = 0;
        for _ in 0..2_000 {
            let (node, key) = (dice.below(2_000), dice.bits());
            let shared = shared_digits(pastry.ring.point(node), key);
            let Some(entry) = pastry.entry(node, shared, digit(key, shared)) else { continue };
            if pastry.in_leaf_range(node, key) {
                continue;
            }
            let dead = Dead::these(2_000, &[entry]);
            let next = pastry.next(node, key, &mut Reader::new(&dead));
            let distance = |node: usize| around(pastry.ring.point(node), key);
            let shares = |node: usize| shared_digits(pastry.ring.point(node), key) >= shared;
            let rows = (shared..16).flat_map(|row| (0..16).map(move |column| (row, column)));
            let table = rows.filter_map(|(row, column)| pastry.entry(node, row, column));
            let known = table.chain(pastry.leaves(node)).chain(pastry.neighbourhood(node));
            let best = known.filter(|&other| other != entry && shares(other) && distance(other) < distance(node));
            assert_eq!(next, best.min_by_key(|&other| distance(other)));
            let in_row = (0..16).any(|column| pastry.entry(node, shared, column) == next);
            deeper += usize::from(next.is_some_and(|next| !in_row && !pastry.leaves(node).any(|leaf| leaf == next)));
        }
        assert!(deeper > 20, "{deeper} messages went to the deeper rows or the neighbourhood set");
    }

    #[test]
    fn the_first_holder_on_the_way_answers() {
        let (pastry, mut dice) = pastry(500);
        let alive = Dead::none(500);
        let hops = |copies: usize, dice: &mut Dice| -> u32 {
            (0..500).map(|_| pastry.find(dice.below(500), dice.id(), copies, &alive).hops).sum()
        };
        let (alone, many) = (hops(1, &mut dice), hops(8, &mut dice));
        assert!(
            f64::from(many) < 0.9 * f64::from(alone),
            "{many} hops to one of eight copies, {alone} to the only one"
        );
    }
}
