//! Copies of an announce at other nodes: who holds one, and for how long.
//!
//! A node forgets an announce after a time that its client has chosen, and does not say so. The client is known by its `v`
//! (BEP 20), so each copy has a lifetime of its own.

use std::time::Duration;

use crate::engine::contact::{CompactAddr, Contact};
use crate::engine::id::NodeId;
use crate::engine::time::Instant;

/// A copy is renewed when this part of its lifetime has passed, in hundredths: at the earliest, and at the latest. Where
/// between the two is drawn for each round, so that what was announced together spreads out.
const RENEWED_AFTER_PERCENT: (u32, u32) = (88, 94);
/// A copy that would be renewed within this part of its lifetime, in hundredths, is renewed together with another of the
/// same infohash: what each lookup costs besides its holders is then paid once.
const TOGETHER_PERCENT: u32 = 25;

/// A copy at one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredCopy {
    id: NodeId,
    addr: CompactAddr,
    version: [u8; 4],
    /// In seconds of the schedule's clock; 0 for a copy that no longer counts.
    stored: u32,
}

impl StoredCopy {
    /// A copy that `at`, whose client is `version`, stored at this instant.
    #[must_use]
    pub fn new(at: Contact, version: [u8; 4], stored: Instant) -> Self {
        let addr = CompactAddr::new(&at.addr);
        Self { id: at.id, addr, version, stored: u32::try_from(stored.as_secs()).unwrap_or(u32::MAX) }
    }

    /// The node.
    #[must_use]
    pub fn contact(&self) -> Contact {
        Contact { id: self.id, addr: self.addr.addr() }
    }

    /// The first four bytes of its `v`; zeros where it has none.
    #[must_use]
    pub const fn version(&self) -> [u8; 4] {
        self.version
    }

    /// When it was stored.
    #[must_use]
    pub const fn stored(&self) -> Instant {
        Instant::from_secs(self.stored as u64)
    }

    /// Whether the node still has it, as far as is known.
    #[must_use]
    pub fn lives(&self, now: Instant) -> bool {
        self.stored > 0 && self.stored() <= now && now.since(self.stored()) < lifetime(self.version)
    }

    /// When it is to be renewed; `jitter` is between 0 and 1.
    #[must_use]
    pub fn due(&self, jitter: f32) -> Instant {
        let (earliest, latest) = RENEWED_AFTER_PERCENT;
        let percent = f64::from(earliest) + f64::from(jitter) * f64::from(latest - earliest);
        self.stored() + lifetime(self.version).mul_f64(percent / 100.0)
    }

    /// Whether it is left alone when another copy of the same infohash is renewed now.
    #[must_use]
    pub fn is_young(&self, now: Instant, jitter: f32) -> bool {
        self.lives(now) && self.due(jitter).since(now) > lifetime(self.version) * TOGETHER_PERCENT / 100
    }

    /// Says that it was stored at this instant instead: the clock was set.
    pub(super) fn moved_to(self, stored: Instant) -> Self {
        match self.stored {
            0 => self,
            _ => Self { stored: u32::try_from(stored.as_secs()).unwrap_or(u32::MAX), ..self },
        }
    }

    /// The same without its age: the node is worth asking, but what it has is no longer ours.
    #[must_use]
    pub const fn expired(self) -> Self {
        Self { stored: 0, ..self }
    }
}

/// The copies of one infohash, packed: there are eight for each, and of infohashes thousands. Each is its node
/// (`StoredCopy::encode_node`), then when it was stored, in four bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copies(Box<[u8]>);

impl Copies {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = StoredCopy> + '_ {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (at, version, others) = StoredCopy::decode_node(rest)?;
            let (stored, others) = others.split_first_chunk()?;
            rest = others;
            Some(StoredCopy::new(at, version, Instant::from_secs(u32::from_be_bytes(*stored).into())))
        })
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets how old they are.
    pub(super) fn expire(&mut self) {
        *self = self.iter().map(StoredCopy::expired).collect();
    }
}

impl FromIterator<StoredCopy> for Copies {
    fn from_iter<T: IntoIterator<Item = StoredCopy>>(copies: T) -> Self {
        let mut packed = Vec::new();
        for copy in copies {
            copy.encode_node(&mut packed);
            packed.extend(copy.stored.to_be_bytes());
        }
        // A copy of the right size: to cut the larger piece would leave a hole behind each of thousands.
        Self(packed.as_slice().into())
    }
}

impl StoredCopy {
    /// Writes where it is: the length of the contact, the contact (26 or 38 bytes), the version.
    pub(super) fn encode_node(&self, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.push(0);
        self.contact().encode(bytes);
        bytes[start] = (bytes.len() - start - 1) as u8;
        bytes.extend(self.version);
    }

    /// Reads that; with what follows it.
    pub(super) fn decode_node(bytes: &[u8]) -> Option<(Contact, [u8; 4], &[u8])> {
        let (&len, rest) = bytes.split_first()?;
        let (contact, rest) = rest.split_at_checked(usize::from(len))?;
        let (version, rest) = rest.split_first_chunk()?;
        Some((Contact::decode(contact)?, *version, rest))
    }
}

/// Time after which a client of this `v` forgets an announce. Those of whom nothing is known, and those that send no `v`,
/// as Transmission, get the shortest that any deployed client has.
#[must_use]
pub const fn lifetime(version: [u8; 4]) -> Duration {
    match version {
        // libtorrent: dht_storage.cpp, announce_interval. The second is this program (PEER_LIFETIME).
        [b'L', b'T', ..] | [b'T', b'k', ..] => Duration::from_mins(45),
        // mldht: Database.java, MAX_DB_TOKEN_AGE.
        [b'm' | b'M', b'l' | b'L', ..] => Duration::from_mins(60),
        // jech/dht: dht.c, expire_storage.
        [b'J', b'C', ..] => Duration::from_mins(32),
        // uTorrent and BitTorrent, rTorrent, and all others.
        _ => Duration::from_mins(30),
    }
}

/// The first four bytes of a `v`, padded with zeros.
#[must_use]
pub fn short_version(version: &[u8]) -> [u8; 4] {
    let mut short = [0; 4];
    let len = version.len().min(4);
    short[..len].copy_from_slice(&version[..len]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(version: &[u8], stored_secs: u64) -> StoredCopy {
        let addr = "[2001:db8::7]:6881".parse().unwrap();
        StoredCopy::new(
            Contact { id: NodeId::new([7; 20]), addr },
            short_version(version),
            Instant::from_secs(stored_secs),
        )
    }

    #[test]
    fn a_copy_lives_as_long_as_its_client_keeps_it_and_is_renewed_before() {
        for (version, minutes) in
            [(&b"LT\x02\x03"[..], 45), (b"ml", 60), (b"JC\0\0", 32), (b"UT\xaf\x01", 30), (b"", 30)]
        {
            let (copy, end) = (copy(version, 1_000), Instant::from_secs(1_000) + Duration::from_mins(minutes));
            assert!(copy.lives(end - Duration::from_secs(1)) && !copy.lives(end), "{version:?}");
            for jitter in [0.0, 0.5, 1.0] {
                let left = end.since(copy.due(jitter)).as_secs_f64() / 60.0 / minutes as f64;
                assert!((0.059..0.121).contains(&left), "{left} of the lifetime is left");
            }
            assert!(copy.is_young(Instant::from_secs(1_000), 0.0));
            assert!(!copy.is_young(copy.due(0.5) - Duration::from_mins(5), 0.5));
        }
    }

    #[test]
    fn what_was_stored_in_the_future_does_not_live() {
        // The clock was set back.
        assert!(!copy(b"LT", 5_000).lives(Instant::from_secs(4_000)));
        let expired = copy(b"LT", 5_000).expired();
        assert!(!expired.lives(Instant::from_secs(5_001)));
        assert_eq!(expired.contact().addr.port(), 6881);
    }

    #[test]
    fn copies_are_packed_and_stay_what_they_were() {
        let (long, mut short) = (copy(b"LT\x02\x03", 1_000), copy(b"", 7));
        short.addr = CompactAddr::new(&"203.0.113.7:6881".parse().unwrap());
        let mut copies: Copies = [long, short].into_iter().collect();
        assert!(copies.iter().eq([long, short]) && !copies.is_empty());
        assert_eq!(copies.0.len(), 1 + 28 + 18 + 1 + 28 + 6);
        copies.expire();
        assert!(copies.iter().eq([long.expired(), short.expired()]));
        assert!(Copies::default().is_empty() && Copies::default().iter().next().is_none());
    }
}
