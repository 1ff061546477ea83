//! What BEP 42 asks of a node: an id whose first 21 bits follow from its address.

use std::net::IpAddr;

use super::contact::{Contact, is_local};
use super::id::Id;
use super::random::Random;

/// What we make of other nodes whose id does not fit their address (BEP 42). Their queries are always served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compliance {
    /// Nothing.
    Off,
    /// Those whose id fits come first: in the table, and where something is stored.
    #[default]
    Prefer,
    /// The others count for nothing: they enter no table, end no lookup, and store nothing of ours.
    Enforce,
}

impl Id {
    /// An id for a node whose external address is `ip` (BEP 42, Node ID).
    #[must_use]
    pub fn for_address(ip: IpAddr, rng: &mut Random) -> Self {
        rng.wire_id().fitted_to(ip)
    }

    /// The id with these free bits, the last three of which are the `r` of BEP 42, for a node whose external address is `ip`.
    #[must_use]
    pub fn fitted_to(mut self, ip: IpAddr) -> Self {
        let crc = address_crc(ip, self.0[19]);
        self.0[0] = (crc >> 24) as u8;
        self.0[1] = (crc >> 16) as u8;
        self.0[2] = ((crc >> 8) as u8 & 0xf8) | (self.0[2] & 0x07);
        self
    }

    /// Whether a node at `ip` may carry this id (BEP 42): its first 21 bits follow from the address. Addresses
    /// that are not global are exempt.
    #[must_use]
    pub fn matches_address(&self, ip: IpAddr) -> bool {
        is_local(ip) || {
            let crc = address_crc(ip, self.0[19]);
            let own = u32::from_be_bytes([self.0[0], self.0[1], self.0[2], 0]);
            (own ^ crc) & 0xffff_f800 == 0
        }
    }
}

impl Contact {
    /// Whether the id may belong to the address (BEP 42).
    #[must_use]
    pub fn is_compliant(&self) -> bool {
        self.id.matches_address(self.addr.ip())
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn own_ids_match_their_address(ip in any::<IpAddr>(), seed in any::<[u8; 32]>()) {
            prop_assert!(Id::for_address(ip, &mut Random::new(seed)).matches_address(ip));
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
}
