//! The engine's own clock reading.
//!
//! The engine never asks what time it is; it is told. An [`Instant`] is a number of microseconds since a start that
//! only the caller knows: the driver counts from program start, the simulator from zero. It cannot be made from the
//! operating system's clock here, so no pure structure can become impossible to simulate by accident.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

/// A point in time, in microseconds since the caller's start. Monotonic: it never goes backwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The caller's start.
    pub const ZERO: Self = Self(0);
    /// Further away than any deadline: "never".
    pub const FAR_FUTURE: Self = Self(u64::MAX);

    /// The instant `micros` microseconds after the start.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The instant `secs` seconds after the start.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1_000_000)
    }

    /// Microseconds since the start.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole seconds since the start.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    /// Stops at the start rather than wrapping.
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// A round-trip time in four bytes, because a node keeps thousands: to the nanosecond, and at most 4.29 seconds, which
/// is twice what any answer is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoundTrip(u32);

impl From<Duration> for RoundTrip {
    fn from(rtt: Duration) -> Self {
        Self(u32::try_from(rtt.as_nanos()).unwrap_or(u32::MAX))
    }
}

impl From<RoundTrip> for Duration {
    fn from(rtt: RoundTrip) -> Self {
        Self::from_nanos(rtt.0.into())
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let second = Duration::from_secs(1);
        assert_eq!(Instant::ZERO - second, Instant::ZERO);
        assert_eq!(Instant::FAR_FUTURE + second, Instant::FAR_FUTURE);
        assert_eq!(Instant::from_secs(3).since(Instant::from_secs(5)), Duration::ZERO);
        assert_eq!((Instant::from_secs(3) + second).to_string(), "4.000000s");
    }
}
