//! A bucket: contacts that share a prefix of one length with our own id, and a short reserve behind them.
//!
//! Invariants: at most `capacity` entries and [`RESERVE`] in reserve; ids are unique within the bucket, and sorted; each
//! entry has its head and its place at its own index.

use std::net::{IpAddr, SocketAddr};
use std::ops::{ControlFlow, Range};
use std::time::Duration;

use super::entry::Entry;
use crate::engine::contact::{Contact, subnet};
use crate::engine::id::Id;
use crate::engine::limits::RESERVE;
use crate::engine::time::Instant;

/// An entry younger than this may be displaced by a much faster one; older ones have proven that they stay.
const YOUNG: Duration = Duration::from_hours(1);

#[derive(Clone, Debug)]
pub(super) struct Bucket {
    capacity: usize,
    /// What is asked of every entry, kept side by side: a search reads these and only then the entry that fits. In a
    /// busy node most of the table is in no cache of the processor, and in a simulation none of it. First the head of
    /// each id.
    heads: Vec<u64>,
    /// Then the place of each address, see [`place`].
    places: Vec<u32>,
    entries: Vec<Entry>,
    reserve: Vec<Entry>,
    /// Whether one of the entries is dead.
    has_dead: bool,
}

/// 24 bits of the subnet, then 8 of host and port. Addresses that are alike here may still differ.
fn place(addr: &SocketAddr) -> u32 {
    let network = subnet(addr.ip());
    let network = (network ^ network >> 24 ^ network >> 48) as u32;
    let host = match addr.ip() {
        IpAddr::V4(ip) => ip.octets()[3],
        IpAddr::V6(ip) => ip.octets()[15],
    };
    let [high, low] = addr.port().to_be_bytes();
    network << 8 | u32::from(host ^ high ^ low)
}

impl Bucket {
    pub(super) const fn new(capacity: usize) -> Self {
        Self {
            capacity,
            heads: Vec::new(),
            places: Vec::new(),
            entries: Vec::new(),
            reserve: Vec::new(),
            has_dead: false,
        }
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut()
    }

    /// Visits the entries, those closest to `target` first, until `visit` breaks it off.
    pub(super) fn visit_from<'a>(
        &'a self,
        target: &Id,
        visit: &mut impl FnMut(&'a Entry) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.visit_range(0..self.entries.len(), target, visit)
    }

    /// Splits the range where its ids first differ: one half is closer to any target than the other.
    fn visit_range<'a>(
        &'a self,
        range: Range<usize>,
        target: &Id,
        visit: &mut impl FnMut(&'a Entry) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let [first, .., last] = self.heads[range.clone()] else {
            return self.entries[range].iter().try_for_each(visit);
        };
        if first == last {
            return self.visit_twins(range, target, visit);
        }
        let bit = 1 << (first ^ last).ilog2();
        let middle = range.start + self.heads[range.clone()].partition_point(|head| head & bit == 0);
        let (low, high) = (range.start..middle, middle..range.end);
        let (near, far) = if target.head() & bit == 0 { (low, high) } else { (high, low) };
        self.visit_range(near, target, visit)?;
        self.visit_range(far, target, visit)
    }

    /// The same for a range in which all heads are alike: chance does not make one.
    fn visit_twins<'a>(
        &'a self,
        range: Range<usize>,
        target: &Id,
        visit: &mut impl FnMut(&'a Entry) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mut twins: Vec<&Entry> = self.entries[range].iter().collect();
        twins.sort_unstable_by(|a, b| target.closer(&a.contact.id, &b.contact.id));
        twins.into_iter().try_for_each(visit)
    }

    pub(super) fn by_id(&self, id: &Id) -> Option<&Entry> {
        self.index_of(id).map(|index| &self.entries[index])
    }

    fn index_of(&self, id: &Id) -> Option<usize> {
        let head = id.head();
        let first = self.heads.partition_point(|other| *other < head);
        let alike = self.heads[first..].iter().take_while(|other| **other == head).count();
        (first..first + alike).find(|&index| self.entries[index].contact.id == *id)
    }

    pub(super) fn at(&self, addr: &SocketAddr) -> Option<&Entry> {
        let place = place(addr);
        let mut all = self.places.iter().zip(&self.entries);
        all.find(|(other, entry)| **other == place && entry.contact.addr == *addr).map(|(_, entry)| entry)
    }

    /// The entries that share a subnet with `ip`.
    pub(super) fn in_subnet_of(&self, addr: &SocketAddr) -> impl Iterator<Item = &Entry> {
        let (network, ours) = (place(addr) >> 8, subnet(addr.ip()));
        let alike = self.places.iter().zip(&self.entries).filter(move |(place, _)| *place >> 8 == network);
        alike.map(|(_, entry)| entry).filter(move |entry| subnet(entry.contact.addr.ip()) == ours)
    }

    pub(super) const fn is_full(&self) -> bool {
        self.entries.len() >= self.capacity
    }

    /// Whether a newcomer could enter without being better than anyone who lives.
    pub(super) const fn has_room(&self) -> bool {
        !self.is_full() || self.has_dead
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        let index = self.entries.partition_point(|other| other.contact.id < entry.contact.id);
        self.heads.insert(index, entry.contact.id.head());
        self.places.insert(index, place(&entry.contact.addr));
        self.entries.insert(index, entry);
    }

    pub(super) fn remove(&mut self, id: &Id) -> Option<Entry> {
        self.reserve.retain(|entry| entry.contact.id != *id);
        let index = self.index_of(id)?;
        self.heads.remove(index);
        self.places.remove(index);
        let removed = self.entries.remove(index);
        self.look_for_dead();
        Some(removed)
    }

    pub(super) fn note_answer(&mut self, now: Instant, contact: &Contact, rtt: Duration) {
        let Some(entry) = self.get_mut(contact) else { return };
        let failed = entry.failures() > 0;
        entry.note_answer(now, rtt);
        if failed {
            self.look_for_dead();
        }
    }

    /// `contact` queried us; whether it is here.
    pub(super) fn note_query(&mut self, now: Instant, contact: &Contact) -> bool {
        self.get_mut(contact).map(|entry| entry.note_query(now)).is_some()
    }

    /// `contact` did not answer; its entry as it is now, if it is here.
    pub(super) fn note_failure(&mut self, now: Instant, contact: &Contact) -> Option<Entry> {
        let entry = self.get_mut(contact)?;
        entry.note_failure(now);
        let entry = *entry;
        self.has_dead |= entry.is_dead();
        Some(entry)
    }

    fn look_for_dead(&mut self) {
        self.has_dead = self.entries.iter().any(Entry::is_dead);
    }

    fn get_mut(&mut self, contact: &Contact) -> Option<&mut Entry> {
        let index = self.index_of(&contact.id)?;
        Some(&mut self.entries[index]).filter(|entry| entry.contact.addr == contact.addr)
    }

    /// The entry that should make room for `newcomer`, best reason first: it is dead; it breaks BEP 42 and the newcomer
    /// does not; it is young and at least 2.5 times slower. A good old entry goes for no other reason.
    pub(super) fn victim(&self, now: Instant, newcomer: &Entry, prefer_compliant: bool) -> Option<Id> {
        let dead = if self.has_dead { self.entries.iter().find(|entry| entry.is_dead()) } else { None };
        let breaks_bep_42 = || {
            (prefer_compliant && newcomer.is_compliant())
                .then(|| self.entries.iter().find(|entry| !entry.is_compliant()))
                .flatten()
        };
        let slow = || {
            let young = self.entries.iter().filter(|entry| now.since(entry.added) < YOUNG);
            young.max_by_key(|entry| entry.rtt).filter(|entry| entry.rtt * 2 > newcomer.rtt * 5)
        };
        dead.or_else(breaks_bep_42).or_else(slow).map(|entry| entry.contact.id)
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
