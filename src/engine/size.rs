//! How many nodes there are: an estimate from ordinary lookups.
//!
//! Ids are uniform, so the i-th closest of N nodes lies at about i/N of the key space from any target. Each finished
//! lookup gives one estimate of 1/N by least squares over its closest nodes; a moving average follows the network.
//! The method is Eli Sohl's, as pubky/mainline documents it (docs/dht_size_estimate.md there).

use super::contact::Contact;
use super::id::Id;
use super::limits::K;

/// Weight of the newest lookup once there are enough of them.
const NEWEST: f64 = 1.0 / 16.0;

/// The estimate.
#[derive(Clone, Debug, Default)]
pub struct SizeEstimate {
    /// Average of 1/N.
    inverse: f64,
    lookups: u32,
}

impl SizeEstimate {
    /// Learns from a lookup towards `target` that ended with `closest`, closest first.
    pub fn note<'a>(&mut self, target: &Id, closest: impl Iterator<Item = &'a Contact>) {
        let (mut sum, mut squares, mut count) = (0.0, 0.0, 0);
        for (index, contact) in closest.take(K).enumerate() {
            let rank = (index + 1) as f64;
            sum += rank * contact.id.distance(target).fraction();
            squares += rank * rank;
            count += 1;
        }
        if count == K {
            self.lookups += 1;
            let weight = NEWEST.max(1.0 / f64::from(self.lookups));
            self.inverse += (sum / squares - self.inverse) * weight;
        }
    }

    /// The estimated number of nodes; `None` before the first lookup that saw [`K`] nodes.
    #[must_use]
    pub fn nodes(&self) -> Option<f64> {
        (self.lookups > 0 && self.inverse > 0.0).then(|| 1.0 / self.inverse)
    }

    /// How many lookups it rests on. The relative standard deviation is about `0.28 / sqrt(lookups)`.
    #[must_use]
    pub const fn lookups(&self) -> u32 {
        self.lookups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::random::Random;

    #[test]
    fn counts_a_network_within_a_third_after_sixteen_lookups() {
        let mut random = Random::new([8; 32]);
        let addr = ([1, 2, 3, 4], 5).into();
        let nodes: Vec<_> = (0..5000).map(|_| Contact { id: random.wire_id(), addr }).collect();
        let mut estimate = SizeEstimate::default();
        assert_eq!(estimate.nodes(), None);
        for _ in 0..16 {
            let target = random.wire_id();
            let mut closest = nodes.clone();
            closest.sort_by_key(|contact| contact.id.distance(&target));
            estimate.note(&target, closest.iter());
        }
        let found = estimate.nodes().expect("an estimate");
        assert!((3300.0..7500.0).contains(&found), "{found} instead of 5000");
    }

    #[test]
    fn too_few_answers_teach_nothing() {
        let mut estimate = SizeEstimate::default();
        let contact = Contact { id: Id([1; 20]), addr: ([1, 2, 3, 4], 5).into() };
        estimate.note(&Id::ZERO, [contact; 7].iter());
        assert_eq!(estimate.nodes(), None);
    }
}
