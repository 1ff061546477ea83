//! The pace of new destinations: home routers and carrier NATs keep state for each endpoint that we contact.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Budget, RecentEndpoints};
use crate::engine::limits::NEW_DESTINATIONS_RESERVE;
use crate::engine::random::Random;
use crate::engine::time::Instant;

/// Paces queries to endpoints that were not contacted lately: home routers and carrier NATs keep state for each.
#[derive(Clone, Debug)]
pub struct Pace {
    budget: Budget,
    /// New destinations that maintenance leaves to lookups.
    reserve: u32,
    recent: RecentEndpoints,
}

impl Pace {
    /// Admits `rate` new destinations a second, and `burst` at once.
    #[must_use]
    pub fn new(rate: u32, burst: u32, random: &mut Random) -> Self {
        Self {
            budget: Budget::new(rate, burst),
            reserve: reserve(burst),
            recent: RecentEndpoints::new(Duration::from_mins(5), random),
        }
    }

    /// Admits another number from `now` on. What was contacted lately is still known.
    pub fn set(&mut self, now: Instant, rate: u32, burst: u32) {
        self.budget.set(now, rate, burst);
        self.reserve = reserve(burst);
    }

    /// Whether a query of a lookup may go to `to` now. One that has `found` something leaves a few new destinations to those
    /// that have not.
    pub fn admits(&mut self, now: Instant, to: &SocketAddr, found: bool) -> bool {
        let reserve = self.reserve_of(found);
        self.admits_above(now, to, reserve)
    }

    fn reserve_of(&self, found: bool) -> u32 {
        if found { self.reserve / 2 } else { 0 }
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

    /// When another new destination will be admitted for a lookup, which has `found` something or has not.
    #[must_use]
    pub fn next(&self, found: bool) -> Instant {
        self.budget.next_unit_above(self.reserve_of(found))
    }
}

/// New destinations of a burst that maintenance leaves alone.
fn reserve(burst: u32) -> u32 {
    NEW_DESTINATIONS_RESERVE.min(burst / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_new_destinations_are_paced_and_maintenance_leaves_a_reserve() {
        let mut pace = Pace::new(1, 10, &mut Random::new([1; 32]));
        let addr = |port| SocketAddr::from(([1, 2, 3, 4], port));
        assert_eq!((1..=20).filter(|&port| pace.admits_maintenance(Instant::ZERO, &addr(port))).count(), 5);
        assert_eq!((1..=20).filter(|&port| pace.admits(Instant::ZERO, &addr(port), false)).count(), 10);
        assert!(pace.admits(Instant::ZERO, &addr(1), false), "not new");
        assert!(!pace.admits(Instant::ZERO, &addr(30), false));
        assert!(pace.admits(pace.next(false), &addr(30), false));
    }

    #[test]
    fn lookups_that_have_found_something_leave_some_to_those_that_have_not() {
        let mut pace = Pace::new(1, 40, &mut Random::new([1; 32]));
        let addr = |port| SocketAddr::from(([1, 2, 3, 4], port));
        assert_eq!((1..=60).filter(|&port| pace.admits(Instant::ZERO, &addr(port), true)).count(), 30);
        assert_eq!((61..=100).filter(|&port| pace.admits(Instant::ZERO, &addr(port), false)).count(), 10);
        assert!(!pace.admits(pace.next(false), &addr(200), true));
        assert!(pace.admits(pace.next(true), &addr(200), true));
    }
}
