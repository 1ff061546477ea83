//! The items that others store with us: bounded in number and in bytes, forgotten after two hours.
//!
//! When it is full, the items farthest from our own id make room for closer ones, because lookups for far ones
//! do not come here. A map sorted by target needs no secret against chosen keys.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Item;
use crate::engine::id::{NodeId, Target};
use crate::engine::limits::{ITEM_BYTES, ITEM_LIFETIME, ITEMS, OWNERS_TO_FILL_ITEMS, PROVIDERS_TO_FILL_ITEMS};
use crate::engine::owner::provider_of;
use crate::engine::time::Instant;

/// What an item costs besides its value and salt, about.
const OVERHEAD: usize = 300;

/// Why an item was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PutRefusal {
    /// The writer expected another sequence number than the one that is stored.
    #[error("the stored item has another sequence number than expected")]
    Cas,
    /// The stored item is newer, or of the same number and other value.
    #[error("the stored item is newer")]
    OldSeq,
    /// Another kind of item is stored under this target. No writer can make two such items; it is checked all the same.
    #[error("another kind of item is stored here")]
    OtherKind,
    /// There is no room for an item so far from our id.
    #[error("no room")]
    Full,
}

#[derive(Clone, Debug)]
struct Kept {
    item: Item,
    until: Instant,
    /// The owner of the address that it came from.
    writer: u64,
}

/// An item as it is kept for another run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredItem {
    /// The item.
    pub item: Item,
    /// What is left of its life.
    pub left: Duration,
    /// The owner of the address that it came from; 0 where none was noted.
    pub writer: u64,
}

/// All items of one node.
#[derive(Clone, Debug)]
pub struct ItemStore {
    items: BTreeMap<Target, Kept>,
    bytes: usize,
    most_bytes: usize,
    /// Items that came from each owner of addresses; none has 0.
    writers: BTreeMap<u64, usize>,
    /// Items that came from each provider; none has 0.
    providers: BTreeMap<u64, usize>,
}

impl Default for ItemStore {
    fn default() -> Self {
        Self::new(ITEM_BYTES)
    }
}

impl ItemStore {
    /// An empty store that takes about `memory_bytes` when it is full, and holds [`ITEMS`] items for each
    /// [`ITEM_BYTES`] of it.
    #[must_use]
    pub const fn new(memory_bytes: usize) -> Self {
        Self {
            items: BTreeMap::new(),
            bytes: 0,
            most_bytes: memory_bytes,
            writers: BTreeMap::new(),
            providers: BTreeMap::new(),
        }
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many owners have written what there is.
    #[cfg(test)]
    pub(super) fn writers(&self) -> usize {
        self.writers.len()
    }

    /// Memory in use, about.
    #[must_use]
    pub const fn used_bytes(&self) -> usize {
        self.bytes
    }

    /// The item under `target`.
    #[must_use]
    pub fn get(&self, now: Instant, target: &Target) -> Option<&Item> {
        self.items.get(target).filter(|stored| stored.until > now).map(|stored| &stored.item)
    }

    /// Whether this very item is stored: then its signature need not be checked again.
    #[must_use]
    pub fn has(&self, target: &Target, item: &Item) -> bool {
        self.items.get(target).is_some_and(|stored| stored.item == *item)
    }

    /// Stores `item`, whose signature the caller has checked, or starts its life again.
    ///
    /// # Errors
    /// It is not newer than what is stored, or there is no room for it.
    pub fn put(
        &mut self,
        now: Instant,
        own: &NodeId,
        item: Item,
        cas: Option<i64>,
        writer: Option<u64>,
    ) -> Result<(), PutRefusal> {
        let target = item.target();
        if let Some(stored) = self.items.get_mut(&target).filter(|stored| stored.until > now) {
            may_follow(&stored.item, &item, cas)?;
            self.bytes = self.bytes + cost(&item) - cost(&stored.item);
            stored.item = item;
            stored.until = now + ITEM_LIFETIME;
            return Ok(());
        }
        self.remove(&target);
        if writer.is_some_and(|writer| self.has_its_share(writer)) {
            return Err(PutRefusal::Full);
        }
        while !self.has_room(cost(&item)) {
            if !self.makes_room_for(own, &target) {
                return Err(PutRefusal::Full);
            }
            let farthest = *self.farthest(own).expect("a full store is not empty");
            self.remove(&farthest);
        }
        let writer = writer.unwrap_or_default();
        self.bytes += cost(&item);
        self.count_writer(writer);
        self.items.insert(target, Kept { item, until: now + ITEM_LIFETIME, writer });
        Ok(())
    }

    /// Forgets what was not stored again for two hours; how many went.
    pub fn sweep(&mut self, now: Instant) -> usize {
        let old: Vec<Target> =
            self.items.iter().filter(|(_, stored)| stored.until <= now).map(|(target, _)| *target).collect();
        old.iter().for_each(|target| self.remove(target));
        old.len()
    }

    /// Takes back an item that was kept from an earlier run, if it lives, is genuine, and there is room for it.
    pub fn restore(&mut self, now: Instant, own: &NodeId, stored: StoredItem) {
        let target = stored.item.target();
        let usable = !stored.left.is_zero() && stored.item.is_genuine();
        if usable && self.put(now, own, stored.item, None, None).is_ok() {
            // The share of its network holds for what comes anew; here it is only counted. Earlier versions noted a /64.
            let writer = if stored.writer >> 48 == 0 { stored.writer } else { stored.writer >> 16 };
            self.note_writer(&target, writer);
            let kept = self.items.get_mut(&target).expect("it was just put");
            kept.until = now + stored.left.min(ITEM_LIFETIME);
        }
    }

    fn note_writer(&mut self, target: &Target, writer: u64) {
        let Some(stored) = self.items.get_mut(target) else { return };
        let before = std::mem::replace(&mut stored.writer, writer);
        self.count_writer(writer);
        self.forget_writer(before);
    }

    /// Every item that lives.
    pub fn iter(&self, now: Instant) -> impl Iterator<Item = StoredItem> {
        self.items.values().filter(move |stored| stored.until > now).map(move |stored| StoredItem {
            item: stored.item.clone(),
            left: stored.until.since(now),
            writer: stored.writer,
        })
    }

    const fn most_items(&self) -> usize {
        self.most_bytes / (ITEM_BYTES / ITEMS)
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.items.len() < self.most_items() && self.bytes + bytes <= self.most_bytes
    }

    fn makes_room_for(&self, own: &NodeId, target: &Target) -> bool {
        self.farthest(own).is_some_and(|farthest| own.closer(target, farthest).is_lt())
    }

    /// An item that is as far from `own` as any, to the first bit that differs: a neighbour of the opposite point.
    fn farthest(&self, own: &NodeId) -> Option<&Target> {
        let opposite = Target::from(own.as_bytes().map(|byte| !byte));
        let below = self.items.range(..=opposite).next_back();
        let above = self.items.range(opposite..).next();
        [below, above].into_iter().flatten().map(|(target, _)| target).max_by(|a, b| own.closer(a, b))
    }

    fn remove(&mut self, target: &Target) {
        let Some(stored) = self.items.remove(target) else { return };
        self.bytes -= cost(&stored.item);
        self.forget_writer(stored.writer);
    }

    /// Whether an owner or its provider has as many items here as it may have.
    fn has_its_share(&self, writer: u64) -> bool {
        let held = |counts: &BTreeMap<u64, usize>, key| counts.get(&key).copied().unwrap_or(0);
        held(&self.writers, writer) >= self.most_items() / OWNERS_TO_FILL_ITEMS
            || held(&self.providers, provider_of(writer)) >= self.most_items() / PROVIDERS_TO_FILL_ITEMS
    }

    fn count_writer(&mut self, writer: u64) {
        *self.writers.entry(writer).or_default() += 1;
        *self.providers.entry(provider_of(writer)).or_default() += 1;
    }

    fn forget_writer(&mut self, writer: u64) {
        for (counts, key) in [(&mut self.writers, writer), (&mut self.providers, provider_of(writer))] {
            if let Some(count) = counts.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&key);
                }
            }
        }
    }
}

/// BEP 44: whether `new` may take the place of `old`. Equal numbers with equal values start the life again; with
/// another value the BEP says "MUST reject", and so do we, though libtorrent answers as if it had stored it. What is
/// stored already is no change that `cas` could forbid: its writer asks again because our answer was lost.
fn may_follow(old: &Item, new: &Item, cas: Option<i64>) -> Result<(), PutRefusal> {
    match (old, new) {
        (Item::Immutable(_), Item::Immutable(_)) => Ok(()),
        (Item::Mutable(old), Item::Mutable(new)) => {
            if new.seq == old.seq && new.value == old.value {
                return Ok(());
            }
            if cas.is_some_and(|cas| cas != old.seq) {
                return Err(PutRefusal::Cas);
            }
            if new.seq > old.seq { Ok(()) } else { Err(PutRefusal::OldSeq) }
        }
        _ => Err(PutRefusal::OtherKind),
    }
}

fn cost(item: &Item) -> usize {
    let salt = match item {
        Item::Immutable(_) => 0,
        Item::Mutable(item) => item.salt.len(),
    };
    OVERHEAD + item.value().as_bencode().len() + salt
}
