//! The peers of one swarm, packed: address, port, and one byte for age and seed flag.
//!
//! A record is 7 bytes (IPv4) or 19 (IPv6). Two IPv4 records fit into the swarm itself; more go to the heap. The age
//! byte holds the half minute of the announce modulo 128 (64 minutes, more than the lifetime) and, in its top bit,
//! the seed flag of BEP 33. Order means nothing: sampling shuffles records in place.

use std::time::Duration;

use crate::engine::random::Random;

const INLINE: usize = 15;
const SEED: u8 = 0x80;

/// The unit of ages.
pub(super) const HALF_MINUTE: Duration = Duration::from_secs(30);

/// Half minutes since the start, modulo 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HalfMinute(u8);

impl HalfMinute {
    pub(super) const fn new(half_minutes: u64) -> Self {
        Self((half_minutes % 128) as u8)
    }

    /// Half minutes since `earlier`, if that is less than 64 minutes ago.
    pub(super) const fn since(self, earlier: Self) -> u8 {
        self.0.wrapping_sub(earlier.0) & !SEED
    }
}

/// The records of one swarm. `width` is always the same for one store.
#[derive(Clone, Debug)]
pub(super) enum Records {
    Inline { len: u8, bytes: [u8; INLINE] },
    Heap(Vec<u8>),
}

impl Records {
    pub(super) const fn new() -> Self {
        Self::Inline { len: 0, bytes: [0; INLINE] }
    }

    pub(super) fn count(&self, width: usize) -> usize {
        self.bytes().len() / width
    }

    pub(super) fn iter(&self, width: usize) -> impl Iterator<Item = Record<'_>> {
        Self::read(self.bytes(), width)
    }

    /// The records in a copy of [`bytes`](Self::bytes).
    pub(super) fn read(bytes: &[u8], width: usize) -> impl Iterator<Item = Record<'_>> {
        bytes.chunks_exact(width).map(Record)
    }

    /// Bytes on the heap.
    pub(super) const fn heap_bytes(&self) -> usize {
        match self {
            Self::Inline { .. } => 0,
            Self::Heap(bytes) => bytes.capacity(),
        }
    }

    pub(super) fn push(&mut self, peer: &[u8], at: HalfMinute, seed: bool) {
        let width = peer.len() + 1;
        let age = at.0 | if seed { SEED } else { 0 };
        if let Self::Inline { len, bytes } = self {
            let start = usize::from(*len);
            if start + width <= INLINE {
                bytes[start..start + peer.len()].copy_from_slice(peer);
                bytes[start + peer.len()] = age;
                *len += width as u8;
                return;
            }
            let mut heap = Vec::with_capacity(start + 2 * width);
            heap.extend_from_slice(&bytes[..start]);
            *self = Self::Heap(heap);
        }
        if let Self::Heap(bytes) = self {
            if bytes.capacity() - bytes.len() < width {
                // An eighth more, not twice as much: memory is what a large store runs out of.
                bytes.reserve_exact(width.max(bytes.len() / 8 / width * width));
            }
            bytes.extend_from_slice(peer);
            bytes.push(age);
        }
    }

    /// Writes `peer` in the place of a record, of which it returns the age and the flag.
    pub(super) fn set(&mut self, index: usize, peer: &[u8], at: HalfMinute, seed: bool) -> Announced {
        let width = peer.len() + 1;
        let record = &mut self.bytes_mut()[index * width..][..width];
        let old = Announced { announced: Record(record).announced(), seed: Record(record).is_seed() };
        record[..peer.len()].copy_from_slice(peer);
        record[peer.len()] = at.0 | if seed { SEED } else { 0 };
        old
    }

    /// Removes what is older than `lifetime` half minutes and gives back memory; how many went.
    pub(super) fn expire(&mut self, width: usize, now: HalfMinute, lifetime: u8) -> usize {
        let (mut kept, count) = (0, self.count(width));
        let bytes = self.bytes_mut();
        for index in 0..count {
            let record = index * width..(index + 1) * width;
            if now.since(Record(&bytes[record.clone()]).announced()) < lifetime {
                bytes.copy_within(record, kept * width);
                kept += 1;
            }
        }
        self.truncate(kept * width);
        count - kept
    }

    /// Brings a uniform random choice of `wanted` records to the front, those that are not seeds first if `noseed`.
    pub(super) fn shuffle_front(&mut self, width: usize, wanted: usize, noseed: bool, random: &mut Random) -> &[u8] {
        let count = self.count(width);
        // All of them are a choice that needs no dice, unless their order matters.
        if wanted >= count && !noseed {
            return self.bytes();
        }
        let wanted = wanted.min(count);
        let bytes = self.bytes_mut();
        // The two widths there are, each with its own code: a record is then a value, not a slice.
        match width {
            7 => shuffle_front(bytes.as_chunks_mut::<7>().0, wanted, noseed, random),
            _ => shuffle_front(bytes.as_chunks_mut::<19>().0, wanted, noseed, random),
        }
        &bytes[..wanted * width]
    }

    fn truncate(&mut self, new_len: usize) {
        match self {
            Self::Inline { len, .. } => *len = new_len as u8,
            Self::Heap(heap) if new_len <= INLINE => {
                let mut bytes = [0; INLINE];
                bytes[..new_len].copy_from_slice(&heap[..new_len]);
                *self = Self::Inline { len: new_len as u8, bytes };
            }
            Self::Heap(heap) => {
                heap.truncate(new_len);
                if heap.capacity() > 2 * new_len {
                    heap.shrink_to_fit();
                }
            }
        }
    }

    /// All records, one after the other.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Self::Heap(bytes) => bytes,
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Inline { len, bytes } => &mut bytes[..usize::from(*len)],
            Self::Heap(bytes) => bytes,
        }
    }
}

fn shuffle_front<const WIDTH: usize>(records: &mut [[u8; WIDTH]], wanted: usize, noseed: bool, random: &mut Random) {
    let leechers = if noseed { partition_leechers(records) } else { 0 };
    for front in 0..wanted {
        let end = if front < leechers { leechers } else { records.len() };
        records.swap(front, front + random.wire_below(end - front));
    }
}

fn partition_leechers<const WIDTH: usize>(records: &mut [[u8; WIDTH]]) -> usize {
    let mut leechers = 0;
    for index in 0..records.len() {
        if !Record(&records[index]).is_seed() {
            records.swap(leechers, index);
            leechers += 1;
        }
    }
    leechers
}

/// What a peer said of itself, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announced {
    pub(super) announced: HalfMinute,
    pub(super) seed: bool,
}

/// One record.
#[derive(Clone, Copy)]
pub(super) struct Record<'a>(&'a [u8]);

impl<'a> Record<'a> {
    /// The compact peer.
    pub(super) fn peer(self) -> &'a [u8] {
        &self.0[..self.0.len() - 1]
    }

    pub(super) fn announced(self) -> HalfMinute {
        HalfMinute(self.0[self.0.len() - 1] & !SEED)
    }

    pub(super) fn is_seed(self) -> bool {
        self.0[self.0.len() - 1] & SEED != 0
    }
}
