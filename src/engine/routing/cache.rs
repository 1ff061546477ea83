//! The passive cache: known-good contacts beside the table, for a head start in lookups.
//!
//! Nothing is ever sent for its sake. For each first byte of an id it keeps the fastest contacts that answered lately,
//! so that wherever a target lies some are known that share eight bits and more with it. Places that are left go to contacts
//! that others have named; they give way to any that answers. Invariant: at most
//! `ways` contacts per first byte, of which no two share an endpoint; in a public network one of an owner (a
//! /24 or /48) and two of a provider (a /16 or /32). A lookup trusts those that answered as it trusts the table, and the others as
//! what it hears itself.

use std::time::Duration;

use crate::engine::contact::Contact;
use crate::engine::id::Id;
use crate::engine::limits::CACHE_SHARE;
use crate::engine::owner::{Level, network};
use crate::engine::rules::Rules;
use crate::engine::time::{Instant, RoundTrip};

/// Time after its last answer from which on a contact gives way to any other.
const FRESH_FOR: Duration = Duration::from_mins(30);

#[derive(Clone, Copy, Debug)]
struct Known {
    contact: Contact,
    /// `None` of one that was only heard of.
    rtt: Option<RoundTrip>,
    answered: Instant,
}

/// The cache.
#[derive(Clone, Debug)]
pub struct Cache {
    ways: usize,
    rules: &'static Rules,
    sets: Vec<Vec<Known>>,
}

impl Cache {
    /// A cache of `ways` contacts per first id byte; 0 keeps nothing.
    #[must_use]
    pub fn new(ways: usize, rules: &'static Rules) -> Self {
        Self { ways, rules, sets: vec![Vec::new(); if ways == 0 { 0 } else { 256 }] }
    }

    /// `contact` answered after `rtt`, and the table has nothing against it.
    pub fn answered(&mut self, now: Instant, contact: Contact, rtt: Duration) {
        let Some(set) = self.sets.get_mut(usize::from(contact.id.as_bytes()[0])) else { return };
        let known = Known { contact, rtt: Some(rtt.into()), answered: now };
        let worth = |known: &Known| (known.rtt.is_none(), now.since(known.answered) >= FRESH_FOR, known.rtt);
        if let Some(same) = set.iter_mut().find(|known| known.contact.addr == contact.addr) {
            *same = known;
        } else if let Some(level) = self.rules.diverse.then(|| exhausted(set, &contact)).flatten() {
            // Its network has no place left: it takes that of one that is stale, or none.
            let is_of_it =
                |near: &&mut Known| network(near.contact.addr.ip(), level) == network(contact.addr.ip(), level);
            if let Some(stale) = set
                .iter_mut()
                .filter(is_of_it)
                .max_by_key(|near| worth(near))
                .filter(|near| worth(near).0 || worth(near).1)
            {
                *stale = known;
            }
        } else if set.len() < self.ways {
            // A set keeps what it has: room for more would cost as much again.
            set.reserve_exact(1);
            set.push(known);
        } else {
            let worst = set.iter_mut().max_by_key(|known| worth(known));
            if let Some(worst) = worst.filter(|worst| worth(worst) > worth(&known)) {
                *worst = known;
            }
        }
    }

    /// Another has named `contact`: it takes a place that nothing better needs.
    pub fn heard(&mut self, now: Instant, contact: Contact) {
        let Some(set) = self.sets.get_mut(usize::from(contact.id.as_bytes()[0])) else { return };
        if set.iter().any(|known| known.contact.addr == contact.addr)
            || self.rules.diverse && exhausted(set, &contact).is_some()
        {
            return;
        }
        let known = Known { contact, rtt: None, answered: now };
        if set.len() < self.ways {
            set.reserve_exact(1);
            set.push(known);
        } else if let Some(oldest) =
            set.iter_mut().filter(|known| known.rtt.is_none()).min_by_key(|known| known.answered)
        {
            *oldest = known;
        }
    }

    /// `contact` did not answer, or with another id.
    pub fn failed(&mut self, contact: &Contact) {
        if let Some(set) = self.sets.get_mut(usize::from(contact.id.as_bytes()[0])) {
            set.retain(|known| known.contact.addr != contact.addr);
        }
    }

    /// The contacts that share the first byte with `target`, and their round-trip times; those without one were only heard of.
    pub fn near(&self, target: &Id) -> impl Iterator<Item = (Contact, Option<Duration>)> {
        self.sets
            .get(usize::from(target.0[0]))
            .into_iter()
            .flatten()
            .map(|known| (known.contact, known.rtt.map(Duration::from)))
    }

    /// Number of contacts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sets.iter().map(Vec::len).sum()
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The network of `contact` that has all the places of `set` that it may have.
fn exhausted(set: &[Known], contact: &Contact) -> Option<Level> {
    CACHE_SHARE.exhausted(contact.addr.ip(), set.iter().map(|known| known.contact.addr.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::id::NodeId;

    fn contact(first: u8, port: u16) -> Contact {
        let mut id = [0; 20];
        (id[0], id[19]) = (first, port as u8);
        Contact { id: NodeId::new(id), addr: ([1, 2, 3, 4], port).into() }
    }

    #[test]
    fn keeps_the_fastest_and_lets_the_stale_go() {
        let mut cache = Cache::new(2, &Rules::PRIVATE);
        for (port, millis) in [(1, 300), (2, 100), (3, 200), (4, 400)] {
            cache.answered(Instant::ZERO, contact(7, port), Duration::from_millis(millis));
        }
        let ports =
            |cache: &Cache| cache.near(&Id([7; 20])).map(|(contact, _)| contact.addr.port()).collect::<Vec<_>>();
        assert_eq!(ports(&cache), [3, 2]);
        cache.answered(Instant::from_secs(1800), contact(7, 5), Duration::from_millis(900));
        assert_eq!(ports(&cache).len(), 2);
        assert!(ports(&cache).contains(&5));
        cache.failed(&contact(7, 5));
        assert_eq!(cache.len(), 1);
        assert!(Cache::new(0, &Rules::PRIVATE).is_empty());
    }

    #[test]
    fn those_only_heard_of_take_places_that_are_left_and_give_way_to_all_that_answer() {
        let mut cache = Cache::new(2, &Rules::PRIVATE);
        let known = |cache: &Cache| -> Vec<(u16, bool)> {
            cache.near(&Id([7; 20])).map(|(contact, rtt)| (contact.addr.port(), rtt.is_some())).collect()
        };
        let at = |secs| Instant::from_secs(secs);
        cache.answered(at(0), contact(7, 1), Duration::from_millis(900));
        cache.heard(at(0), contact(7, 1));
        cache.heard(at(1), contact(7, 2));
        cache.heard(at(2), contact(7, 3));
        assert_eq!(known(&cache), [(1, true), (3, false)], "the latest, beside the one that answered");
        cache.answered(at(1900), contact(7, 4), Duration::from_millis(1900));
        assert_eq!(known(&cache), [(1, true), (4, true)], "however slow, however stale the other");
        cache.heard(at(1901), contact(7, 5));
        assert_eq!(known(&cache), [(1, true), (4, true)]);
    }

    #[test]
    fn one_owner_that_answers_takes_the_place_of_what_was_heard_of_it() {
        let mut cache = Cache::new(8, &Rules::MAINLINE);
        cache.heard(Instant::ZERO, contact(7, 1));
        cache.heard(Instant::ZERO, contact(7, 2));
        assert_eq!(cache.len(), 1);
        cache.answered(Instant::ZERO, contact(7, 3), Duration::from_millis(10));
        assert_eq!(cache.near(&Id([7; 20])).map(|(known, _)| known.addr.port()).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn one_provider_has_two_places_in_a_set() {
        let at: [fn(u8) -> std::net::SocketAddr; 2] =
            [|n| ([9, 8, n, 1], 1).into(), |n| ([0x2001, 0xdb8, u16::from(n), 0, 0, 0, 0, 1], 1).into()];
        for at in at {
            let mut cache = Cache::new(8, &Rules::MAINLINE);
            for n in 1..=8 {
                cache.answered(
                    Instant::ZERO,
                    Contact { addr: at(n), ..contact(7, n.into()) },
                    Duration::from_millis(10),
                );
            }
            assert_eq!(cache.len(), CACHE_SHARE.provider);
        }
    }

    #[test]
    fn one_owner_has_one_place_in_a_set() {
        for (rules, places) in [(&Rules::MAINLINE, 1), (&Rules::PRIVATE, 4)] {
            let mut cache = Cache::new(8, rules);
            for port in 1..=4 {
                cache.answered(Instant::ZERO, contact(7, port), Duration::from_millis(10));
            }
            assert_eq!(cache.len(), places);
            cache.answered(Instant::from_secs(1800), contact(7, 9), Duration::from_millis(10));
            assert!(cache.near(&Id([7; 20])).any(|(known, _)| known.addr.port() == 9), "the stale one gave way");
        }
    }
}
