//! Latencies, to about 1.5 %: 64 steps to each doubling.

const STEPS: u64 = 64;

/// Counts of nanoseconds.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u32>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; (STEPS * 40) as usize], total: 0 }
    }
}

impl Histogram {
    pub fn add(&mut self, nanos: u64) {
        let last = self.counts.len() - 1;
        self.counts[(index(nanos) as usize).min(last)] += 1;
        self.total += 1;
    }

    /// Microseconds under which `share` (0 to 1) of all lie.
    pub fn quantile_us(&self, share: f64) -> f64 {
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return start(index as u64) as f64 / 1000.0;
            }
        }
        f64::NAN
    }
}

fn index(nanos: u64) -> u64 {
    let doubling = nanos.max(STEPS).ilog2() - STEPS.ilog2();
    u64::from(doubling) * STEPS + (nanos.max(STEPS) >> doubling) - STEPS
}

fn start(index: u64) -> u64 {
    (STEPS + index % STEPS) << (index / STEPS)
}
