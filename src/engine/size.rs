//! How many nodes there are: an estimate from lookups.
//!
//! Ids are uniform, so the i-th closest of N nodes lies at about i/N of the key space from any target. Each finished
//! lookup gives one estimate of 1/N by least squares over its closest nodes. The method is Eli Sohl's, as pubky/mainline
//! documents it (docs/dht_size_estimate.md there).
//!
//! There are two figures. [`SizeEstimate::nodes`] follows all lookups and serves where an error costs time only. Whether a
//! key is crowded is judged by [`SizeEstimate::measured`] alone, which an attacker must not move: it rests on random
//! targets of our own, which he cannot know before, never on a key that others chose; and of those on the middle half of
//! what they gave, so that lies about every fourth change little.

use super::contact::Contact;
use super::id::Id;
use super::limits::{K, SIZE_SAMPLES};

/// Weight of the newest lookup once there are enough of them.
const NEWEST: f64 = 1.0 / 16.0;
/// Random targets below which nothing is said: the relative standard deviation is then a tenth.
const ENOUGH: usize = 8;

/// The estimates.
#[derive(Clone, Debug, Default)]
pub struct SizeEstimate {
    /// Average of 1/N.
    inverse: f64,
    lookups: u32,
    /// 1/N by each of the last random targets.
    samples: Vec<f64>,
    /// Which of them the next one replaces.
    next: usize,
}

impl SizeEstimate {
    /// Learns from a lookup towards `target` that ended with `closest`, closest first.
    pub fn note<'a>(&mut self, target: &Id, closest: impl Iterator<Item = &'a Contact>) {
        if let Some(inverse) = inverse(target, closest) {
            self.lookups += 1;
            let weight = NEWEST.max(1.0 / f64::from(self.lookups));
            self.inverse += (inverse - self.inverse) * weight;
        }
    }

    /// The same for a random target of our own.
    pub fn note_random<'a>(&mut self, target: &Id, closest: impl Iterator<Item = &'a Contact>) {
        let Some(inverse) = inverse(target, closest) else { return };
        if self.samples.len() < SIZE_SAMPLES {
            self.samples.push(inverse);
        } else {
            self.samples[self.next] = inverse;
            self.next = (self.next + 1) % SIZE_SAMPLES;
        }
    }

    /// The estimated number of nodes; `None` before the first lookup that saw [`K`] nodes.
    #[must_use]
    pub fn nodes(&self) -> Option<f64> {
        self.measured().or_else(|| (self.lookups > 0 && self.inverse > 0.0).then(|| 1.0 / self.inverse))
    }

    /// The number of nodes by random targets; `None` before there are enough of them.
    #[must_use]
    pub fn measured(&self) -> Option<f64> {
        if self.samples.len() < ENOUGH {
            return None;
        }
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        let quarter = sorted.len() / 4;
        let middle = &sorted[quarter..sorted.len() - quarter];
        let mean = middle.iter().sum::<f64>() / middle.len() as f64;
        (mean > 0.0).then(|| 1.0 / mean)
    }

    /// Whether as many random targets are known as are kept.
    #[must_use]
    pub const fn is_well_measured(&self) -> bool {
        self.samples.len() >= SIZE_SAMPLES
    }

    /// How many lookups [`nodes`](Self::nodes) rests on. The relative standard deviation is about `0.28 / sqrt(lookups)`.
    #[must_use]
    pub const fn lookups(&self) -> u32 {
        self.lookups
    }
}

/// 1/N by one lookup; `None` where fewer than [`K`] answered.
fn inverse<'a>(target: &Id, closest: impl Iterator<Item = &'a Contact>) -> Option<f64> {
    let (mut sum, mut squares, mut count) = (0.0, 0.0, 0);
    for (index, contact) in closest.take(K).enumerate() {
        let rank = (index + 1) as f64;
        sum += rank * contact.id.distance(target).fraction();
        squares += rank * rank;
        count += 1;
    }
    (count == K).then(|| sum / squares)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::id::NodeId;
    use crate::engine::random::Random;

    struct Network {
        random: Random,
        nodes: Vec<Contact>,
    }

    impl Network {
        fn of(size: usize) -> Self {
            let (mut random, addr) = (Random::new([8; 32]), ([1, 2, 3, 4], 5).into());
            let nodes = (0..size).map(|_| Contact { id: NodeId(random.wire_id()), addr }).collect();
            Self { random, nodes }
        }

        /// A random target and what is closest to it.
        fn lookup(&mut self) -> (Id, Vec<Contact>) {
            let target = self.random.wire_id();
            let mut closest = self.nodes.clone();
            closest.sort_by_key(|contact| contact.id.distance(&target));
            closest.truncate(K);
            (target, closest)
        }
    }

    #[test]
    fn counts_a_network_within_a_third_after_sixteen_lookups() {
        let (mut network, mut estimate) = (Network::of(5000), SizeEstimate::default());
        assert_eq!(estimate.nodes(), None);
        for _ in 0..16 {
            let (target, closest) = network.lookup();
            estimate.note(&target, closest.iter());
        }
        let found = estimate.nodes().expect("an estimate");
        assert!((3300.0..7500.0).contains(&found), "{found} instead of 5000");
    }

    #[test]
    fn lies_about_every_fourth_random_target_change_little() {
        let (mut network, mut estimate) = (Network::of(2000), SizeEstimate::default());
        for number in 0..SIZE_SAMPLES {
            assert_eq!(estimate.measured().is_some(), number >= ENOUGH);
            let (target, mut closest) = network.lookup();
            if number % 4 == 0 {
                // Eight ids made for this target.
                closest.iter_mut().for_each(|contact| contact.id = NodeId(target.flipping(150)));
            }
            estimate.note_random(&target, closest.iter());
        }
        let found = estimate.measured().expect("an estimate");
        assert!((1700.0..2900.0).contains(&found), "{found} instead of 2000");
        assert!(estimate.is_well_measured());
    }

    #[test]
    fn too_few_answers_teach_nothing() {
        let mut estimate = SizeEstimate::default();
        let contact = Contact { id: NodeId::new([1; 20]), addr: ([1, 2, 3, 4], 5).into() };
        estimate.note(&Id::ZERO, [contact; 7].iter());
        assert_eq!(estimate.nodes(), None);
    }
}
