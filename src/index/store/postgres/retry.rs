//! When a database that could not be reached is tried again. Told the time.

use std::time::Duration;

use crate::engine::time::Instant;

/// Wait after the first failure; each further one doubles it.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The failures since the last success.
#[derive(Debug, Default)]
pub(super) struct Retry {
    failures: u32,
    not_before: Option<Instant>,
    why: String,
}

impl Retry {
    /// Whether it may be tried now; else why it failed last.
    pub(super) fn permits(&self, now: Instant) -> Result<(), &str> {
        match self.not_before {
            Some(time) if now < time => Err(&self.why),
            _ => Ok(()),
        }
    }

    /// It was not reached.
    pub(super) fn failed(&mut self, now: Instant, why: String) {
        let wait = FIRST_WAIT.saturating_mul(1 << self.failures.min(16)).min(LONGEST_WAIT);
        (self.failures, self.not_before, self.why) = (self.failures.saturating_add(1), Some(now + wait), why);
    }

    /// It was reached.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_wait_up_to_a_bound_and_a_success_ends_it() {
        let (mut retry, mut now) = (Retry::default(), Instant::from_micros(0));
        assert_eq!(retry.permits(now), Ok(()));
        for wait in [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000].map(Duration::from_millis) {
            retry.failed(now, "down".to_owned());
            assert_eq!(retry.permits(now + wait - Duration::from_micros(1)), Err("down"));
            now += wait;
            assert_eq!(retry.permits(now), Ok(()));
        }
        retry.failed(now, "down".to_owned());
        retry.succeeded();
        assert_eq!(retry.permits(now), Ok(()));
        retry.failed(now, "down".to_owned());
        assert_eq!(retry.permits(now + FIRST_WAIT), Ok(()), "it begins anew");
    }
}
