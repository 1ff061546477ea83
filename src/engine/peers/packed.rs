//! A copy of what a store holds, in the store's own packed form: made slice by slice between datagrams, decoded elsewhere.
//!
//! Places are copied from the last to the first. A swarm that is removed in the meantime leaves its place to the last one,
//! which was copied already, so that none is missed; one may be copied twice, which is the same as an announce that is
//! repeated. Swarms that begin in the meantime are not part of the copy.

use std::net::SocketAddr;
use std::time::Duration;

use super::records::{HALF_MINUTE, HalfMinute, Records};
use crate::engine::contact::{Family, decode_addr};
use crate::engine::id::InfoHash;
use crate::engine::limits::SAVED_PEERS;

/// Records and swarms in one slice: well under a tenth of a millisecond each.
pub(super) const SLICE: usize = 4096;

/// A stored peer, as it is saved across a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredPeer {
    /// Its swarm.
    pub info_hash: InfoHash,
    /// Where it listens.
    pub peer: SocketAddr,
    /// It has the whole torrent.
    pub seed: bool,
    /// Since it was announced, to the half minute.
    pub age: Duration,
}

/// The copy, whole once [`PeerStore::copy_slice`](super::PeerStore::copy_slice) says so.
#[derive(Clone, Debug)]
pub struct PackedPeers {
    family: Family,
    swarms: Vec<Copied>,
    records: Vec<u8>,
    /// Swarms that are still to be copied: the places below this one.
    left: usize,
    /// When the last slice was copied: ages count from then.
    now: HalfMinute,
}

/// A swarm that was copied, and which bytes of the records are its.
#[derive(Clone, Copy, Debug)]
struct Copied {
    info_hash: InfoHash,
    start: u32,
    bytes: u32,
}

impl PackedPeers {
    /// An empty copy of `swarms` swarms, with room for as many as may be saved and for `bytes` of records. The room is had at
    /// once: growing would copy everything in the middle of a slice.
    pub(super) fn with_room(family: Family, swarms: usize, bytes: usize) -> Self {
        Self {
            family,
            swarms: Vec::with_capacity(swarms.min(SAVED_PEERS)),
            records: Vec::with_capacity(bytes),
            left: swarms,
            now: HalfMinute::new(0),
        }
    }

    /// The place to copy next, if there are any and there is room.
    pub(super) fn next_place(&mut self, swarms: usize) -> Option<usize> {
        self.left = self.left.min(swarms).checked_sub(1)?;
        Some(self.left)
    }

    /// Copies a swarm, or as much of it as there is room for; how many bytes that is.
    pub(super) fn push(&mut self, now: HalfMinute, info_hash: InfoHash, records: &Records) -> usize {
        self.now = now;
        let width = self.family.peer_len() + 1;
        let room = (self.records.capacity() - self.records.len()) / width * width;
        let bytes = records.bytes();
        let bytes = &bytes[..bytes.len().min(room)];
        if bytes.is_empty() || self.swarms.len() == self.swarms.capacity() {
            self.left = 0;
            return 0;
        }
        self.swarms.push(Copied { info_hash, start: self.records.len() as u32, bytes: bytes.len() as u32 });
        self.records.extend_from_slice(bytes);
        bytes.len()
    }

    /// The same with its swarms in the order of their infohashes.
    #[must_use]
    pub fn into_sorted(mut self) -> Self {
        self.swarms.sort_unstable_by_key(|swarm| swarm.info_hash);
        self
    }

    /// The swarms, and the peers of each with their age when the last slice was copied. One that was copied twice comes twice.
    pub fn swarms(&self) -> impl Iterator<Item = (InfoHash, impl Iterator<Item = StoredPeer>)> {
        let (width, now) = (self.family.peer_len() + 1, self.now);
        self.swarms.iter().map(move |&Copied { info_hash, start, bytes }| {
            let records = &self.records[start as usize..(start + bytes) as usize];
            let peers = Records::read(records, width).filter_map(move |record| {
                let age: Duration = HALF_MINUTE * u32::from(now.since(record.announced()));
                Some(StoredPeer { info_hash, peer: decode_addr(record.peer())?, seed: record.is_seed(), age })
            });
            (info_hash, peers)
        })
    }

    /// All peers.
    pub fn iter(&self) -> impl Iterator<Item = StoredPeer> {
        self.swarms().flat_map(|(_, peers)| peers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_peers_are_copied_than_are_saved() {
        let (peer, now) = ([1, 2, 3, 4, 0, 5], HalfMinute::new(7));
        let mut records = Records::new();
        records.push(&peer, now, false);
        let mut copy = PackedPeers::with_room(Family::V4, SAVED_PEERS + 10, SAVED_PEERS * 7);
        let mut copied = 0;
        for number in 0..SAVED_PEERS as u32 + 10 {
            let mut info_hash = [0; 20];
            info_hash[..4].copy_from_slice(&number.to_be_bytes());
            copied += copy.push(now, InfoHash::new(info_hash), &records) / 7;
        }
        assert_eq!((copied, copy.swarms.len(), copy.next_place(10)), (SAVED_PEERS, SAVED_PEERS, None));
        // Nor of one swarm that is larger than what is left.
        let mut copy = PackedPeers::with_room(Family::V4, 1, 7);
        records.push(&[9, 9, 9, 9, 0, 5], now, false);
        assert_eq!((copy.push(now, InfoHash::new([1; 20]), &records), copy.iter().count()), (7, 1));
    }
}
