//! The store beside its naive twin, and its bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::*;
use crate::engine::id::Id;
use crate::engine::limits::{
    LARGE_SWARM, PEERS_PER_SWARM, PORTS_PER_ADDRESS, SWARM_SHARE, SWARMS_PER_OWNER, SWARMS_PER_PROVIDER,
};
use proptest::prelude::*;

fn store(private: bool) -> (PeerStore, Random) {
    let mut random = Random::new([3; 32]);
    (PeerStore::new(Family::V4, 1 << 20, Rules::of(private), &mut random), random)
}

fn peer(a: u8, b: u8, port: u16) -> SocketAddr {
    ([a.wrapping_add(9), 8, a, b], port).into()
}

const OWN: NodeId = NodeId(Id::ZERO);

impl PeerStore {
    fn plant(
        &mut self,
        now: Instant,
        info_hash: &InfoHash,
        peer: SocketAddr,
        seed: bool,
        age: Duration,
    ) -> AnnounceOutcome {
        self.announce(now, &OWN, &StoredPeer { info_hash: *info_hash, peer, seed, age })
    }
}

/// An infohash with `bits` bits in common with ours, and not one more.
fn close(bits: usize, random: &mut Random) -> InfoHash {
    let mut id = random.wire_id();
    (0..=bits).for_each(|bit| id.0[bit / 8] &= !(0x80 >> (bit % 8)));
    id.0[bits / 8] |= 0x80 >> (bits % 8);
    InfoHash(id)
}

/// The numbers that the store keeps are those that it would count.
fn assert_books_balance(store: &PeerStore) {
    let swarms: Vec<&Swarm> = store.blocks.iter().flatten().collect();
    assert!(swarms.iter().enumerate().all(|(place, swarm)| store.find(&swarm.info_hash) == Some(place as u32)));
    assert_eq!(store.swarms, swarms.len());
    assert_eq!(store.peers, swarms.iter().map(|swarm| swarm.records.count(store.width())).sum::<usize>());
    assert_eq!(store.heap_bytes, swarms.iter().map(|swarm| swarm.records.heap_bytes()).sum::<usize>());
    if let Some(writers) = &store.writers {
        assert_eq!(writers.total(), swarms.len());
    }
    assert_eq!(store.kept, swarms.iter().filter(|swarm| swarm.origin.keeps_its_place()).count());
}

#[derive(Clone, Debug)]
enum Step {
    Announce { swarm: u8, host: u8, port: u16, seed: bool },
    Wait { minutes: u8 },
    Sweep,
    Sample { swarm: u8, wanted: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..6, 0u8..5, 1u16..4, any::<bool>())
            .prop_map(|(swarm, host, port, seed)| Step::Announce { swarm, host, port, seed }),
        1 => (0u8..20).prop_map(|minutes| Step::Wait { minutes }),
        1 => Just(Step::Sweep),
        2 => (0u8..6, 0usize..20).prop_map(|(swarm, wanted)| Step::Sample { swarm, wanted }),
    ]
}

proptest! {
    /// Far from its bounds the store is a map from (swarm, peer) to (time, seed).
    #[test]
    fn equals_a_sorted_map(steps in prop::collection::vec(step(), 1..200)) {
        let (mut store, mut random) = store(true);
        let mut twin: BTreeMap<(InfoHash, SocketAddr), (Instant, bool)> = BTreeMap::new();
        let mut now = Instant::from_secs(100_000);
        for step in steps {
            match step {
                Step::Announce { swarm, host, port, seed } => {
                    let key = (InfoHash::from([swarm; 20]), peer(1, host, port));
                    let known = twin.insert(key, (now, seed)).is_some();
                    let stored = store.plant(now, &key.0, key.1, seed, Duration::ZERO);
                    prop_assert_eq!(stored, if known { AnnounceOutcome::Refreshed } else { AnnounceOutcome::New });
                }
                Step::Wait { minutes } => {
                    // The daemon sweeps everything well within the 19 minutes that an age byte has to spare.
                    now += Duration::from_secs(u64::from(minutes) * 60);
                    // Two passes: a swarm that moves into the place of a removed one may be visited in the second only.
                    store.sweep(now, usize::MAX);
                    store.sweep(now, usize::MAX);
                    twin.retain(|_, (at, _)| now.since(*at) < PEER_LIFETIME);
                }
                Step::Sweep => {
                    prop_assert_eq!(store.sweep(now, usize::MAX), 0);
                }
                Step::Sample { swarm, wanted } => {
                    let info_hash = InfoHash::from([swarm; 20]);
                    let expected = twin.keys().filter(|(id, _)| *id == info_hash).count().min(wanted);
                    let sample = store.choose(&info_hash, wanted, false, &mut random);
                    let mut peers: Vec<_> =
                        sample.iter().flat_map(Choice::iter).map(|bytes| decode_addr(bytes).unwrap()).collect();
                    prop_assert!(peers.iter().all(|peer| twin.contains_key(&(info_hash, *peer))));
                    peers.sort();
                    peers.dedup();
                    prop_assert_eq!(peers.len(), expected);
                }
            }
            let mut all: Vec<_> = store.iter(now).map(|found| ((found.info_hash, found.peer), found.seed)).collect();
            all.sort();
            let expected: Vec<_> = twin.iter().map(|(&key, &(_, seed))| (key, seed)).collect();
            prop_assert_eq!(&all, &expected);
            prop_assert_eq!(store.peers(), expected.len());
        }
    }
}

#[test]
fn ages_survive_saving() {
    let (mut store, _) = store(true);
    let now = Instant::from_secs(5);
    store.plant(now, &InfoHash::from([1; 20]), peer(1, 1, 1), true, Duration::from_mins(40));
    let saved: Vec<_> = store.iter(now).collect();
    assert_eq!((saved[0].age, saved[0].seed), (Duration::from_mins(40), true));
    assert_eq!(store.sweep(now + Duration::from_secs(240), 10), 0);
    assert_eq!(store.sweep(now + Duration::from_secs(330), 10), 1);
    assert_eq!((store.swarms(), store.peers(), store.used_bytes()), (0, 0, 0));
}

#[test]
fn one_address_and_one_owner_cannot_fill_a_swarm() {
    let (mut store, _) = store(false);
    let (now, swarm) = (Instant::ZERO, InfoHash::from([1; 20]));
    store.plant(now, &swarm, peer(200, 1, 1), false, Duration::ZERO);
    for port in 1..=100 {
        store.plant(now, &swarm, peer(1, 1, port), false, Duration::ZERO);
    }
    assert_eq!(store.peers(), 1 + PORTS_PER_ADDRESS);
    for host in 0..=255 {
        store.plant(now, &swarm, peer(1, host, 1), false, Duration::ZERO);
    }
    assert_eq!(store.peers(), 1 + SWARM_SHARE.owner);
    assert!(store.iter(now).any(|found| found.peer == peer(200, 1, 1)), "the others were not displaced");
}

#[test]
fn a_full_swarm_takes_the_newest_for_the_oldest() {
    let (mut store, _) = store(true);
    let swarm = InfoHash::from([1; 20]);
    for index in 0..PEERS_PER_SWARM {
        let age = if index == 77 { Duration::from_mins(10) } else { Duration::ZERO };
        store.plant(Instant::from_secs(9000), &swarm, peer((index >> 8) as u8, index as u8, 1), false, age);
    }
    let stored = store.plant(Instant::from_secs(9000), &swarm, peer(99, 99, 1), false, Duration::ZERO);
    assert_eq!((stored, store.peers()), (AnnounceOutcome::Displaced, PEERS_PER_SWARM));
    assert!(store.iter(Instant::from_secs(9000)).all(|found| found.peer != peer(0, 77, 1)));
}

#[test]
fn memory_is_bounded_and_known_swarms_stay_writable() {
    let mut random = Random::new([1; 32]);
    let mut store = PeerStore::new(Family::V4, 100_000, &Rules::MAINLINE, &mut random);
    let now = Instant::ZERO;
    let ids: Vec<InfoHash> = (0..10_000).map(|_| InfoHash(random.wire_id())).collect();
    for (index, id) in ids.iter().enumerate() {
        store.plant(now, id, peer((index >> 8) as u8, index as u8, 1), false, Duration::ZERO);
    }
    assert!(store.used_bytes() <= 100_000 + 100, "{}", store.used_bytes());
    assert!(store.swarms() > 1000);
    let known = store.iter(now).next().unwrap();
    let (asker, far) = (peer(1, 2, 3), InfoHash::from([0xff; 20]));
    assert_eq!(store.plant(now, &far, asker, false, Duration::ZERO), AnnounceOutcome::Full);
    assert_eq!(store.plant(now, &known.info_hash, asker, false, Duration::ZERO), AnnounceOutcome::Displaced);
}

#[test]
fn a_full_store_gives_up_far_swarms_for_close_ones() {
    let mut random = Random::new([1; 32]);
    let mut store = PeerStore::new(Family::V4, 100_000, &Rules::MAINLINE, &mut random);
    let now = Instant::ZERO;
    let mut announce = |store: &mut PeerStore, bits, index: usize| {
        let (info_hash, peer) = (close(bits, &mut random), peer((index >> 6) as u8, index as u8, 1));
        store.plant(now, &info_hash, peer, false, Duration::ZERO)
    };
    let room =
        (0..).find(|&index| announce(&mut store, 0, index) == AnnounceOutcome::Full).expect("it is full at last");
    assert!((0..1000).all(|index| announce(&mut store, 0, room + index) == AnnounceOutcome::Full), "none is closer");
    for index in 0..room / 2 {
        assert_eq!(announce(&mut store, 10, 2 * room + index), AnnounceOutcome::DisplacedSwarm);
    }
    assert_eq!(store.swarms(), room, "one for one");
    let close = store.iter(now).filter(|found| OWN.common_prefix_len(&found.info_hash) == 10).count();
    assert_eq!(close, room / 2, "the close ones stay");
    assert_books_balance(&store);
}

#[test]
fn a_swarm_of_many_gives_way_to_none_of_one_peer() {
    let mut random = Random::new([1; 32]);
    let now = Instant::ZERO;
    for (bits, peers, newcomer, falls) in [
        (3, 1, 3, false),
        (3, 1, 4, true),
        (3, 32, 8, false),
        (3, 32, 9, true),
        (20, 16, 158, false),
        (20, 4, 158, true),
    ] {
        let mut store = PeerStore::new(Family::V4, 1, &Rules::MAINLINE, &mut random);
        let swarm = close(bits, &mut random);
        store.plant(now, &swarm, peer(0, 1, 1), false, Duration::ZERO);
        store.memory_bytes = 1 << 20;
        for index in 1..peers {
            store.plant(now, &swarm, peer(index, 1, 1), false, Duration::ZERO);
        }
        store.memory_bytes = 1;
        let stored = store.plant(now, &close(newcomer, &mut random), peer(99, 1, 1), false, Duration::ZERO);
        assert_eq!(
            stored,
            if falls { AnnounceOutcome::DisplacedSwarm } else { AnnounceOutcome::Full },
            "{bits} {peers} {newcomer}"
        );
        assert_eq!((store.swarms(), store.peers()), if falls { (1, 1) } else { (1, usize::from(peers)) });
    }
}

#[test]
fn one_network_does_not_fill_the_store() {
    let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
    for (family, one, same, other) in [
        (Family::V4, "9.8.7.6:1", "9.8.7.250:1", "9.8.8.6:1"),
        (Family::V6, "[2001:db8:1:1::1]:1", "[2001:db8:1:ff::2]:1", "[2001:db8:2:1::1]:1"),
    ] {
        let mut random = Random::new([1; 32]);
        let mut store = PeerStore::new(family, 1 << 20, &Rules::MAINLINE, &mut random);
        let mut announce = |store: &mut PeerStore, from: &str| {
            let info_hash = InfoHash(random.wire_id());
            store.plant(Instant::ZERO, &info_hash, addr(from), false, Duration::ZERO) == AnnounceOutcome::New
        };
        let begun = (0..1000).filter(|_| announce(&mut store, one)).count();
        assert_eq!(begun, SWARMS_PER_OWNER);
        assert!(!announce(&mut store, same) && announce(&mut store, other));
        let known = store.iter(Instant::ZERO).next().unwrap().info_hash;
        let there = store.plant(Instant::ZERO, &known, addr(same), false, Duration::ZERO);
        assert_eq!(there, AnnounceOutcome::New, "swarms that are there take peers from everywhere");
        store.sweep(Instant::ZERO + PEER_LIFETIME, usize::MAX);
        store.sweep(Instant::ZERO + PEER_LIFETIME, usize::MAX);
        assert_eq!(store.swarms(), 0);
        assert!(announce(&mut store, one), "what is gone counts no more");
        assert_books_balance(&store);
    }
}

proptest! {
    /// In a store that is always full: memory stays bounded, and the books balance.
    #[test]
    fn a_full_store_keeps_its_books(script in prop::collection::vec((0usize..12, 0u8..20, 0u8..8, 0u64..300), 1..150)) {
        let mut random = Random::new([1; 32]);
        let mut store = PeerStore::new(Family::V4, 1500, &Rules::MAINLINE, &mut random);
        let mut now = Instant::from_secs(9000);
        for (bits, swarm, host, seconds) in script {
            now += Duration::from_secs(seconds);
            let mut info_hash = [0; 20];
            info_hash[bits / 8] = 0x80 >> (bits % 8);
            info_hash[19] = swarm;
            let info_hash = info_hash.into();
            let _ = store.plant(now, &info_hash, peer(host, 1, 1), false, Duration::ZERO);
            prop_assert!(store.used_bytes() <= 1500 + SWARM_BYTES + 64, "{}", store.used_bytes());
            assert_books_balance(&store);
            store.sweep(now, 2);
            assert_books_balance(&store);
        }
    }
}

#[test]
fn a_sweep_in_slices_finds_everything() {
    let (mut store, mut random) = store(true);
    for index in 0..3000 {
        let age = if index % 3 == 0 { Duration::from_mins(44) } else { Duration::ZERO };
        store.plant(Instant::ZERO, &InfoHash(random.wire_id()), peer(1, 1, 1), false, age);
    }
    let now = Instant::from_secs(120);
    let gone: usize = (0..40).map(|_| store.sweep(now, 100)).sum();
    assert_eq!((gone, store.swarms(), store.peers()), (1000, 2000, 2000));
    let ids: Vec<_> = store.iter(now).map(|found| found.info_hash).collect();
    assert!(ids.iter().all(|id| store.find(id).is_some()));
}

/// Every peer of a swarm of 40 should be in a sample of 10 a quarter of the time. Over 4,000 draws each count has mean
/// 1,000 and standard deviation 27; six of those is a bound that a fair sampler does not miss.
#[test]
fn samples_are_fair() {
    let (mut store, mut random) = store(true);
    let swarm = InfoHash::from([1; 20]);
    for host in 0..40 {
        store.plant(Instant::ZERO, &swarm, peer(1, host, 1), false, Duration::ZERO);
    }
    let mut counts = [0u32; 40];
    for _ in 0..4000 {
        let sample = store.choose(&swarm, 10, false, &mut random).unwrap();
        sample.iter().for_each(|peer| counts[usize::from(peer[3])] += 1);
    }
    assert!(counts.iter().all(|&count| count.abs_diff(1000) < 6 * 27), "{counts:?}");
}

#[test]
fn noseed_prefers_peers_that_are_not_seeds() {
    let (mut store, mut random) = store(true);
    let swarm = InfoHash::from([1; 20]);
    for host in 0..40 {
        store.plant(Instant::ZERO, &swarm, peer(1, host, 1), host >= 5, Duration::ZERO);
    }
    for _ in 0..100 {
        let sample = store.choose(&swarm, 8, true, &mut random).unwrap();
        let hosts: Vec<u8> = sample.iter().map(|peer| peer[3]).collect();
        assert_eq!(hosts.iter().filter(|&&host| host < 5).count(), 5, "{hosts:?}");
        assert_eq!(hosts.len(), 8);
        let everyone = store.choose(&swarm, 100, true, &mut random).unwrap();
        let hosts: Vec<u8> = everyone.iter().map(|peer| peer[3]).collect();
        assert!(hosts.len() == 40 && hosts[..5].iter().all(|&host| host < 5), "those that want peers come first");
    }
}

#[test]
fn a_swarm_costs_what_the_budget_says() {
    assert_eq!(size_of::<Swarm>(), 48);
}

#[test]
fn a_swarm_holds_so_many_of_each_network() {
    let addr = |text: String| text.parse::<SocketAddr>().unwrap();
    for (family, one_site, one_owner, one_provider) in [
        (
            Family::V4,
            Box::new(|host: u16| format!("9.8.7.6:{}", host + 1)) as Box<dyn Fn(u16) -> String>,
            Box::new(|host: u16| format!("9.8.7.{}:{}", host % 256, host / 256 + 1)) as Box<dyn Fn(u16) -> String>,
            Box::new(|host: u16| format!("9.8.{}.{}:1", host % 256, host / 256)) as Box<dyn Fn(u16) -> String>,
        ),
        (
            Family::V6,
            Box::new(|host| format!("[2001:db8:1:1::{host:x}]:1")),
            Box::new(|host| format!("[2001:db8:1:{host:x}::1]:1")),
            Box::new(|host| format!("[2001:db8:{host:x}::1]:1")),
        ),
    ] {
        for (which, from) in [(0, &one_site), (1, &one_owner), (2, &one_provider)] {
            let mut store = PeerStore::new(family, 1 << 20, &Rules::MAINLINE, &mut Random::new([1; 32]));
            for host in 0..1000 {
                store.plant(Instant::ZERO, &InfoHash(*OWN), addr(from(host)), false, Duration::ZERO);
            }
            let site = if family == Family::V4 { PORTS_PER_ADDRESS } else { SWARM_SHARE.site };
            assert_eq!(store.peers(), [site, SWARM_SHARE.owner, SWARM_SHARE.provider][which], "{family:?} {which}");
        }
    }
}

#[test]
fn one_provider_begins_a_part_of_the_swarms() {
    for (family, from) in [
        (Family::V4, (|n: u16| format!("9.8.{}.1:1", n % 256)) as fn(u16) -> String),
        (Family::V6, |n| format!("[2001:db8:{n:x}::1]:1")),
    ] {
        let mut random = Random::new([1; 32]);
        let mut store = PeerStore::new(family, 1 << 20, &Rules::MAINLINE, &mut random);
        for n in 0..2000 {
            let peer = from(n).parse().unwrap();
            store.plant(Instant::ZERO, &InfoHash(random.wire_id()), peer, false, Duration::ZERO);
        }
        let room = (1 << 20) / SWARM_BYTES / crate::engine::limits::PROVIDERS_TO_FILL_STORE;
        assert_eq!(store.swarms(), room.max(SWARMS_PER_PROVIDER));
        assert_books_balance(&store);
    }
}

/// What an attacker announces: infohashes next to our id, each from a /24 and a /16 of its own.
fn attack(store: &mut PeerStore, now: Instant, random: &mut Random) -> usize {
    let mut taken = 0;
    for network in 0..700u32 {
        for _ in 0..20 {
            let from = SocketAddr::from(([(network >> 4) as u8 + 60, network as u8, 1, 1], 1));
            taken += usize::from(
                store.plant(now, &close(40, random), from, false, Duration::ZERO) == AnnounceOutcome::DisplacedSwarm,
            );
        }
    }
    taken
}

#[test]
fn swarms_that_are_announced_again_outlast_an_attacker_next_to_our_id() {
    let mut random = Random::new([1; 32]);
    let mut store = PeerStore::new(Family::V4, 100_000, &Rules::MAINLINE, &mut random);
    let honest: Vec<(InfoHash, SocketAddr)> =
        (0..1000).map(|index| (InfoHash(random.wire_id()), peer((index >> 5) as u8, index as u8, 1))).collect();
    let mut now = Instant::from_secs(9000);
    for _ in 0..2 {
        for (id, peer) in &honest {
            store.plant(now, id, *peer, false, Duration::ZERO);
        }
        now += Duration::from_mins(20);
    }
    assert_eq!((store.swarms(), store.kept), (1000, 1000));
    // 200 more, once each: they have no claim to stay.
    for n in 0..200u8 {
        store.plant(now, &InfoHash(random.wire_id()), peer(200, n, n.into()), false, Duration::ZERO);
    }
    let taken = attack(&mut store, now, &mut random);
    let left = honest.iter().filter(|(id, _)| store.find(id).is_some()).count();
    assert!(taken > 0, "the attacker takes what is not kept");
    assert_eq!(left, 1000, "of 1,000 swarms that are announced again");
    assert_books_balance(&store);
}

#[test]
fn swarms_that_are_announced_again_keep_no_more_than_their_share() {
    let mut random = Random::new([1; 32]);
    let mut store = PeerStore::new(Family::V4, 100_000, &Rules::MAINLINE, &mut random);
    let mut now = Instant::from_secs(9000);
    let first: Vec<(InfoHash, SocketAddr)> =
        (0..1650).map(|index| (InfoHash(random.wire_id()), peer((index >> 5) as u8, index as u8, 1))).collect();
    for _ in 0..2 {
        for (id, peer) in &first {
            store.plant(now, id, *peer, false, Duration::ZERO);
        }
        now += Duration::from_mins(20);
    }
    assert_eq!((store.swarms(), store.kept), (1650, 1650));
    attack(&mut store, now, &mut random);
    let share = store.kept * 100 / store.swarms();
    assert!((KEPT_SWARMS_PERCENT - 2..=KEPT_SWARMS_PERCENT).contains(&share), "{share} of a hundred are kept");
    assert_books_balance(&store);
}

#[test]
fn many_peers_of_one_network_make_a_swarm_worth_little() {
    let mut random = Random::new([1; 32]);
    let mut store = PeerStore::new(Family::V4, 1 << 20, &Rules::MAINLINE, &mut random);
    let (one, many) = (InfoHash(random.wire_id()), InfoHash(random.wire_id()));
    for host in 0..32 {
        store.plant(Instant::ZERO, &one, peer(1, host, 1), false, Duration::ZERO);
        store.plant(Instant::ZERO, &many, peer(host, 1, 1), false, Duration::ZERO);
    }
    let networks = |id: &InfoHash| store.networks(&swarm(&store.blocks, store.find(id).unwrap()).records);
    assert_eq!((networks(&one), networks(&many)), (2, 32));
}

#[test]
fn kept_filters_are_those_of_the_swarm_as_it_is() {
    let (mut store, mut random) = store(true);
    let (swarm, mut now) = (InfoHash::from([1; 20]), Instant::from_secs(9000));
    let fresh = |store: &PeerStore, now| {
        let mut filters = SwarmFilters::default();
        store.iter(now).for_each(|found| filters.insert(found.peer.ip(), found.seed));
        (*filters.seeds.as_bytes(), *filters.peers.as_bytes())
    };
    for index in 0..1000 {
        let (host, seed) = (random.wire_below(LARGE_SWARM * 2) as u8, random.wire_below(2) == 0);
        now += Duration::from_secs(if index % 100 == 99 { 1500 } else { 1 });
        store.sweep(now, 10);
        store.plant(now, &swarm, peer(1, host, 1), seed, Duration::ZERO);
        let kept = store.filters(&swarm).expect("it has a peer");
        assert_eq!((*kept.seeds.as_bytes(), *kept.peers.as_bytes()), fresh(&store, now), "after {index} announces");
    }
}

#[test]
fn a_copy_in_slices_holds_what_is_stored_while_swarms_come_and_go() {
    let mut random = Random::new([7; 32]);
    let mut store = PeerStore::new(Family::V4, 64 << 20, &Rules::PRIVATE, &mut random);
    let (own, now) = (NodeId::from([9; 20]), Instant::from_secs(10_000));
    let announced = |swarm: u32, age: u64| {
        let mut info_hash = [5; 20];
        info_hash[..4].copy_from_slice(&swarm.to_be_bytes());
        let peer = SocketAddr::from((swarm.to_be_bytes(), 6881));
        StoredPeer { info_hash: info_hash.into(), peer, seed: swarm.is_multiple_of(3), age: Duration::from_secs(age) }
    };
    let swarms = 4 * 4096 + 17u32;
    for swarm in 1..=swarms {
        let old = if swarm.is_multiple_of(5) { 44 * 60 } else { 60 };
        store.announce(now, &own, &announced(swarm, old));
    }
    let (mut copy, mut slices, mut later) = (store.begin_copy(), 1, now);
    while store.copy_slice(later, &mut copy) {
        // The old ones go, here and there, and others begin.
        later += Duration::from_secs(30);
        store.sweep(later, 2000);
        store.announce(later, &own, &announced(1_000_000 + slices, 0));
        slices += 1;
    }
    assert!(slices > 4, "{slices} slices");
    let copied: BTreeSet<_> = copy.iter().map(|peer| (peer.info_hash, peer.peer, peer.seed)).collect();
    for swarm in (1..=swarms).filter(|swarm| !swarm.is_multiple_of(5)) {
        let StoredPeer { info_hash, peer, seed, .. } = announced(swarm, 0);
        assert!(copied.contains(&(info_hash, peer, seed)), "swarm {swarm}");
    }
    let age = copy.iter().find(|peer| peer.info_hash == announced(1, 0).info_hash).expect("copied").age;
    assert_eq!(age, Duration::from_secs(60) + later.since(now), "as old as it is at the end of the copy");
}
