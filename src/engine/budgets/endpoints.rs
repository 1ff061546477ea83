//! A memory of endpoints, of bounded size.

use std::net::SocketAddr;
use std::time::Duration;

use super::{FEW_SLOTS, slot_of};
use crate::engine::keyed_hash::KeyedHash;
use crate::engine::limits::ENDPOINT_SLOTS;
use crate::engine::random::Random;
use crate::engine::time::Instant;

const _: () = assert!(ENDPOINT_SLOTS.is_power_of_two());

/// A memory of endpoints of bounded size: beyond it a newer one pushes an older one out.
#[derive(Clone, Debug)]
pub struct RecentEndpoints {
    /// Grows with what is remembered, up to [`ENDPOINT_SLOTS`]: most nodes remember few.
    slots: Vec<Memory>,
    filled: usize,
    lifetime: Duration,
    hash: KeyedHash,
}

/// One endpoint: half of its hash, 0 for an empty slot, and the second in which it was inserted.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    mark: u32,
    second: u32,
}

impl Memory {
    const fn new(mark: u32, at: Instant) -> Self {
        // 136 years.
        Self { mark, second: at.as_secs() as u32 }
    }

    fn is_younger(self, than: Duration, now: Instant) -> bool {
        self.mark != 0 && now.as_secs().saturating_sub(u64::from(self.second)) < than.as_secs()
    }
}

/// Slots that one endpoint may take: those of one cache line.
const WAYS: usize = 8;

impl RecentEndpoints {
    /// Remembers each endpoint for `lifetime`.
    #[must_use]
    pub fn new(lifetime: Duration, random: &mut Random) -> Self {
        Self { slots: Vec::new(), filled: 0, lifetime, hash: KeyedHash::new(random) }
    }

    /// Forgets all, and gives its memory back.
    pub fn forget(&mut self) {
        (self.slots, self.filled) = (Vec::new(), 0);
    }

    /// Whether `addr` was inserted within the lifetime.
    #[must_use]
    pub fn contains(&self, now: Instant, addr: &SocketAddr) -> bool {
        // Most nodes never meet a node that changes its id: no hash for that.
        !self.slots.is_empty() && self.contains_mark(now, self.mark(addr))
    }

    /// Remembers `addr` from `now` on.
    pub fn insert(&mut self, now: Instant, addr: &SocketAddr) {
        self.insert_mark(now, self.mark(addr));
    }

    /// Whether `key`, which stands for several endpoints, was inserted within the lifetime.
    #[must_use]
    pub fn contains_key(&self, now: Instant, key: &[u8]) -> bool {
        !self.slots.is_empty() && self.contains_mark(now, mark_of(self.hash.of(key)))
    }

    /// Remembers `key` from `now` on. Its length is none of an endpoint.
    pub fn insert_key(&mut self, now: Instant, key: &[u8]) {
        self.insert_mark(now, mark_of(self.hash.of(key)));
    }

    fn contains_mark(&self, now: Instant, mark: u32) -> bool {
        let is_it = |slot: &Memory| slot.mark == mark && slot.is_younger(self.lifetime, now);
        self.slots[self.ways(mark)].iter().any(is_it)
    }

    fn insert_mark(&mut self, now: Instant, mark: u32) {
        if self.filled * 3 >= self.slots.len() * 2 && self.slots.len() < ENDPOINT_SLOTS {
            self.make_room(now);
        }
        self.place(Memory::new(mark, now));
    }

    fn mark(&self, addr: &SocketAddr) -> u32 {
        mark_of(self.hash.of_addr(addr))
    }

    fn ways(&self, mark: u32) -> std::ops::Range<usize> {
        let first = slot_of(mark.into(), self.slots.len() / WAYS) * WAYS;
        first..first + WAYS
    }

    /// Forgets what has expired, and leaves a third of the slots free at least.
    fn make_room(&mut self, now: Instant) {
        let mut live = std::mem::take(&mut self.slots);
        live.retain(|memory| memory.is_younger(self.lifetime, now));
        let size = (live.len() * 3 / 2 + 1).next_power_of_two().clamp(FEW_SLOTS, ENDPOINT_SLOTS);
        self.slots = vec![Memory::default(); size];
        self.filled = 0;
        for memory in live {
            self.place(memory);
        }
    }

    /// Takes its own slot again, or an empty one, or the oldest.
    fn place(&mut self, memory: Memory) {
        let ways = self.ways(memory.mark);
        let slots = &mut self.slots[ways];
        let marked = |mark: u32| slots.iter().position(|slot| slot.mark == mark);
        let oldest = || (0..WAYS).min_by_key(|&index| slots[index].second);
        let index = marked(memory.mark).or_else(|| marked(0)).or_else(oldest).expect("there are eight ways");
        self.filled += usize::from(slots[index].mark == 0);
        slots[index] = memory;
    }
}

/// The mark of a hash: 0 stands for an empty slot.
fn mark_of(hash: u64) -> u32 {
    (hash as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_forgotten_after_their_lifetime() {
        let mut endpoints = RecentEndpoints::new(Duration::from_secs(60), &mut Random::new([1; 32]));
        let addr = SocketAddr::from(([1, 2, 3, 4], 5));
        assert!(!endpoints.contains(Instant::ZERO, &addr));
        endpoints.insert(Instant::ZERO, &addr);
        assert!(endpoints.contains(Instant::from_secs(59), &addr));
        assert!(!endpoints.contains(Instant::from_secs(60), &addr));
    }

    #[test]
    fn a_memory_grows_with_what_it_remembers_up_to_its_bound() {
        let mut endpoints = RecentEndpoints::new(Duration::from_secs(60), &mut Random::new([1; 32]));
        let addr = |n: usize| SocketAddr::from(([1, 2, (n >> 8) as u8, n as u8], 5));
        (0..20).for_each(|n| endpoints.insert(Instant::ZERO, &addr(n)));
        assert_eq!(endpoints.slots.len(), FEW_SLOTS);
        (0..500).for_each(|n| endpoints.insert(Instant::ZERO, &addr(n)));
        let remembered = (0..500).filter(|&n| endpoints.contains(Instant::ZERO, &addr(n))).count();
        assert!(remembered > 470, "{remembered}: slots collide, but hardly ever");
        (0..60_000).for_each(|n| endpoints.insert(Instant::ZERO, &addr(n)));
        assert_eq!(endpoints.slots.len(), ENDPOINT_SLOTS);
        // What has expired makes room without growth.
        let mut endpoints = RecentEndpoints::new(Duration::from_secs(1), &mut Random::new([1; 32]));
        (0..5000).for_each(|n| endpoints.insert(Instant::from_secs(n as u64), &addr(n)));
        assert_eq!(endpoints.slots.len(), FEW_SLOTS);
    }
}
