//! Viceroy.
//!
//! Rules (Malkhi, Naor, Ratajczak, PODC 2002, section 3):
//! - nodes lie on a ring and each has a random level from 1 to log2 of the network's size;
//! - seven links: the neighbours on the ring, the neighbours on the ring of one's level, one link up, and two down:
//!   to the next node of the deeper level at about one's own place, and about 2^-level further round;
//! - a lookup climbs to level 1, descends by the link that does not overshoot the key, and then walks the rings;
//! - an object lives on the first node clockwise of its key, copies on the nodes after it.
//!
//! The paper has no rule for nodes that do not answer: a path through a dead node fails. Tables are built by an oracle.

use super::ring::{Ring, around, clockwise, point};
use crate::engine::id::Id;
use crate::lab::overlay::{Dead, Overlay, Walk};
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
        let deepest = ids.len().ilog2().max(1) as usize;
        let mut dice = Dice::keyed(seed, &[0x71ce]);
        let level_of: Vec<usize> = ids.iter().map(|_| dice.below(deepest)).collect();
        let mut levels = vec![Vec::new(); deepest];
        level_of.iter().zip(ids).zip(0..).for_each(|((&level, id), node)| levels[level].push((point(*id), node)));
        levels.iter_mut().for_each(|level| level.sort_unstable());
        Self { ring: Ring::new(ids), level_of, levels }
    }

    /// The first node of a level at `from` or clockwise of it.
    fn on_level(&self, level: usize, from: u64) -> Option<usize> {
        let ring = self.levels.get(level).filter(|ring| !ring.is_empty())?;
        Some(ring[ring.partition_point(|&(point, _)| point < from) % ring.len()].1)
    }

    fn up(&self, node: usize) -> Option<usize> {
        self.on_level(self.level_of[node].checked_sub(1)?, self.ring.point(node))
    }

    /// The way down towards `key`: near, or further round by 2^-level of the ring.
    fn down(&self, node: usize, key: u64) -> Option<usize> {
        let (own, level) = (self.ring.point(node), self.level_of[node]);
        let stride = 1u64 << (63 - level.min(62));
        let from = if clockwise(own, key) < stride { own } else { own.wrapping_add(stride) };
        let next = self.on_level(level + 1, from)?;
        // The descent ends where a link would overshoot the key.
        (clockwise(own, self.ring.point(next)) <= clockwise(own, key)).then_some(next)
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
    fn route(&self, source: usize, key: u64, dead: &Dead, walk: &mut Walk) -> Option<usize> {
        let mut at = source;
        while let Some(next) = self.up(at) {
            at = walk.ask(next, dead).then_some(next)?;
        }
        while let Some(next) = self.down(at, key) {
            at = walk.ask(next, dead).then_some(next)?;
        }
        while let Some(next) = self.sideways(at, key) {
            at = walk.ask(next, dead).then_some(next)?;
        }
        Some(at)
    }
}

impl Overlay for Viceroy {
    fn holders(&self, key: Id, copies: usize) -> Vec<usize> {
        let first = self.ring.successor(point(key));
        (first..first + copies.min(self.ring.len())).map(|place| self.ring.node(place)).collect()
    }

    fn find(&self, source: usize, key: Id, copies: usize, dead: &Dead) -> Walk {
        let mut walk = Walk::default();
        let holders = self.holders(key, copies);
        if holders.contains(&source) {
            walk.found = true;
            return walk;
        }
        let Some(mut at) = self.route(source, point(key), dead, &mut walk) else { return walk };
        // The node closest to the key is its owner or the one before; copies are reached over the ring, one by one.
        for _ in 0..=copies {
            if holders.contains(&at) {
                walk.found = true;
                break;
            }
            at = self.ring.node(self.ring.place(at) + 1);
            if !walk.ask(at, dead) {
                break;
            }
        }
        walk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups_reach_the_owner_in_a_logarithmic_number_of_hops() {
        let mut dice = Dice::new(1);
        let ids: Vec<Id> = (0..1024).map(|_| dice.id()).collect();
        let viceroy = Viceroy::new(&ids, 1);
        let nobody = Dead::nobody(ids.len());
        let walks: Vec<Walk> = (0..1000).map(|_| viceroy.find(dice.below(ids.len()), dice.id(), 1, &nobody)).collect();
        assert!(walks.iter().all(|walk| walk.found));
        let mean = walks.iter().map(|walk| f64::from(walk.hops)).sum::<f64>() / 1000.0;
        assert!((10.0..40.0).contains(&mean), "{mean}: one to four times log2 N");
    }
}
