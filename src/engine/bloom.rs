//! Bloom filters over the addresses of a swarm: how many seeds and peers there are, counted without a list (BEP 33).
//!
//! A filter has 2,048 bits, of which an address sets two. Filters of several nodes are united by OR, so that a peer
//! that is stored in eight places counts once; what is counted is addresses, never ports. The size follows from the
//! bits that are still zero, up to about [`SATURATION`] addresses.

use std::net::IpAddr;

use sha1::{Digest, Sha1};

/// Bytes of a filter.
pub const FILTER_LEN: usize = 256;
/// Bits of a filter.
const BITS: u32 = 8 * FILTER_LEN as u32;
/// Bits that one address sets.
const HASHES: f64 = 2.0;
/// The most addresses that a filter can tell apart (BEP 33: nodes stop accepting announces before that).
pub const SATURATION: f64 = 6000.0;
/// Zero bits that a filter of [`SATURATION`] addresses still has, on average. With fewer it says nothing any more.
const SATURATED_ZEROS: u32 = 6;

/// A set of addresses of which only the size can be told, and that an address is surely not in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Filter([u8; FILTER_LEN]);

impl Default for Filter {
    fn default() -> Self {
        Self([0; FILTER_LEN])
    }
}

impl Filter {
    /// A filter as it came from the wire.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; FILTER_LEN]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; FILTER_LEN] {
        &self.0
    }

    /// Adds an address.
    pub fn insert(&mut self, ip: IpAddr) {
        for bit in bits(ip) {
            self.0[bit / 8] |= 1 << (bit % 8);
        }
    }

    /// Whether `ip` may have been added; `false` is certain.
    #[must_use]
    pub fn may_contain(&self, ip: IpAddr) -> bool {
        bits(ip).iter().all(|bit| self.0[bit / 8] & (1 << (bit % 8)) != 0)
    }

    /// Adds every address of `other`.
    pub fn unite(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(byte, theirs)| *byte |= theirs);
    }

    /// Whether no address was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&byte| byte == 0)
    }

    /// Whether too many bits are set for it to say anything: an attacker's, or a swarm larger than filters can tell.
    #[must_use]
    pub fn is_saturated(&self) -> bool {
        self.zeros() < SATURATED_ZEROS
    }

    /// How many addresses were added.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        if self.is_empty() {
            // The formula of BEP 33 says 0.5 here.
            return Estimate::default();
        }
        let bits = f64::from(BITS);
        let zeros = f64::from(self.zeros().clamp(1, BITS - 1));
        let count = libm::log(zeros / bits) / (HASHES * libm::log(1.0 - 1.0 / bits));
        // The variance of the zeros after `load` marks a bit (occupancy problem), carried over to the count.
        let load = HASHES * count / bits;
        let spread = libm::sqrt(bits * (libm::exp(load) - 1.0 - load)) / HASHES;
        Estimate { count, spread, saturated: self.is_saturated() }
    }

    fn zeros(&self) -> u32 {
        self.0.iter().map(|byte| byte.count_zeros()).sum()
    }
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Filter(about {:.0})", self.estimate().count)
    }
}

/// BEP 33: the first four bytes of SHA-1, as two little-endian numbers.
fn bits(ip: IpAddr) -> [usize; 2] {
    let hash = match ip {
        IpAddr::V4(ip) => Sha1::digest(ip.octets()),
        IpAddr::V6(ip) => Sha1::digest(ip.octets()),
    };
    [[hash[0], hash[1]], [hash[2], hash[3]]].map(|pair| usize::from(u16::from_le_bytes(pair)) % BITS as usize)
}

/// About how many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// The likeliest number.
    pub count: f64,
    /// One standard deviation: two times out of three the true number is no further away.
    pub spread: f64,
    /// The filter is full: there are at least about this many.
    pub saturated: bool,
}

impl Estimate {
    /// The estimate for two sets that have nothing in common.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            spread: self.spread.hypot(other.spread),
            saturated: self.saturated || other.saturated,
        }
    }
}

/// The two filters of a swarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwarmFilters {
    /// Peers that have the whole torrent (`BFsd`).
    pub seeds: Filter,
    /// The other peers (`BFpe`).
    pub peers: Filter,
}

impl SwarmFilters {
    /// Adds a peer.
    pub fn insert(&mut self, ip: IpAddr, seed: bool) {
        if seed { self.seeds.insert(ip) } else { self.peers.insert(ip) }
    }

    /// Adds all that `other` has.
    pub fn unite(&mut self, other: &Self) {
        self.seeds.unite(&other.seeds);
        self.peers.unite(&other.peers);
    }

    /// About how many addresses were added.
    #[must_use]
    pub fn count(&self) -> f64 {
        self.seeds.estimate().count + self.peers.estimate().count
    }

    /// Whether `ip` may be in one of them.
    #[must_use]
    pub fn may_contain(&self, ip: IpAddr) -> bool {
        self.seeds.may_contain(ip) || self.peers.may_contain(ip)
    }

    /// Whether one of them says nothing.
    #[must_use]
    pub fn is_saturated(&self) -> bool {
        self.seeds.is_saturated() || self.peers.is_saturated()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// BEP 33, Test Vectors: 256 IPv4 and 1,000 IPv6 addresses.
    fn addresses_of_the_bep() -> impl Iterator<Item = IpAddr> {
        let v4 = (0..=255).map(|last| IpAddr::from([192, 0, 2, last]));
        v4.chain((0..1000).map(|last| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last])))
    }

    #[test]
    fn equals_the_vector_of_bep_33() {
        let mut filter = Filter::default();
        addresses_of_the_bep().for_each(|ip| filter.insert(ip));
        let expected = "F6C3F5EAA07FFD91BDE89F777F26FB2BFF37BDB8FB2BBAA2FD3DDDE7BACFFF75EE7CCBAEFE5EEDB1FBFAFF67F6ABFF5E\
            43DDBCA3FD9B9FFDF4FFD3E9DFF12D1BDF59DB53DBE9FA5B7FF3B8FDFCDE1AFB8BEDD7BE2F3EE71EBBBFE93BCDEEFE148246C2BC5DBF\
            F7E7EFDCF24FD8DC7ADFFD8FFFDFDDFFF7A4BBEEDF5CB95CE81FC7FCFF1FF4FFFFDFE5F7FDCBB7FD79B3FA1FC77BFE07FFF905B7B7FF\
            C7FEFEFFE0B8370BB0CD3F5B7F2BD93FEB4386CFDD6F7FD5BFAF2E9EBFFFFEECD67ADBF7C67F17EFD5D75EBA6FFEBA7FFF47A91EB1BF\
            BB53E8ABFB5762ABE8FF237279BFEFBFEEF5FFC5FEBFDFE5ADFFADFEE1FB737FFFFBFD9F6AEFFEEE76B6FD8F72EF";
        assert_eq!(hex::encode_upper(filter.as_bytes()), expected.replace(' ', ""));
        assert!((filter.estimate().count - 1_224.930_889_8).abs() < 1e-6, "{:?}", filter.estimate());
        assert_eq!(filter.zeros(), 619);
        assert!(addresses_of_the_bep().all(|ip| filter.may_contain(ip)));
    }

    #[test]
    fn one_address_sets_these_bits() {
        assert_eq!(bits([192, 168, 1, 1].into()), [1711, 1831]);
    }

    #[test]
    fn empty_and_full_filters_are_no_numbers_out_of_this_world() {
        assert_eq!(Filter::default().estimate(), Estimate::default());
        let full = Filter::from_bytes([0xff; FILTER_LEN]);
        assert!(full.is_saturated());
        assert!((full.estimate().count - 7805.7).abs() < 0.1 && full.estimate().saturated);
        let mut one = Filter::default();
        one.insert([1, 2, 3, 4].into());
        assert!((one.estimate().count - 1.000_24).abs() < 1e-4 && !one.is_saturated());
    }

    #[test]
    fn the_spread_is_that_of_many_trials() {
        for size in [10_u32, 300, 1000, 3000] {
            let error = |trial: u32| {
                let mut filter = Filter::default();
                (0..size).for_each(|index| filter.insert((trial << 16 | index).to_be_bytes().into()));
                let estimate = filter.estimate();
                ((estimate.count - f64::from(size)) / estimate.spread.max(1e-9)).powi(2)
            };
            let deviation = ((0..200).map(error).sum::<f64>() / 200.0).sqrt();
            assert!((0.75..1.35).contains(&deviation), "{size} addresses: {deviation}");
        }
    }

    proptest! {
        #[test]
        fn a_union_is_the_filter_of_all(
            a in prop::collection::vec(any::<IpAddr>(), 0..50),
            b in prop::collection::vec(any::<IpAddr>(), 0..50),
        ) {
            let of = |ips: &[IpAddr]| {
                let mut filter = Filter::default();
                ips.iter().for_each(|&ip| filter.insert(ip));
                filter
            };
            let mut united = of(&a);
            united.unite(&of(&b));
            prop_assert_eq!(united, of(&[a, b].concat()));
        }
    }
}
