//! How many hops should our node take? Its rules on paper, to hold the measurement against.
//!
//! The tables of the production node, drawn by an oracle: 128, 64, 32, 16 and then 8 random contacts per shared prefix
//! length, all of a range that has fewer. A lookup asks the closest that it knows and has not asked, learns the 8 of each
//! table that are closest to the target, and ends when the 8 closest have answered. The hops of the result are those of
//! the chain by which it was first heard of, which is what the node itself reports. No messages, no times, no cache.
//!
//! What it explains: the line of hops over log2 N is not straight. Half of all targets lie in the first bucket, whose 128
//! contacts bring a lookup within N / 256 nodes of the target: a network of 256 is known by heart, and every doubling up
//! to about a thousand adds what the first buckets do not yet hold. From there on a hop resolves the bits of a bucket of 8.
//!
//! What it does not explain: the node needs up to .3 hops more than this, and the gap grows with the network. The tables of
//! the model are full and nobody in it is slow.

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

/// The mean hops of lookups, each from a node to a target, among nodes with these ids.
#[must_use]
pub fn mean_hops(ids: &[Id], lookups: &[(usize, Id)], seed: u64) -> f64 {
    let network = Network { ring: Ring::new(ids), seed };
    mean(lookups.iter().map(|&(source, target)| f64::from(network.hops(source, point(target)))))
}

struct Network {
    ring: Ring,
    seed: u64,
}

/// A node of which a lookup has heard.
struct Heard {
    node: usize,
    hops: u32,
    asked: bool,
}

impl Network {
    fn hops(&self, source: usize, target: u64) -> u32 {
        let mut heard = BTreeMap::new();
        let learn = |nodes: Vec<usize>, hops: u32, heard: &mut BTreeMap<u64, Heard>| {
            for node in nodes.into_iter().filter(|&node| node != source) {
                heard.entry(self.ring.point(node) ^ target).or_insert(Heard { node, hops, asked: false });
            }
        };
        learn(self.table(source), 1, &mut heard);
        while let Some(next) = heard.values_mut().take(K).find(|heard| !heard.asked) {
            next.asked = true;
            let (node, hops) = (next.node, next.hops);
            learn(self.closest_known(node, target), hops + 1, &mut heard);
        }
        heard.first_key_value().map_or(0, |(_, closest)| closest.hops)
    }

    fn table(&self, node: usize) -> Vec<usize> {
        let bucket = |bits: u32| bep5::bucket(&self.ring, node, bits, width(bits), self.seed);
        (0..u64::BITS).flat_map(bucket).map(|node| node as usize).collect()
    }

    fn closest_known(&self, node: usize, target: u64) -> Vec<usize> {
        let mut known = self.table(node);
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
    fn a_small_network_is_known_by_heart_and_the_line_bends() {
        assert!((1.0..1.1).contains(&hops(200)), "{}", hops(200));
        assert!((1.65..1.9).contains(&hops(1_000)), "{}", hops(1_000));
        assert!((1.95..2.3).contains(&hops(4_000)), "{}", hops(4_000));
    }
}
