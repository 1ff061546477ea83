//! The surroundings of a key: how near its closest nodes may lie, and where to look when they lie too near.
//!
//! Ids are uniform, so that the nodes near a key are a Poisson process: the k-th nearest of N lies at Gamma(k, 1) / N of the
//! key space. Nobody can put ids of his own between a key and the honest nodes without drawing the k-th nearest towards
//! it. Whoever wants to have all of the k nearest and stay beyond a threshold t / N needs that no honest node lies within it:
//! a probability of exp(-t), whatever ids he has and however many.
//!
//! | k | alarm: t | honest keys below it | keys of which the k nearest can be had above it | suspicion: t | honest keys below it |
//! |---|---|---|---|---|---|
//! | 8 | 1.71 | 1 in 2,500 | 18 % | 3.31 | 1 in 50 |
//! | 12 | 3.63 | 1 in 2,500 | 2.7 % | 6.00 | 1 in 50 |
//! | 16 | 5.86 | 1 in 2,500 | .29 % | 8.89 | 1 in 50 |
//! | 20 | 8.30 | 1 in 2,500 | .025 % | 11.92 | 1 in 50 |
//!
//! One in a thousand honest keys is below one of the four and gives a false alarm, which costs messages and nothing else.
//!
//! What to do under alarm: the [`Region`] of the key holds 16 honest nodes and more, wherever an attacker has put his own.

use crate::engine::id::Id;
use crate::engine::limits::CELLS;

/// Ranks of which the distance is judged, and below which distance, in units of 1 / N, each gives alarm or suspicion.
const THRESHOLDS: [(usize, f64, f64); 4] = [(8, 1.71, 3.31), (12, 3.63, 6.00), (16, 5.86, 8.89), (20, 8.30, 11.92)];

/// Fewest nodes that a region is expected to hold; at most twice as many.
pub(super) const REGION_NODES: f64 = 16.0;

/// How near the closest nodes of a key are, beside how near they should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Crowding {
    /// As near as honest nodes are, or it is not known how near that is.
    #[default]
    Calm,
    /// Nearer than in 49 of 50 cases.
    Suspicion,
    /// Nearer than honest nodes ever are, but for one key in a thousand.
    Alarm,
}

impl Crowding {
    /// Judges the distances of the closest nodes of a key, as shares of the key space in ascending order, in a network of
    /// this size.
    #[must_use]
    pub fn of(distances: &[f64], network_size: f64) -> Self {
        let verdict = |&(rank, alarm, suspicion): &(usize, f64, f64)| match distances.get(rank - 1) {
            Some(distance) if distance * network_size < alarm => Self::Alarm,
            Some(distance) if distance * network_size < suspicion => Self::Suspicion,
            _ => Self::Calm,
        };
        THRESHOLDS.iter().map(verdict).max().unwrap_or_default()
    }
}

/// Bits that tell one eighth from another.
const EIGHTH_BITS: usize = 3;

/// The part of the key space around a key that is expected to hold [`REGION_NODES`] nodes and more, in [`CELLS`] that are
/// searched one by one: seven eighths of it, and the half of the last eighth in which the key is not. Around the key itself is a sixteenth that belongs to no cell: the lookup has searched it, and there attackers
/// crowd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    key: Id,
    /// Leading bits that all of its ids share with the key.
    depth: usize,
}

impl Region {
    pub(super) fn around(key: Id, network_size: f64) -> Self {
        let halvings = (network_size / REGION_NODES).max(1.0) as u64;
        Self { key, depth: halvings.ilog2() as usize }
    }

    /// A point in the middle of `cell`, for lookups: the key with some of its bits flipped.
    pub(super) fn target(&self, cell: usize) -> Id {
        let flipped = |mut id: Id, bits: usize| {
            (0..EIGHTH_BITS).filter(|bit| bits & (1 << bit) != 0).for_each(|bit| id = id.flipping(self.depth + bit));
            id
        };
        match cell + 1 {
            CELLS => self.key.flipping(self.depth + EIGHTH_BITS),
            eighth => flipped(self.key, eighth),
        }
    }

    /// Whether `id` lies in it.
    pub(super) fn contains(&self, id: &Id) -> bool {
        self.key.common_prefix_len(id) >= self.depth
    }

    /// The cell in which `id` lies, if it lies in any.
    pub(super) fn cell(&self, id: &Id) -> Option<usize> {
        let differs = |bit: usize| usize::from(self.key.bit(self.depth + bit) != id.bit(self.depth + bit)) << bit;
        if !self.contains(id) {
            return None;
        }
        match (0..EIGHTH_BITS).map(differs).sum::<usize>() {
            0 => (self.key.bit(self.depth + EIGHTH_BITS) != id.bit(self.depth + EIGHTH_BITS)).then_some(CELLS - 1),
            eighth => Some(eighth - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::random::Random;

    /// Distances of the nearest nodes to a random target, of `nodes` in all.
    fn distances(nodes: usize, random: &mut Random) -> Vec<f64> {
        let mut all: Vec<f64> = (0..nodes).map(|_| random.wire_id().distance(&Id::ZERO).fraction()).collect();
        all.sort_by(f64::total_cmp);
        all.truncate(24);
        all
    }

    #[test]
    fn one_honest_key_in_a_thousand_gives_alarm_and_one_in_twenty_suspicion() {
        let mut random = Random::new([5; 32]);
        let (mut alarms, mut suspicions) = (0, 0);
        for _ in 0..10_000 {
            match Crowding::of(&distances(200, &mut random), 200.0) {
                Crowding::Alarm => alarms += 1,
                Crowding::Suspicion => suspicions += 1,
                Crowding::Calm => {}
            }
        }
        assert!((2..=20).contains(&alarms), "{alarms} of 10,000");
        assert!((300..=600).contains(&suspicions), "{suspicions} of 10,000");
    }

    #[test]
    fn twenty_ids_next_to_a_key_give_alarm_wherever_the_honest_are() {
        let mut random = Random::new([6; 32]);
        for _ in 0..100 {
            let mut all = distances(1000, &mut random);
            all.splice(0..0, (1..=20).map(|rank| f64::from(rank) * 1e-9));
            assert_eq!(Crowding::of(&all, 1000.0), Crowding::Alarm);
        }
    }

    #[test]
    fn fewer_distances_than_are_judged_say_nothing() {
        assert_eq!(Crowding::of(&[1e-12; 7], 1e6), Crowding::Calm);
        assert_eq!(Crowding::of(&[1e-12; 8], 1e6), Crowding::Alarm);
    }

    #[test]
    fn cells_and_the_surroundings_of_the_key_cover_the_region() {
        let mut random = Random::new([7; 32]);
        let key = random.wire_id();
        for size in [10.0, 60.0, 5_000.0, 1e7] {
            let region = Region::around(key, size);
            let expected = size / 2f64.powi(region.depth as i32);
            assert!(size < 16.0 || (16.0..32.0).contains(&expected), "{expected} of {size}");
            for cell in 0..CELLS {
                assert_eq!(region.cell(&region.target(cell)), Some(cell), "{size}");
            }
            let inside = (0..16_000).map(|_| {
                let mut id = random.wire_id();
                (0..region.depth).filter(|&bit| id.bit(bit) != key.bit(bit)).collect::<Vec<_>>().into_iter().for_each(
                    |bit| {
                        id = id.flipping(bit);
                    },
                );
                region.cell(&id)
            });
            let mut counts = [0; CELLS + 1];
            inside.for_each(|cell| counts[cell.unwrap_or(CELLS)] += 1);
            assert!(counts[..CELLS - 1].iter().all(|count| (1_700..2_300).contains(count)), "{counts:?}");
            assert!(counts[CELLS - 1..].iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
            assert_eq!(region.cell(&key), None);
        }
    }
}
