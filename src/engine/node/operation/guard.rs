//! Keys that cannot be taken: what an operation does where nodes crowd around its key.
//!
//! Whoever has the nearest places of a key decides what is found under it. Honest nodes lie at random, and how near is known
//! from the size of the network ([`Crowding`]):
//!
//! | the closest nodes | an operation that writes | one that reads |
//! |---|---|---|
//! | as near as they should be | six of eight copies on the closest, two near by | the closest; if they have nothing, the region |
//! | nearer than in 49 of 50 cases | twice the copies | the same |
//! | nearer than honest ones ever are: alarm | the region | the region |
//!
//! The region holds 16 honest nodes and more; how it is searched is in `lookup/sweep.rs`. The alarm asks for a size that was
//! measured at random targets (`measure.rs`); without one there is none.

use std::net::SocketAddr;
use std::time::Duration;

use super::super::Node;
use super::super::event::OpId;
use super::super::purpose::Attempt;
use super::super::timer::{MEASURE_FIRST_EVERY, Timer};
use super::{AnyGoal, Operation};
use crate::engine::contact::Contact;
use crate::engine::id::Id;
use crate::engine::keyed_hash::KeyedHash;
use crate::engine::krpc::Response;
use crate::engine::lookup::{Crowding, Lookup, Probe, Sweep};
use crate::engine::time::Instant;

/// Hops that are told of an answer from the region: it was found in two steps beside the lookup.
const HOPS_OF_REGION: u8 = 2;

impl Operation {
    /// Where it is stored: under suspicion on twice the nodes, under alarm in the whole region.
    pub(super) fn places(&self, copies: usize) -> Vec<Contact> {
        let copies = if self.crowding == Crowding::Calm { copies } else { 2 * copies };
        let mut places: Vec<Contact> = self.lookup.places(copies).into_iter().copied().collect();
        for place in self.sweep.iter().flat_map(|sweep| sweep.places()) {
            if !places.contains(place) {
                places.push(*place);
            }
        }
        places
    }

    /// The token that `contact` gave.
    pub(super) fn token_of(&self, contact: &Contact) -> Option<&[u8]> {
        self.lookup.token_of(contact).or_else(|| self.sweep.as_ref()?.token_of(contact))
    }

    /// Whether the closest nodes are not to be trusted alone.
    fn wants_sweep(&self) -> bool {
        self.crowding == Crowding::Alarm
            || (self.attempt == Attempt::First && self.summary.answered > 0 && self.goal.found_nothing(&self.summary))
    }
}

impl Node {
    /// What draws by lot for an operation whose key is guarded.
    pub(super) fn lots_for(&mut self, now: Instant, goal: &AnyGoal) -> Option<KeyedHash> {
        if !(self.rules.guards_keys && self.config.guard_keys && goal.is_keyed()) {
            return None;
        }
        self.last_key = Some(now);
        if !self.timers.is_set(Timer::Measure) {
            self.timers.set(Timer::Measure, now + MEASURE_FIRST_EVERY);
        }
        Some(KeyedHash::new(&mut self.random))
    }

    pub(super) fn lookup_for(&self, now: Instant, target: Id, goal: &AnyGoal, lots: Option<KeyedHash>) -> Lookup {
        let lookup = self.new_lookup(now, target);
        let lookup = if goal.has_time() { lookup.with_time() } else { lookup };
        match lots {
            Some(lots) if goal.writes() => lookup.spreading(lots),
            _ => lookup,
        }
    }

    /// Judges the closest nodes of a key that is guarded; whether its region is to be searched.
    pub(super) fn begin_sweep(&mut self, op: OpId) -> bool {
        let (measured, nodes) = (self.size.measured(), self.size.nodes());
        let Some(operation) = self.operations.get_mut(&op) else { return false };
        // An operation that went on to farther nodes has searched the region before.
        let Some(lots) = operation.lots.filter(|_| operation.sweep.is_none()) else { return false };
        operation.crowding = measured.map_or(Crowding::Calm, |nodes| operation.lookup.crowding(nodes));
        operation.summary.alarm = operation.crowding == Crowding::Alarm;
        let Some(nodes) = nodes.filter(|_| operation.wants_sweep()) else { return false };
        operation.sweep = Some(Box::new(Sweep::after(&operation.lookup, nodes, lots, operation.crowding)));
        self.stats.regions_searched += 1;
        true
    }

    /// A node answered in the search of a region.
    pub(in crate::engine::node) fn sweep_answered(
        &mut self,
        now: Instant,
        (op, attempt): (OpId, Attempt),
        contact: Contact,
        probe: Probe,
        rtt: Duration,
        response: &Response<'_>,
    ) {
        let named: Vec<Contact> = self.contacts_in(response).collect();
        let Some(operation) = self.in_attempt(op, attempt) else { return };
        let Some(sweep) = &mut operation.sweep else { return };
        match probe {
            Probe::Find(cell) => {
                operation.summary.answered += 1;
                sweep.found(cell, contact, named.into_iter());
                self.drive(now, op);
            }
            Probe::Get if sweep.answered(&contact.addr, &contact.id, response.token) => {
                self.take_news(now, op, contact, (HOPS_OF_REGION, named.len()), rtt, response);
            }
            Probe::Get => {
                sweep.silent(&contact.addr, probe);
                self.drive(now, op);
            }
        }
    }

    /// A node has not answered in the search of a region, or will not.
    pub(in crate::engine::node) fn sweep_unanswered(
        &mut self,
        now: Instant,
        op: OpId,
        attempt: Attempt,
        to: &SocketAddr,
        probe: Probe,
    ) {
        if let Some(operation) = self.in_attempt(op, attempt)
            && let Some(sweep) = &mut operation.sweep
        {
            sweep.silent(to, probe);
            self.drive(now, op);
        }
    }
}
