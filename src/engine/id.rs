//! A point in the key space: a node id, an infohash, or the target of an item.
//!
//! The key space has 160 bits and the XOR metric: `distance(a, b) = a ^ b`, read as an unsigned number
//! (BEP 5, Overview). BEP 42 ties a node's id to its address; both directions of that rule live here.

use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::random::Random;

/// 160 bits in network order: a node id, an infohash, or an item's target.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub [u8; 20]);

impl Id {
    /// Number of bytes.
    pub const LEN: usize = 20;
    /// Number of bits.
    pub const BITS: usize = 160;
    /// All bits zero. Broken nodes use it as their id; it is never believed.
    pub const ZERO: Self = Self([0; 20]);

    /// The id that `bytes` are, if there are exactly 20 of them (BEP 5: ids are 20-byte strings).
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The XOR distance to `other`, as bytes that compare like the number.
    #[must_use]
    pub fn distance(&self, other: &Self) -> Distance {
        let mut bytes = self.0;
        for (byte, theirs) in bytes.iter_mut().zip(other.0) {
            *byte ^= theirs;
        }
        Distance(bytes)
    }

    /// How many leading bits the two ids share: 0 to 160.
    #[must_use]
    pub fn common_prefix_len(&self, other: &Self) -> usize {
        self.distance(other).leading_zeros()
    }

    /// Which of `a` and `b` is closer to this id; `Less` means `a`.
    #[must_use]
    pub fn closer(&self, a: &Self, b: &Self) -> Ordering {
        // Most pairs differ in the first eight bytes, which are compared as one number.
        let heads = self.distance_head(a).cmp(&self.distance_head(b));
        heads.then_with(|| self.distance(a).cmp(&self.distance(b)))
    }

    /// The first 64 bits of the distance to `other`: decides nearly every comparison of distances.
    #[must_use]
    pub fn distance_head(&self, other: &Self) -> u64 {
        self.head() ^ other.head()
    }

    /// The first 64 bits.
    #[must_use]
    pub fn head(&self) -> u64 {
        u64::from_be_bytes(self.0[..8].try_into().expect("8 of 20 bytes"))
    }

    /// A random id that shares exactly `bits` leading bits with this one (its whole self for 160 and more).
    #[must_use]
    pub fn random_with_prefix(&self, bits: usize, rng: &mut Random) -> Self {
        let mut id = rng.wire_id();
        for bit in 0..bits.min(Self::BITS) {
            id.set_bit(bit, self.bit(bit));
        }
        if bits < Self::BITS {
            id.set_bit(bits, !self.bit(bits));
        }
        id
    }

    /// An id for a node whose external address is `ip` (BEP 42, Node ID).
    #[must_use]
    pub fn for_address(ip: IpAddr, rng: &mut Random) -> Self {
        let mut id = rng.wire_id();
        let crc = address_crc(ip, id.0[19]);
        id.0[0] = (crc >> 24) as u8;
        id.0[1] = (crc >> 16) as u8;
        id.0[2] = ((crc >> 8) as u8 & 0xf8) | (id.0[2] & 0x07);
        id
    }

    /// Whether a node at `ip` may carry this id (BEP 42): its first 21 bits follow from the address. Addresses
    /// that are not global are exempt.
    #[must_use]
    pub fn matches_address(&self, ip: IpAddr) -> bool {
        super::contact::is_local(ip) || {
            let crc = address_crc(ip, self.0[19]);
            let own = u32::from_be_bytes([self.0[0], self.0[1], self.0[2], 0]);
            (own ^ crc) & 0xffff_f800 == 0
        }
    }

    /// Bit `index` of 160, counted from the first, which weighs most.
    #[must_use]
    pub const fn bit(&self, index: usize) -> bool {
        self.0[index / 8] & (0x80 >> (index % 8)) != 0
    }

    fn set_bit(&mut self, index: usize, value: bool) {
        let mask = 0x80 >> (index % 8);
        if value {
            self.0[index / 8] |= mask;
        } else {
            self.0[index / 8] &= !mask;
        }
    }
}

/// CRC32-C of the masked address, the low three bits of `r` in its first byte (BEP 42, Node ID). The prose of the
/// BEP hashes eight bytes for both families; its code and its vectors hash four bytes for IPv4.
fn address_crc(ip: IpAddr, r: u8) -> u32 {
    const V4_MASK: [u8; 4] = [0x03, 0x0f, 0x3f, 0xff];
    const V6_MASK: [u8; 8] = [0x01, 0x03, 0x07, 0x0f, 0x1f, 0x3f, 0x7f, 0xff];
    let mut masked = [0; 8];
    let mask: &[u8] = if ip.is_ipv4() { &V4_MASK } else { &V6_MASK };
    match ip {
        IpAddr::V4(ip) => masked[..4].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => masked.copy_from_slice(&ip.octets()[..8]),
    }
    let masked = &mut masked[..mask.len()];
    masked.iter_mut().zip(mask).for_each(|(byte, mask)| *byte &= mask);
    masked[0] |= (r & 0x07) << 5;
    crc32c::crc32c(masked)
}

/// An XOR distance: bytes in network order, so that they compare like the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Distance(pub [u8; 20]);

impl Distance {
    /// Number of leading zero bits: 160 for distance zero.
    #[must_use]
    pub fn leading_zeros(&self) -> usize {
        match self.0.iter().position(|&byte| byte != 0) {
            Some(index) => index * 8 + self.0[index].leading_zeros() as usize,
            None => Id::BITS,
        }
    }

    /// The distance as a share of the key space, 0.0 to 1.0: what network-size estimates count in.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        let head = u64::from_be_bytes(self.0[..8].try_into().expect("8 of 20 bytes"));
        let tail = u64::from_be_bytes(self.0[8..16].try_into().expect("8 of 20 bytes"));
        (head as f64 + tail as f64 / 2f64.powi(64)) / 2f64.powi(64)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 40 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is 40 hexadecimal digits")]
pub struct ParseIdError;

impl FromStr for Id {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let mut bytes = [0; 20];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseIdError)?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id() -> impl Strategy<Value = Id> {
        any::<[u8; 20]>().prop_map(Id)
    }

    proptest! {
        #[test]
        fn distance_obeys_its_laws(a in id(), b in id(), c in id()) {
            prop_assert_eq!(a.distance(&a), Distance([0; 20]));
            prop_assert_eq!(a.distance(&b), b.distance(&a));
            prop_assert_eq!(a == b, a.distance(&b) == Distance([0; 20]));
            // Unidirectional: for a distance from a there is exactly one point.
            prop_assert_eq!(a.distance(&b) == a.distance(&c), b == c);
            // The XOR triangle: d(a,c) = d(a,b) ^ d(b,c), which never exceeds the sum.
            prop_assert_eq!(Id(a.distance(&b).0).distance(&Id(b.distance(&c).0)), a.distance(&c));
            prop_assert_eq!(a.closer(&b, &c), a.distance(&b).cmp(&a.distance(&c)));
        }

        #[test]
        fn prefix_counts_shared_bits(a in id(), bits in 0usize..=160, seed in any::<[u8; 32]>()) {
            let b = a.random_with_prefix(bits, &mut Random::new(seed));
            prop_assert_eq!(a.common_prefix_len(&b), bits);
        }

        #[test]
        fn own_ids_match_their_address(ip in any::<IpAddr>(), seed in any::<[u8; 32]>()) {
            prop_assert!(Id::for_address(ip, &mut Random::new(seed)).matches_address(ip));
        }

        #[test]
        fn text_round_trips(a in id()) {
            prop_assert_eq!(a.to_string().parse(), Ok(a));
        }
    }

    /// The vectors of BEP 42, and some for IPv6 computed apart from this code.
    #[test]
    fn bep_42_vectors() {
        for (ip, id) in [
            ("124.31.75.21", "5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401"),
            ("21.75.31.124", "5a3ce9c14e7a08645677bbd1cfe7d8f956d53256"),
            ("65.23.51.170", "a5d43220bc8f112a3d426c84764f8c2a1150e616"),
            ("84.124.73.14", "1b0321dd1bb1fe518101ceef99462b947a01ff41"),
            ("43.213.53.83", "e56f6cbf5b7c4be0237986d5243b87aa6d51305a"),
        ] {
            let (ip, id): (IpAddr, Id) = (ip.parse().unwrap(), id.parse().unwrap());
            assert!(id.matches_address(ip), "{ip}");
            let mut wrong = id;
            wrong.0[1] ^= 1;
            assert!(!wrong.matches_address(ip), "{ip}");
            assert!(wrong.matches_address("192.168.1.1".parse().unwrap()), "local addresses are exempt");
        }
        for (ip, r, crc) in [
            ("124.31.75.21", 1, 0x5fbf_bdb2),
            ("2001:db8::1", 0, 0x7c89_c9bd),
            ("2001:db8:100:0:d5c8:db3f:995e:c0f7", 1, 0xaccc_069c),
            ("2607:f8b0:4005:80a::200e", 5, 0xc045_e9cb),
            ("2a02:ffff:ffff:ffff::", 7, 0xba4d_11a5),
        ] {
            assert_eq!(address_crc(ip.parse().unwrap(), r), crc, "{ip}");
        }
    }

    #[test]
    fn fraction_is_the_share_of_the_key_space() {
        let mut half = [0; 20];
        half[0] = 0x80;
        assert!((Distance(half).fraction() - 0.5).abs() < 1e-12);
        assert_eq!(Distance([0; 20]).fraction(), 0.0);
    }

    #[test]
    fn wrong_text_is_refused() {
        for text in ["", "0", &"g".repeat(40), &"0".repeat(41)] {
            assert_eq!(text.parse::<Id>(), Err(ParseIdError));
        }
    }
}
