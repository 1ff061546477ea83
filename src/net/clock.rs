//! The only place that reads a clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::engine::time::Instant;

/// Longest time that the runtime's timers are trusted with, in seconds. They stand still while the host sleeps: whoever waits
/// for one looks at this clock again after that, and finds everything that is overdue.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Time since this clock was made, as the engine counts it. The time that the host sleeps is part of it (on Linux:
/// `CLOCK_BOOTTIME`). All clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock {
    start: Duration,
    /// Microseconds that were added by hand.
    added: Arc<AtomicU64>,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self { start: since_boot(), added: Arc::default() }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Instant {
        let passed = since_boot().saturating_sub(self.start).as_micros();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        Instant::from_micros(passed.saturating_add(self.added.load(Ordering::Relaxed)))
    }

    /// Puts the clock forward, as if the host had slept: for tests.
    pub fn sleep_through(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.added.fetch_add(micros, Ordering::Relaxed);
    }

    /// When to look again for `instant`, by the runtime's timers: at `instant`, or before if it is far away.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place where monotonic time enters the program")]
    pub fn deadline(&self, instant: Instant) -> tokio::time::Instant {
        let wait = instant.since(self.now()).min(LOOK_AGAIN);
        tokio::time::Instant::from_std(std::time::Instant::now() + wait)
    }
}

/// Time since the host was started, its sleep included.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Time since the first call. Whether it counts sleep is up to the system.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[expect(clippy::disallowed_methods, reason = "the one place where monotonic time enters the program")]
fn since_boot() -> Duration {
    static FIRST: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    FIRST.get_or_init(std::time::Instant::now).elapsed()
}

/// Wall time in seconds since 1970: for ages that must survive a restart, never for waiting.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place where wall time enters the program")]
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_clones_sleep_together_and_far_deadlines_are_looked_at_soon() {
        let clock = Clock::new();
        let (other, before) = (clock.clone(), clock.now());
        clock.sleep_through(Duration::from_hours(8));
        assert!(other.now().since(before) >= Duration::from_hours(8));
        let wait = other.deadline(Instant::FAR_FUTURE) - tokio::time::Instant::now();
        assert!(wait <= LOOK_AGAIN, "{wait:?}");
    }
}
