//! Samples of infohashes (BEP 51): given from a subset that stays the same for an interval, asked politely.
//!
//! As the asked: the subset changes only once in [`SAMPLE_INTERVAL`], so that asking more often reveals nothing more.
//! As the asker: a node is not asked again before the interval that it named has passed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::Node;
use super::ask::{Goal, Purpose};
use super::event::{Event, OpId, Sample};
use crate::engine::contact::Contact;
use crate::engine::id::Id;
use crate::engine::krpc::encode::{Ask, samples_len};
use crate::engine::krpc::{Response, Want};
use crate::engine::limits::{SAMPLE_INTERVAL, SAMPLED_NODES, SAMPLES};
use crate::engine::time::Instant;

/// Samples given and taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples {
    given: Vec<Id>,
    renewed: Option<Instant>,
    /// When each node may be asked again.
    patience: BTreeMap<SocketAddr, Instant>,
}

impl Samples {
    fn wait(&self, now: Instant, addr: &SocketAddr) -> Option<Duration> {
        self.patience.get(addr).map(|until| until.since(now)).filter(|wait| !wait.is_zero())
    }

    fn be_patient(&mut self, now: Instant, addr: SocketAddr, interval: Duration) {
        self.patience.retain(|_, until| *until > now);
        if interval.is_zero() {
            return;
        }
        self.patience.insert(addr, now + interval);
        if self.patience.len() > SAMPLED_NODES {
            let first = self.patience.iter().min_by_key(|(_, until)| **until).map(|(addr, _)| *addr);
            first.map(|addr| self.patience.remove(&addr));
        }
    }
}

impl Node {
    /// Asks `addr` for some of its infohashes, and for contacts near `target` (BEP 51). The answer arrives as
    /// [`Event::Sampled`], or [`Event::SampleTooSoon`] where the node must not be asked yet; the end as [`Event::Done`].
    pub fn sample(&mut self, now: Instant, addr: SocketAddr, target: Id) -> OpId {
        let op = self.begin(now, Goal::One, target);
        if let Some(wait) = self.samples.wait(now, &addr) {
            self.events.push_back(Event::SampleTooSoon { op, wait });
            self.drive(now, op);
        } else {
            self.ask_one(now, op, addr, Purpose::Sample(op), &Ask::SampleInfohashes(target));
        }
        op
    }

    pub(super) fn sampled(&mut self, now: Instant, op: OpId, contact: Contact, response: &Response<'_>) {
        let sample = response.samples.map(|samples| Sample {
            infohashes: samples.iter().collect(),
            total: samples.total,
            interval: Duration::from_secs(samples.interval.into()),
        });
        let interval = sample.as_ref().map_or(Duration::ZERO, |sample| sample.interval);
        self.samples.be_patient(now, contact.addr, interval);
        let contacts = self.contacts_in(response).collect();
        self.events.push_back(Event::Sampled { op, contact, sample, contacts });
        self.settle(now, op, |operation| operation.summary.answered += 1);
    }

    pub(super) fn serve_samples(
        &mut self,
        now: Instant,
        from: SocketAddr,
        transaction: &[u8],
        target: &Id,
        want: Want,
    ) {
        self.stats.samples += 1;
        self.renew_samples(now);
        self.respond(now, from, transaction, |node, response| {
            let given = &node.samples.given;
            response.interval(SAMPLE_INTERVAL.as_secs() as u32);
            response.reserve(samples_len(given.len()));
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
    fn of_too_many_nodes_the_one_that_may_be_asked_first_is_forgotten() {
        let (mut samples, now) = (Samples::default(), Instant::from_secs(1));
        let addr = |index: usize| SocketAddr::from(([9, 9, (index >> 8) as u8, index as u8], 6881));
        let interval = |index: usize| Duration::from_secs(1000 + index as u64);
        for index in 0..=SAMPLED_NODES {
            samples.be_patient(now, addr(index), interval(index));
        }
        samples.be_patient(now, addr(9999), Duration::ZERO);
        assert_eq!(samples.wait(now, &addr(SAMPLED_NODES)), Some(interval(SAMPLED_NODES)));
        assert_eq!((samples.wait(now, &addr(0)), samples.wait(now, &addr(1))), (None, Some(interval(1))));
        assert_eq!(samples.patience.len(), SAMPLED_NODES);
    }
}
