//! What is told to whom, and what is forgotten when.

use super::*;
use proptest::prelude::*;

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn member(text: &str, nearness: Nearness) -> Member {
    let addr = addr(text);
    let (peer_id, last) = ([addr.port() as u8; 20], Instant::from_secs(addr.port().into()));
    Member::new(addr, "192.168.1.2".parse().unwrap(), nearness, peer_id, last)
}

fn asker(text: &str, nearness: Nearness) -> Asker<'static> {
    let here = "192.168.1.2".parse().unwrap();
    Asker { addr: addr(text), here, nearness, seed: false, open: true, family: None, external: &[] }
}

fn select(swarm: &Swarm, asker: &Asker<'_>, wanted: usize, cursor: u32) -> (Vec<SocketAddr>, u32) {
    let mut peers = vec![addr("192.0.2.1:1")];
    let next = swarm.select(asker, wanted, cursor, &mut Seen::default(), &mut peers);
    (peers, next)
}

#[test]
fn a_member_is_told_by_an_address_of_the_same_family_and_network_or_not_at_all() {
    use Nearness::{Host, Lan, Neighbour, Remote};
    let external: [IpAddr; 2] = ["198.51.100.1", "2001:db8::1"].map(|ip| ip.parse().unwrap());
    for (member_at, of, from, asks, here, told) in [
        ("127.0.0.1", Host, "192.168.1.7", Lan, "192.168.1.2", Some("192.168.1.2")),
        ("127.0.0.1", Host, "fd00::7", Neighbour, "fd00::2", None),
        ("::1", Host, "fd00::7", Neighbour, "fd00::2", Some("fd00::2")),
        ("::1", Host, "192.168.1.7", Lan, "192.168.1.2", None),
        ("127.0.0.1", Host, "203.0.113.7", Remote, "198.51.100.1", Some("198.51.100.1")),
        ("::1", Host, "2001:db8:7::7", Remote, "2001:db8::1", Some("2001:db8::1")),
        ("203.0.113.1", Host, "127.0.0.1", Host, "127.0.0.1", Some("203.0.113.1")),
        // Neighbours over IPv6.
        ("fd00::9", Neighbour, "fd00::7", Neighbour, "fd00::2", Some("fd00::9")),
        ("fd00::9", Neighbour, "127.0.0.1", Host, "127.0.0.1", Some("fd00::9")),
        ("fd00::9", Neighbour, "192.168.1.7", Lan, "192.168.1.2", None),
        ("fd00::9", Neighbour, "2001:db8:7::7", Remote, "2001:db8::1", None),
        ("192.168.1.9", Lan, "fd00::7", Neighbour, "fd00::2", None),
        ("192.168.1.9", Lan, "192.168.1.7", Lan, "192.168.1.2", Some("192.168.1.9")),
        ("192.168.1.9", Lan, "203.0.113.7", Remote, "198.51.100.1", Some("198.51.100.1")),
        ("fe80::9", Neighbour, "fe80::7", Neighbour, "fe80::2", None),
        ("fe80::9", Neighbour, "127.0.0.1", Host, "127.0.0.1", None),
        // In a private network each has an address of its own.
        ("10.0.0.9", Neighbour, "10.0.0.7", Neighbour, "10.0.0.2", Some("10.0.0.9")),
        ("127.0.0.1", Host, "10.0.0.7", Neighbour, "10.0.0.2", Some("10.0.0.2")),
        // Strangers behind one provider do not share our address.
        ("100.64.0.9", Remote, "203.0.113.7", Remote, "198.51.100.1", None),
        ("100.64.0.9", Remote, "100.64.0.7", Remote, "198.51.100.1", Some("100.64.0.9")),
        ("203.0.113.9", Remote, "fd00::7", Neighbour, "fd00::2", Some("203.0.113.9")),
    ] {
        let at = |ip: &str, port| SocketAddr::new(ip.parse().unwrap(), port);
        let mut swarm = Swarm::default();
        swarm.join(Member { addr: at(member_at, 1), nearness: of, ..member("127.0.0.1:1", Host) });
        let here = here.parse().unwrap();
        let asker = Asker {
            addr: at(from, 9),
            here,
            nearness: asks,
            seed: false,
            open: true,
            family: None,
            external: &external,
        };
        let told: Vec<_> = told.map(|ip| at(ip, 1)).into_iter().collect();
        assert_eq!(select(&swarm, &asker, 50, 0).0, told, "{member_at} {of:?} told to {from} {asks:?}");
    }
}

#[test]
fn each_asker_gets_the_address_at_which_it_can_reach_a_member() {
    let mut swarm = Swarm::default();
    swarm.join(member("127.0.0.1:1", Nearness::Host));
    swarm.join(member("192.168.1.9:2", Nearness::Lan));
    swarm.join(member("203.0.113.9:3", Nearness::Remote));
    let external = ["198.51.100.1".parse().unwrap()];
    for (text, nearness, expected) in [
        ("127.0.0.1:9", Nearness::Host, ["127.0.0.1:1", "192.168.1.9:2", "203.0.113.9:3"]),
        ("192.168.1.7:9", Nearness::Lan, ["192.168.1.2:1", "192.168.1.9:2", "203.0.113.9:3"]),
        ("203.0.113.7:9", Nearness::Remote, ["198.51.100.1:1", "198.51.100.1:2", "203.0.113.9:3"]),
    ] {
        let asker = Asker { external: &external, ..asker(text, nearness) };
        assert_eq!(select(&swarm, &asker, 50, 0).0, expected.map(addr), "{text}");
    }
    // Without knowing our public address, there is nothing to tell a stranger about the neighbours.
    assert_eq!(select(&swarm, &asker("203.0.113.7:9", Nearness::Remote), 50, 0).0, [addr("203.0.113.9:3")]);
}

#[test]
fn neighbours_with_the_same_port_are_one_endpoint_to_a_stranger() {
    let mut swarm = Swarm::default();
    swarm.join(member("127.0.0.1:1", Nearness::Host));
    swarm.join(member("192.168.1.9:1", Nearness::Lan));
    swarm.find(Instant::ZERO, addr("198.51.100.1:1"));
    let external = ["198.51.100.1".parse().unwrap()];
    let stranger = Asker { external: &external, ..asker("203.0.113.7:9", Nearness::Remote) };
    assert_eq!(select(&swarm, &stranger, 50, 0).0, [addr("198.51.100.1:1")]);
}

#[test]
fn a_seed_is_not_told_of_seeds() {
    let mut swarm = Swarm::default();
    swarm.join(Member { seed: true, ..member("192.168.1.9:2", Nearness::Lan) });
    swarm.join(member("192.168.1.8:3", Nearness::Lan));
    let seed = Asker { seed: true, ..asker("127.0.0.1:9", Nearness::Host) };
    assert_eq!(select(&swarm, &seed, 50, 0).0, [addr("192.168.1.8:3")]);
    assert_eq!(select(&swarm, &asker("127.0.0.1:9", Nearness::Host), 50, 0).0.len(), 2);
}

#[test]
fn a_full_swarm_keeps_the_near_and_the_new() {
    let mut swarm = Swarm::default();
    swarm.join(member("192.168.1.9:1", Nearness::Lan));
    let ip = |port: u16| format!("{}.{}", port >> 5, port & 31);
    for port in 2..1000u16 {
        swarm.join(member(&format!("{}.0.{}:{port}", 60 + port % 50, ip(port)), Nearness::Remote));
        swarm.find(Instant::from_secs(port.into()), addr(&format!("{}.18.{}:{port}", 60 + port % 50, ip(port))));
    }
    assert_eq!((swarm.members.len(), swarm.found.len()), (MAX_MEMBERS, MAX_FOUND));
    assert!(swarm.member_mut(addr("192.168.1.9:1")).is_some());
    assert!(swarm.member_mut(addr(&format!("{}.0.{}:999", 60 + 999 % 50, ip(999)))).is_some());
    assert!(swarm.found.iter().all(|found| found.seen >= Instant::from_secs(500)));
}

#[test]
fn an_address_and_a_network_have_a_share_of_a_swarm() {
    let mut swarm = Swarm::default();
    swarm.join(member("127.0.0.1:1", Nearness::Host));
    for port in 2..300u16 {
        swarm.join(member(&format!("203.0.113.9:{port}"), Nearness::Remote));
        swarm.find(Instant::from_secs(port.into()), addr(&format!("203.0.113.9:{port}")));
    }
    let ports: Vec<u16> = swarm.members.iter().map(|member| member.addr.port()).collect();
    assert_eq!(ports.iter().collect::<std::collections::BTreeSet<_>>(), [1, 296, 297, 298, 299].iter().collect());
    assert_eq!(swarm.found.len(), PORTS_PER_ADDRESS);
    assert!(swarm.found.iter().all(|found| found.addr.port() >= 296));
    for i in 0..250u16 {
        swarm.join(member(&format!("203.0.113.{i}:{}", 1000 + i), Nearness::Remote));
        swarm.join(member(&format!("[2001:db8:1:{i:x}::1]:{}", 2000 + i), Nearness::Remote));
    }
    assert_eq!(swarm.members.len(), 1 + 2 * MEMBERS_SHARE.owner);
    // One host may run many clients.
    let mut swarm = Swarm::default();
    for port in 1..300u16 {
        swarm.join(member(&format!("127.0.0.1:{port}"), Nearness::Host));
    }
    assert_eq!(swarm.members.len(), PORTS_PER_LOCAL_ADDRESS);
}

#[test]
fn who_has_left_is_not_found_again() {
    let external = ["198.51.100.1", "2001:db8::1"].map(|ip| ip.parse().unwrap());
    let mut swarm = Swarm::default();
    for (text, nearness) in
        [("127.0.0.1:1", Nearness::Host), ("192.168.1.9:2", Nearness::Lan), ("203.0.113.9:3", Nearness::Remote)]
    {
        swarm.join(member(text, nearness));
    }
    let endpoints = ["198.51.100.1:1", "[2001:db8::1]:1", "198.51.100.1:2", "203.0.113.9:3"].map(addr);
    endpoints.into_iter().for_each(|endpoint| swarm.find(Instant::ZERO, endpoint));
    assert_eq!(swarm.found.len(), 4);
    for text in ["127.0.0.1:1", "192.168.1.9:2", "203.0.113.9:3"] {
        swarm.leave(Instant::ZERO, addr(text), &external);
    }
    assert!(swarm.is_empty());
    endpoints.into_iter().for_each(|endpoint| swarm.find(Instant::ZERO, endpoint));
    assert!(swarm.is_empty());
    // A neighbour in IPv6 has an address of its own; and a client that comes back is there again.
    swarm.find(Instant::ZERO, addr("[2001:db8::1]:2"));
    swarm.join(member("127.0.0.1:1", Nearness::Host));
    swarm.find(Instant::ZERO, endpoints[0]);
    assert_eq!(swarm.found.len(), 2);
    // After the lifetime of a stored peer it is known by others.
    swarm.expire(Instant::ZERO + FOUND_LIFETIME);
    swarm.find(Instant::ZERO + FOUND_LIFETIME, endpoints[3]);
    assert!(swarm.knows(endpoints[3]));
}

#[test]
fn a_neighbour_at_the_same_port_is_still_there() {
    let external = ["198.51.100.1".parse().unwrap()];
    let mut swarm = Swarm::default();
    swarm.join(member("127.0.0.1:1", Nearness::Host));
    swarm.join(member("192.168.1.9:1", Nearness::Lan));
    swarm.leave(Instant::ZERO, addr("127.0.0.1:1"), &external);
    swarm.find(Instant::ZERO, addr("198.51.100.1:1"));
    assert!(swarm.knows(addr("198.51.100.1:1")));
}

#[test]
fn who_was_not_asked_or_withheld_its_metadata_is_not_named() {
    let mut swarm = Swarm::default();
    for (port, verdict) in [(1, None), (2, Some(Verdict::Withheld)), (3, Some(Verdict::NotYet))] {
        let testimony = verdict.map(|verdict| (verdict, Instant::ZERO));
        swarm.join(Member { testimony, ..member(&format!("192.168.1.9:{port}"), Nearness::Lan) });
    }
    swarm.join(member("203.0.113.9:4", Nearness::Remote));
    let closed = Asker { open: false, ..asker("127.0.0.1:9", Nearness::Host) };
    assert_eq!(select(&swarm, &closed, 50, 0).0, ["192.168.1.9:3", "203.0.113.9:4"].map(addr));
    assert_eq!(select(&swarm, &asker("127.0.0.1:9", Nearness::Host), 50, 0).0.len(), 4);
}

#[test]
fn both_announces_of_a_dual_stack_client_count_once() {
    let mut swarm = Swarm::default();
    swarm.join(member("203.0.113.9:5", Nearness::Remote));
    swarm.join(member("[2001:db8::9]:5", Nearness::Remote));
    assert_eq!(swarm.counts(&[], None).incomplete, 1);
    swarm.leave(Instant::ZERO, addr("203.0.113.9:5"), &[]);
    swarm.leave(Instant::ZERO, addr("[2001:db8::9]:5"), &[]);
    assert_eq!(swarm.counts(&[], None).incomplete, 0);
}

proptest! {
    /// The ring against the obvious: walk until each peer was there.
    #[test]
    fn walking_the_ring_shows_everybody(count in 0usize..300, wanted in 1usize..60, start in any::<u32>(), v6 in any::<bool>()) {
        let mut swarm = Swarm::default();
        let (v4_peer, v6_peer) = (|i| format!("198.18.{}.1:{i}", i / 4), |i| format!("[2001:db8:0:{i}::1]:{i}"));
        (1..=count).for_each(|i| swarm.find(Instant::ZERO, addr(&if i % 3 == 0 { v6_peer(i) } else { v4_peer(i) })));
        let family = if v6 { Family::V6 } else { Family::V4 };
        let asker = Asker { family: Some(family), ..asker("127.0.0.1:9", Nearness::Host) };
        let (mut seen, mut cursor) = (std::collections::BTreeSet::new(), start);
        for _ in 0..count.div_ceil(wanted) {
            let (peers, next) = select(&swarm, &asker, wanted, cursor);
            prop_assert!(peers.len() <= wanted);
            seen.extend(peers);
            cursor = next;
        }
        let expected = (1..=count).filter(|i| (i % 3 == 0) == v6).count();
        prop_assert_eq!(seen.len(), expected);
        prop_assert!(seen.iter().all(|peer| Family::of(peer) == family));
    }
}

#[test]
fn no_network_has_all_places_of_what_was_found_or_announced() {
    let at: [fn(u16) -> SocketAddr; 4] = [
        |n| SocketAddr::from(([203, 0, 113, (n / 4) as u8], 1 + n)),
        |n| SocketAddr::from(([203, 1, (n / 4) as u8, (n / 64) as u8], 1 + n)),
        |n| SocketAddr::new(IpAddr::from([0x2001, 0xdb8, 7, n / 4, 0, 0, 0, 1]), 1 + n),
        |n| SocketAddr::new(IpAddr::from([0x2001, 0xdb8, n / 4, 0, 0, 0, 0, 1]), 1 + n),
    ];
    for (network, share) in at.into_iter().zip([4, 2, 4, 2]) {
        let honest = |n: u16| SocketAddr::from(([60 + (n / 8) as u8, n as u8, 1, 1], 6881));
        let mut swarm = Swarm::default();
        (0..150).for_each(|n| swarm.find(Instant::from_secs(1), honest(n)));
        (0..1000).for_each(|n| swarm.find(Instant::from_secs(2), network(n)));
        assert!((0..150).all(|n| swarm.knows(honest(n))), "{}", network(0));
        assert_eq!(swarm.found.len(), 150 + MAX_FOUND / share, "{}", network(0));
        let join = |swarm: &mut Swarm, addr: SocketAddr, secs| {
            let here = "198.51.100.1".parse().unwrap();
            swarm.join(Member::new(addr, here, Nearness::Remote, [1; 20], Instant::from_secs(secs)));
        };
        (0..60).for_each(|n| join(&mut swarm, honest(n), 1));
        (0..1000).for_each(|n| join(&mut swarm, network(n), 2));
        assert!((0..60).all(|n| swarm.member(honest(n)).is_some()), "{}", network(0));
        assert_eq!(swarm.members.len(), 60 + MAX_MEMBERS / share, "{}", network(0));
    }
}
