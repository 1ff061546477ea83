//! What bounds traffic: budgets for those who ask us, for what we send, and a memory of who changes ids.
//!
//! Everything here ends growing at a fixed size. Source addresses of UDP can be forged, so a map that grows by them would
//! be the very hole it is meant to close; instead a keyed hash picks a slot, and sources that meet in one share its budget.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::contact::subnet;
use super::keyed_hash::KeyedHash;
use super::limits::{ENDPOINT_SLOTS, REPLY_BYTES_PER_SECOND, SOURCE_BURST, SOURCE_QUERIES_PER_SECOND, SOURCE_SLOTS};
use super::random::Random;
use super::time::Instant;

/// A token bucket: `rate` units a second, at most `burst` at once.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    rate: u32,
    burst: u32,
    /// Millionths of a unit.
    level: u64,
    filled: Instant,
}

impl Budget {
    /// A full bucket.
    #[must_use]
    pub const fn new(rate: u32, burst: u32) -> Self {
        Self { rate, burst, level: burst as u64 * 1_000_000, filled: Instant::ZERO }
    }

    /// Takes `units` if they are there.
    pub fn take(&mut self, now: Instant, units: u32) -> bool {
        self.fill(now);
        let wanted = u64::from(units) * 1_000_000;
        let enough = self.level >= wanted;
        self.level -= if enough { wanted } else { 0 };
        enough
    }

    /// Whole units that are there.
    pub fn available(&mut self, now: Instant) -> u32 {
        self.fill(now);
        (self.level / 1_000_000) as u32
    }

    /// When one unit will be there.
    #[must_use]
    pub fn next_unit(&self) -> Instant {
        let missing = 1_000_000u64.saturating_sub(self.level);
        self.filled + Duration::from_micros(missing.div_ceil(u64::from(self.rate.max(1))))
    }

    fn fill(&mut self, now: Instant) {
        // Micros times units a second are millionths of a unit.
        let earned = now.since(self.filled).as_micros() as u64;
        let full = u64::from(self.burst) * 1_000_000;
        self.level = self.level.saturating_add(earned.saturating_mul(u64::from(self.rate))).min(full);
        self.filled = self.filled.max(now);
    }
}

/// Who may be answered, and how much.
#[derive(Clone, Debug)]
pub struct ReplyGuard {
    /// Grows up to [`SOURCE_SLOTS`], once one source would pay for another: most nodes are asked by few at a time.
    sources: Vec<Source>,
    bytes: Budget,
    hash: KeyedHash,
}

/// The budget of a slot, and the hash of the source that took from it last.
#[derive(Clone, Copy, Debug)]
struct Source {
    mark: u64,
    budget: Budget,
}

impl Source {
    const UNUSED: Self = Self { mark: 0, budget: Budget::new(SOURCE_QUERIES_PER_SECOND, SOURCE_BURST) };
}

impl ReplyGuard {
    /// Full budgets for everyone.
    #[must_use]
    pub fn new(random: &mut Random) -> Self {
        Self {
            sources: vec![Source::UNUSED; FEW_SLOTS],
            bytes: Budget::new(REPLY_BYTES_PER_SECOND, REPLY_BYTES_PER_SECOND),
            hash: KeyedHash::new(random),
        }
    }

    /// Whether a query from `ip` is to be served at all. One that is not is dropped in silence: an error would only
    /// add to the noise.
    pub fn admits(&mut self, now: Instant, ip: IpAddr) -> bool {
        let source = match ip {
            IpAddr::V4(ip) => u64::from(u32::from(ip)),
            IpAddr::V6(_) => subnet(ip),
        };
        let mark = self.hash.of(&source.to_be_bytes());
        self.take(now, mark) && self.bytes.available(now) > 0
    }

    /// Counts the bytes of a reply that was sent.
    pub fn note_reply(&mut self, now: Instant, bytes: usize) {
        let bytes = (bytes as u32).min(self.bytes.available(now));
        self.bytes.take(now, bytes);
    }

    fn take(&mut self, now: Instant, mark: u64) -> bool {
        loop {
            let slot = slot_of(mark, self.sources.len());
            let source = &mut self.sources[slot];
            if source.budget.take(now, 1) {
                source.mark = mark;
                return true;
            }
            if source.mark == mark || self.sources.len() >= SOURCE_SLOTS {
                return false;
            }
            self.grow();
        }
    }

    /// Twice the slots. What a slot has left goes where the source belongs that spent it; the other half begins anew.
    fn grow(&mut self) {
        let mut sources = vec![Source::UNUSED; self.sources.len() * 2];
        for source in self.sources.iter().filter(|source| source.mark != 0) {
            let slot = slot_of(source.mark, sources.len());
            sources[slot] = *source;
        }
        self.sources = sources;
    }
}

const _: () = assert!(ENDPOINT_SLOTS.is_power_of_two() && SOURCE_SLOTS.is_power_of_two());

/// `slots` is a power of two.
const fn slot_of(mark: u64, slots: usize) -> usize {
    mark as usize & (slots - 1)
}

/// Paces queries to endpoints that were not contacted lately: home routers and carrier NATs keep state for each.
#[derive(Clone, Debug)]
pub struct Pace {
    budget: Budget,
    /// What maintenance leaves to lookups.
    reserve: u32,
    recent: Endpoints,
}

/// Of a large burst maintenance leaves so much to lookups, of a small one half.
const MAINTENANCE_RESERVE: u32 = 100;

impl Pace {
    /// Admits `rate` new destinations a second, and `burst` at once.
    #[must_use]
    pub fn new(rate: u32, burst: u32, random: &mut Random) -> Self {
        Self {
            budget: Budget::new(rate, burst),
            reserve: MAINTENANCE_RESERVE.min(burst / 2),
            recent: Endpoints::new(Duration::from_mins(5), random),
        }
    }

    /// Whether a query of a lookup may go to `to` now.
    pub fn admits(&mut self, now: Instant, to: &SocketAddr) -> bool {
        self.admits_above(now, to, 0)
    }

    /// Whether a query of maintenance may go to `to` now.
    pub fn admits_maintenance(&mut self, now: Instant, to: &SocketAddr) -> bool {
        self.admits_above(now, to, self.reserve)
    }

    fn admits_above(&mut self, now: Instant, to: &SocketAddr, reserve: u32) -> bool {
        if self.recent.contains(now, to) {
            // The router's state lives on with each datagram; so does our memory of it.
            self.recent.insert(now, to);
            return true;
        }
        let admitted = self.budget.available(now) > reserve && self.budget.take(now, 1);
        if admitted {
            self.recent.insert(now, to);
        }
        admitted
    }

    /// When another new destination will be admitted.
    #[must_use]
    pub fn next(&self) -> Instant {
        self.budget.next_unit()
    }
}

/// A memory of endpoints of bounded size: beyond it a newer one pushes an older one out.
#[derive(Clone, Debug)]
pub struct Endpoints {
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

/// Slots of a memory that holds little.
const FEW_SLOTS: usize = 64;
/// Slots that one endpoint may take: those of one cache line.
const WAYS: usize = 8;

impl Endpoints {
    /// Remembers each endpoint for `lifetime`.
    #[must_use]
    pub fn new(lifetime: Duration, random: &mut Random) -> Self {
        Self { slots: Vec::new(), filled: 0, lifetime, hash: KeyedHash::new(random) }
    }

    /// Whether `addr` was inserted within the lifetime.
    #[must_use]
    pub fn contains(&self, now: Instant, addr: &SocketAddr) -> bool {
        // Most nodes never meet anyone who changes ids: no hash for that.
        if self.slots.is_empty() {
            return false;
        }
        let mark = self.mark(addr);
        let is_it = |slot: &Memory| slot.mark == mark && slot.is_younger(self.lifetime, now);
        self.slots[self.ways(mark)].iter().any(is_it)
    }

    /// Remembers `addr` from `now` on.
    pub fn insert(&mut self, now: Instant, addr: &SocketAddr) {
        if self.filled * 3 >= self.slots.len() * 2 && self.slots.len() < ENDPOINT_SLOTS {
            self.make_room(now);
        }
        self.place(Memory::new(self.mark(addr), now));
    }

    fn mark(&self, addr: &SocketAddr) -> u32 {
        (self.hash.of_addr(addr) as u32).max(1)
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
        live.into_iter().for_each(|memory| self.place(memory));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_gives_its_burst_and_then_its_rate() {
        let mut budget = Budget::new(10, 50);
        let takes = |budget: &mut Budget, now| (0..1000).filter(|_| budget.take(now, 1)).count();
        assert_eq!(takes(&mut budget, Instant::ZERO), 50);
        assert_eq!(budget.next_unit(), Instant::from_micros(100_000));
        assert_eq!(takes(&mut budget, Instant::from_secs(2)), 20);
        assert_eq!(takes(&mut budget, Instant::from_secs(3600)), 50);
    }

    #[test]
    fn one_source_cannot_starve_another() {
        let mut guard = ReplyGuard::new(&mut Random::new([1; 32]));
        let admitted =
            |guard: &mut ReplyGuard, ip: [u8; 4]| (0..1000).filter(|_| guard.admits(Instant::ZERO, ip.into())).count();
        assert_eq!(admitted(&mut guard, [1, 2, 3, 4]), SOURCE_BURST as usize);
        assert_eq!(admitted(&mut guard, [1, 2, 3, 5]), SOURCE_BURST as usize);
    }

    #[test]
    fn a_guard_grows_only_while_one_source_would_pay_for_another() {
        let mut guard = ReplyGuard::new(&mut Random::new([1; 32]));
        let source = |n: u32| IpAddr::from((0x0102_0304 + n).to_be_bytes());
        let flooded = (0..100).filter(|_| guard.admits(Instant::ZERO, source(0))).count();
        assert_eq!((flooded, guard.sources.len()), (SOURCE_BURST as usize, FEW_SLOTS));
        let mut flood = |n| (0..100).filter(|_| guard.admits(Instant::ZERO, source(n))).count();
        assert!((1..100).all(|n| flood(n) == SOURCE_BURST as usize), "a hundred floods, each in a slot of its own");
        assert!((100..20_000).filter(|&n| flood(n) < SOURCE_BURST as usize).count() > 10_000);
        assert_eq!(guard.sources.len(), SOURCE_SLOTS);
    }

    #[test]
    fn replies_end_when_their_bytes_are_spent() {
        let mut guard = ReplyGuard::new(&mut Random::new([1; 32]));
        guard.note_reply(Instant::ZERO, REPLY_BYTES_PER_SECOND as usize + 1);
        assert!(!guard.admits(Instant::ZERO, [1, 2, 3, 4].into()));
        assert!(guard.admits(Instant::from_secs(1), [1, 2, 3, 4].into()));
    }

    #[test]
    fn only_new_destinations_are_paced_and_maintenance_leaves_a_reserve() {
        let mut pace = Pace::new(1, 10, &mut Random::new([1; 32]));
        let addr = |port| SocketAddr::from(([1, 2, 3, 4], port));
        assert_eq!((1..=20).filter(|&port| pace.admits_maintenance(Instant::ZERO, &addr(port))).count(), 5);
        assert_eq!((1..=20).filter(|&port| pace.admits(Instant::ZERO, &addr(port))).count(), 10);
        assert!(pace.admits(Instant::ZERO, &addr(1)), "not new");
        assert!(!pace.admits(Instant::ZERO, &addr(30)));
        assert!(pace.admits(pace.next(), &addr(30)));
    }

    #[test]
    fn endpoints_are_forgotten_after_their_lifetime() {
        let mut endpoints = Endpoints::new(Duration::from_secs(60), &mut Random::new([1; 32]));
        let addr = SocketAddr::from(([1, 2, 3, 4], 5));
        assert!(!endpoints.contains(Instant::ZERO, &addr));
        endpoints.insert(Instant::ZERO, &addr);
        assert!(endpoints.contains(Instant::from_secs(59), &addr));
        assert!(!endpoints.contains(Instant::from_secs(60), &addr));
    }

    #[test]
    fn a_memory_grows_with_what_it_remembers_up_to_its_bound() {
        let mut endpoints = Endpoints::new(Duration::from_secs(60), &mut Random::new([1; 32]));
        let addr = |n: usize| SocketAddr::from(([1, 2, (n >> 8) as u8, n as u8], 5));
        (0..20).for_each(|n| endpoints.insert(Instant::ZERO, &addr(n)));
        assert_eq!(endpoints.slots.len(), FEW_SLOTS);
        (0..500).for_each(|n| endpoints.insert(Instant::ZERO, &addr(n)));
        let remembered = (0..500).filter(|&n| endpoints.contains(Instant::ZERO, &addr(n))).count();
        assert!(remembered > 470, "{remembered}: slots collide, but hardly ever");
        (0..60_000).for_each(|n| endpoints.insert(Instant::ZERO, &addr(n)));
        assert_eq!(endpoints.slots.len(), ENDPOINT_SLOTS);
        // What has expired makes room without growth.
        let mut endpoints = Endpoints::new(Duration::from_secs(1), &mut Random::new([1; 32]));
        (0..5000).for_each(|n| endpoints.insert(Instant::from_secs(n as u64), &addr(n)));
        assert_eq!(endpoints.slots.len(), FEW_SLOTS);
    }
}
