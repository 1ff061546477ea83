//! Samples of infohashes (BEP 51): given from a subset that stays the same for an interval, asked politely.
//!
//! As the asked: the subset changes only once in [`SAMPLE_INTERVAL`], so that asking more often reveals nothing more.
//! As the asker: a node is not asked again before the interval that it named has passed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::Node;
use super::serve::Asked;
use crate::engine::id::{Id, InfoHash};
use crate::engine::krpc::Want;
use crate::engine::krpc::encode::samples_len;
use crate::engine::limits::{SAMPLE_INTERVAL, SAMPLED_NODES, SAMPLES, SHORT_REPLY_SAMPLES};
use crate::engine::owner::owner;
use crate::engine::time::Instant;

/// Longest interval that is believed (BEP 51: from 0 to 21,600 seconds).
const LONGEST_INTERVAL: Duration = Duration::from_secs(21_600);

/// Samples given and taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples {
    given: Vec<InfoHash>,
    renewed: Option<Instant>,
    /// When each node may be asked again.
    patience: BTreeMap<SocketAddr, Instant>,
}

impl Samples {
    /// How long the node at `addr` must not be asked yet.
    pub(super) fn wait(&self, now: Instant, addr: &SocketAddr) -> Option<Duration> {
        self.patience.get(addr).map(|until| until.since(now)).filter(|wait| !wait.is_zero())
    }

    /// The node at `addr` named an interval within which it must not be asked again. Of too many, those of the owner
    /// that named most lose the longest one: many nodes of one network that name long intervals push out each other.
    pub(super) fn be_patient(&mut self, now: Instant, addr: SocketAddr, interval: Duration) {
        self.patience.retain(|_, until| *until > now);
        if interval.is_zero() {
            return;
        }
        self.patience.insert(addr, now + interval.min(LONGEST_INTERVAL));
        if self.patience.len() > SAMPLED_NODES {
            let mut named: BTreeMap<u64, usize> = BTreeMap::new();
            for addr in self.patience.keys() {
                *named.entry(owner(addr.ip())).or_default() += 1;
            }
            let weight = |(addr, until): &(&SocketAddr, &Instant)| (named[&owner(addr.ip())], **until);
            let forgotten = self.patience.iter().max_by_key(weight).map(|(addr, _)| *addr);
            forgotten.map(|addr| self.patience.remove(&addr));
        }
    }
}

impl Node {
    pub(super) fn serve_samples(&mut self, now: Instant, asked: &Asked<'_>, target: &Id, want: Want) {
        self.stats.samples += 1;
        self.renew_samples(now);
        self.respond(now, asked, |node, response| {
            let given = &node.samples.given;
            response.interval(SAMPLE_INTERVAL.as_secs() as u32);
            let reserved = if response.is_limited() { SHORT_REPLY_SAMPLES } else { given.len() };
            response.reserve(samples_len(reserved));
            node.write_nearby(response, target, want);
            response.samples(node.peers.swarms() as u64, given);
        });
    }

    /// While everything fits into a sample, there is nothing to be learned by asking often.
    fn renew_samples(&mut self, now: Instant) {
        let old = self.samples.renewed.is_none_or(|renewed| now.since(renewed) >= SAMPLE_INTERVAL);
        if old || self.samples.given.len() < SAMPLES {
            self.samples.given = self.peers.sample_infohashes(SAMPLES, &mut self.random);
            self.samples.renewed = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_nodes_those_of_the_network_that_named_most_are_forgotten() {
        let (mut samples, now) = (Samples::default(), Instant::from_secs(1));
        let honest = |index: usize| SocketAddr::from(([9, (index >> 8) as u8, index as u8, 1], 6881));
        let liar = |index: usize| SocketAddr::from(([66, 6, 6, index as u8], 1 + index as u16));
        let minute = Duration::from_mins(1);
        (0..100).for_each(|index| samples.be_patient(now, honest(index), minute));
        (0..2 * SAMPLED_NODES).for_each(|index| samples.be_patient(now, liar(index), LONGEST_INTERVAL));
        assert_eq!(samples.patience.len(), SAMPLED_NODES);
        assert!(
            (0..100).all(|index| samples.wait(now, &honest(index)) == Some(minute)),
            "one network pushes out no other"
        );
        (100..2 * SAMPLED_NODES).for_each(|index| samples.be_patient(now, honest(index), 2 * minute));
        assert_eq!(samples.patience.len(), SAMPLED_NODES);
        assert!((0..100).all(|index| samples.wait(now, &honest(index)) == Some(minute)), "nor do longer intervals");
    }

    #[test]
    fn no_interval_is_longer_than_bep_51_allows() {
        let (mut samples, now, addr) = (Samples::default(), Instant::from_secs(1), SocketAddr::from(([9, 9, 9, 9], 1)));
        samples.be_patient(now, addr, Duration::from_secs(u32::MAX.into()));
        assert_eq!(samples.wait(now, &addr), Some(LONGEST_INTERVAL));
        samples.be_patient(now, addr, Duration::ZERO);
        assert_eq!(samples.wait(now, &addr), Some(LONGEST_INTERVAL), "what it said holds until then");
    }
}
