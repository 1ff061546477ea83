//! How fast answers come: a decaying histogram of our own round-trip times.
//!
//! Its p90 is the soft timeout for contacts that we know nothing of. The idea is mldht's: halve everything now and
//! then, so that the figure follows a network that changes.

use std::time::Duration;

const BIN: Duration = Duration::from_millis(20);
const BINS: usize = 100;
/// Samples between two halvings.
const DECAY_EVERY: u32 = 256;
/// Samples below which the histogram says nothing.
const ENOUGH: u32 = 16;

/// The histogram.
#[derive(Clone, Debug)]
pub struct RttHistogram {
    bins: [u32; BINS],
    total: u32,
    since_decay: u32,
}

impl Default for RttHistogram {
    fn default() -> Self {
        Self { bins: [0; BINS], total: 0, since_decay: 0 }
    }
}

impl RttHistogram {
    /// Counts one round trip.
    pub fn note(&mut self, rtt: Duration) {
        let bin = (rtt.as_micros() / BIN.as_micros()) as usize;
        self.bins[bin.min(BINS - 1)] += 1;
        self.total += 1;
        self.since_decay += 1;
        if self.since_decay >= DECAY_EVERY {
            self.bins.iter_mut().for_each(|count| *count /= 2);
            self.total = self.bins.iter().sum();
            self.since_decay = 0;
        }
    }

    /// The time within which `percent` of the answers came; `None` before there are enough of them.
    #[must_use]
    pub fn quantile(&self, percent: u32) -> Option<Duration> {
        if self.total < ENOUGH {
            return None;
        }
        let mut left = self.total * percent / 100;
        for (bin, &count) in self.bins.iter().enumerate() {
            if count > left {
                return Some(BIN * (bin as u32 + 1));
            }
            left -= count;
        }
        Some(BIN * BINS as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_follow_the_samples() {
        let mut histogram = RttHistogram::default();
        assert_eq!(histogram.quantile(90), None);
        (1..=100).for_each(|i| histogram.note(Duration::from_millis(i * 10 - 1)));
        assert_eq!(histogram.quantile(50), Some(Duration::from_millis(520)));
        assert_eq!(histogram.quantile(90), Some(Duration::from_millis(920)));
        (0..2000).for_each(|_| histogram.note(Duration::from_millis(5)));
        assert_eq!(histogram.quantile(90), Some(Duration::from_millis(20)));
    }
}
