//! A keyed hash (SipHash-1-3) for what remotes choose: maps keyed by their bytes, slots of fixed tables.
//!
//! The key comes from the node's seed, so that no remote can aim at a slot and a simulation repeats exactly.

use std::fmt;
use std::hash::BuildHasher;
use std::net::SocketAddr;

use siphasher::sip::SipHasher13;

use super::contact::CompactAddr;
use super::random::Random;

/// The hash.
#[derive(Clone, Copy)]
pub struct KeyedHash {
    /// Not the hasher made of it, which is five times as large: a node has eight, and each is looked at when it is cold.
    key: [u8; 16],
}

impl KeyedHash {
    /// A hash with a key of its own.
    #[must_use]
    pub fn new(random: &mut Random) -> Self {
        Self { key: random.secret_key() }
    }

    /// The hash of `bytes`.
    #[must_use]
    pub fn of(&self, bytes: &[u8]) -> u64 {
        self.build_hasher().hash(bytes)
    }

    /// The hash of an endpoint.
    #[must_use]
    pub fn of_addr(&self, addr: &SocketAddr) -> u64 {
        self.of(CompactAddr::new(addr).as_bytes())
    }
}

/// For maps of the standard library.
impl BuildHasher for KeyedHash {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_key(&self.key)
    }
}

impl fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedHash")
    }
}
