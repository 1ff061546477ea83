//! Asking: the contact that a lookup names becomes a transaction.

use std::net::SocketAddr;
use std::time::Duration;

use super::Node;
use super::event::OpId;
use super::operation::Operation;
use super::purpose::Purpose;
use crate::engine::contact::Contact;
use crate::engine::id::{Id, NodeId, Target};
use crate::engine::krpc::encode::{self, Ask};
use crate::engine::lookup::{Lookup, Origin, Probe, Step};
use crate::engine::time::Instant;
use crate::engine::transactions::HARD_TIMEOUT;

/// Soft timeout where the round trip to a contact is unknown and few others have answered yet.
const UNKNOWN_SOFT_TIMEOUT: Duration = Duration::from_secs(1);
/// Where there is time, and in the search of a region: share of our round trips, in hundredths, after which a contact
/// counts as slow.
const SLOW_PERCENT_WITH_TIME: u32 = 90;

impl Node {
    pub(super) fn new_lookup(&self, now: Instant, target: Id) -> Lookup {
        let lookup = Lookup::new(target, self.rules, self.size.nodes());
        let lookup = lookup.paced(self.config.effort, self.rtts.quantile(50), self.rtts.quantile(90));
        let mut lookup = lookup.minding(self.config.compliance);
        for contact in self.table.closest(&target) {
            self.table.rtt(contact).into_iter().for_each(|rtt| lookup.add_known(*contact, rtt));
        }
        self.cache.near(&target).for_each(|(contact, rtt)| match rtt {
            Some(rtt) => lookup.add_known(contact, rtt),
            None => lookup.add(contact, Origin::Heard { hops: 0 }),
        });
        if !self.is_settled(now) {
            // A table that is new is thin: a node that answered in an earlier run is worth a question.
            self.joining.saved().iter().for_each(|contact| lookup.add(*contact, Origin::Own));
        }
        lookup
    }

    /// Takes every step that the lookup of `op` can take now; whether it is over.
    pub(super) fn step_lookup(&mut self, now: Instant, op: OpId, operation: &mut Operation) -> bool {
        loop {
            match operation.lookup.step(now) {
                Step::Ask(contact) => {
                    if !self.ask_contact(now, op, operation, contact) {
                        return false;
                    }
                }
                Step::Wait(until) => {
                    operation.wake = until;
                    return false;
                }
                Step::Starved => self.add_all_contacts(&mut operation.lookup),
                Step::Done => return true,
            }
        }
    }

    /// Takes every step that the search of a region can take now; whether it is over.
    pub(super) fn step_sweep(&mut self, now: Instant, op: OpId, operation: &mut Operation) -> bool {
        let Operation { attempt, ref goal, .. } = *operation;
        let found = operation.has_found();
        let (basic, key) = (goal.is_basic(), *operation.lookup.target());
        let Some(sweep) = &mut operation.sweep else { return true };
        while let Some((contact, probe, target)) = sweep.next_probe() {
            let admitted = self.pace.as_mut().is_none_or(|pace| pace.admits(now, &contact.addr, found));
            let soft = self.soft_timeout(&contact, SLOW_PERCENT_WITH_TIME);
            let purpose = Purpose::Sweep { op, attempt, basic: basic || probe != Probe::Get, probe };
            let ask = match probe {
                Probe::Find(_) => Ask::FindNode(Target(target)),
                Probe::Get => operation.goal.query(key),
            };
            if admitted && self.query(now, contact.addr, Some(contact.id), soft, purpose, &ask) {
                operation.summary.asked += 1;
                operation.summary.swept += 1;
            } else {
                sweep.not_asked(&contact.addr, probe);
            }
        }
        sweep.is_over()
    }

    /// Asks a contact for an operation; whether the query was sent.
    pub(super) fn ask_contact(&mut self, now: Instant, op: OpId, operation: &mut Operation, contact: Contact) -> bool {
        let admitted = self.pace.as_mut().is_none_or(|pace| pace.admits(now, &contact.addr, operation.has_found()));
        let percent = if operation.goal.has_time() { SLOW_PERCENT_WITH_TIME } else { self.config.effort.slow_percent };
        let soft = self.soft_timeout(&contact, percent);
        let purpose = Purpose::Lookup { op, attempt: operation.attempt, basic: operation.goal.is_basic() };
        let ask = operation.goal.query(*operation.lookup.target());
        let sent = admitted && self.query(now, contact.addr, Some(contact.id), soft, purpose, &ask);
        if sent {
            operation.summary.asked += 1;
        } else {
            operation.lookup.not_asked(&contact);
            operation.paced = !admitted;
            // Where the pace is not the reason, too many transactions are open: try again when some have ended.
            operation.wake = admitted.then(|| now + HARD_TIMEOUT / 8);
        }
        sent
    }

    /// The fallback of a lookup that has run out of candidates: every contact that we know.
    fn add_all_contacts(&self, lookup: &mut Lookup) {
        self.table.entries().for_each(|entry| lookup.add(entry.contact, Origin::Own));
        self.joining.saved().iter().for_each(|contact| lookup.add(*contact, Origin::Own));
    }

    /// 1.5 times the known round trip and 30 ms, or the time within which `percent` of all answers came (docs/LOOKUP.md).
    fn soft_timeout(&self, contact: &Contact, percent: u32) -> Duration {
        let known = self.table.rtt(contact).map(|rtt| rtt * 3 / 2 + Duration::from_millis(30));
        known.or_else(|| self.rtts.quantile(percent)).unwrap_or(UNKNOWN_SOFT_TIMEOUT)
    }

    /// Sends a query; whether it was sent.
    pub(super) fn query(
        &mut self,
        now: Instant,
        to: SocketAddr,
        expected: Option<NodeId>,
        soft: Duration,
        purpose: Purpose,
        ask: &Ask<'_>,
    ) -> bool {
        let Some(transaction) = self.transactions.open(now, to, expected, soft, purpose, &mut self.random) else {
            self.stats.queries_not_sent += 1;
            return false;
        };
        let (own, read_only) = (self.id(), self.is_read_only());
        self.reach.contacted(now, &to);
        self.outbox.push(to, |out| encode::query(out, transaction, &own, read_only, ask));
        self.stats.queries += 1;
        true
    }
}
