//! One contact in the table, and how well it is.

use std::time::Duration;

use crate::engine::contact::Contact;
use crate::engine::time::{Instant, RoundTrip};

// Silence is not death: big implementations drop queries under their own limits.

/// Time without a sign of life after which a contact is questionable (BEP 5, Routing Table).
pub const GOOD_FOR: Duration = Duration::from_mins(15);
/// Failures in a row that make a contact bad, if they are spread over [`FAILING_FOR`].
const FAILURES_TO_BE_BAD: u8 = 3;
/// Shortest time between the first and the last failure in a row of a bad contact.
const FAILING_FOR: Duration = Duration::from_mins(2);
/// Shortest time between two failures that count as two.
const FAILURE_SPACING: Duration = Duration::from_secs(20);

/// The three states of BEP 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It answered us within 15 minutes, or answered once and queried us within 15 minutes.
    Good,
    /// No sign of life for 15 minutes, or a failure since the last one.
    Questionable,
    /// Several failures in a row over minutes.
    Bad,
}

/// A verified contact.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Who it is.
    pub contact: Contact,
    /// When it entered the table.
    pub added: Instant,
    /// When it last showed life: an answer or a query.
    pub seen: Instant,
    /// When we last asked it to find out whether it lives.
    pub checked: Instant,
    /// Smoothed.
    rtt: RoundTrip,
    failures: u8,
    compliant: bool,
    /// When it failed last, and how long after the first failure in a row, to an hour.
    failed: Instant,
    failing_for_micros: u32,
}

impl Entry {
    /// A contact that has just answered.
    #[must_use]
    pub fn new(now: Instant, contact: Contact, rtt: Duration) -> Self {
        Self {
            contact,
            added: now,
            seen: now,
            checked: now,
            rtt: rtt.into(),
            failures: 0,
            compliant: contact.is_compliant(),
            failed: now,
            failing_for_micros: 0,
        }
    }

    /// Its state at `now`.
    #[must_use]
    pub fn health(&self, now: Instant) -> Health {
        if self.is_dead() {
            Health::Bad
        } else if self.failures == 0 && now.since(self.seen) < GOOD_FOR {
            Health::Good
        } else {
            Health::Questionable
        }
    }

    /// Whether it is [`Health::Bad`], which no time passed can change.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.failures >= FAILURES_TO_BE_BAD && Duration::from_micros(self.failing_for_micros.into()) >= FAILING_FOR
    }

    /// Smoothed round-trip time.
    #[must_use]
    pub fn rtt(&self) -> Duration {
        self.rtt.into()
    }

    /// Whether its id fits its address (BEP 42).
    #[must_use]
    pub const fn is_compliant(&self) -> bool {
        self.compliant
    }

    /// Failures in a row.
    #[must_use]
    pub const fn failures(&self) -> u8 {
        self.failures
    }

    /// When it should be asked whether it lives: `age` after its last sign of life, at once when it failed since, and
    /// not before `recheck` has passed since it was last asked.
    #[must_use]
    pub fn check_due(&self, age: Duration, recheck: Duration) -> Instant {
        let stale = if self.failures > 0 { self.checked } else { self.seen + age };
        stale.max(self.checked + recheck)
    }

    /// It answered a query of ours.
    pub fn note_answer(&mut self, now: Instant, rtt: Duration) {
        self.rtt = ((self.rtt() * 7 + rtt) / 8).into();
        self.seen = now;
        self.failures = 0;
    }

    /// It queried us. That keeps it good, but forgives no failure: the query may be forged.
    pub fn note_query(&mut self, now: Instant) {
        self.seen = now;
    }

    /// It did not answer.
    pub fn note_failure(&mut self, now: Instant) {
        let since = now.since(self.failed);
        if self.failures == 0 {
            self.failing_for_micros = 0;
        } else if since < FAILURE_SPACING {
            return;
        } else {
            let more = u32::try_from(since.as_micros()).unwrap_or(u32::MAX);
            self.failing_for_micros = self.failing_for_micros.saturating_add(more);
        }
        self.failed = now;
        self.failures = self.failures.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::id::NodeId;

    fn entry() -> Entry {
        let contact = Contact { id: NodeId::new([1; 20]), addr: "1.2.3.4:5".parse().unwrap() };
        Entry::new(Instant::ZERO, contact, Duration::from_millis(80))
    }

    #[test]
    fn life_keeps_it_good_for_a_quarter_of_an_hour() {
        let mut entry = entry();
        assert_eq!(entry.health(Instant::from_secs(899)), Health::Good);
        assert_eq!(entry.health(Instant::from_secs(900)), Health::Questionable);
        entry.note_query(Instant::from_secs(900));
        assert_eq!(entry.health(Instant::from_secs(1799)), Health::Good);
    }

    #[test]
    fn a_burst_of_failures_is_one_failure() {
        let mut entry = entry();
        for millis in 0..100 {
            entry.note_failure(Instant::from_micros(millis * 1000));
        }
        assert_eq!((entry.failures(), entry.health(Instant::from_secs(1))), (1, Health::Questionable));
    }

    #[test]
    fn failures_in_less_than_two_minutes_are_not_death_however_many() {
        let mut entry = entry();
        for secs in (10..=129).step_by(20) {
            entry.note_failure(Instant::from_secs(secs));
        }
        assert_eq!((entry.failures(), entry.health(Instant::from_secs(130))), (6, Health::Questionable));
        entry.note_failure(Instant::from_secs(150));
        assert_eq!(entry.health(Instant::from_secs(150)), Health::Bad, "two minutes and twenty seconds");
    }

    #[test]
    fn two_failures_are_not_death_however_long() {
        let mut entry = entry();
        entry.note_failure(Instant::from_secs(10));
        entry.note_failure(Instant::from_secs(1000));
        assert_eq!(entry.health(Instant::from_secs(1000)), Health::Questionable);
    }

    #[test]
    fn several_failures_over_minutes_are_death_and_an_answer_is_resurrection() {
        let mut entry = entry();
        for secs in [10, 70, 131] {
            assert_ne!(entry.health(Instant::from_secs(secs)), Health::Bad);
            entry.note_failure(Instant::from_secs(secs));
        }
        assert_eq!(entry.health(Instant::from_secs(131)), Health::Bad);
        entry.note_answer(Instant::from_secs(200), Duration::from_millis(80));
        assert_eq!(entry.health(Instant::from_secs(200)), Health::Good);
    }
}
