//! Coral: a sloppy hash table, and clusters of it by round-trip time.
//!
//! Rules (Freedman, Freudenthal and Mazieres, "Democratizing content publication with Coral", NSDI 2004; Freedman and
//! Mazieres, "Sloppy hashing and self-organizing clusters", IPTPS 2003):
//! - a client asks one node after the other itself. Each is about half as far from the key as the one before, by XOR,
//!   and not nearer: nobody who goes a long way jumps to the nodes beside the key;
//! - who shares a cluster has a table of its members. A node has the same id in every cluster that it is in, so that a lookup that
//!   ends in a narrow one goes on in the next wider one from the node that it has reached;
//! - of the clusters of one diameter a node joins the largest that is acceptable: whose round trips to it are, for four
//!   fifths of the members, within the diameter. Where none is it begins its own; it looks again from time to time.
//!
//! Left out: lost nodes, the finding of clusters (an oracle names them), and the splitting of such as have grown apart.

use super::ring::{Ring, point};
use super::{bep5, ring};
use crate::engine::id::Id;
use crate::engine::limits::K;

/// Share of the members of a cluster that must be within its diameter, in hundredths.
const ACCEPTABLE_PERCENT: usize = 80;
/// Times that all nodes look for a larger cluster.
const ROUNDS: usize = 6;

/// The hash table of one cluster: its members, and whom each of them knows of the others.
#[derive(Debug)]
pub struct Cluster {
    members: Vec<usize>,
    ring: Ring,
    tables: Vec<Vec<u32>>,
}

impl Cluster {
    /// The cluster of these nodes: numbers into `ids`.
    #[must_use]
    pub fn new(members: Vec<usize>, ids: &[Id], seed: u64) -> Self {
        let own: Vec<Id> = members.iter().map(|&node| ids[node]).collect();
        let ring = Ring::new(&own);
        let table = |node: usize| (0..u64::BITS).flat_map(|bits| bep5::bucket(&ring, node, bits, K, seed)).collect();
        let tables = (0..members.len()).map(table).collect();
        Self { members, ring, tables }
    }

    /// The member closest to `key`: where its pointers lie.
    ///
    /// # Panics
    /// If the cluster is empty.
    #[must_use]
    pub fn root(&self, key: Id) -> usize {
        let closest = (0..self.members.len()).min_by_key(|&place| self.ring.point(place) ^ point(key));
        self.members[closest.expect("a cluster has a member")]
    }

    /// Whether `node` is in it.
    #[must_use]
    pub fn contains(&self, node: usize) -> bool {
        self.members.contains(&node)
    }

    /// The member that each asks next for `key`, by node; `None` of the root and of those that are no members.
    #[must_use]
    pub fn next_hops(&self, n: usize, key: Id) -> Vec<Option<usize>> {
        let mut next = vec![None; n];
        for (place, &member) in self.members.iter().enumerate() {
            next[member] = self.next(place, point(key)).map(|place| self.members[place]);
        }
        next
    }

    /// The nodes that a lookup of `key` asks that has reached `node`, in order; the last is the root. None if it is that.
    ///
    /// # Panics
    /// If `node` is no member.
    #[must_use]
    pub fn path(&self, node: usize, key: Id) -> Vec<usize> {
        let start = self.members.iter().position(|&member| member == node).expect("a member");
        let next = |place: &usize| self.next(*place, ring::point(key));
        std::iter::successors(Some(start), next).skip(1).map(|place| self.members[place]).collect()
    }

    /// The member that is asked next: of those in the table the farthest that is at most half as far, or else the nearest
    /// that is nearer at all.
    fn next(&self, place: usize, key: u64) -> Option<usize> {
        let distance = |place: usize| self.ring.point(place) ^ key;
        let known = || self.tables[place].iter().map(|&other| other as usize);
        let own = distance(place);
        let half = known().filter(|&other| distance(other) <= own / 2).max_by_key(|&other| distance(other));
        half.or_else(|| known().filter(|&other| distance(other) < own).min_by_key(|&other| distance(other)))
    }
}

/// Which cluster of this diameter each of `n` nodes is in, where `round_trip_ms` says how far two of them are apart; the
/// clusters, each with its members.
#[must_use]
pub fn gather(n: usize, diameter_ms: f64, round_trip_ms: impl Fn(usize, usize) -> f64) -> Vec<Vec<usize>> {
    let mut clusters: Vec<Vec<usize>> = Vec::new();
    for node in (0..ROUNDS).flat_map(|_| 0..n) {
        clusters.iter_mut().for_each(|members| members.retain(|&member| member != node));
        clusters.retain(|members| !members.is_empty());
        let near =
            |members: &[usize]| members.iter().filter(|&&other| round_trip_ms(node, other) <= diameter_ms).count();
        let acceptable = |members: &&mut Vec<usize>| near(members) * 100 >= members.len() * ACCEPTABLE_PERCENT;
        match clusters.iter_mut().filter(acceptable).max_by_key(|members| members.len()) {
            Some(largest) => largest.push(node),
            None => clusters.push(vec![node]),
        }
    }
    clusters
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::random::Dice;

    #[test]
    fn a_lookup_halves_its_distance_and_ends_at_the_root() {
        let mut dice = Dice::new(1);
        let ids: Vec<Id> = (0..494).map(|_| dice.id()).collect();
        let all = Cluster::new((0..494).collect(), &ids, 1);
        let mut hops = 0;
        for _ in 0..200 {
            let (source, key) = (dice.below(494), dice.id());
            let (path, root) = (all.path(source, key), all.root(key));
            assert_eq!(path.last().copied().unwrap_or(source), root);
            assert!(path.is_sorted_by_key(|&node| std::cmp::Reverse(ids[node].distance(&key))));
            hops += path.len();
        }
        // Each hop is worth a bit and a half: log2 of 494 is 8.9.
        assert!((1_000..1_500).contains(&hops), "{hops}");
    }

    #[test]
    fn nodes_gather_with_those_that_are_near() {
        // Two towns of ten, 100 ms apart, and one node alone.
        let town = |node: usize| if node == 20 { 9 } else { node % 2 };
        let apart = |a: usize, b: usize| if town(a) == town(b) { 10.0 } else { 100.0 };
        let mut sizes: Vec<usize> = gather(21, 50.0, apart).iter().map(Vec::len).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 10, 10]);
        assert_eq!(gather(21, 100.0, apart).len(), 1);
    }
}
