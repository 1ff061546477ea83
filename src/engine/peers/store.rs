//! Swarms by infohash, bounded in memory, swept in slices.

use std::net::IpAddr;
use std::time::Duration;

use arrayvec::ArrayVec;
use hashbrown::HashTable;

use super::filters::KeptFilters;
use super::outcome::AnnounceOutcome;
use super::packed::{PackedPeers, SLICE, StoredPeer};
use super::records::{HALF_MINUTE, HalfMinute, Records};
use super::rivals::{competitor, standing};
use super::writers::{Writer, Writers};
use crate::engine::bloom::SwarmFilters;
use crate::engine::contact::{CompactAddr, Family, decode_addr};
use crate::engine::id::{InfoHash, NodeId};
use crate::engine::keyed_hash::KeyedHash;
use crate::engine::limits::{KEPT_SWARMS_PERCENT, PEER_LIFETIME, PEERS_PER_SWARM, SAVED_PEERS};
use crate::engine::owner::owner;
use crate::engine::random::Random;
use crate::engine::rules::Rules;
use crate::engine::time::Instant;

/// The index is cut into shards, so that growing one never rehashes more than a 64th of the store.
const SHARDS: usize = 64;
/// Swarms are kept in blocks that never move.
const BLOCK: usize = 1024;
const LIFETIME: u8 = (PEER_LIFETIME.as_secs() / HALF_MINUTE.as_secs()) as u8;
/// What a swarm costs without what it has on the heap; its index entry 10, at the usual load.
const SWARM_BYTES: usize = size_of::<Swarm>() + 10;
/// Swarms that are looked at to find one that gives way.
const LOOKED_AT: usize = 8;
/// Bits in common with our id that count. Those that a network of ten million nodes decides by, and a few more: the
/// rest proves only that an infohash next to our id was made up.
const CLOSENESS_BITS: usize = 24;
/// Peers of a swarm that are looked at to say from how many networks its peers are.
const PEERS_LOOKED_AT: usize = 16;
/// Time after which a peer that announces again shows that its swarm lives: no client asks sooner.
const LIVES_AFTER: u8 = (Duration::from_mins(5).as_secs() / HALF_MINUTE.as_secs()) as u8;

#[derive(Clone)]
struct Swarm {
    info_hash: InfoHash,
    origin: Origin,
    records: Records,
}

/// How a swarm began: the writer that began it, whether there was room, and whether a peer announced again since.
#[derive(Clone, Copy, Debug)]
struct Origin(u32);

const EARLY: u32 = 1 << 31;
const ALIVE: u32 = 1 << 30;
const _: () = assert!(Writer::BITS <= 30);

impl Origin {
    fn new(writer: Writer, early: bool) -> Self {
        Self(writer.pack() | if early { EARLY } else { 0 })
    }

    const fn writer(self) -> Writer {
        Writer::unpack(self.0)
    }

    /// Whether the swarm keeps its place, up to a share of all.
    const fn keeps_its_place(self) -> bool {
        self.0 & (EARLY | ALIVE) == EARLY | ALIVE
    }
}

/// All swarms of one family.
#[derive(Clone)]
pub struct PeerStore {
    family: Family,
    rules: &'static Rules,
    shards: Vec<HashTable<u32>>,
    blocks: Vec<Vec<Swarm>>,
    swarms: usize,
    /// Swarms that keep their place.
    kept: usize,
    peers: usize,
    heap_bytes: usize,
    filters: KeptFilters,
    memory_bytes: usize,
    sweep: usize,
    /// `None` in a private network, where one host may well hold everything.
    writers: Option<Writers>,
    hash: KeyedHash,
}

/// Where a swarm lies, until the store changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u32);

/// What an address has in a swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// It is the address of one of the peers.
    pub is_known: bool,
    /// Its owner (a /24 or /48) has as many peers there as it may have.
    pub has_its_share: bool,
}

/// A random choice of a swarm's peers.
#[derive(Debug)]
pub struct Choice<'a> {
    bytes: &'a [u8],
    width: usize,
}

impl<'a> Choice<'a> {
    /// The compact peers.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let width = self.width;
        self.bytes.chunks_exact(width).map(move |record| &record[..width - 1])
    }
}

impl PeerStore {
    /// An empty store for peers of `family` that uses about `memory_bytes`.
    #[must_use]
    pub fn new(family: Family, memory_bytes: usize, rules: &'static Rules, random: &mut Random) -> Self {
        Self {
            family,
            rules,
            shards: (0..SHARDS).map(|_| HashTable::new()).collect(),
            blocks: Vec::new(),
            swarms: 0,
            kept: 0,
            peers: 0,
            heap_bytes: 0,
            filters: KeptFilters::default(),
            memory_bytes,
            sweep: 0,
            writers: rules.diverse.then(|| Writers::new(memory_bytes / SWARM_BYTES)),
            hash: KeyedHash::new(random),
        }
    }

    /// Swarms that have a peer.
    #[must_use]
    pub const fn swarms(&self) -> usize {
        self.swarms
    }

    /// Peers in all swarms.
    #[must_use]
    pub const fn peers(&self) -> usize {
        self.peers
    }

    /// Memory in use, about: what the budget is held against.
    #[must_use]
    pub const fn used_bytes(&self) -> usize {
        self.heap_bytes + self.swarms * SWARM_BYTES
    }

    /// Stores a peer; `own` is the id of the node.
    pub fn announce(&mut self, now: Instant, own: &NodeId, announced: &StoredPeer) -> AnnounceOutcome {
        self.announce_to_hot(now, own, announced, None)
    }

    /// The same for a swarm that keeps no more than `most` peers for now, and as much less of each network.
    pub fn announce_to_hot(
        &mut self,
        now: Instant,
        own: &NodeId,
        announced: &StoredPeer,
        most: Option<usize>,
    ) -> AnnounceOutcome {
        let StoredPeer { info_hash, peer, seed, age } = announced;
        debug_assert_eq!(Family::of(peer), self.family, "one store holds one family");
        let full = self.is_full();
        let (place, made_room) = match self.find(info_hash) {
            Some(place) => (place, false),
            None => match self.begin_swarm(own, info_hash, peer.ip()) {
                Some(place) => (place, full),
                None => return AnnounceOutcome::Full,
            },
        };
        let at = HalfMinute::new(half_minutes(now) + 128 - half_minutes_in(*age).min(127));
        let most = most.map_or(PEERS_PER_SWARM, |most| most.clamp(1, PEERS_PER_SWARM));
        let stored = self.put(place, &CompactAddr::new(peer), now, at, *seed, (full, most));
        if made_room { AnnounceOutcome::DisplacedSwarm } else { stored }
    }

    fn put(
        &mut self,
        place: u32,
        peer: &CompactAddr,
        now: Instant,
        at: HalfMinute,
        seed: bool,
        bounds: (bool, usize),
    ) -> AnnounceOutcome {
        let (width, rules) = (self.width(), self.rules);
        let swarm = swarm_mut(&mut self.blocks, place);
        let records = &mut swarm.records;
        let before = records.heap_bytes();
        let half_minute = HalfMinute::new(half_minutes(now));
        let Some((index, outcome)) = competitor(records, width, peer.as_bytes(), half_minute, rules, bounds) else {
            records.push(peer.as_bytes(), at, seed);
            self.heap_bytes = self.heap_bytes + records.heap_bytes() - before;
            self.peers += 1;
            self.filters.forget(&swarm.info_hash);
            return AnnounceOutcome::New;
        };
        let old = records.set(index, peer.as_bytes(), at, seed);
        if outcome != AnnounceOutcome::Refreshed || old.seed != seed {
            self.filters.forget(&swarm.info_hash);
        }
        if outcome == AnnounceOutcome::Refreshed && half_minute.since(old.announced) >= LIVES_AFTER {
            let kept = swarm.origin.keeps_its_place();
            swarm.origin.0 |= ALIVE;
            self.kept += usize::from(!kept && swarm.origin.keeps_its_place());
        }
        outcome
    }

    /// The filters of all peers of `info_hash` (BEP 33); `None` for a swarm without peers.
    pub fn filters(&mut self, info_hash: &InfoHash) -> Option<SwarmFilters> {
        let (width, place) = (self.width(), self.find(info_hash)?);
        let records = &swarm(&self.blocks, place).records;
        let make = || {
            let mut filters = SwarmFilters::default();
            for record in records.iter(width) {
                if let Some(peer) = decode_addr(record.peer()) {
                    filters.insert(peer.ip(), record.is_seed());
                }
            }
            filters
        };
        Some(self.filters.of(info_hash, records.count(width), make))
    }

    /// A uniform random choice of at most `wanted` peers of `info_hash`; `None` for a swarm without peers.
    pub fn choose(
        &mut self,
        info_hash: &InfoHash,
        wanted: usize,
        noseed: bool,
        random: &mut Random,
    ) -> Option<Choice<'_>> {
        let place = self.place(info_hash)?;
        Some(self.choose_at(place, wanted, noseed, random))
    }

    /// Where a swarm lies; `None` of one without peers.
    #[must_use]
    pub fn place(&self, info_hash: &InfoHash) -> Option<Place> {
        self.find(info_hash).map(Place)
    }

    /// Peers of the swarm at a place.
    #[must_use]
    pub fn count_at(&self, Place(place): Place) -> usize {
        swarm(&self.blocks, place).records.count(self.width())
    }

    /// The same choice as [`choose`](Self::choose), of the swarm at a place.
    pub fn choose_at(&mut self, Place(place): Place, wanted: usize, noseed: bool, random: &mut Random) -> Choice<'_> {
        let width = self.width();
        let records = &mut swarm_mut(&mut self.blocks, place).records;
        Choice { bytes: records.shuffle_front(width, wanted, noseed, random), width }
    }

    /// What `ip` has in the swarm at a place, where that keeps no more than `most` peers.
    #[must_use]
    pub fn standing_at(&self, Place(place): Place, ip: IpAddr, most: usize) -> Standing {
        let (records, addr) = (&swarm(&self.blocks, place).records, CompactAddr::new(&(ip, 0).into()));
        let bytes = addr.as_bytes();
        let (is_known, has_its_share) = standing(records, self.width(), &bytes[..bytes.len() - 2], self.rules, most);
        Standing { is_known, has_its_share }
    }

    /// A uniform random choice of at most `wanted` infohashes of swarms that have a peer.
    pub fn sample_infohashes(&self, wanted: usize, random: &mut Random) -> Vec<InfoHash> {
        let (total, mut places) = (self.swarms, std::collections::BTreeSet::new());
        // Floyd's choice: each step adds one place that was not chosen before, all choices equally likely.
        for bound in total.saturating_sub(wanted)..total {
            let place = random.wire_below(bound + 1);
            places.insert(if places.contains(&place) { bound } else { place });
        }
        places.into_iter().map(|place| swarm(&self.blocks, place as u32).info_hash).collect()
    }

    /// Forgets old peers in the next `slice` swarms; how many peers went.
    pub fn sweep(&mut self, now: Instant, slice: usize) -> usize {
        let (width, mut gone) = (self.width(), 0);
        let at = HalfMinute::new(half_minutes(now));
        for _ in 0..slice.min(self.swarms) {
            if self.sweep >= self.swarms {
                self.sweep = 0;
            }
            let swarm = swarm_mut(&mut self.blocks, self.sweep as u32);
            let records = &mut swarm.records;
            let before = records.heap_bytes();
            let expired = records.expire(width, at, LIFETIME);
            gone += expired;
            self.heap_bytes = self.heap_bytes + records.heap_bytes() - before;
            if expired > 0 {
                self.filters.forget(&swarm.info_hash);
            }
            if records.count(width) == 0 {
                self.remove_swarm(self.sweep as u32);
            } else {
                self.sweep += 1;
            }
        }
        self.peers -= gone;
        gone
    }

    /// Everything that is stored, for saving.
    pub fn iter(&self, now: Instant) -> impl Iterator<Item = StoredPeer> {
        let (width, now) = (self.width(), HalfMinute::new(half_minutes(now)));
        self.blocks.iter().flatten().flat_map(move |swarm| {
            swarm.records.iter(width).filter_map(move |record| {
                let age = now.since(record.announced());
                let peer = decode_addr(record.peer())?;
                let age = HALF_MINUTE * u32::from(age);
                Some(StoredPeer { info_hash: swarm.info_hash, peer, seed: record.is_seed(), age })
            })
        })
    }

    /// Begins a copy of what is stored, of [`SAVED_PEERS`] peers at most.
    #[must_use]
    pub fn begin_copy(&self) -> PackedPeers {
        PackedPeers::with_room(self.family, self.swarms, self.peers.min(SAVED_PEERS) * self.width())
    }

    /// Copies a slice more; whether there is more to copy.
    pub fn copy_slice(&self, now: Instant, copy: &mut PackedPeers) -> bool {
        let now = HalfMinute::new(half_minutes(now));
        let (mut swarms, mut bytes) = (0, 0);
        while swarms < SLICE && bytes < SLICE * self.width() {
            let Some(place) = copy.next_place(self.swarms) else { return false };
            let swarm = swarm(&self.blocks, place as u32);
            bytes += copy.push(now, swarm.info_hash, &swarm.records);
            swarms += 1;
        }
        true
    }

    const fn is_full(&self) -> bool {
        self.used_bytes() >= self.memory_bytes
    }

    fn writer(&self, ip: IpAddr) -> Writer {
        if self.writers.is_some() { Writer::of(&self.hash, ip) } else { Writer::default() }
    }

    fn may_begin(&self, writer: Writer) -> bool {
        self.writers.as_ref().is_none_or(|writers| writers.may_begin(writer))
    }

    /// A place for the first peer of a swarm, if need be that of another swarm.
    fn begin_swarm(&mut self, own: &NodeId, info_hash: &InfoHash, writer: IpAddr) -> Option<u32> {
        let writer = self.writer(writer);
        if !self.may_begin(writer) {
            return None;
        }
        let full = self.is_full();
        if full {
            let place = self.giving_way(own, info_hash)?;
            self.forget_swarm(place);
        }
        Some(self.add_swarm(*info_hash, Origin::new(writer, !full)))
    }

    /// The swarm that gives way to `info_hash`: of a few, the one that is worth least, if it is worth less than a swarm
    /// of one peer there. Which few is up to a keyed hash: no remote can aim, and to ask for a token and to announce see
    /// the same. Swarms that keep their place give way only while they are more than their share.
    fn giving_way(&self, own: &NodeId, info_hash: &InfoHash) -> Option<u32> {
        let mut dice = self.hash.of(info_hash.as_bytes());
        let looked_at = std::iter::repeat_with(|| {
            // Knuth's MMIX generator; its high bits are the good ones.
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (((dice >> 32) * self.swarms as u64) >> 32) as u32
        });
        let keep = self.kept * 100 <= self.swarms * KEPT_SWARMS_PERCENT;
        let value = |&place: &u32| {
            let swarm = swarm(&self.blocks, place);
            let kept = keep && swarm.origin.keeps_its_place();
            if kept { u32::MAX } else { worth(own, &swarm.info_hash, self.networks(&swarm.records)) }
        };
        let least = looked_at.take(if self.swarms > 0 { LOOKED_AT } else { 0 }).min_by_key(value)?;
        (value(&least) < worth(own, info_hash, 1)).then_some(least)
    }

    /// From how many networks the peers of a swarm are, about: as many announces as there are networks are what an attacker
    /// cannot make up. In a private network, where all may share one, its peers.
    fn networks(&self, records: &Records) -> usize {
        let (width, count) = (self.width(), records.count(self.width()));
        if !self.rules.diverse {
            return count;
        }
        let looked_at = records.iter(width).take(PEERS_LOOKED_AT).filter_map(|record| decode_addr(record.peer()));
        let mut owners: ArrayVec<u64, PEERS_LOOKED_AT> = looked_at.map(|peer| owner(peer.ip())).collect();
        let seen = owners.len().max(1);
        owners.sort_unstable();
        let distinct = owners.chunk_by(|a, b| a == b).count();
        count * distinct / seen
    }

    /// Removes a swarm with all that is in it.
    fn forget_swarm(&mut self, place: u32) {
        let records = &swarm(&self.blocks, place).records;
        self.peers -= records.count(self.width());
        self.heap_bytes -= records.heap_bytes();
        self.filters.forget(&swarm(&self.blocks, place).info_hash);
        self.remove_swarm(place);
    }

    const fn width(&self) -> usize {
        self.family.peer_len() + 1
    }

    fn find(&self, info_hash: &InfoHash) -> Option<u32> {
        let hash = self.hash.of(info_hash.as_bytes());
        let blocks = &self.blocks;
        self.shards[shard(hash)].find(hash, |&place| swarm(blocks, place).info_hash == *info_hash).copied()
    }

    fn add_swarm(&mut self, info_hash: InfoHash, origin: Origin) -> u32 {
        let place = self.swarms as u32;
        if self.swarms.is_multiple_of(BLOCK) {
            self.blocks.push(Vec::with_capacity(BLOCK));
        }
        let block = self.blocks.last_mut().expect("a block was just added if there was none with room");
        block.push(Swarm { info_hash, origin, records: Records::new() });
        self.swarms += 1;
        if let Some(writers) = &mut self.writers {
            writers.begun(origin.writer());
        }
        let (hash, hasher, blocks) = (self.hash.of(info_hash.as_bytes()), self.hash, &self.blocks);
        let rehash = |&place: &u32| hasher.of(swarm(blocks, place).info_hash.as_bytes());
        self.shards[shard(hash)].insert_unique(hash, place, rehash);
        place
    }

    /// Removes a swarm that is empty, or not counted any more; the last one moves into its place, so that blocks stay
    /// dense.
    fn remove_swarm(&mut self, place: u32) {
        let origin = swarm(&self.blocks, place).origin;
        self.kept -= usize::from(origin.keeps_its_place());
        if let Some(writers) = &mut self.writers {
            writers.gone(origin.writer());
        }
        let last = self.swarms as u32 - 1;
        let (gone, moved) = (swarm(&self.blocks, place).info_hash, swarm(&self.blocks, last).info_hash);
        self.unindex(&gone, place);
        if place != last {
            let hash = self.hash.of(moved.as_bytes());
            let entry = self.shards[shard(hash)].find_mut(hash, |&found| found == last);
            *entry.expect("every swarm is in the index") = place;
        }
        let tail = self.blocks.last_mut().and_then(Vec::pop).expect("there is a last swarm");
        if place != last {
            *swarm_mut(&mut self.blocks, place) = tail;
        }
        self.swarms -= 1;
        if self.blocks.last().is_some_and(Vec::is_empty) {
            self.blocks.pop();
        }
    }

    fn unindex(&mut self, info_hash: &InfoHash, place: u32) {
        let (hash, hasher, blocks) = (self.hash.of(info_hash.as_bytes()), self.hash, &self.blocks);
        let table = &mut self.shards[shard(hash)];
        if let Ok(entry) = table.find_entry(hash, |&found| found == place) {
            entry.remove();
        }
        if table.len() * 4 < table.capacity() {
            let half = table.len() * 2;
            table.shrink_to(half, |&place| hasher.of(swarm(blocks, place).info_hash.as_bytes()));
        }
    }
}

impl std::fmt::Debug for PeerStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerStore").field("swarms", &self.swarms).field("peers", &self.peers).finish_non_exhaustive()
    }
}

/// What a swarm is worth to us: lookups come to us for what is close to our id, and each bit halves how many do; a
/// swarm with peers in twice the networks serves twice as many.
fn worth(own: &NodeId, info_hash: &InfoHash, networks: usize) -> u32 {
    own.common_prefix_len(info_hash).min(CLOSENESS_BITS) as u32 + networks.max(1).ilog2()
}

const fn half_minutes(now: Instant) -> u64 {
    now.as_secs() / HALF_MINUTE.as_secs()
}

const fn half_minutes_in(age: Duration) -> u64 {
    age.as_secs() / HALF_MINUTE.as_secs()
}

/// The top bits: the table itself uses others.
const fn shard(hash: u64) -> usize {
    (hash >> 16) as usize % SHARDS
}

fn swarm(blocks: &[Vec<Swarm>], place: u32) -> &Swarm {
    &blocks[place as usize / BLOCK][place as usize % BLOCK]
}

fn swarm_mut(blocks: &mut [Vec<Swarm>], place: u32) -> &mut Swarm {
    &mut blocks[place as usize / BLOCK][place as usize % BLOCK]
}

#[cfg(test)]
mod tests;
