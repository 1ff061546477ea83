//! Viceroy.
//!
//! Rules (Malkhi, Naor, Ratajczak, PODC 2002):
//! - nodes lie on a ring. Each guesses the size of the network from the gap to its successor, n0 = 1 / gap, and draws its
//!   level from 1 to log2 n0 ("select level");
//! - seven links: the neighbours on the ring, the neighbours on the ring of one's level, one link up to the first node of
//!   the level above clockwise of one's own place, and two down to the first of the level below: clockwise of one's own
//!   place, and of the place 2^-level further round;
//! - a lookup climbs to level 1; it descends, by the far link if the key is 2^-level away or more and by the near one
//!   otherwise, until there is no such link or it stands behind the key; then it walks the ring and the ring of its level,
//!   whichever comes closer, in either direction (the third phase of section 7);
//! - an object lives on the first node clockwise of its key.
//!
//! Where no node has the level above, the link up goes to the next one that a node has: guesses of the size leave gaps in
//! the deep levels, and the paper does not say what then. Section 7 fixes the order of steps on the two rings; here the
//! closest of the four neighbours is taken.
//!
//! The paper assumes that servers never fail and has no rule for nodes that do not answer: a path through a dead node fails.
//! It has no copies either; here they lie on the nodes after the owner. Left out: joining, as tables are built by an
//! oracle, and the buckets that even out the links that lead to a node.

use super::ring::{Ring, around, clockwise, point};
use crate::engine::id::Id;
use crate::lab::overlay::{Dead, Overlay, Reader, Walk};
use crate::sim::random::Dice;

/// A Viceroy network.
#[derive(Debug)]
pub struct Viceroy {
    ring: Ring,
    level_of: Vec<usize>,
    /// The nodes of each level; a place in it is a place on the ring of that level. Level 1 is the first.
    levels: Vec<LevelRing>,
}

/// The ring of one level, as sorted points and their nodes.
type LevelRing = Vec<(u64, usize)>;

impl Viceroy {
    /// The network of these nodes.
    #[must_use]
    pub fn new(ids: &[Id], seed: u64) -> Self {
        let (ring, mut dice) = (Ring::new(ids), Dice::keyed(seed, &[0x71ce]));
        let level_of: Vec<usize> = (0..ids.len()).map(|node| dice.below(guessed_depth(&ring, node))).collect();
        let mut levels = vec![Vec::new(); u64::BITS as usize];
        level_of.iter().zip(ids).zip(0..).for_each(|((&level, id), node)| levels[level].push((point(*id), node)));
        levels.iter_mut().for_each(|level| level.sort_unstable());
        Self { ring, level_of, levels }
    }

    /// The first node of a level at `from` or clockwise of it.
    fn on_level(&self, level: usize, from: u64) -> Option<usize> {
        let ring = self.levels.get(level).filter(|ring| !ring.is_empty())?;
        Some(ring[ring.partition_point(|&(point, _)| point < from) % ring.len()].1)
    }

    fn up(&self, node: usize) -> Option<usize> {
        let above = (0..self.level_of[node]).rev();
        above.filter_map(|level| self.on_level(level, self.ring.point(node))).next()
    }

    /// The way down towards `key`: near, or further round by 2^-level of the ring. The first level is 1, and here 0.
    fn down(&self, node: usize, key: u64) -> Option<usize> {
        let (own, level) = (self.ring.point(node), self.level_of[node]);
        let stride = 1u64 << (63 - level.min(63));
        let from = if clockwise(own, key) < stride { own } else { own.wrapping_add(stride) };
        self.on_level(level + 1, from)
    }

    /// The link on the two rings that comes closest to `key`, if one comes closer.
    fn sideways(&self, node: usize, key: u64) -> Option<usize> {
        let (own, place, n) = (self.ring.point(node), self.ring.place(node), self.ring.len());
        let level = &self.levels[self.level_of[node]];
        let on_level = level.partition_point(|&(point, _)| point < own);
        let neighbours = [
            self.ring.node(place + 1),
            self.ring.node(place + n - 1),
            level[(on_level + 1) % level.len()].1,
            level[(on_level + level.len() - 1) % level.len()].1,
        ];
        let distance = |node: usize| around(self.ring.point(node), key);
        neighbours.into_iter().filter(|&next| distance(next) < distance(node)).min_by_key(|&next| distance(next))
    }

    /// The node next to the key where the lookup ends; `None` if a node on the path is dead.
    fn route(&self, source: usize, key: u64, reader: &mut Reader<'_>) -> Option<usize> {
        let mut at = source;
        while let Some(next) = self.up(at) {
            at = reader.ask(next).then_some(next)?;
        }
        while let Some(next) = self.down(at, key) {
            let passes = clockwise(self.ring.point(next), key) > clockwise(self.ring.point(at), key);
            at = reader.ask(next).then_some(next)?;
            if passes {
                break;
            }
        }
        while let Some(next) = self.sideways(at, key) {
            at = reader.ask(next).then_some(next)?;
        }
        Some(at)
    }
}

/// The levels among which `node` draws its own: log2 of the size of the network by the gap to its successor.
fn guessed_depth(ring: &Ring, node: usize) -> usize {
    let next = ring.node(ring.place(node) + 1);
    let gap = clockwise(ring.point(node), ring.point(next));
    // A gap of 2^64 / n0 begins with log2 n0 zeros; a node alone on the ring has none and one level.
    if gap == 0 { 1 } else { gap.leading_zeros().max(1) as usize }
}

impl Overlay for Viceroy {
    fn holders(&self, key: Id, copies: usize) -> Vec<usize> {
        let first = self.ring.successor(point(key));
        (first..first + copies.min(self.ring.len())).map(|place| self.ring.node(place)).collect()
    }

    fn find(&self, source: usize, key: Id, copies: usize, dead: &Dead) -> Walk {
        let (holders, mut reader) = (self.holders(key, copies), Reader::new(dead));
        if holders.contains(&source) {
            return reader.done(true);
        }
        // The node closest to the key is its owner or the one before; copies are reached over the ring, one by one.
        let mut at = self.route(source, point(key), &mut reader);
        for _ in 0..=copies {
            let Some(here) = at.filter(|here| !holders.contains(here)) else { break };
            let next = self.ring.node(self.ring.place(here) + 1);
            at = reader.ask(next).then_some(next);
        }
        reader.done(at.is_some_and(|here| holders.contains(&here)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::statistics::{mean, quantile};

    fn viceroy(n: usize) -> (Viceroy, Dice) {
        let mut dice = Dice::new(1);
        let ids: Vec<Id> = (0..n).map(|_| dice.id()).collect();
        (Viceroy::new(&ids, 1), dice)
    }

    #[test]
    fn lookups_reach_the_owner_in_a_logarithmic_number_of_hops() {
        let (viceroy, mut dice) = viceroy(1024);
        let alive = Dead::none(1024);
        let walks: Vec<Walk> = (0..1000).map(|_| viceroy.find(dice.below(1024), dice.id(), 1, &alive)).collect();
        assert!(walks.iter().all(|walk| walk.found));
        let hops: Vec<f64> = walks.iter().map(|walk| f64::from(walk.hops)).collect();
        let (mean, most) = (mean(hops.iter().copied()), quantile(&hops, 0.99));
        assert!((10.0..20.0).contains(&mean), "{mean}: one to two times log2 N");
        assert!(most <= 30.0, "{most}: hardly any lookup walks far along a ring");
    }

    #[test]
    fn levels_are_drawn_by_the_gap_to_the_successor() {
        let (viceroy, _) = viceroy(1024);
        let deepest = |node: usize| guessed_depth(&viceroy.ring, node);
        assert!((0..1024).all(|node| viceroy.level_of[node] < deepest(node)));
        // Guesses lie around log2 N, and differ.
        let guesses: Vec<f64> = (0..1024).map(|node| deepest(node) as f64).collect();
        assert!((9.5..11.5).contains(&mean(guesses.iter().copied())));
        assert!(quantile(&guesses, 0.01) < 9.0 && quantile(&guesses, 0.99) > 13.0);
        let drawn = mean(viceroy.level_of.iter().map(|&level| level as f64 + 1.0));
        assert!((5.0..7.0).contains(&drawn), "{drawn}: about half of that");
    }

    #[test]
    fn a_lookup_climbs_over_a_level_that_nobody_has() {
        let (mut viceroy, mut dice) = viceroy(256);
        let emptied = std::mem::take(&mut viceroy.levels[2]);
        for (point, node) in emptied {
            viceroy.level_of[node] = 3;
            viceroy.levels[3].push((point, node));
        }
        viceroy.levels[3].sort_unstable();
        let alive = Dead::none(256);
        assert!((0..256).all(|source| viceroy.find(source, dice.id(), 1, &alive).found));
    }
}
