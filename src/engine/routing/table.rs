//! The routing table.
//!
//! Bucket `i` holds contacts that share exactly `i` leading bits with our own id, so no bucket is ever split: BEP 5's
//! splitting of the own bucket comes to the same. Invariants, besides those of a bucket: one entry per site (an
//! IPv4 address, a /64), one per owner (a /24, a /48) in a bucket, and an eighth of a bucket, two at the least, per provider (a
//! /16, a /32), all off in a private network; never our own id, verified contacts only.

use std::ops::ControlFlow;
use std::time::Duration;

use arrayvec::ArrayVec;

use super::bucket::Bucket;
use super::entry::{Entry, Health};
use crate::engine::contact::Contact;
use crate::engine::id::{Id, NodeId};
use crate::engine::limits::{FIRST_BUCKETS, K};
use crate::engine::owner::{Level, network, owner};
use crate::engine::presence::Presence;
use crate::engine::rules::Rules;
use crate::engine::time::Instant;

/// Failures in a row after which a dead entry leaves the table. Until then it is kept as a last resort, unless another
/// contact takes its place.
const FAILURES_TO_BE_FORGOTTEN: u8 = 8;

/// Counts in the filter of owners: six for each entry of a usual table.
const OWNERS: usize = 2048;
/// Counts in the filter of providers: three for each.
const PROVIDERS: usize = 1024;

/// What became of a contact that answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was in the table; its entry is fresh again.
    Refreshed,
    /// It is new in the table.
    Added,
    /// It is new in the table, in the place of this one.
    Replaced(NodeId),
    /// Its bucket is full of better ones; it waits in reserve.
    Reserved,
    /// This endpoint used to have another id; that entry is gone, and the new id is not believed yet.
    IdChanged(NodeId),
    /// Its id is in the table at this other address, which is to be asked whether it still answers. If not, the node has
    /// moved: the new address, in reserve until then, takes the place of the old one.
    Contested(Contact),
    /// It may not enter.
    Refused(EntryRefusal),
}

/// Why a contact may not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryRefusal {
    /// It claims our own id, or no id at all.
    OwnOrZeroId,
    /// Another contact at this IPv4 address, or of this /64, is in the table.
    AddressTaken,
    /// Another contact of this owner (a /24 or /48) is in the bucket.
    OwnerTaken,
    /// The bucket has as many contacts of this provider (a /16 or /32) as it takes.
    ProviderTaken,
}

/// The routing table of one node, one family.
#[derive(Clone, Debug)]
pub struct Table {
    own: NodeId,
    buckets: Vec<Bucket>,
    /// The owners of all entries: most contacts that are heard of belong to none of them.
    owners: Presence<OWNERS>,
    /// The providers of all entries.
    providers: Presence<PROVIDERS>,
    rules: &'static Rules,
    prefer_compliant: bool,
}

impl Table {
    /// An empty table around `own`. `prefer_compliant` lets contacts that obey BEP 42 displace those that do not.
    #[must_use]
    pub const fn new(own: NodeId, rules: &'static Rules, prefer_compliant: bool) -> Self {
        Self { own, buckets: Vec::new(), owners: Presence::new(), providers: Presence::new(), rules, prefer_compliant }
    }

    /// The id that the table is built around.
    #[must_use]
    pub const fn own(&self) -> &NodeId {
        &self.own
    }

    /// `contact` answered a query of ours after `rtt`.
    pub fn answered(&mut self, now: Instant, contact: Contact, rtt: Duration) -> Outcome {
        if contact.id == self.own || contact.id == NodeId::ZERO {
            return Outcome::Refused(EntryRefusal::OwnOrZeroId);
        }
        let index = self.bucket_index(&contact.id);
        if let Some(entry) = self.buckets[index].by_id(&contact.id) {
            if entry.contact.addr == contact.addr {
                self.buckets[index].note_answer(now, &contact, rtt);
                return Outcome::Refreshed;
            }
            if !entry.is_dead() {
                let old = entry.contact;
                return self.drop_old_id(now, &contact).unwrap_or_else(|| {
                    self.buckets[index].keep_in_reserve(Entry::new(now, contact, rtt));
                    Outcome::Contested(old)
                });
            }
            self.take_out(index, &contact.id);
        }
        let refusal = self.refusal(index, &contact);
        // In a private network an address is no reason, but the very endpoint is.
        if (refusal == Some(EntryRefusal::AddressTaken) || !self.rules.diverse)
            && let Some(changed) = self.drop_old_id(now, &contact)
        {
            return changed;
        }
        match refusal {
            Some(refusal) => Outcome::Refused(refusal),
            None => self.insert(now, index, Entry::new(now, contact, rtt)),
        }
    }

    /// `contact` queried us. Whether it is in the table: if not, it should be verified before it can be.
    pub fn asked_us(&mut self, now: Instant, contact: &Contact) -> bool {
        // Most of those who ask are strangers, and no entry has their owner.
        if !self.owners.may_contain(owner(contact.addr.ip())) {
            return false;
        }
        let index = self.own.common_prefix_len(&contact.id);
        self.buckets.get_mut(index).is_some_and(|bucket| bucket.note_query(now, contact))
    }

    /// `contact` did not answer. Returns the id of an entry that left the table because of it.
    pub fn failed(&mut self, now: Instant, contact: &Contact) -> Option<NodeId> {
        let index = self.own.common_prefix_len(&contact.id);
        let bucket = self.buckets.get_mut(index)?;
        let entry = bucket.note_failure(now, contact)?;
        if let Some(moved) = bucket.moved_to(contact) {
            // In a private network nobody takes the id of another.
            return (entry.is_dead() || !self.rules.diverse).then(|| self.move_entry(now, index, moved));
        }
        let gone = entry.is_dead() && (bucket.has_reserve() || entry.failures() >= FAILURES_TO_BE_FORGOTTEN);
        gone.then(|| self.remove(now, &contact.id)).flatten().map(|entry| entry.contact.id)
    }

    /// A node has moved: the entry of its old address makes room for that of the new one.
    fn move_entry(&mut self, now: Instant, index: usize, mut moved: Entry) -> NodeId {
        let id = moved.contact.id;
        self.take_out(index, &id);
        if self.refusal(index, &moved.contact).is_none() {
            moved.added = now;
            self.put_in(index, moved);
        }
        id
    }

    /// Takes `id` out of the table and moves the best of the reserve into its place.
    pub fn remove(&mut self, now: Instant, id: &NodeId) -> Option<Entry> {
        let index = self.own.common_prefix_len(id);
        let removed = self.take_out(index, id)?;
        while let Some(mut entry) = self.buckets[index].take_from_reserve() {
            if self.refusal(index, &entry.contact).is_none() {
                entry.added = now;
                self.put_in(index, entry);
                break;
            }
        }
        Some(removed)
    }

    /// Whether `contact` is in the table.
    #[must_use]
    pub fn contains(&self, contact: &Contact) -> bool {
        self.owners.may_contain(owner(contact.addr.ip())) && self.entry(contact).is_some()
    }

    /// When `contact` entered the table, if it is there.
    #[must_use]
    pub fn added(&self, contact: &Contact) -> Option<Instant> {
        self.entry(contact).map(|entry| entry.added)
    }

    /// The smoothed round-trip time of `contact`, if it is in the table.
    #[must_use]
    pub fn rtt(&self, contact: &Contact) -> Option<Duration> {
        self.entry(contact).map(Entry::rtt)
    }

    /// Whether a contact that is not in the table could enter it now: is it worth a query to verify it?
    #[must_use]
    pub fn has_room_for(&self, contact: &Contact) -> bool {
        if contact.id == self.own || contact.id == NodeId::ZERO {
            return false;
        }
        let index = self.own.common_prefix_len(&contact.id);
        // Those near us are heard of again and again, and most of them are in their bucket already: look there first.
        let is_open =
            |bucket: &Bucket| bucket.has_room() && !(self.rules.diverse && bucket.knows_owner_of(&contact.addr));
        self.buckets.get(index).is_none_or(is_open) && self.refusal(index, contact).is_none()
    }

    /// The contacts closest to `target`, at most [`K`], closest first: those without a failure; if they are too few,
    /// also those with one that are not dead.
    #[must_use]
    pub fn closest<'a>(&'a self, target: &Id) -> ArrayVec<&'a Contact, K> {
        let sound = self.closest_where(target, |entry| entry.failures() == 0);
        if sound.is_full() {
            return sound;
        }
        self.closest_where(target, |entry| !entry.is_dead())
    }

    /// All entries, in no particular but stable order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.buckets.iter().flat_map(Bucket::entries)
    }

    /// Entries that are good at `now`.
    pub fn good(&self, now: Instant) -> impl Iterator<Item = &Entry> {
        self.entries().filter(move |entry| entry.health(now) == Health::Good)
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.entries().len()).sum()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry that has been due for a check for longest; marks it as checked. So no entry waits for ever: not
    /// even where those that fail are too many, each due again after `recheck`.
    pub fn take_stalest(&mut self, now: Instant, age: Duration, recheck: Duration) -> Option<Contact> {
        let due = self.buckets.iter_mut().filter(|bucket| bucket.may_be_due(now, age));
        let first = due.filter_map(|bucket| bucket.first_due(age, recheck));
        let first = first.min_by_key(|entry| entry.check_due(age, recheck))?;
        let stalest = Some(first).filter(|entry| entry.check_due(age, recheck) <= now)?;
        stalest.checked = now;
        Some(stalest.contact)
    }

    /// When there will be such an entry, if nothing changes; `None` if not until `until`.
    pub fn next_stale(&mut self, until: Instant, age: Duration, recheck: Duration) -> Option<Instant> {
        let due = self.buckets.iter_mut().filter(|bucket| bucket.may_be_due(until, age));
        let first = due.filter_map(|bucket| bucket.first_due(age, recheck));
        first.map(|entry| entry.check_due(age, recheck)).min().filter(|due| *due <= until)
    }

    /// Whether `contact` is in the table and was last checked `recheck` ago or more; marks it as checked then.
    pub fn take_check(&mut self, now: Instant, contact: &Contact, recheck: Duration) -> bool {
        let index = self.own.common_prefix_len(&contact.id);
        self.buckets.get_mut(index).is_some_and(|bucket| bucket.take_check(now, contact, recheck))
    }

    /// How many buckets there are: one more than the longest prefix that any contact shares with us.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.buckets.len()
    }

    /// Whether bucket `index` has room: a random target in it may find contacts for it.
    #[must_use]
    pub fn has_room(&self, index: usize) -> bool {
        self.buckets.get(index).is_none_or(|bucket| !bucket.is_full())
    }

    /// Whether bucket `index` is empty.
    #[must_use]
    pub fn is_empty_bucket(&self, index: usize) -> bool {
        self.buckets.get(index).is_none_or(|bucket| bucket.entries().is_empty())
    }

    /// The same contacts around another own id.
    pub fn rebase(&mut self, now: Instant, own: NodeId) {
        let entries: Vec<Entry> = self.entries().copied().collect();
        *self = Self::new(own, self.rules, self.prefer_compliant);
        for entry in entries {
            if entry.contact.id != own {
                let index = self.bucket_index(&entry.contact.id);
                if self.refusal(index, &entry.contact).is_none() {
                    self.insert(now, index, entry);
                }
            }
        }
    }

    /// Takes in an entry that nothing speaks against, or keeps it in reserve.
    fn insert(&mut self, now: Instant, index: usize, entry: Entry) -> Outcome {
        let bucket = &mut self.buckets[index];
        if !bucket.is_full() {
            self.put_in(index, entry);
            return Outcome::Added;
        }
        let Some(victim) = bucket.victim(now, &entry, self.prefer_compliant) else {
            bucket.keep_in_reserve(entry);
            return Outcome::Reserved;
        };
        self.take_out(index, &victim);
        self.put_in(index, entry);
        Outcome::Replaced(victim)
    }

    fn put_in(&mut self, index: usize, entry: Entry) {
        let ip = entry.contact.addr.ip();
        self.owners.add(owner(ip));
        self.providers.add(network(ip, Level::Provider));
        self.buckets[index].insert(entry);
    }

    fn take_out(&mut self, index: usize, id: &NodeId) -> Option<Entry> {
        let removed = self.buckets.get_mut(index)?.remove(id)?;
        let ip = removed.contact.addr.ip();
        self.owners.remove(owner(ip));
        self.providers.remove(network(ip, Level::Provider));
        Some(removed)
    }

    fn refusal(&self, index: usize, contact: &Contact) -> Option<EntryRefusal> {
        let ip = contact.addr.ip();
        if !self.rules.diverse || !self.providers.may_contain(network(ip, Level::Provider)) {
            return None;
        }
        let bucket = self.buckets.get(index);
        if self.owners.may_contain(owner(ip)) {
            let mut neighbours = self.buckets.iter().flat_map(|bucket| bucket.of_owner_of(&contact.addr));
            let site = network(ip, Level::Site);
            if neighbours.any(|entry| network(entry.contact.addr.ip(), Level::Site) == site) {
                return Some(EntryRefusal::AddressTaken);
            }
            if bucket.is_some_and(|bucket| bucket.knows_owner_of(&contact.addr)) {
                return Some(EntryRefusal::OwnerTaken);
            }
        }
        bucket.is_some_and(|bucket| bucket.has_enough_of_provider(ip)).then_some(EntryRefusal::ProviderTaken)
    }

    /// The entry of an endpoint that has just answered with another id leaves the table, if there is one.
    fn drop_old_id(&mut self, now: Instant, contact: &Contact) -> Option<Outcome> {
        let old = self.id_at(contact)?;
        self.remove(now, &old);
        Some(Outcome::IdChanged(old))
    }

    fn entry(&self, contact: &Contact) -> Option<&Entry> {
        let bucket = self.buckets.get(self.own.common_prefix_len(&contact.id))?;
        bucket.by_id(&contact.id).filter(|entry| entry.contact.addr == contact.addr)
    }

    /// The id of another entry at exactly this endpoint.
    fn id_at(&self, contact: &Contact) -> Option<NodeId> {
        self.buckets.iter().find_map(|bucket| bucket.at(&contact.addr)).map(|entry| entry.contact.id)
    }

    /// The bucket of `id`, which must not be our own, created if need be.
    fn bucket_index(&mut self, id: &NodeId) -> usize {
        let index = self.own.common_prefix_len(id);
        while self.buckets.len() <= index {
            let depth = self.buckets.len();
            let capacity = FIRST_BUCKETS.get(depth).copied().unwrap_or(K);
            self.buckets.push(Bucket::new(capacity, depth as u32 + 1));
        }
        index
    }

    fn closest_where<'a>(&'a self, target: &Id, keep: impl Fn(&Entry) -> bool) -> ArrayVec<&'a Contact, K> {
        let mut found = ArrayVec::new();
        let mut visit = |entry: &'a Entry| {
            if keep(entry) {
                found.push(&entry.contact);
            }
            if found.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        // Broken off or not: what was found is what there is.
        let _ = self.buckets_from(target).try_for_each(|bucket| bucket.visit_from(target, &mut visit));
        found
    }

    /// The buckets, those first whose contacts are closest to `target`. Where target and own id differ in bit `i`, bucket
    /// `i` lies on the target's side, and all deeper buckets on the other; where they agree, it is the other way round.
    /// Hence the former come first, the shallowest of them first of all, and then the latter, the deepest first.
    fn buckets_from<'a>(&'a self, target: &Id) -> impl Iterator<Item = &'a Bucket> {
        let towards = |index: &usize| self.own.bit(*index) != target.bit(*index);
        let away = move |index: &usize| !towards(index);
        let indices = 0..self.buckets.len();
        indices.clone().filter(towards).chain(indices.rev().filter(away)).map(|index| &self.buckets[index])
    }
}

#[cfg(test)]
mod tests;
