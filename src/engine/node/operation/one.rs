//! One query to one node that the caller names: a ping (BEP 5), a question for a sample of its infohashes (BEP 51), or one
//! for the peers of a swarm and their number (BEP 33).
//!
//! None needs a lookup, is tried again or is held up by the pace of new destinations.

use std::net::SocketAddr;
use std::time::Duration;

use super::super::Node;
use super::super::event::{Event, OpId, Sample, Summary};
use super::super::purpose::Purpose;
use super::goal::Goal;
use super::scrape::believable;
use crate::engine::contact::Contact;
use crate::engine::id::{Id, InfoHash, Target};
use crate::engine::krpc::encode::Ask;
use crate::engine::krpc::{Message, Response};
use crate::engine::time::Instant;
use crate::engine::transactions::HARD_TIMEOUT;

/// A single query keeps nothing besides what every operation keeps.
#[derive(Clone, Debug)]
pub(in crate::engine::node) struct One;

impl Goal for One {
    fn name(&self) -> &'static str {
        "ask one node"
    }

    fn query(&self, target: Id) -> Ask<'static> {
        Ask::FindNode(Target(target))
    }

    fn failed(&self, _summary: &Summary) -> bool {
        false
    }
}

impl Node {
    pub(in crate::engine::node) fn begin_ping(&mut self, now: Instant, addr: SocketAddr) -> OpId {
        let op = self.open_without_lookup(now, Id::ZERO, One);
        self.ask_one(now, op, addr, Purpose::Ping(op), &Ask::Ping);
        op
    }

    pub(in crate::engine::node) fn begin_sample(&mut self, now: Instant, addr: SocketAddr, target: Target) -> OpId {
        let op = self.open_without_lookup(now, *target, One);
        match self.samples.wait(now, &addr) {
            Some(wait) => {
                if self.operations.contains_key(&op) {
                    self.events.push_back(Event::SampleTooSoon { op, wait });
                }
                self.drive(now, op);
            }
            None => self.ask_one(now, op, addr, Purpose::Sample(op), &Ask::SampleInfohashes(target)),
        }
        op
    }

    pub(in crate::engine::node) fn begin_peers_at(
        &mut self,
        now: Instant,
        addr: SocketAddr,
        info_hash: InfoHash,
    ) -> OpId {
        let op = self.open_without_lookup(now, *info_hash, One);
        self.ask_one(now, op, addr, Purpose::PeersAt(op), &Ask::Scrape(info_hash));
        op
    }

    /// Sends the only query of `op`.
    fn ask_one(&mut self, now: Instant, op: OpId, addr: SocketAddr, purpose: Purpose, ask: &Ask<'_>) {
        let sent = self.operations.contains_key(&op) && self.query(now, addr, None, HARD_TIMEOUT, purpose, ask);
        if let Some(operation) = self.operations.get_mut(&op) {
            operation.outstanding = usize::from(sent);
            operation.summary.asked = usize::from(sent);
        }
        self.drive(now, op);
    }

    pub(in crate::engine::node) fn ponged(
        &mut self,
        now: Instant,
        op: OpId,
        contact: Contact,
        rtt: Duration,
        message: &Message<'_>,
    ) {
        if self.operations.contains_key(&op) {
            let version = super::version_of(message);
            self.events.push_back(Event::Pong { op, contact, version, external: message.external, rtt });
        }
        self.settle(now, op, |operation| operation.summary.answered += 1);
    }

    /// Peers as far as we may talk to them; a count only where it can be true.
    pub(in crate::engine::node) fn peers_told(
        &mut self,
        now: Instant,
        op: OpId,
        contact: Contact,
        response: &Response<'_>,
    ) {
        if self.operations.contains_key(&op) {
            let filters = believable(response);
            let reported = usize::from(filters.is_some());
            self.report_peers(op, Some(contact), response.values.iter());
            self.events.push_back(Event::Scraped { op, filters: Box::new(filters.unwrap_or_default()), reported });
        }
        self.settle(now, op, |operation| operation.summary.answered += 1);
    }

    pub(in crate::engine::node) fn sampled(
        &mut self,
        now: Instant,
        op: OpId,
        contact: Contact,
        response: &Response<'_>,
    ) {
        let sample = response.samples.map(|samples| Sample {
            infohashes: samples.iter().collect(),
            total: samples.total,
            interval: Duration::from_secs(samples.interval.into()),
        });
        let interval = sample.as_ref().map_or(Duration::ZERO, |sample| sample.interval);
        self.samples.be_patient(now, contact.addr, interval);
        if self.operations.contains_key(&op) {
            let contacts = self.contacts_in(response).collect();
            self.events.push_back(Event::Sampled { op, contact, sample, contacts });
        }
        self.settle(now, op, |operation| operation.summary.answered += 1);
    }
}
