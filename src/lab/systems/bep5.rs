//! The textbook reading of BEP 5.
//!
//! Rules (BEP 5, "Overview" and "Routing Table"; Maymounkov and Mazieres, Kademlia, IPTPS 2002):
//! - a bucket holds 8 nodes; a full one splits if one's own id lies in it, no other does, so that there are 8 for each
//!   number of leading bits shared with one's own id, and all nodes where fewer share that number (BEP 5, "Routing Table");
//! - a lookup starts from the 8 table entries closest to the target (BEP 5, "find_node"), asks the closest 3 that it has
//!   not asked, and adds the 8 nodes of each reply; who is silent is taken off the list (Kademlia, section 2.3: alpha);
//! - it stops at the first value, or when the 8 closest that it knows have all answered; it does not go back to the rest of
//!   its table when those are spent;
//! - a value lies on the 8 nodes closest to its key (Kademlia, 2.3: STORE on the k closest).
//!
//! Left out: what keeps a table good (15 minutes to "questionable", pings before a replacement, refreshed buckets), since
//! no table is repaired here, tokens, and Kademlia's copies on the path. BEP 5 names no alpha and no end of a lookup but
//! "cannot find any closer"; both are Kademlia's. Tables are built by an oracle: each bucket holds 8 random nodes of its
//! range, or all if there are fewer.

use std::collections::BTreeSet;

use super::ring::{Ring, point};
use crate::engine::id::Id;
use crate::lab::overlay::{Dead, Overlay, Reader, Walk};
use crate::sim::random::Dice;

const K: usize = 8;
const ALPHA: usize = 3;

/// A network of textbook nodes.
#[derive(Debug)]
pub struct Bep5 {
    ring: Ring,
    tables: Vec<Vec<u32>>,
}

impl Bep5 {
    /// The network of these nodes.
    #[must_use]
    pub fn new(ids: &[Id], seed: u64) -> Self {
        let ring = Ring::new(ids);
        let table = |node: usize| (0..64).flat_map(|bits| bucket(&ring, node, bits, K, seed)).collect();
        let tables = (0..ids.len()).map(table).collect();
        Self { ring, tables }
    }

    /// Whom `source` asks for `key` while all live, round after round, if it goes on until the 8 closest have answered.
    #[must_use]
    pub fn rounds(&self, source: usize, key: Id) -> Vec<Vec<usize>> {
        let (mut rounds, mut list) = (Vec::new(), Shortlist { target: point(key), known: Vec::new() });
        self.closest_known(source, list.target).into_iter().for_each(|node| list.add(&self.ring, node));
        loop {
            let round = list.next_round();
            if round.is_empty() {
                return rounds;
            }
            for &node in &round {
                let named = self.closest_known(node, list.target);
                named.into_iter().filter(|&node| node != source).for_each(|node| list.add(&self.ring, node));
            }
            rounds.push(round);
        }
    }

    /// The 8 entries of `node`'s table closest to a point, closest first.
    fn closest_known(&self, node: usize, target: u64) -> Vec<usize> {
        let mut known: Vec<usize> = self.tables[node].iter().map(|&other| other as usize).collect();
        let distance = |node: &usize| self.ring.point(*node) ^ target;
        if known.len() > K {
            known.select_nth_unstable_by_key(K, distance);
            known.truncate(K);
        }
        known.sort_unstable_by_key(distance);
        known
    }
}

/// Up to `width` random nodes that share exactly `bits` bits with `node`.
pub(in crate::lab) fn bucket(ring: &Ring, node: usize, bits: u32, width: usize, seed: u64) -> Vec<u32> {
    let range = ring.sharing(ring.point(node) ^ 1 << (63 - bits), bits + 1);
    let mut dice = Dice::keyed(seed, &[node as u64, u64::from(bits)]);
    let mut places = BTreeSet::new();
    while places.len() < width.min(range.len()) {
        places.insert(if range.len() <= width {
            range.start + places.len()
        } else {
            range.start + dice.below(range.len())
        });
    }
    places.into_iter().map(|place| ring.node(place) as u32).collect()
}

/// One lookup under way: whom it knows, sorted by distance.
struct Shortlist {
    target: u64,
    /// Distance, node, and whether it was asked.
    known: Vec<(u64, usize, bool)>,
}

impl Shortlist {
    fn add(&mut self, ring: &Ring, node: usize) {
        let distance = ring.point(node) ^ self.target;
        if let Err(at) = self.known.binary_search_by_key(&distance, |entry| entry.0) {
            self.known.insert(at, (distance, node, false));
        }
    }

    /// The closest of the first 8 that were not asked yet, at most 3, marked as asked.
    fn next_round(&mut self) -> Vec<usize> {
        let fresh = self.known.iter_mut().take(K).filter(|entry| !entry.2).take(ALPHA);
        fresh.map(|entry| (entry.2 = true, entry.1).1).collect()
    }

    fn drop_silent(&mut self, node: usize) {
        self.known.retain(|entry| entry.1 != node);
    }
}

impl Overlay for Bep5 {
    fn holders(&self, key: Id, copies: usize) -> Vec<usize> {
        // The XOR-closest lie within the shortest prefix of the key that enough nodes share.
        let target = point(key);
        let bits = (0..64).rev().find(|&bits| self.ring.sharing(target, bits).len() >= copies).unwrap_or(0);
        let mut near: Vec<usize> = self.ring.sharing(target, bits).map(|place| self.ring.node(place)).collect();
        near.sort_unstable_by_key(|&node| self.ring.point(node) ^ target);
        near.truncate(copies);
        near
    }

    fn find(&self, source: usize, key: Id, copies: usize, dead: &Dead) -> Walk {
        let (holders, mut reader) = (self.holders(key, copies), Reader::new(dead));
        let mut found = holders.contains(&source);
        let mut list = Shortlist { target: point(key), known: Vec::new() };
        self.closest_known(source, list.target).into_iter().for_each(|node| list.add(&self.ring, node));
        while !found {
            let round = list.next_round();
            if round.is_empty() {
                break;
            }
            for node in round {
                if !reader.ask(node) {
                    list.drop_silent(node);
                    continue;
                }
                found |= holders.contains(&node);
                let fresh = |&node: &usize| node != source && !reader.knows_silent(node);
                let named = self.closest_known(node, list.target);
                named.into_iter().filter(fresh).for_each(|node| list.add(&self.ring, node));
            }
        }
        reader.done(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_while_all_live() {
        let mut dice = Dice::new(1);
        let ids: Vec<Id> = (0..1000).map(|_| dice.id()).collect();
        let bep5 = Bep5::new(&ids, 1);
        let alive = Dead::none(ids.len());
        for _ in 0..500 {
            let key = dice.id();
            let mut by_distance: Vec<usize> = (0..ids.len()).collect();
            by_distance.sort_by(|&a, &b| key.closer(&ids[a], &ids[b]));
            assert_eq!(bep5.holders(key, 8), by_distance[..8]);
            assert!(bep5.find(dice.below(ids.len()), key, 8, &alive).found);
        }
    }
}
