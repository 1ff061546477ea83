//! Infohashes that are hot: what an operation does where the nodes around its key are asked too often.
//!
//! A node that is asked too often for the peers of a swarm, and has many, answers with peers and without contacts
//! (`budgets/demand.rs`): it is *full*. Where several nodes of an operation were, its key is remembered. The next operation for it
//! leaves the closest nodes alone. It *visits* contacts of our own table that are drawn by lot from those nearer to the key than
//! we are, one after the other, so that all nodes on the ways to the key share what is asked for; where too few of those
//! are full it goes inwards, to one drawn by lot of those that the closest of the others names. It ends once
//! it has met as many that are full, and a reader has as many peers as a client needs. An announce goes to the closest that gave a token,
//! and to the closest that is not full, so that what is stored spreads outwards as far as the key is asked for, and no
//! farther. Where no node is full, the key is not hot any more, and an ordinary lookup follows.
//!
//! The first operation for a key goes all the way, whatever it is answered.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::Node;
use super::super::event::OpId;
use super::{AnyGoal, Operation, Phase};
use crate::engine::contact::Contact;
use crate::engine::id::Id;
use crate::engine::krpc::Response;
use crate::engine::limits::HOT_KEYS_KNOWN;
use crate::engine::lookup::{Lookup, Origin, Step};
use crate::engine::random::Random;
use crate::engine::time::Instant;

/// Answers of nodes that are full which show a key to be hot.
const HOT_ANSWERS: usize = 3;
/// Contacts of our own that are visited at the most, and then others on the way inwards.
const STARTS: usize = 6;
const INWARDS: usize = 10;
/// Peers with which a visit ends: more than a client connects to at once.
const ENOUGH_PEERS: usize = 50;
/// Nodes that an announce goes to after a visit.
const COPIES: usize = 3;
/// Time for which a key is remembered: one that is announced every quarter of an hour is visited again.
const REMEMBERED_FOR: Duration = Duration::from_mins(20);

/// The keys that were hot when we looked them up, at most [`HOT_KEYS_KNOWN`]; of too many the oldest goes.
#[derive(Clone, Debug, Default)]
pub(in crate::engine::node) struct HotKeys(BTreeMap<Id, Instant>);

impl HotKeys {
    fn note(&mut self, now: Instant, key: Id) {
        if self.0.len() >= HOT_KEYS_KNOWN && !self.0.contains_key(&key) {
            let oldest = self.0.iter().min_by_key(|(_, noted)| **noted).map(|(key, _)| *key);
            oldest.map(|oldest| self.0.remove(&oldest));
        }
        self.0.insert(key, now);
    }

    fn contains(&self, now: Instant, key: &Id) -> bool {
        self.0.get(key).is_some_and(|noted| now.since(*noted) < REMEMBERED_FOR)
    }
}

/// Whom an operation visits.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    /// Our own contacts that it has not visited.
    starts: Vec<Contact>,
    /// Those that the closest node so far that is not full has named.
    named: Vec<Contact>,
    namer: Option<Contact>,
    /// Nodes that are full.
    full: Vec<Contact>,
    /// How many of those that were named it may still visit.
    left: usize,
}

impl Visit {
    /// What a node answered, and whom it named.
    fn note(&mut self, key: &Id, from: Contact, has_peers: bool, named: Vec<Contact>) {
        if named.is_empty() {
            self.full.extend(has_peers.then_some(from));
        } else if self.namer.is_none_or(|namer| key.closer(&from.id, &namer.id).is_lt()) {
            (self.namer, self.named) = (Some(from), named);
        }
    }

    fn next(&mut self, random: &mut Random) -> Option<Contact> {
        if let Some(start) = self.starts.pop() {
            return Some(start);
        }
        self.left = self.left.checked_sub(1)?;
        let drawn = random.wire_below(self.named.len());
        (drawn < self.named.len()).then(|| self.named.swap_remove(drawn))
    }
}

impl Operation {
    /// Takes note of the answer of `from`. One that visits keeps whom it names to itself; whether it does.
    pub(in crate::engine::node) fn note_answer(
        &mut self,
        from: Contact,
        response: &Response<'_>,
        named: impl Iterator<Item = Contact>,
    ) -> bool {
        let (key, has_peers) = (*self.lookup.target(), response.values.iter().next().is_some());
        match &mut self.visit {
            Some(visit) => visit.note(&key, from, has_peers, named.collect()),
            None => self.hot_answers += usize::from(has_peers && named.count() == 0),
        }
        self.visit.is_some()
    }

    /// Where an announce goes after a visit: the closest that gave a token, one of them at the least not full.
    pub(super) fn visited_places(&self) -> Option<Vec<Contact>> {
        let visit = self.visit.as_ref()?;
        let willing: Vec<Contact> = self.lookup.closest_with_token().map(|(contact, _)| *contact).collect();
        let has_room = |contact: &&Contact| !visit.full.contains(contact);
        let mut places: Vec<Contact> = willing.iter().filter(has_room).take(1).copied().collect();
        let others = willing.into_iter().filter(|contact| !places.contains(contact)).take(COPIES - places.len());
        let others: Vec<Contact> = others.collect();
        places.extend(others);
        Some(places)
    }

    /// Whether its key has shown itself hot.
    fn is_hot(&self) -> bool {
        self.visit.as_ref().map_or(self.hot_answers, |visit| visit.full.len()) >= HOT_ANSWERS
    }

    fn has_visited_enough(&self) -> bool {
        self.is_hot() && (self.goal.writes() || self.summary.peers >= ENOUGH_PEERS)
    }
}

impl Node {
    /// Whom an operation visits first, where its key was hot of late.
    pub(super) fn visit_for(&mut self, now: Instant, target: &Id, goal: &AnyGoal) -> Option<Visit> {
        if !(self.config.visits && goal.visits() && self.hot_keys.contains(now, target)) {
            return None;
        }
        let own = self.id().common_prefix_len(target);
        let contacts = self.table.entries().map(|entry| entry.contact);
        let mut left: Vec<Contact> = contacts.filter(|other| other.id.common_prefix_len(target) > own).collect();
        for place in 0..left.len().min(STARTS) {
            let drawn = place + self.random.wire_below(left.len() - place);
            left.swap(place, drawn);
        }
        left.truncate(STARTS);
        let visit = Visit { starts: left, named: Vec::new(), namer: None, full: Vec::new(), left: INWARDS };
        (!visit.starts.is_empty()).then_some(visit)
    }

    /// A lookup that asks those that are visited and nobody else.
    pub(super) fn lookup_of_visit(&self, target: Id) -> Lookup {
        let lookup = Lookup::new(target, self.rules, None).minding(self.config.compliance);
        lookup.paced(self.config.effort, self.rtts.quantile(50), self.rtts.quantile(90)).with_time()
    }

    /// Visits the next where the one before has answered or is slow; whether the visit is over.
    pub(super) fn step_visit(&mut self, now: Instant, op: OpId, operation: &mut Operation) -> bool {
        while !operation.has_visited_enough() {
            if operation.lookup.is_idle() {
                let next = operation.visit.as_mut().and_then(|visit| visit.next(&mut self.random));
                let Some(next) = next else { return true };
                match self.table.rtt(&next) {
                    Some(rtt) => operation.lookup.add_known(next, rtt),
                    None => operation.lookup.add(next, Origin::Heard { hops: 1 }),
                }
            }
            match operation.lookup.step(now) {
                Step::Ask(contact) if self.ask_contact(now, op, operation, contact) => {}
                Step::Ask(_) => return false,
                Step::Wait(until) => {
                    operation.wake = until;
                    return false;
                }
                Step::Starved | Step::Done => {}
            }
        }
        true
    }

    /// What follows a visit: what it found will do, or an ordinary lookup begins. Whether it will do.
    pub(super) fn end_visit(&mut self, now: Instant, op: OpId) -> bool {
        let Some(operation) = self.operations.get(&op) else { return false };
        let target = *operation.lookup.target();
        if operation.is_hot() {
            self.hot_keys.note(now, target);
            return true;
        }
        self.hot_keys.0.remove(&target);
        let lookup = self.lookup_for(now, target, &operation.goal, operation.lots);
        if let Some(operation) = self.operations.get_mut(&op) {
            (operation.lookup, operation.visit) = (lookup, None);
            operation.phase = Phase::Searching;
        }
        false
    }

    /// An operation is over: its key may be one to remember.
    pub(super) fn note_hot_key(&mut self, now: Instant, operation: &Operation) {
        if operation.goal.visits() && operation.is_hot() {
            self.hot_keys.note(now, *operation.lookup.target());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hot_keys_are_forgotten_and_of_too_many_the_oldest() {
        let (mut keys, mut now) = (HotKeys::default(), Instant::from_secs(1));
        let key = |number: usize| Id([&number.to_be_bytes()[6..], &[0; 18]].concat().try_into().expect("20 bytes"));
        for number in 0..=HOT_KEYS_KNOWN {
            keys.note(now, key(number));
            now += Duration::from_millis(1);
        }
        let known =
            |keys: &HotKeys, now| (0..=HOT_KEYS_KNOWN).filter(|number| keys.contains(now, &key(*number))).count();
        assert_eq!(
            (keys.0.len(), known(&keys, now), keys.contains(now, &key(0))),
            (HOT_KEYS_KNOWN, HOT_KEYS_KNOWN, false)
        );
        assert_eq!(known(&keys, now + REMEMBERED_FOR), 0);
    }
}
