//! What announces and looks may cost: new destinations a second, of which each is expected to need some.
//!
//! What is under way is reckoned with at what the last ones of its kind cost, and is charged at its end with what it did
//! cost. So a network in which everything costs more is asked less often, without anybody saying so.

use std::time::Duration;

use crate::engine::budgets::Budget;
use crate::engine::time::Instant;

/// Part of the new destinations a second that is spent here, in hundredths. The rest is for lookups of others and for the
/// node's own upkeep.
const SHARE_PERCENT: u32 = 90;
/// Most new destinations at once: what the engine keeps for a single lookup stays far away.
const BURST: u32 = 50;
/// Time after which it is looked again whether the budget has room.
const AGAIN: Duration = Duration::from_millis(250);
/// Weight of the newest in what a kind of work is expected to cost.
const NEWEST: f64 = 0.1;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An announce that knows no holder.
    Fresh,
    /// An announce that begins with its holders.
    Renewal,
    /// A lookup along another path.
    Look,
}

/// The budget.
#[derive(Clone, Debug)]
pub(super) struct Spending {
    budget: Budget,
    /// New destinations that each kind is expected to need.
    expected: [f64; 3],
    /// New destinations that what is under way is expected to need.
    reserved: f64,
    rate: u32,
}

impl Spending {
    /// For a program that may ask this many new destinations a second.
    pub(super) fn new(per_second: u32) -> Self {
        let rate = share(per_second);
        Self { budget: Budget::new(rate, BURST.max(rate)), expected: [30.0, 10.0, 3.0], reserved: 0.0, rate }
    }

    /// From now on it may ask this many.
    pub(super) fn set_rate(&mut self, now: Instant, per_second: u32) {
        self.rate = share(per_second);
        self.budget.set(now, self.rate, BURST.max(self.rate));
    }

    /// Begins work of this kind if there is room; what it is reckoned with then.
    pub(super) fn begin(&mut self, now: Instant, kind: Kind) -> Option<f64> {
        let cost = self.expected[kind as usize];
        let room = f64::from(self.budget.available(now)) - self.reserved;
        // What costs more than there ever is at once goes when nothing else does.
        let fits = room >= cost || (self.reserved <= 0.0 && room >= f64::from(BURST.max(self.rate)) - 1.0);
        self.reserved += if fits { cost } else { 0.0 };
        fits.then_some(cost)
    }

    /// Work that was reckoned with at `reserved` has cost this much.
    pub(super) fn end(&mut self, now: Instant, kind: Kind, reserved: f64, cost: usize) {
        self.reserved = (self.reserved - reserved).max(0.0);
        self.budget.spend(now, u32::try_from(cost).unwrap_or(u32::MAX));
        let expected = &mut self.expected[kind as usize];
        *expected += NEWEST * (cost as f64 - *expected);
        *expected = expected.max(1.0);
    }

    /// When to ask again where there was no room.
    pub(super) fn next(&self, now: Instant) -> Instant {
        now + AGAIN
    }

    /// About how long so much work of a kind takes.
    pub(super) fn time_for(&self, kind: Kind, count: usize) -> Duration {
        Duration::from_secs_f64(self.expected[kind as usize] * count as f64 / f64::from(self.rate))
    }
}

/// The part of the new destinations a second that is spent here.
fn share(per_second: u32) -> u32 {
    (u64::from(per_second) * u64::from(SHARE_PERCENT) / 100).max(1) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds_whatever_work_costs() {
        let mut spending = Spending::new(100);
        let (mut now, mut spent) = (Instant::from_secs(1), 0);
        while now < Instant::from_secs(1001) {
            while let Some(reserved) = spending.begin(now, Kind::Renewal) {
                spent += 17;
                spending.end(now, Kind::Renewal, reserved, 17);
            }
            now = spending.next(now);
        }
        assert!((85.0..92.0).contains(&(f64::from(spent) / 1000.0)), "{spent} in 1,000 s of 90 a second");
        assert!((spending.expected[Kind::Renewal as usize] - 17.0).abs() < 0.1);
    }

    #[test]
    fn work_that_costs_more_than_the_burst_goes_alone() {
        let mut spending = Spending::new(1);
        let reserved = spending.begin(Instant::from_secs(1), Kind::Fresh).expect("a full budget");
        spending.end(Instant::from_secs(1), Kind::Fresh, reserved, 900);
        spending.expected[0] = 900.0;
        assert_eq!(spending.begin(Instant::from_secs(30), Kind::Fresh), None);
        assert!(spending.begin(Instant::from_secs(300), Kind::Fresh).is_some());
    }
}
