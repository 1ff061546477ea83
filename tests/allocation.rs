//! Once warm, a node and a gateway answer without allocating: datagram in, reply out, nothing from the heap.

use std::net::SocketAddr;
use std::time::Duration;

use trackerless::engine::contact::Family;
use trackerless::engine::id::InfoHash;
use trackerless::engine::krpc::{Kind, Message};
use trackerless::engine::node::{Config, Node, Output};
use trackerless::engine::time::Instant;

const SWARM: InfoHash = InfoHash::new(*b"mnopqrstuvwxyz123456");

fn peer(index: u8) -> SocketAddr {
    ([10, 0, index, 1], 6881).into()
}

fn query(method: &str, arguments: &[u8]) -> Vec<u8> {
    let mut bytes = b"d1:ad2:id20:abcdefghij0123456789".to_vec();
    bytes.extend(arguments);
    bytes.extend(format!("e1:q{}:{method}2:roi1e1:t4:aaaa1:y1:qe", method.len()).bytes());
    bytes
}

/// Takes all output; how many datagrams and bytes there were.
fn drain(node: &mut Node) -> (usize, usize) {
    let (mut datagrams, mut bytes) = (0, 0);
    loop {
        match node.poll_output() {
            Output::Transmit { payload, .. } => {
                datagrams += 1;
                bytes += payload.len();
            }
            Output::Event(_) => {}
            Output::Wait(..) => return (datagrams, bytes),
        }
    }
}

fn token(node: &mut Node, now: Instant, from: SocketAddr) -> Vec<u8> {
    node.handle_datagram(now, from, &query("get_peers", b"9:info_hash20:mnopqrstuvwxyz123456"));
    loop {
        match node.poll_output() {
            Output::Transmit { payload, .. } => {
                let Kind::Response(response) = Message::decode(payload).expect("a message").kind else { continue };
                break response.token.expect("a token").to_vec();
            }
            Output::Event(_) => {}
            Output::Wait(..) => panic!("no reply"),
        }
    }
}

#[test]
fn a_warm_node_answers_without_allocating() {
    let now = Instant::from_secs(1);
    let mut node = Node::new(Config { private_network: true, ..Config::new(Family::V4) }, [7; 32], now);
    drain(&mut node);
    for index in 0..100 {
        let token = token(&mut node, now, peer(index));
        let mut arguments = b"9:info_hash20:mnopqrstuvwxyz1234564:porti6881e5:token8:".to_vec();
        arguments.extend(&token);
        node.handle_datagram(now, peer(index), &query("announce_peer", &arguments));
        drain(&mut node);
    }
    assert_eq!(node.peers().peers(), 100);
    let own_token = token(&mut node, now, peer(1));
    let mut announce = b"9:info_hash20:mnopqrstuvwxyz1234564:porti6881e5:token8:".to_vec();
    announce.extend(&own_token);
    let queries = [
        query("ping", b""),
        query("find_node", b"6:target20:mnopqrstuvwxyz123456"),
        query("get_peers", b"9:info_hash20:mnopqrstuvwxyz123456"),
        query("get_peers", b"9:info_hash20:ABCDEFGHIJ0123456789"),
        query("announce_peer", &announce),
        query("dance", b""),
        b"d1:rd2:id20:abcdefghij0123456789e1:t4:aaaa1:y1:re".to_vec(),
        b"garbage".to_vec(),
    ];
    let round = |node: &mut Node, now| {
        for query in &queries {
            node.handle_datagram(now, peer(1), query);
        }
        drain(node)
    };
    round(&mut node, now);
    let mut sent = (0, 0);
    let measured = allocation_counter::measure(|| {
        for millis in 1..=1000 {
            let (datagrams, bytes) = round(&mut node, now + Duration::from_millis(millis));
            sent = (sent.0 + datagrams, sent.1 + bytes);
        }
    });
    assert_eq!(sent.0, 6 * 1000, "six of the eight are answered");
    assert!(sent.1 > 6 * 1000 * 80);
    assert_eq!(measured.count_total, 0, "{measured:?}");
}

#[cfg(feature = "gateway")]
#[test]
fn a_warm_gateway_answers_announces_over_udp_without_allocating() {
    use trackerless::net::nearness::Nearness;
    use trackerless::tracker::broker::{Broker, Client, Decision, Policy, Standing, Transport};
    use trackerless::tracker::udp::{self, Action};

    let mut broker = Broker::new(Policy::Always, [].into(), [7; 32]);
    broker.set_standing(Instant::ZERO, Standing { ready: true, ..Standing::default() });
    let announce = |port: u16| {
        // An announce of a client that wants 50 peers (BEP 15).
        let mut datagram = [&[7; 8][..], &[0, 0, 0, 1], &[9; 4], SWARM.as_bytes(), b"-XX0000-abcdefghijkl"].concat();
        datagram.extend([[0; 8], [0, 0, 0, 0, 0, 0, 0, 5], [0; 8]].concat());
        datagram.extend([&[0; 12][..], &[0, 0, 0, 50], &port.to_be_bytes()].concat());
        datagram
    };
    let mut answer = |now, datagram: &[u8], into: &mut Vec<u8>| {
        let Some(Action::Announce(request)) = udp::parse(datagram).map(|request| request.action) else {
            panic!("an announce")
        };
        // Each client in a network of its own.
        let (addr, here) = (([203, 0, request.port as u8, 1], 6881).into(), [203, 0, 113, 2].into());
        let client = Client { addr, here, nearness: Nearness::Remote, transport: Transport::Udp };
        if let Decision::Now(Ok(reply)) = broker.announce(now, client, request) {
            udp::render_announce(9, &reply, Family::V4, into);
            broker.recycle(reply);
        }
        while broker.poll_output().is_some() {}
        if broker.load().held > 0 {
            broker.peers_found(now, SWARM, &[peer(2)]);
            broker.lookup_finished(now, SWARM);
        }
    };
    let mut bytes = Vec::with_capacity(1000);
    let (now, datagrams) = (Instant::from_secs(1), (1000..1060).map(announce).collect::<Vec<_>>());
    datagrams.iter().for_each(|datagram| answer(now, datagram, &mut bytes));
    let (mut sent, now) = (0, now + Duration::from_secs(1));
    let measured = allocation_counter::measure(|| {
        for datagram in &datagrams {
            bytes.clear();
            answer(now, datagram, &mut bytes);
            sent += bytes.len();
        }
    });
    assert_eq!(sent, 60 * (20 + 50 * 6), "all are answered with 50 peers");
    assert_eq!(measured.count_total, 0, "{measured:?}");
}

#[cfg(feature = "gateway")]
#[test]
fn what_the_gateway_remembers_fits_into_its_memory() {
    use trackerless::net::nearness::Nearness;
    use trackerless::tracker::broker::{Broker, Client, Policy, Standing, Transport};
    use trackerless::tracker::udp::{self, Action};

    const MEMORY: usize = 12 << 20;
    // Four thousand torrents of 25 ports, from one address of this host, and as many announces of strangers.
    let datagram = [&[7; 8][..], &[0, 0, 0, 1], &[9; 4], SWARM.as_bytes(), b"-XX0000-abcdefghijkl", &[0; 44]].concat();
    let Some(Action::Announce(sample)) = udp::parse(&datagram).map(|request| request.action) else {
        panic!("an announce")
    };
    let announce = |broker: &mut Broker, torrent: u32, ip: [u8; 4], nearness| {
        let mut request = sample.clone();
        (request.port, request.wanted) = (1000 + (torrent / 4000 % 100) as u16, Some(0));
        request.info_hash.0.0[..4].copy_from_slice(&(torrent % 4000).to_be_bytes());
        let client = Client { addr: (ip, 1).into(), here: ip.into(), nearness, transport: Transport::Udp };
        broker.announce(Instant::from_secs(1), client, request);
        while broker.poll_output().is_some() {}
    };
    let measured = allocation_counter::measure(|| {
        let mut broker = Broker::new(Policy::Always, [].into(), [7; 32]);
        broker.set_memory(MEMORY);
        broker.set_standing(Instant::ZERO, Standing { ready: true, ..Standing::default() });
        for i in 0..100_000u32 {
            announce(&mut broker, i, [127, 0, 0, 1], Nearness::Host);
            announce(
                &mut broker,
                i.wrapping_mul(0x9e37_79b9),
                i.wrapping_mul(0x9e37_79b9).to_be_bytes(),
                Nearness::Remote,
            );
        }
        assert!(broker.load().torrents > 500, "{:?}", broker.load());
    });
    assert!(measured.bytes_max <= MEMORY as u64, "{measured:?}");
}

#[test]
fn the_measure_sees_allocations() {
    // The measure above would pass on a node that drops everything: this one shows what an allocation looks like.
    let measured = allocation_counter::measure(|| drop(vec![SWARM; 10]));
    assert_eq!(measured.count_total, 1);
}

/// A save takes a packed copy of the peers, and never a list of them, nor the whole file.
#[cfg(feature = "net")]
#[test]
fn a_save_takes_little_more_than_the_peers_packed() {
    use trackerless::engine::node::Snapshot;
    use trackerless::engine::peers::StoredPeer;
    use trackerless::net::persist::{DataDir, PackedNode, PackedState, State};

    /// Of each peer in a swarm of its own: the infohash and a place, and the record of seven bytes.
    const BYTES: u64 = 28 + 7;
    /// What does not depend on the peers: buffers, and the contacts.
    const FIXED: u64 = 256 << 10;
    const PEERS: u32 = 40_000;
    const SAVED_AT: u64 = 1_700_000_000;
    let stored = |number: u32| {
        let [a, b, c, d] = number.wrapping_mul(0x9e37_79b9).to_be_bytes();
        let mut info_hash = [d; 20];
        info_hash[..4].copy_from_slice(&number.to_be_bytes());
        let peer = ([60 + a % 60, b, c, d], 6881).into();
        StoredPeer { info_hash: InfoHash::new(info_hash), peer, seed: false, age: Duration::ZERO }
    };
    let saved = Snapshot { peers: (0..PEERS).map(stored).collect(), ..Snapshot::default() };
    let now = Instant::from_secs(10_000);
    let config = Config { private_network: true, saved, ..Config::new(Family::V4) };
    let node = Node::new(config, [7; 32], now);
    let peers = node.peers().peers() as u64;
    assert_eq!(peers, u64::from(PEERS));
    let folder = tempfile::tempdir().unwrap();
    let kept = DataDir::keep(folder.path()).unwrap();
    let measured = allocation_counter::measure(|| {
        let mut snapshot = node.begin_snapshot(now);
        while node.continue_snapshot(now, &mut snapshot) {}
        let addr = ([127, 0, 0, 1], 6880).into();
        let nodes = vec![PackedNode { asked: addr, bound: addr, snapshot }];
        kept.save_packed(PackedState { saved_at: SAVED_AT, nodes, others: Vec::new() }).unwrap();
    });
    println!("{} bytes a peer", measured.bytes_max / peers);
    assert!(measured.bytes_max <= peers * BYTES + FIXED, "{measured:?}");
    let mut found = State::default();
    let read = || State::decode(&std::fs::read(folder.path().join("state.bencode")).unwrap(), SAVED_AT).unwrap();
    let measured = allocation_counter::measure(|| found = read());
    println!("{} bytes a peer when they are read", measured.bytes_max / peers);
    assert!(measured.bytes_max <= peers * 256, "{measured:?}");
    assert_eq!(found.nodes[0].snapshot.peers.len() as u64, peers);
}
