//! A bucket: contacts that share a prefix of one length with our own id, and a short reserve behind them.
//!
//! Invariants: at most `capacity` entries and [`RESERVE`] in reserve; ids are unique within the bucket.

use std::time::Duration;

use super::entry::{Entry, Health};
use crate::engine::contact::{Contact, subnet};
use crate::engine::id::Id;
use crate::engine::limits::RESERVE;
use crate::engine::time::Instant;

/// An entry younger than this may be displaced by a much faster one; older ones have proven that they stay.
const YOUNG: Duration = Duration::from_hours(1);

#[derive(Clone, Debug)]
pub(super) struct Bucket {
    capacity: usize,
    pub(super) entries: Vec<Entry>,
    reserve: Vec<Entry>,
}

impl Bucket {
    pub(super) const fn new(capacity: usize) -> Self {
        Self { capacity, entries: Vec::new(), reserve: Vec::new() }
    }

    pub(super) fn get_mut(&mut self, id: &Id) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.contact.id == *id)
    }

    pub(super) const fn is_full(&self) -> bool {
        self.entries.len() >= self.capacity
    }

    pub(super) fn has_subnet_of(&self, contact: &Contact) -> bool {
        let ours = subnet(contact.addr.ip());
        self.entries.iter().any(|entry| subnet(entry.contact.addr.ip()) == ours)
    }

    pub(super) fn remove(&mut self, id: &Id) -> Option<Entry> {
        self.reserve.retain(|entry| entry.contact.id != *id);
        let index = self.entries.iter().position(|entry| entry.contact.id == *id)?;
        Some(self.entries.swap_remove(index))
    }

    /// The entry that should make room for `newcomer`, best reason first: it is dead; it breaks BEP 42 and the newcomer
    /// does not; it is young and at least 2.5 times slower. A good old entry goes for no other reason.
    pub(super) fn victim(&self, now: Instant, newcomer: &Entry, prefer_compliant: bool) -> Option<Id> {
        let bad = self.entries.iter().find(|entry| entry.health(now) == Health::Bad);
        let breaks_bep_42 = || {
            (prefer_compliant && newcomer.contact.is_compliant())
                .then(|| self.entries.iter().find(|entry| !entry.contact.is_compliant()))
                .flatten()
        };
        let slow = || {
            let young = self.entries.iter().filter(|entry| now.since(entry.added) < YOUNG);
            young.max_by_key(|entry| entry.rtt).filter(|entry| entry.rtt * 2 > newcomer.rtt * 5)
        };
        bad.or_else(breaks_bep_42).or_else(slow).map(|entry| entry.contact.id)
    }

    /// Keeps `entry` for later; the one that answered longest ago makes room.
    pub(super) fn keep_in_reserve(&mut self, entry: Entry) {
        self.reserve.retain(|other| other.contact.id != entry.contact.id && other.contact.addr != entry.contact.addr);
        if self.reserve.len() >= RESERVE {
            self.reserve.remove(0);
        }
        self.reserve.push(entry);
    }

    /// The best of the reserve: the fastest.
    pub(super) fn take_from_reserve(&mut self) -> Option<Entry> {
        let best = (0..self.reserve.len()).min_by_key(|&index| self.reserve[index].rtt)?;
        Some(self.reserve.remove(best))
    }

    pub(super) const fn has_reserve(&self) -> bool {
        !self.reserve.is_empty()
    }
}
