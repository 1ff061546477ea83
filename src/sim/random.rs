//! Randomness as a pure function of names.
//!
//! A draw that belongs to something (a pair of addresses, a packet, a node) is keyed by the names of that thing, so
//! that it stays the same when unrelated draws are added or removed: two systems in the same world meet the same
//! network. Logarithms and exponentials come from `libm`, not from the platform, which may round differently.

use crate::engine::id::Id;

/// A stream of draws: SplitMix64, which is fast, seedable by any number, and fixed for ever.
#[derive(Clone, Debug)]
pub struct Dice(u64);

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Dice {
    /// The stream of `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The stream that belongs to the thing called `names` in the run with this seed.
    #[must_use]
    pub fn keyed(seed: u64, names: &[u64]) -> Self {
        Self(names.iter().fold(scramble(seed ^ GOLDEN), |state, name| scramble(state.wrapping_add(GOLDEN) ^ name)))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        scramble(self.0)
    }

    /// A number in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // The bias of the multiplication is bound / 2^64: nothing that an experiment could see.
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// Whether something of this probability happens.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A random id.
    pub fn id(&mut self) -> Id {
        let mut bytes = [0; 20];
        bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.bits().to_be_bytes()[..chunk.len()]));
        Id(bytes)
    }

    /// A seed for a node.
    pub fn seed(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.bits().to_be_bytes()));
        bytes
    }

    /// Puts `items` into random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// An element of `items`; `None` if there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }

    /// Exponential with this mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * libm::log(1.0 - self.unit())
    }

    /// Normal with mean 0 and deviation 1 (Box-Muller).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(self.exponential(2.0));
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    /// Log-normal with this median; `sigma` is the deviation of the logarithm.
    pub fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        median * libm::exp(sigma * self.normal())
    }

    /// Gamma with this shape (at least 1) and scale 1 (Marsaglia and Tsang 2000).
    pub fn gamma(&mut self, shape: f64) -> f64 {
        let d = shape - 1.0 / 3.0;
        loop {
            let x = self.normal();
            let v = 1.0 + x / libm::sqrt(9.0 * d);
            let v = v * v * v;
            if v > 0.0 && libm::log(1.0 - self.unit()) < 0.5 * x * x + d - d * v + d * libm::log(v) {
                return d * v;
            }
        }
    }
}

/// The finalizer of SplitMix64: every bit of the input moves half of the bits of the output.
pub(super) const fn scramble(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A number for an address, to key draws by it.
#[must_use]
pub fn name_of(ip: std::net::IpAddr) -> u64 {
    match ip {
        std::net::IpAddr::V4(ip) => u64::from(u32::from(ip)),
        std::net::IpAddr::V6(ip) => {
            let bits = u128::from(ip);
            scramble((bits >> 64) as u64) ^ bits as u64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_pinned() {
        // A change here silently changes every recorded experiment.
        assert_eq!(Dice::new(1).bits(), 0x910a_2dec_8902_5cc1);
        assert_eq!(Dice::keyed(1, &[2, 3]).bits(), 8_946_099_157_182_655_218);
    }

    #[test]
    fn names_are_ordered_and_separate() {
        assert_ne!(Dice::keyed(1, &[2, 3]).bits(), Dice::keyed(1, &[3, 2]).bits());
        assert_ne!(Dice::keyed(1, &[2]).bits(), Dice::keyed(2, &[2]).bits());
        assert_ne!(Dice::keyed(0, &[]).bits(), Dice::keyed(0, &[0]).bits());
    }

    #[test]
    fn distributions_have_their_moments() {
        let mut dice = Dice::new(7);
        let mut mean =
            |draw: &mut dyn FnMut(&mut Dice) -> f64| (0..100_000).map(|_| draw(&mut dice)).sum::<f64>() / 1e5;
        assert!((mean(&mut |d| d.unit()) - 0.5).abs() < 0.01);
        assert!((mean(&mut |d| d.exponential(3.0)) - 3.0).abs() < 0.05);
        assert!(mean(&mut |d| d.normal()).abs() < 0.02);
        assert!((mean(&mut |d| d.normal().powi(2)) - 1.0).abs() < 0.02);
        assert!((mean(&mut |d| d.gamma(3.0)) - 3.0).abs() < 0.05);
        assert!((mean(&mut |d| f64::from(u8::from(d.log_normal(9.0, 0.75) < 9.0))) - 0.5).abs() < 0.01);
    }

    #[test]
    fn a_shuffle_loses_nothing() {
        let mut items: Vec<u32> = (0..100).collect();
        Dice::new(3).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
