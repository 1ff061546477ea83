//! The store beside its naive twin, and its bounds.

use std::collections::BTreeMap;

use super::*;
use proptest::prelude::*;

fn store(private: bool) -> (PeerStore, Random) {
    let mut random = Random::new([3; 32]);
    (PeerStore::new(Family::V4, 1 << 20, private, &mut random), random)
}

fn peer(a: u8, b: u8, port: u16) -> SocketAddr {
    ([9, 8, a, b], port).into()
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
        let mut twin: BTreeMap<(Id, SocketAddr), (Instant, bool)> = BTreeMap::new();
        let mut now = Instant::from_secs(100_000);
        for step in steps {
            match step {
                Step::Announce { swarm, host, port, seed } => {
                    let key = (Id([swarm; 20]), peer(1, host, port));
                    let known = twin.insert(key, (now, seed)).is_some();
                    let stored = store.announce(now, &key.0, key.1, seed, Duration::ZERO);
                    prop_assert_eq!(stored, if known { Stored::Refreshed } else { Stored::New });
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
                    let info_hash = Id([swarm; 20]);
                    let expected = twin.keys().filter(|(id, _)| *id == info_hash).count().min(wanted);
                    let sample = store.sample(&info_hash, wanted, false, &mut random);
                    let mut peers: Vec<_> =
                        sample.iter().flat_map(Sample::iter).map(|bytes| decode_addr(bytes).unwrap()).collect();
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
    store.announce(now, &Id([1; 20]), peer(1, 1, 1), true, Duration::from_mins(40));
    let saved: Vec<_> = store.iter(now).collect();
    assert_eq!((saved[0].age, saved[0].seed), (Duration::from_mins(40), true));
    assert_eq!(store.sweep(now + Duration::from_secs(240), 10), 0);
    assert_eq!(store.sweep(now + Duration::from_secs(330), 10), 1);
    assert_eq!((store.swarms(), store.peers(), store.used_bytes()), (0, 0, 0));
}

#[test]
fn one_address_and_one_subnet_cannot_fill_a_swarm() {
    let (mut store, _) = store(false);
    let (now, swarm) = (Instant::ZERO, Id([1; 20]));
    store.announce(now, &swarm, peer(200, 1, 1), false, Duration::ZERO);
    for port in 1..=100 {
        store.announce(now, &swarm, peer(1, 1, port), false, Duration::ZERO);
    }
    assert_eq!(store.peers(), 1 + PORTS_PER_ADDRESS);
    for host in 0..=255 {
        store.announce(now, &swarm, peer(1, host, 1), false, Duration::ZERO);
    }
    assert_eq!(store.peers(), 1 + PEERS_PER_SUBNET);
    assert!(store.iter(now).any(|found| found.peer == peer(200, 1, 1)), "the others were not displaced");
}

#[test]
fn a_full_swarm_takes_the_newest_for_the_oldest() {
    let (mut store, _) = store(true);
    let swarm = Id([1; 20]);
    for index in 0..PEERS_PER_SWARM {
        let age = if index == 77 { Duration::from_mins(10) } else { Duration::ZERO };
        store.announce(Instant::from_secs(9000), &swarm, peer((index >> 8) as u8, index as u8, 1), false, age);
    }
    let stored = store.announce(Instant::from_secs(9000), &swarm, peer(99, 99, 1), false, Duration::ZERO);
    assert_eq!((stored, store.peers()), (Stored::Displaced, PEERS_PER_SWARM));
    assert!(store.iter(Instant::from_secs(9000)).all(|found| found.peer != peer(0, 77, 1)));
}

#[test]
fn memory_is_bounded_and_known_swarms_stay_writable() {
    let mut random = Random::new([1; 32]);
    let mut store = PeerStore::new(Family::V4, 100_000, false, &mut random);
    let now = Instant::ZERO;
    let ids: Vec<Id> = (0..10_000).map(|_| random.wire_id()).collect();
    for (index, id) in ids.iter().enumerate() {
        store.announce(now, id, peer((index >> 8) as u8, index as u8, 1), false, Duration::ZERO);
    }
    assert!(store.used_bytes() <= 100_000 + 100, "{}", store.used_bytes());
    assert!(store.swarms() > 1000);
    let known = store.iter(now).next().unwrap();
    assert!(store.accepts(&known.info_hash) && !store.accepts(&ids[9_999]));
    assert_eq!(store.announce(now, &ids[9_999], known.peer, false, Duration::ZERO), Stored::Full);
    assert_eq!(store.announce(now, &known.info_hash, peer(1, 2, 3), false, Duration::ZERO), Stored::Displaced);
}

#[test]
fn a_sweep_in_slices_finds_everything() {
    let (mut store, mut random) = store(true);
    for index in 0..3000 {
        let age = if index % 3 == 0 { Duration::from_mins(44) } else { Duration::ZERO };
        store.announce(Instant::ZERO, &random.wire_id(), peer(1, 1, 1), false, age);
    }
    let now = Instant::from_secs(120);
    let gone: usize = (0..40).map(|_| store.sweep(now, 100)).sum();
    assert_eq!((gone, store.swarms(), store.peers()), (1000, 2000, 2000));
    let ids: Vec<_> = store.iter(now).map(|found| found.info_hash).collect();
    assert!(ids.iter().all(|id| store.accepts(id) && store.find(id).is_some()));
}

/// Every peer of a swarm of 40 should be in a sample of 10 a quarter of the time. Over 4,000 draws each count has mean
/// 1,000 and standard deviation 27; six of those is a bound that a fair sampler does not miss.
#[test]
fn samples_are_fair() {
    let (mut store, mut random) = store(true);
    let swarm = Id([1; 20]);
    for host in 0..40 {
        store.announce(Instant::ZERO, &swarm, peer(1, host, 1), false, Duration::ZERO);
    }
    let mut counts = [0u32; 40];
    for _ in 0..4000 {
        let sample = store.sample(&swarm, 10, false, &mut random).unwrap();
        sample.iter().for_each(|peer| counts[usize::from(peer[3])] += 1);
    }
    assert!(counts.iter().all(|&count| count.abs_diff(1000) < 6 * 27), "{counts:?}");
}

#[test]
fn noseed_prefers_peers_that_are_not_seeds() {
    let (mut store, mut random) = store(true);
    let swarm = Id([1; 20]);
    for host in 0..40 {
        store.announce(Instant::ZERO, &swarm, peer(1, host, 1), host >= 5, Duration::ZERO);
    }
    for _ in 0..100 {
        let sample = store.sample(&swarm, 8, true, &mut random).unwrap();
        let hosts: Vec<u8> = sample.iter().map(|peer| peer[3]).collect();
        assert_eq!(hosts.iter().filter(|&&host| host < 5).count(), 5, "{hosts:?}");
        assert_eq!(hosts.len(), 8);
        let everyone = store.sample(&swarm, 100, true, &mut random).unwrap();
        let hosts: Vec<u8> = everyone.iter().map(|peer| peer[3]).collect();
        assert!(hosts.len() == 40 && hosts[..5].iter().all(|&host| host < 5), "those that want peers come first");
    }
}

#[test]
fn a_swarm_costs_what_the_budget_says() {
    assert_eq!(size_of::<Swarm>(), 48);
}
