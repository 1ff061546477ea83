//! The only place that reads a clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::engine::time::Instant;

/// Monotonic time since this clock was made, as the engine counts it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: std::time::Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place where monotonic time enters the program")]
    pub fn new() -> Self {
        Self { start: std::time::Instant::now() }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// When `instant` will be, for the runtime's timers. Deadlines a year and more away are cut to a year.
    #[must_use]
    pub fn deadline(&self, instant: Instant) -> tokio::time::Instant {
        const YEAR: Duration = Duration::from_hours(365 * 24);
        let since_start = Duration::from_micros(instant.as_micros());
        tokio::time::Instant::from_std(self.start + since_start.min(self.start.elapsed() + YEAR))
    }
}

/// Wall time in seconds since 1970: for ages that must survive a restart, never for waiting.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place where wall time enters the program")]
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
