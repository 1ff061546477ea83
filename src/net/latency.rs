//! How long lookups take, as histograms: a fixed number of counts, whatever happens.

use std::time::Duration;

/// Longest times of the buckets, in milliseconds. What took longer is in one more.
pub const BOUNDS_MS: [u64; 12] = [2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];

/// How many things took how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// One for each of [`BOUNDS_MS`], and one for what took longer. A thing is in one bucket only.
    pub buckets: [u64; BOUNDS_MS.len() + 1],
    /// All times together.
    pub sum: Duration,
}

impl Histogram {
    /// Counts a thing that took `time`.
    pub fn note(&mut self, time: Duration) {
        let bucket = BOUNDS_MS.iter().position(|&bound| time <= Duration::from_millis(bound));
        self.buckets[bucket.unwrap_or(BOUNDS_MS.len())] += 1;
        self.sum = self.sum.saturating_add(time);
    }

    /// Number of things.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Both together.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        self.buckets.iter_mut().zip(other.buckets).for_each(|(count, more)| *count += more);
        self.sum = self.sum.saturating_add(other.sum);
        self
    }
}

/// How long the lookups for peers took: those of announces are among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    /// Until the first peer came. Lookups without any are not counted.
    pub first_peer: Histogram,
    /// Until the end. Lookups that were cancelled are not counted.
    pub end: Histogram,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_the_first_bucket_that_it_fits() {
        let mut histogram = Histogram::default();
        for millis in [0, 2, 3, 10_000, 10_001, 86_400_000] {
            histogram.note(Duration::from_millis(millis));
        }
        assert_eq!((histogram.buckets[0], histogram.buckets[1]), (2, 1));
        assert_eq!((histogram.buckets[11], histogram.buckets[12], histogram.count()), (1, 2, 6));
        assert_eq!(histogram.sum, Duration::from_millis(86_420_006));
        assert_eq!(histogram.plus(&histogram).count(), 12);
    }
}
