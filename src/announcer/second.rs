//! Instants to the second, in four bytes: several are kept of each infohash, and of infohashes there are thousands.

use std::num::NonZeroU32;

use crate::engine::time::Instant;

/// An instant of the schedule's clock, rounded down to the second. It lies after the start of that clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Second(NonZeroU32);

impl Second {
    /// Whole seconds since the start of the clock.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0.get() as u64
    }

    /// The instant at which it begins.
    #[must_use]
    pub const fn instant(self) -> Instant {
        Instant::from_secs(self.as_secs())
    }
}

impl From<Instant> for Second {
    fn from(at: Instant) -> Self {
        let secs = u32::try_from(at.as_secs()).unwrap_or(u32::MAX);
        Self(NonZeroU32::new(secs).unwrap_or(NonZeroU32::MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_down_and_stay_in_their_bounds() {
        let second = |micros| Second::from(Instant::from_micros(micros)).as_secs();
        assert_eq!([second(7_999_999), second(8_000_000), second(3), second(u64::MAX)], [7, 8, 1, u32::MAX.into()]);
        assert_eq!(Second::from(Instant::from_secs(7)).instant(), Instant::from_secs(7));
        assert_eq!(size_of::<Option<Second>>(), 4);
    }
}
