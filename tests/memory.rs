//! What the memory of the process grows by, whatever strangers announce: the bounds of `memory_limit` hold for what the system
//! gives, not only for what is counted. A program of its own, with one test: the memory is the process's.
#![cfg(all(target_os = "linux", feature = "gateway"))]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

#[cfg(feature = "announcer")]
use trackerless::announcer::schedule::{Announced, Look, Next, Schedule, Terms};
#[cfg(feature = "announcer")]
use trackerless::announcer::source::{Listed, ListedState, Listing};
#[cfg(feature = "announcer")]
use trackerless::engine::contact::Contact;
use trackerless::engine::contact::Family;
use trackerless::engine::id::{InfoHash, NodeId};
use trackerless::engine::peers::{PeerStore, StoredPeer};
use trackerless::engine::random::Random;
use trackerless::engine::rules::Rules;
use trackerless::engine::time::Instant;
use trackerless::net::nearness::Nearness;
use trackerless::net::resources::{require_memory, resident_bytes};
use trackerless::tracker::broker::{Broker, Client, Policy, Transport};
use trackerless::tracker::http;

/// Shares of the default `memory_limit` of 128 MiB.
const PEERS: usize = 64 << 20;
const GATEWAY: usize = 24 << 20;
/// Most that an infohash takes in the schedule that keeps it announced, all told (docs/ANNOUNCER.md).
#[cfg(feature = "announcer")]
const NAME: usize = 768;
/// What the allocator keeps beside what is asked of it, as a part of it: a heap in which torrents come and go has holes. The
/// quarter of the limit that no share has is more than that.
const OVERHEAD: f64 = 0.35;

fn resident() -> usize {
    resident_bytes().expect("Linux tells") as usize
}

/// What the system may have to give for a share of the limit.
fn with_overhead(share: usize) -> usize {
    (share as f64 * (1.0 + OVERHEAD)) as usize
}

/// Asserts that `fill` takes no more than `most` of the system, and gives back what it made.
fn within<T>(most: usize, what: &str, fill: impl FnOnce() -> T) -> T {
    let before = resident();
    let made = fill();
    let grown = resident().saturating_sub(before);
    println!("{what}: {:.1} MiB of {:.1}", grown as f64 / 1048576.0, most as f64 / 1048576.0);
    assert!(grown <= most, "{what}: {grown} bytes, {most} are allowed");
    made
}

/// Each from an address of its own to an infohash of its own, which is what takes most memory.
fn spoofed_announcers(count: u32) -> PeerStore {
    let mut random = Random::new([7; 32]);
    let mut store = PeerStore::new(Family::V4, PEERS, &Rules::MAINLINE, &mut random);
    let (own, mut now) = (NodeId::new([0x55; 20]), Instant::from_secs(9000));
    for index in 0..count {
        now += Duration::from_micros(100);
        let [_, a, b, c] = index.to_be_bytes();
        let peer: SocketAddr = ([60 + (index % 97) as u8, c, b, a], 6881).into();
        let info_hash = InfoHash(random.wire_id());
        store.announce(now, &own, &StoredPeer { info_hash, peer, seed: false, age: Duration::ZERO });
    }
    store
}

/// Clients of local networks, who are bounded least, at most as many as one torrent remembers of one address.
fn clients(torrents: u32, of_each: u32) -> Broker {
    let mut broker = Broker::new(Policy::Never, std::iter::empty().collect(), [7; 32]);
    broker.set_memory(GATEWAY);
    let here: IpAddr = [192, 168, 1, 1].into();
    let mut request =
        http::parse_announce(b"info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=-XX0000-abcdefghijkl&left=5&port=1").unwrap().0;
    let mut now = Instant::from_secs(9000);
    for number in 0..of_each {
        let [.., a, b] = number.to_be_bytes();
        for torrent in 0..torrents {
            now += Duration::from_micros(10);
            let mut info_hash = [0; 20];
            info_hash[..4].copy_from_slice(&torrent.to_be_bytes());
            (request.info_hash, request.port) = (InfoHash::new(info_hash), 2000 + number as u16);
            let client = Client {
                addr: ([192, 168, 2 + a, b], 7000).into(),
                here,
                nearness: Nearness::Lan,
                transport: Transport::Udp,
            };
            let _ = broker.announce(now, client, request.clone());
            while broker.poll_output().is_some() {}
        }
    }
    broker
}

/// An archive: this many torrents with names, each announced, stored by eight nodes, and seen.
#[cfg(feature = "announcer")]
fn held_names(count: u32) -> Schedule {
    let terms = Terms { seed: [7; 32], new_destinations_per_second: u32::MAX, port: Some(6881), max: count as usize };
    let (mut schedule, mut now) = (Schedule::new(terms), Instant::from_secs(1_000_000));
    let listed = |number: u32| {
        let mut infohash = [7; 20];
        infohash[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b9).to_be_bytes());
        let name = Some(format!("A release of an archive, number {number:06}, with notes.tar.xz").into());
        Listed { infohash: InfoHash::new(infohash), name, port: None, complete: true, state: ListedState::Active }
    };
    let torrents = Some((0..count).map(listed).collect());
    let source = "/srv/torrents".into();
    schedule.list(now, Listing { source, torrents, ipv4_only: false, left_out: Vec::new(), trouble: None });
    let (mut announced, holder) = (0, |n: u8| Contact { id: NodeId::new([n; 20]), addr: ([60, n, 1, 1], 6881).into() });
    while announced < count {
        match schedule.next(now) {
            Next::Announce(order) => {
                announced += 1;
                let stored = (0..8).map(|n| (holder(n), *b"LT\x02\x03")).collect();
                let (info_hash, swarm) = (order.info_hash, Some((1, 0)));
                schedule.announced(now, &Announced { info_hash, stored, asked: 16, answered: 16, swarm });
            }
            Next::Look(order) => {
                let seen_as = Some(([198, 51, 100, 1], order.port).into());
                schedule.looked(now, &Look { info_hash: order.info_hash, seen_as, asked: 4, answered: 4 });
            }
            Next::Wait(at) => now = at.unwrap_or(now).max(now + Duration::from_micros(1)),
        }
        schedule.take_changed(usize::MAX);
    }
    schedule
}

/// Names the case that a process of its own measures: what another one has given back is taken again, and seems to be nothing.
const CASE: &str = "TRACKERLESS_MEMORY_CASE";

fn measure(case: &str) {
    match case {
        "peers" => {
            let store = within(with_overhead(PEERS), "a million spoofed announcers", || spoofed_announcers(1_000_000));
            assert!(store.swarms() > 300_000, "{} swarms are kept", store.swarms());
        }
        #[cfg(feature = "announcer")]
        "names" => {
            let schedule = within(100_000 * NAME, "100,000 names that are held", || held_names(100_000));
            assert_eq!(schedule.len(), 100_000);
        }
        "freed" => {
            // As the program does when it starts.
            require_memory().unwrap();
            within(2 << 20, "16 MiB that are freed again", || drop(vec![vec![7_u8; 1 << 20]; 16]));
        }
        _ => {
            let (torrents, of_each) = if case == "torrents" { (20_000, 8) } else { (1_000, 200) };
            let what = format!("{torrents} torrents of {of_each} clients each");
            let broker = within(with_overhead(GATEWAY), &what, || clients(torrents, of_each));
            assert!(broker.load().torrents > 500, "{:?}", broker.load());
        }
    }
}

#[test]
fn what_strangers_announce_takes_no_more_of_the_system_than_its_share() {
    if let Ok(case) = std::env::var(CASE) {
        return measure(&case);
    }
    let begin = |case: &'static str| {
        let mut itself = std::process::Command::new(std::env::current_exe().unwrap());
        itself.args(["--exact", "what_strangers_announce_takes_no_more_of_the_system_than_its_share", "--nocapture"]);
        (case, itself.env(CASE, case).spawn().unwrap())
    };
    let cases: Vec<_> = ["peers", "names", "freed", "torrents", "clients"].into_iter().map(begin).collect();
    let ended = cases.into_iter().map(|(case, mut child)| (case, child.wait().unwrap().success()));
    let failed: Vec<_> = ended.filter(|(_, well)| !well).collect();
    assert!(failed.is_empty(), "{failed:?}");
}
