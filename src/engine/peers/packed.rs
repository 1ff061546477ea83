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
    /// Each swarm, and how many bytes of `records` are its.
    swarms: Vec<(InfoHash, u32)>,
    records: Vec<u8>,
    /// Swarms that are still to be copied: the places below this one.
    left: usize,
    /// When the last slice was copied: ages count from then.
    now: HalfMinute,
}

impl PackedPeers {
    /// An empty copy with room for `swarms` swarms and `bytes` of records. The room is had at once: growing would copy
    /// everything in the middle of a slice.
    pub(super) fn with_room(family: Family, swarms: usize, bytes: usize) -> Self {
        Self {
            family,
            swarms: Vec::with_capacity(swarms),
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
        self.records.extend_from_slice(bytes);
        self.swarms.push((info_hash, bytes.len() as u32));
        bytes.len()
    }

    /// The peers, with their age when the last slice was copied.
    pub fn iter(&self) -> impl Iterator<Item = StoredPeer> {
        let (width, now) = (self.family.peer_len() + 1, self.now);
        let mut start = 0;
        self.swarms.iter().flat_map(move |&(info_hash, bytes)| {
            let records = &self.records[start..start + bytes as usize];
            start += bytes as usize;
            Records::read(records, width).filter_map(move |record| {
                let age: Duration = HALF_MINUTE * u32::from(now.since(record.announced()));
                Some(StoredPeer { info_hash, peer: decode_addr(record.peer())?, seed: record.is_seed(), age })
            })
        })
    }
}
