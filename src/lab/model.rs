//! How many hops should our node take? Its rules on paper, to hold the measurement against.
//!
//! A lookup asks the closest that it knows and has not asked, one at a time, learns the 8 of each table that are closest to
//! the target, and ends when the 8 closest have answered. The hops of the result are those of the chain by which it was
//! first heard of, which is what the node itself reports. No messages, no times, no cache. It runs over two kinds of tables:
//!
//! * *full* ones, drawn by an oracle: 128, 64, 32, 16 and then 8 random contacts per shared prefix length, all of a range
//!   that has fewer;
//! * those that real nodes hold. What these add is the tables' doing, and what the node adds to that comes of asking
//!   several at once, where the fastest chain is heard of first and not the shortest.
//!
//! The line of hops over log2 N is not straight. The closest of w random contacts in a bucket lies H(w) / ln 2 bits into
//! it (H: the harmonic number): 7.8 bits for 128 contacts, 3.9 for 8, beside the bit that tells the bucket from our own
//! side. A first hop therefore brings any target 8.8 bits closer, and a network of 256 is known by heart; every doubling
//! up to about a thousand adds what the first buckets do not hold. From there on a hop resolves some 4.4 bits: the 3.9,
//! and the half bit that is left of the other because the distance fell somewhere inside its power of two. That is
//! .226 hops a doubling.

use std::collections::BTreeMap;

use super::statistics::mean;
use super::systems::bep5;
use super::systems::ring::{Ring, point};
use crate::engine::id::Id;
use crate::engine::limits::{FIRST_BUCKETS, K};

/// Contacts per shared prefix length.
const fn width(shared_bits: u32) -> usize {
    if (shared_bits as usize) < FIRST_BUCKETS.len() { FIRST_BUCKETS[shared_bits as usize] } else { K }
}

/// The mean hops of lookups, each from a node to a target, among nodes with these ids and full tables.
#[must_use]
pub fn mean_hops(ids: &[Id], lookups: &[(usize, Id)], seed: u64) -> f64 {
    let full = |ring: &Ring, node: usize| {
        let bucket = |bits: u32| bep5::bucket(ring, node, bits, width(bits), seed);
        (0..u64::BITS).flat_map(bucket).map(|node| node as usize).collect()
    };
    Model { ring: Ring::new(ids), table: &full }.mean_hops(lookups)
}

/// The same where each node knows the nodes that `tables` says it knows.
#[must_use]
pub fn mean_hops_over(tables: &[Vec<usize>], ids: &[Id], lookups: &[(usize, Id)]) -> f64 {
    Model { ring: Ring::new(ids), table: &|_, node| tables[node].clone() }.mean_hops(lookups)
}

struct Model<'a> {
    ring: Ring,
    table: &'a dyn Fn(&Ring, usize) -> Vec<usize>,
}

/// A node of which a lookup has heard.
struct Heard {
    node: usize,
    hops: u32,
    asked: bool,
}

impl Model<'_> {
    fn mean_hops(&self, lookups: &[(usize, Id)]) -> f64 {
        mean(lookups.iter().map(|&(source, target)| f64::from(self.hops(source, point(target)))))
    }

    fn hops(&self, source: usize, target: u64) -> u32 {
        let mut heard = BTreeMap::new();
        let learn = |nodes: Vec<usize>, hops: u32, heard: &mut BTreeMap<u64, Heard>| {
            for node in nodes.into_iter().filter(|&node| node != source) {
                heard.entry(self.ring.point(node) ^ target).or_insert(Heard { node, hops, asked: false });
            }
        };
        learn((self.table)(&self.ring, source), 1, &mut heard);
        while let Some(next) = heard.values_mut().take(K).find(|heard| !heard.asked) {
            next.asked = true;
            let (node, hops) = (next.node, next.hops);
            learn(self.closest_known(node, target), hops + 1, &mut heard);
        }
        heard.first_key_value().map_or(0, |(_, closest)| closest.hops)
    }

    fn closest_known(&self, node: usize, target: u64) -> Vec<usize> {
        let mut known = (self.table)(&self.ring, node);
        known.sort_unstable_by_key(|&other| self.ring.point(other) ^ target);
        known.truncate(K);
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::random::Dice;

    fn hops(n: usize) -> f64 {
        let mut dice = Dice::new(1);
        let ids: Vec<Id> = (0..n).map(|_| dice.id()).collect();
        let lookups: Vec<(usize, Id)> = (0..300).map(|_| (dice.below(n), dice.id())).collect();
        mean_hops(&ids, &lookups, 1)
    }

    #[test]
    fn hops_are_those_of_the_tables() {
        let ids: Vec<Id> = (0..4u8).map(|node| Id([node << 6; 20])).collect();
        // Each of four nodes in a row knows only the next.
        let chain = [vec![1], vec![2], vec![3], vec![]];
        assert_eq!(mean_hops_over(&chain, &ids, &[(0, ids[3])]), 3.0);
        assert_eq!(mean_hops_over(&chain, &ids, &[(0, ids[1]), (1, ids[3])]), 1.5);
        // A node that knows all needs one hop.
        assert_eq!(mean_hops_over(&vec![vec![0, 1, 2, 3]; 4], &ids, &[(0, ids[3])]), 1.0);
    }

    #[test]
    fn a_small_network_is_known_by_heart_and_the_line_bends() {
        assert!((1.0..1.1).contains(&hops(200)), "{}", hops(200));
        assert!((1.65..1.9).contains(&hops(1_000)), "{}", hops(1_000));
        assert!((1.95..2.3).contains(&hops(4_000)), "{}", hops(4_000));
    }
}
