//! Responses and errors: what they mean for the operation that asked, for the routing table, and for our own address.
//!
//! A response counts only for a transaction of ours. The node that answered may enter the table; what it says of others is
//! only heard of.

use std::net::SocketAddr;
use std::time::Duration;

use super::Node;
use super::event::{Event, OpId};
use super::newcomers::HeardFrom;
use super::purpose::{Attempt, Purpose};
use crate::engine::compliance::Compliance;
use crate::engine::contact::{Contact, Family};
use crate::engine::id::NodeId;
use crate::engine::krpc::{Fault, Message, Response};
use crate::engine::limits::PEERS_PER_LOOKUP;
use crate::engine::lookup::Origin;
use crate::engine::routing::{EntryRefusal, Outcome};
use crate::engine::time::Instant;

impl Node {
    pub(super) fn take_response(
        &mut self,
        now: Instant,
        from: SocketAddr,
        message: &Message<'_>,
        response: &Response<'_>,
    ) {
        let Some(transaction) = self.transactions.close(message.transaction, &from) else {
            self.stats.unmatched += 1;
            return;
        };
        if response.id == self.id() {
            self.note_namesake(now, from);
            return self.transaction_failed(now, &transaction);
        }
        if response.id == NodeId::ZERO {
            return self.transaction_failed(now, &transaction);
        }
        self.stats.responses += 1;
        let rtt = now.since(transaction.sent);
        self.rtts.note(rtt);
        if let Some(ours) = message.external {
            let voter = Contact { id: response.id, addr: from };
            if self.may_vote(now, &voter, transaction.purpose) {
                self.note_external(now, &from, ours);
            } else {
                self.stats.votes_refused += 1;
            }
        }
        let contact = Contact { id: response.id, addr: from };
        if let Some(gone) = transaction.expected.filter(|expected| *expected != contact.id) {
            self.cache.failed(&Contact { id: gone, addr: from });
        }
        self.note_contact(now, contact, rtt);
        match transaction.purpose {
            Purpose::Lookup { op, .. } => self.lookup_answered(now, op, contact, rtt, response),
            Purpose::Sweep { op, attempt, probe, .. } => {
                self.sweep_answered(now, (op, attempt), contact, probe, rtt, response);
            }
            Purpose::Router(op) => self.router_answered(now, op, response),
            Purpose::Write { op, .. } => self.written(now, op, contact, message),
            Purpose::Ping(op) => self.ponged(now, op, contact, rtt, message),
            Purpose::Sample(op) => self.sampled(now, op, contact, response),
            Purpose::PeersAt(op) => self.peers_told(now, op, contact, response),
            Purpose::Verify(op) => self.verified(now, op, message.external, response),
            Purpose::Check | Purpose::Refresh => self.take_contacts(now, response),
        }
    }

    /// Contacts that maintenance was told of: they are verified where the table has room, and else lookups may ask them.
    fn take_contacts(&mut self, now: Instant, response: &Response<'_>) {
        for contact in self.contacts_in(response) {
            if self.rules.asks_for_contacts && self.takes_part_with(&contact) {
                self.cache.heard(now, contact);
            }
            self.verify_later(now, contact, HeardFrom::Others);
        }
    }

    /// An error: the node lives, but there is nothing to be had from it.
    pub(super) fn take_error(&mut self, now: Instant, from: SocketAddr, transaction: &[u8], code: i64) {
        let Some(transaction) = self.transactions.close(transaction, &from) else {
            self.stats.unmatched += 1;
            return;
        };
        tracing::trace!(%from, code, "an error in answer to a query");
        self.stats.errors += 1;
        // The first try may have been stored, and its answer lost: then it is our own item that `cas` fails on.
        let unclear =
            matches!(transaction.purpose, Purpose::Write { attempt: Attempt::Second, .. }) && code == Fault::Cas.code();
        if let Purpose::Write { op, .. } = transaction.purpose
            && self.operations.contains_key(&op)
            && !unclear
        {
            let by = Contact { id: transaction.expected.unwrap_or_default(), addr: from };
            self.events.push_back(Event::Refused { op, by, code });
        }
        match transaction.purpose {
            Purpose::Write { op, .. } if code == Fault::NoRoom.code() => self.write_has_no_room(now, op, &from),
            _ => self.operation_failed(now, &transaction),
        }
    }

    /// Whether a contact that has answered may say at which address it sees us. Strangers can make us ping them, and tell
    /// what they like: what counts is the answer to a query that we sent for reasons of our own, and once an address is
    /// settled, of a contact that has been in the table for a while.
    fn may_vote(&self, now: Instant, voter: &Contact, purpose: Purpose) -> bool {
        let has_stayed = || self.table.added(voter).is_some_and(|added| now.since(added) >= self.rules.voter_age);
        self.rules.voter_age.is_zero() || (!self.vote.is_settled() && purpose != Purpose::Check) || has_stayed()
    }

    /// Whether we take part with this node: not where ids are enforced and its own does not fit (BEP 42).
    pub(super) fn takes_part_with(&self, contact: &Contact) -> bool {
        self.config.compliance != Compliance::Enforce || contact.is_compliant()
    }

    /// A node answered: it may enter the table, unless it answers with changing ids.
    fn note_contact(&mut self, now: Instant, contact: Contact, rtt: Duration) {
        if self.joining.is_router(&contact.addr) || !self.rules.admits(&contact.addr) {
            return;
        }
        if self.id_changers.contains(now, &contact.addr) || !self.takes_part_with(&contact) {
            return;
        }
        match self.table.answered(now, contact, rtt) {
            outcome @ (Outcome::Refreshed | Outcome::Added | Outcome::Replaced(_) | Outcome::Reserved) => {
                if outcome != Outcome::Refreshed {
                    self.newcomers.note_added(&contact.addr);
                }
                self.cache.answered(now, contact, rtt);
            }
            Outcome::IdChanged(old) => self.note_id_change(now, &Contact { id: old, ..contact }, contact, rtt),
            Outcome::Contested(old) => self.check_contested(now, old),
            Outcome::Refused(EntryRefusal::OwnOrZeroId) => {}
            Outcome::Refused(_) => self.stats.entries_refused += 1,
        }
    }

    /// An endpoint that we had verified has another id. (What third parties say of an endpoint proves nothing.) BEP 42
    /// wants such a change of a node that has learned its address, once; any other change is an attempt to choose an id.
    fn note_id_change(&mut self, now: Instant, old: &Contact, new: Contact, rtt: Duration) {
        self.stats.id_changes += 1;
        self.cache.failed(old);
        if new.is_compliant() && !old.is_compliant() {
            self.note_contact(now, new, rtt);
        } else {
            self.id_changers.insert(now, &new.addr);
        }
    }

    fn lookup_answered(&mut self, now: Instant, op: OpId, contact: Contact, rtt: Duration, response: &Response<'_>) {
        let Some(operation) = self.operations.get_mut(&op) else { return };
        let Some(origin) = operation.lookup.answered(&contact.addr, &contact.id, response.token) else {
            self.stats.answers_not_counted += 1;
            return self.drive(now, op);
        };
        let target = *operation.lookup.target();
        let hops = origin.hops();
        let contacts = self.hand_over(op, Origin::Heard { hops: hops.saturating_add(1) }, Some(&contact), response);
        self.look_for_namesake(now, &target, response);
        self.take_news(now, op, contact, (hops, contacts), rtt, response);
    }

    /// What an answer for the key of `op` says, by a node that is `hops` away and named this number of contacts.
    pub(super) fn take_news(
        &mut self,
        now: Instant,
        op: OpId,
        contact: Contact,
        (hops, contacts): (u8, usize),
        rtt: Duration,
        response: &Response<'_>,
    ) {
        let Some(operation) = self.operations.get_mut(&op) else { return };
        operation.summary.answered += 1;
        let target = *operation.lookup.target();
        self.events.extend(operation.goal.hear(op, &target, contact, response));
        if operation.goal.is_satisfied() {
            return self.finish(now, op);
        }
        if operation.goal.is_reported() {
            let peers = response.values.iter().count();
            self.events.push_back(Event::Answered { op, contact, hops, rtt, contacts, peers });
            self.report_peers(op, Some(contact), response.values.iter());
        }
        self.drive(now, op);
    }

    /// Gives the contacts of a response to the lookup of `op`; how many there were.
    pub(super) fn hand_over(
        &mut self,
        op: OpId,
        origin: Origin,
        by: Option<&Contact>,
        response: &Response<'_>,
    ) -> usize {
        let (contacts, named) = (self.contacts_in(response), self.contacts_in(response));
        let Some(operation) = self.operations.get_mut(&op) else { return 0 };
        if by.is_some_and(|teller| operation.note_answer(*teller, response, named)) {
            return 0;
        }
        let mut count = 0;
        for contact in contacts {
            match by {
                Some(teller) => operation.lookup.hear(contact, origin, &teller.addr, self.table.rtt(&contact)),
                None => operation.lookup.add(contact, origin),
            }
            count += 1;
        }
        count
    }

    /// The contacts of a response that may be asked: not us, not out of place.
    pub(super) fn contacts_in<'a>(&self, response: &Response<'a>) -> impl Iterator<Item = Contact> + use<'a> {
        let (own, rules) = (self.id(), self.rules);
        let family: Family = self.config.family;
        let admissible = move |contact: &Contact| contact.id != own && rules.admits(&contact.addr);
        response.contacts(family).filter(admissible)
    }

    pub(super) fn report_peers(&mut self, op: OpId, from: Option<Contact>, peers: impl Iterator<Item = SocketAddr>) {
        let rules = self.rules;
        let Some(operation) = self.operations.get_mut(&op) else { return };
        let mut new = Vec::new();
        for peer in peers.filter(|peer| rules.admits(peer)) {
            if operation.seen.len() >= PEERS_PER_LOOKUP {
                self.stats.peers_not_reported += u64::from(!operation.seen.contains(&peer));
            } else if operation.seen.insert(peer) {
                new.push(peer);
            }
        }
        operation.summary.peers += new.len();
        if from.is_some() && !new.is_empty() && operation.goal.hurries() {
            operation.lookup.hurry(self.rtts.quantile(99));
        }
        if !new.is_empty() {
            self.events.push_back(Event::Peers { op, from, peers: new });
        }
    }
}
