//! A bucket: contacts that share a prefix of one length with our own id, and a short reserve behind them.
//!
//! Invariants: at most `capacity` entries and [`RESERVE`] in reserve; ids are unique among the entries, and in reserve; heads are
//! sorted, each beside the index of its entry; each entry has its place at its own index.

use std::net::{IpAddr, SocketAddr};
use std::ops::{ControlFlow, Range};
use std::time::Duration;

use arrayvec::ArrayVec;

use super::entry::Entry;
use crate::engine::contact::Contact;
use crate::engine::id::{Id, NodeId};
use crate::engine::limits::{FIRST_BUCKETS, K, LEAST_OF_PROVIDER, PARTS_FOR_PROVIDERS, RESERVE};
use crate::engine::owner::{Level, network, owner};
use crate::engine::time::Instant;

/// An entry younger than this may be displaced by a much faster one; older ones have proven that they stay.
const YOUNG: Duration = Duration::from_hours(1);

/// An index of an entry fits into one byte.
const _: () = assert!(FIRST_BUCKETS[0] <= u8::MAX as usize && K <= FIRST_BUCKETS[0]);

#[derive(Clone, Debug)]
pub(super) struct Bucket {
    capacity: usize,
    /// Leading bits that all ids in it share.
    shared_bits: u32,
    /// What is asked of every entry, kept side by side: a search reads these and only then the entry that fits. In a
    /// busy node most of the table is in no cache of the processor, and in a simulation none of it. First the head of
    /// each id, sorted, and the index of its entry: only these are moved when an entry comes or goes.
    heads: Vec<u64>,
    order: Vec<u8>,
    /// Then the place of each address, see [`place`].
    places: Vec<u32>,
    entries: Vec<Entry>,
    reserve: Vec<Entry>,
    /// Whether one of the entries is dead.
    has_dead: bool,
    /// Whether one of the entries may have failed since it was last seen.
    has_failed: bool,
    /// None of the others was last seen before. What life they show is not noted here, so that it may be later in truth.
    seen_from: Instant,
}

/// 24 bits of the owner, then 8 of host and port. Addresses that are alike here may still differ.
fn place(addr: &SocketAddr) -> u32 {
    let owner = owner(addr.ip());
    let owner = (owner ^ owner >> 24) as u32;
    let host = match addr.ip() {
        IpAddr::V4(ip) => ip.octets()[3],
        IpAddr::V6(ip) => ip.octets()[15],
    };
    let [high, low] = addr.port().to_be_bytes();
    owner << 8 | u32::from(host ^ high ^ low)
}

impl Bucket {
    /// An empty bucket. It takes all its room at once, so that its lists lie side by side and never move.
    pub(super) fn new(capacity: usize, shared_bits: u32) -> Self {
        Self {
            capacity,
            shared_bits,
            heads: Vec::with_capacity(capacity),
            order: Vec::with_capacity(capacity),
            places: Vec::with_capacity(capacity),
            entries: Vec::with_capacity(capacity),
            reserve: Vec::new(),
            has_dead: false,
            has_failed: false,
            seen_from: Instant::FAR_FUTURE,
        }
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
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
            return self.ranked(range).try_for_each(visit);
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
        let mut twins: ArrayVec<&Entry, { FIRST_BUCKETS[0] }> = self.ranked(range).collect();
        twins.sort_unstable_by(|a, b| target.closer(&a.contact.id, &b.contact.id));
        twins.into_iter().try_for_each(visit)
    }

    /// The entries of these ranks among the heads.
    fn ranked(&self, ranks: Range<usize>) -> impl Iterator<Item = &Entry> {
        self.order[ranks].iter().map(|&index| &self.entries[usize::from(index)])
    }

    pub(super) fn by_id(&self, id: &NodeId) -> Option<&Entry> {
        self.rank_of(id).map(|rank| &self.entries[usize::from(self.order[rank])])
    }

    /// The first rank that is not before `head`. Ids are spread evenly, so that it is near to where its share of the bucket
    /// ends: that takes a cache line or two, where halving takes five, one after the other.
    fn rank_from(&self, head: u64) -> usize {
        let share = head.checked_shl(self.shared_bits).unwrap_or(0);
        let mut rank = ((u128::from(share) * self.heads.len() as u128) >> 64) as usize;
        while rank > 0 && self.heads[rank - 1] >= head {
            rank -= 1;
        }
        while self.heads.get(rank).is_some_and(|other| *other < head) {
            rank += 1;
        }
        rank
    }

    fn rank_of(&self, id: &NodeId) -> Option<usize> {
        let head = id.head();
        let first = self.rank_from(head);
        let alike = self.heads[first..].iter().take_while(|other| **other == head).count();
        let found = self.ranked(first..first + alike).position(|entry| entry.contact.id == *id);
        found.map(|place| first + place)
    }

    pub(super) fn at(&self, addr: &SocketAddr) -> Option<&Entry> {
        let place = place(addr);
        let mut all = self.places.iter().zip(&self.entries);
        all.find(|(other, entry)| **other == place && entry.contact.addr == *addr).map(|(_, entry)| entry)
    }

    /// The entries whose address has the same owner.
    pub(super) fn of_owner_of(&self, addr: &SocketAddr) -> impl Iterator<Item = &Entry> {
        let (mark, ours) = (place(addr) >> 8, owner(addr.ip()));
        let alike = self.places.iter().zip(&self.entries).filter(move |(place, _)| *place >> 8 == mark);
        alike.map(|(_, entry)| entry).filter(move |entry| owner(entry.contact.addr.ip()) == ours)
    }

    pub(super) fn knows_owner_of(&self, addr: &SocketAddr) -> bool {
        self.of_owner_of(addr).next().is_some()
    }

    /// Whether one provider has all the entries that it may have: an eighth, two at the least.
    pub(super) fn has_enough_of_provider(&self, ip: IpAddr) -> bool {
        let provider = network(ip, Level::Provider);
        let same = self.entries.iter().filter(|entry| network(entry.contact.addr.ip(), Level::Provider) == provider);
        same.count() >= (self.capacity / PARTS_FOR_PROVIDERS).max(LEAST_OF_PROVIDER)
    }

    pub(super) const fn is_full(&self) -> bool {
        self.entries.len() >= self.capacity
    }

    /// Whether a newcomer could enter without being better than anyone who lives.
    pub(super) const fn has_room(&self) -> bool {
        !self.is_full() || self.has_dead
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        self.has_dead |= entry.is_dead();
        self.has_failed |= entry.failures() > 0;
        self.seen_from = self.seen_from.min(entry.seen);
        let head = entry.contact.id.head();
        let rank = self.rank_from(head);
        self.heads.insert(rank, head);
        self.order.insert(rank, self.entries.len() as u8);
        self.places.push(place(&entry.contact.addr));
        self.entries.push(entry);
    }

    pub(super) fn remove(&mut self, id: &NodeId) -> Option<Entry> {
        self.reserve.retain(|entry| entry.contact.id != *id);
        let rank = self.rank_of(id)?;
        self.heads.remove(rank);
        let index = self.order.remove(rank);
        self.places.swap_remove(usize::from(index));
        let removed = self.entries.swap_remove(usize::from(index));
        // The last one took its place, unless it was the last itself.
        let last = self.entries.len() as u8;
        self.order.iter_mut().filter(|other| **other == last).for_each(|other| *other = index);
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
        self.has_failed = true;
        self.has_dead |= entry.is_dead();
        Some(entry)
    }

    /// Whether one of the entries may be due for a check at `now`. Asked before they are looked at, who are many.
    pub(super) fn may_be_due(&self, now: Instant, age: Duration) -> bool {
        self.has_failed || self.seen_from + age <= now
    }

    /// The entry that is due for a check first.
    pub(super) fn first_due(&mut self, age: Duration, recheck: Duration) -> Option<&mut Entry> {
        self.has_failed = self.entries.iter().any(|entry| entry.failures() > 0);
        let sound = self.entries.iter().filter(|entry| entry.failures() == 0);
        self.seen_from = sound.map(|entry| entry.seen).min().unwrap_or(Instant::FAR_FUTURE);
        self.entries.iter_mut().min_by_key(|entry| entry.check_due(age, recheck))
    }

    /// Whether `contact` is here and was last checked `recheck` ago or more; marks it as checked then.
    pub(super) fn take_check(&mut self, now: Instant, contact: &Contact, recheck: Duration) -> bool {
        let due = self.get_mut(contact).filter(|entry| entry.checked + recheck <= now);
        due.map(|entry| entry.checked = now).is_some()
    }

    fn look_for_dead(&mut self) {
        self.has_dead = self.entries.iter().any(Entry::is_dead);
    }

    fn get_mut(&mut self, contact: &Contact) -> Option<&mut Entry> {
        let rank = self.rank_of(&contact.id)?;
        Some(&mut self.entries[usize::from(self.order[rank])]).filter(|entry| entry.contact.addr == contact.addr)
    }

    /// The entry that should make room for `newcomer`, best reason first: it is dead; it breaks BEP 42 and the newcomer
    /// does not; it is young and at least 2.5 times slower. A good old entry goes for no other reason.
    pub(super) fn victim(&self, now: Instant, newcomer: &Entry, prefer_compliant: bool) -> Option<NodeId> {
        let dead = if self.has_dead { self.entries.iter().find(|entry| entry.is_dead()) } else { None };
        let breaks_bep_42 = || {
            (prefer_compliant && newcomer.is_compliant())
                .then(|| self.entries.iter().find(|entry| !entry.is_compliant()))
                .flatten()
        };
        let slow = || {
            let young = self.entries.iter().filter(|entry| now.since(entry.added) < YOUNG);
            young.max_by_key(|entry| entry.rtt()).filter(|entry| entry.rtt() * 2 > newcomer.rtt() * 5)
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

    /// The best of the reserve: the fastest of those that wait for any place, not for that of their own old address.
    pub(super) fn take_from_reserve(&mut self) -> Option<Entry> {
        let free = (0..self.reserve.len()).filter(|&index| self.waits_for_any_place(&self.reserve[index]));
        let best = free.min_by_key(|&index| self.reserve[index].rtt())?;
        Some(self.reserve.remove(best))
    }

    fn waits_for_any_place(&self, reserved: &Entry) -> bool {
        self.rank_of(&reserved.contact.id).is_none()
    }

    /// Who has answered with the id of this contact at another address.
    pub(super) fn moved_to(&self, contact: &Contact) -> Option<Entry> {
        self.reserve.iter().find(|entry| entry.contact.id == contact.id && entry.contact.addr != contact.addr).copied()
    }

    /// Whether an entry in reserve may take any place that falls free.
    pub(super) fn has_reserve(&self) -> bool {
        self.reserve.iter().any(|entry| self.waits_for_any_place(entry))
    }
}

#[cfg(test)]
impl Bucket {
    /// Whether heads are sorted, each beside its entry, places stand where their entries do, and the dead are known of.
    pub(super) fn is_in_order(&self) -> bool {
        let heads = self.ranked(0..self.order.len()).map(|entry| entry.contact.id.head());
        let mut indices = self.order.clone();
        indices.sort_unstable();
        self.heads.is_sorted()
            && self.has_dead == self.entries.iter().any(Entry::is_dead)
            && heads.eq(self.heads.iter().copied())
            && indices.iter().map(|&index| usize::from(index)).eq(0..self.entries.len())
            && self.entries.iter().map(|entry| place(&entry.contact.addr)).eq(self.places.iter().copied())
    }
}
