//! A point in the key space ([`Id`]), and the roles that it has at public faces: [`NodeId`], [`InfoHash`], [`Target`].
//!
//! The key space has 160 bits and the XOR metric: `distance(a, b) = a ^ b`, read as an unsigned number
//! (BEP 5, Overview). What BEP 42 asks of a node's id is in `compliance.rs`.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use sha1::{Digest as _, Sha1};
use sha2::Sha256;

/// 160 bits in network order, whatever they name.
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

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
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

    /// The id that shares exactly `bits` leading bits with this one (all of them for 160 and more) and has the rest from
    /// `free`.
    #[must_use]
    pub fn sharing_prefix(&self, bits: usize, free: Self) -> Self {
        let mut id = free;
        for bit in 0..bits.min(Self::BITS) {
            id.set_bit(bit, self.bit(bit));
        }
        if bits < Self::BITS {
            id.set_bit(bits, !self.bit(bits));
        }
        id
    }

    /// Bit `index` of 160, counted from the first, which weighs most.
    #[must_use]
    pub const fn bit(&self, index: usize) -> bool {
        self.0[index / 8] & (0x80 >> (index % 8)) != 0
    }

    /// The same id with bit `index` of 160 flipped.
    #[must_use]
    pub const fn flipping(mut self, index: usize) -> Self {
        self.0[index / 8] ^= 0x80 >> (index % 8);
        self
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

/// A role of an [`Id`]: it reads as one, but does not stand for another role.
macro_rules! role {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Id);

        impl $name {
            /// The one at [`Id::ZERO`].
            pub const ZERO: Self = Self(Id::ZERO);

            /// What `bytes` name.
            #[must_use]
            pub const fn new(bytes: [u8; 20]) -> Self {
                Self(Id(bytes))
            }

            /// What `bytes` name, if there are exactly 20 of them.
            #[must_use]
            pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
                Id::from_bytes(bytes).map(Self)
            }
        }

        impl Deref for $name {
            type Target = Id;

            fn deref(&self) -> &Id {
                &self.0
            }
        }

        impl From<[u8; 20]> for $name {
            fn from(bytes: [u8; 20]) -> Self {
                Self::new(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                text.parse().map(Self)
            }
        }
    };
}

role! {
    /// The id of a node: its place in the key space (BEP 5, Overview).
    NodeId
}

role! {
    /// The infohash of a torrent: the name of its swarm, and where its peers are stored (BEP 5).
    InfoHash
}

impl InfoHash {
    /// Whether it is the infohash of the torrent with the info dictionary `info`: the SHA-1 of these bytes (BEP 3), or their
    /// SHA-256 cut to 20 bytes (BEP 52).
    #[must_use]
    pub fn names(&self, info: &[u8]) -> bool {
        Sha1::digest(info)[..] == self.0.0[..] || Sha256::digest(info)[..Id::LEN] == self.0.0[..]
    }
}

role! {
    /// Where a lookup goes: the place of an item (BEP 44), or any other whose closest nodes are wanted.
    Target
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
        fn prefix_counts_shared_bits(a in id(), bits in 0usize..=160, free in id()) {
            let b = a.sharing_prefix(bits, free);
            prop_assert_eq!(a.common_prefix_len(&b), bits);
        }

        #[test]
        fn text_round_trips(a in id()) {
            prop_assert_eq!(a.to_string().parse(), Ok(a));
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
