//! What bounds traffic: budgets for those who ask us and for what we send, and a memory of endpoints.
//!
//! Everything here ends growing at a fixed size. Source addresses of UDP can be forged, so a map that grows by them would
//! be the very hole it is meant to close; instead a keyed hash picks a slot, and sources that meet in one share its budget.

mod demand;
mod endpoints;
mod pace;
mod replies;
mod shares;

use std::time::Duration;

use super::time::Instant;

pub use demand::{Demand, HotKeyRule};
pub use endpoints::RecentEndpoints;
pub use pace::Pace;
pub use replies::{ReplyBudget, Room, Spent};

/// Slots of a table that holds little.
const FEW_SLOTS: usize = 64;

/// The slot of a hash; `slots` is a power of two.
const fn slot_of(hash: u64, slots: usize) -> usize {
    hash as usize & (slots - 1)
}

/// A token bucket: `rate` units a second, at most `burst` at once. What is spent without asking is a debt, which is paid
/// before anything is given again.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    rate: u32,
    burst: u32,
    /// Millionths of a unit; negative for a debt, which is one burst at the most.
    level: i64,
    filled: Instant,
}

impl Budget {
    /// A full bucket.
    #[must_use]
    pub const fn new(rate: u32, burst: u32) -> Self {
        Self { rate, burst, level: burst as i64 * 1_000_000, filled: Instant::ZERO }
    }

    /// Gives at another rate from `now` on. What is there stays, up to the new burst.
    pub fn set(&mut self, now: Instant, rate: u32, burst: u32) {
        self.fill(now);
        (self.rate, self.burst) = (rate, burst);
        self.level = self.level.clamp(-self.full(), self.full());
    }

    /// Takes `units` if they are there.
    pub fn take(&mut self, now: Instant, units: u32) -> bool {
        self.fill(now);
        let wanted = i64::from(units) * 1_000_000;
        let enough = self.level >= wanted;
        self.level -= if enough { wanted } else { 0 };
        enough
    }

    /// Takes `units`, whether they are there or not.
    pub fn spend(&mut self, now: Instant, units: u32) {
        self.fill(now);
        self.level = (self.level - i64::from(units) * 1_000_000).max(-self.full());
    }

    /// Whole units that are there; 0 while there is a debt.
    pub fn available(&mut self, now: Instant) -> u32 {
        self.fill(now);
        (self.level.max(0) / 1_000_000) as u32
    }

    /// When one unit will be there.
    #[must_use]
    pub fn next_unit(&self) -> Instant {
        self.next_unit_above(0)
    }

    /// When one unit more than `reserve` will be there.
    #[must_use]
    pub fn next_unit_above(&self, reserve: u32) -> Instant {
        let missing = ((i64::from(reserve) + 1) * 1_000_000 - self.level).max(0) as u64;
        self.filled + Duration::from_micros(missing.div_ceil(u64::from(self.rate.max(1))))
    }

    const fn full(&self) -> i64 {
        self.burst as i64 * 1_000_000
    }

    fn fill(&mut self, now: Instant) {
        // A message looks at several budgets more than once.
        if now <= self.filled {
            return;
        }
        // Micros times units a second are millionths of a unit.
        let micros = now.as_micros() - self.filled.as_micros();
        let missing = (self.full() - self.level) as u64;
        self.level += micros.saturating_mul(u64::from(self.rate)).min(missing) as i64;
        self.filled = now;
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
    fn another_rate_holds_from_now_on() {
        let mut budget = Budget::new(10, 50);
        budget.set(Instant::from_secs(1), 100, 20);
        assert_eq!(budget.available(Instant::from_secs(1)), 20);
        assert!(budget.take(Instant::from_secs(1), 20) && !budget.take(Instant::from_secs(1), 1));
        budget.set(Instant::from_secs(1), 1, 500);
        assert_eq!(budget.available(Instant::from_secs(11)), 10);
    }

    #[test]
    fn a_debt_is_paid_before_anything_is_given() {
        let mut budget = Budget::new(10, 50);
        budget.spend(Instant::ZERO, 70);
        assert_eq!((budget.available(Instant::ZERO), budget.next_unit()), (0, Instant::from_micros(2_100_000)));
        assert!(!budget.take(Instant::from_secs(2), 1));
        assert!(budget.take(Instant::from_micros(2_100_000), 1));
        budget.spend(Instant::from_secs(3), 1_000_000);
        assert_eq!(budget.available(Instant::from_secs(13)), 50, "a debt is one burst at the most");
    }
}
