//! Nodes in a network that is only a queue: every datagram takes ten milliseconds.

use std::collections::BTreeMap;

use super::*;
use crate::engine::id::{Id, InfoHash, Target};
use crate::engine::krpc::encode::MAX_DATAGRAM;
use crate::engine::tokens::ROTATION;
use proptest::prelude::*;

const DELAY: Duration = Duration::from_millis(10);
const SWARM: InfoHash = InfoHash(Id([0xaa; 20]));

mod changes;
mod compliance;
mod hostile;
mod hot;
mod items;
mod limits;
mod patience;
mod renewal;
mod replies;
mod responses;
mod rules;
mod sample;
mod scrape;

struct Net {
    now: Instant,
    nodes: BTreeMap<SocketAddr, Node>,
    /// In order of arrival: all datagrams take equally long.
    wire: VecDeque<(Instant, SocketAddr, SocketAddr, Vec<u8>)>,
    events: Vec<(SocketAddr, Event)>,
    routers: Vec<SocketAddr>,
    cut: bool,
    /// FNV-1a of all that was sent: when, from where, where to, what.
    trace: u64,
}

fn addr(index: u8) -> SocketAddr {
    ([10, 0, index, 1], 6881).into()
}

fn config() -> Config {
    Config { private_network: true, cache_ways: 0, ..Config::new(Family::V4) }
}

impl Net {
    fn new(size: u8) -> Self {
        let mut net = Self {
            now: Instant::from_secs(1),
            nodes: BTreeMap::new(),
            wire: VecDeque::new(),
            events: Vec::new(),
            routers: vec![addr(0)],
            cut: false,
            trace: 0xcbf2_9ce4_8422_2325,
        };
        net.spawn(0, Config { has_routers: false, ..config() });
        (1..size).for_each(|index| net.spawn(index, config()));
        net
    }

    fn spawn(&mut self, index: u8, config: Config) {
        self.nodes.insert(addr(index), Node::new(config, [index; 32], self.now));
    }

    fn node(&mut self, index: u8) -> &mut Node {
        self.nodes.get_mut(&addr(index)).expect("a node of this network")
    }

    fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let mut next = end;
            for (own, node) in &mut self.nodes {
                let deadline = loop {
                    match node.poll_output() {
                        Output::Transmit { to, payload } => {
                            assert!(payload.len() <= MAX_DATAGRAM);
                            let header = format!("{:?} {own} {to} ", self.now);
                            let bytes = header.bytes().chain(payload.iter().copied());
                            self.trace = bytes.fold(self.trace, |trace, byte| {
                                (trace ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
                            });
                            if !self.cut {
                                self.wire.push_back((self.now + DELAY, *own, to, payload.to_vec()));
                            }
                        }
                        Output::Event(Event::RoutersWanted) => {
                            let routers = self.routers.clone();
                            node.add_routers(self.now, &routers);
                        }
                        Output::Event(event) => self.events.push((*own, event)),
                        Output::Wait(deadline, _) => break deadline,
                    }
                };
                next = next.min(deadline.max(self.now));
            }
            next = self.wire.front().map_or(next, |(at, ..)| next.min(*at));
            if next >= end {
                self.now = end;
                return;
            }
            self.now = next;
            while self.wire.front().is_some_and(|(at, ..)| *at <= next) {
                let (_, from, to, bytes) = self.wire.pop_front().expect("just seen");
                if let Some(node) = self.nodes.get_mut(&to) {
                    node.handle_datagram(next, from, &bytes);
                }
            }
            self.nodes.values_mut().for_each(|node| node.handle_timeout(next));
        }
    }

    fn done(&self, op: OpId, index: u8) -> &Summary {
        let found = self.events.iter().find_map(|(own, event)| match event {
            Event::Done { op: other, summary } if *other == op && *own == addr(index) => Some(summary),
            _ => None,
        });
        found.expect("the operation is over")
    }

    fn peers(&self, op: OpId, index: u8) -> Vec<SocketAddr> {
        let of = |(own, event): &(SocketAddr, Event)| match event {
            Event::Peers { op: other, peers, .. } if *other == op && *own == addr(index) => peers.clone(),
            _ => Vec::new(),
        };
        self.events.iter().flat_map(of).collect()
    }
}

impl Node {
    /// Stores a peer that has just been announced.
    fn plant(&mut self, now: Instant, info_hash: &InfoHash, peer: SocketAddr, seed: bool) {
        let announced = StoredPeer { info_hash: *info_hash, peer, seed, age: Duration::ZERO };
        self.peers.announce(now, &self.id(), &announced);
    }
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn the_first_node_is_ready_alone_and_the_others_join_through_it() {
    let mut net = Net::new(20);
    net.run_for(secs(60));
    for index in 0..20 {
        let ready =
            net.events.iter().filter(|(own, event)| *own == addr(index) && matches!(event, Event::Ready { .. }));
        assert_eq!(ready.count(), 1, "node {index}");
    }
    let known: Vec<usize> = net.nodes.values().map(|node| node.entries().count()).collect();
    assert!(known.iter().all(|&known| known >= 17), "all know nearly everyone: {known:?}");
}

#[test]
fn what_one_announces_every_other_finds() {
    let mut net = Net::new(30);
    net.run_for(secs(30));
    let now = net.now;
    let op = net.node(7).announce(now, SWARM, 5555, true);
    net.run_for(secs(5));
    assert_eq!(net.done(op, 7).stored, 8);
    let now = net.now;
    let ops: Vec<OpId> = (0..30).map(|index| net.node(index).find_peers(now, SWARM)).collect();
    net.run_for(secs(5));
    for (index, op) in (0..30).zip(ops) {
        let peer = SocketAddr::new(addr(7).ip(), 5555);
        assert_eq!(net.peers(op, index), [peer], "from node {index}");
        assert_eq!(net.done(op, index).peers, 1);
    }
}

/// Equal inputs give equal outputs, on every machine and with every compiler: this is all that a small network says in
/// ten minutes. After a deliberate change of what is sent, or when, the number is another.
#[test]
fn a_network_says_the_same_everywhere() {
    let mut net = Net::new(12);
    net.run_for(secs(60));
    let now = net.now;
    net.node(7).announce(now, SWARM, 5555, true);
    net.node(8).scrape(now, SWARM);
    net.run_for(secs(5));
    let now = net.now;
    net.node(3).find_peers(now, SWARM);
    net.node(4).sample(now, addr(5), Target(*SWARM));
    net.run_for(Duration::from_mins(9));
    assert_eq!(format!("{:016x}", net.trace), "52da00c5df40970c");
}

#[test]
fn a_cancelled_operation_says_nothing_more() {
    let mut net = Net::new(10);
    net.run_for(secs(30));
    net.events.clear();
    let now = net.now;
    let op = net.node(3).find_node(now, Target(*SWARM));
    net.node(3).cancel(op);
    net.run_for(secs(5));
    assert_eq!(net.events, []);
}

#[test]
fn ping_names_who_answers_and_ends_also_without_an_answer() {
    let mut net = Net::new(2);
    net.run_for(secs(5));
    let now = net.now;
    let (alive, dead) = (net.node(1).ping(now, addr(0)), net.node(1).ping(now, addr(200)));
    net.run_for(secs(5));
    let id = net.node(0).id();
    assert!(net.events.iter().any(|(_, event)| matches!(event, Event::Pong { op, contact, external, rtt, .. }
        if *op == alive && contact.id == id && *external == Some(addr(1)) && *rtt == DELAY * 2)));
    assert_eq!((net.done(alive, 1).answered, net.done(dead, 1).answered), (1, 0));
}

#[test]
fn the_table_survives_a_link_that_is_down() {
    let mut net = Net::new(12);
    net.run_for(secs(60));
    let before = net.node(5).entries().count();
    net.cut = true;
    net.run_for(Duration::from_hours(3));
    assert_eq!(net.node(5).entries().count(), before);
    net.cut = false;
    net.run_for(Duration::from_mins(3));
    let now = net.now;
    assert!(net.node(5).good_contacts(now) >= before - 1, "the link is back");
}

#[test]
fn a_link_that_goes_and_comes_back_is_told_once_and_silence_is_no_such_thing() {
    let said = |net: &Net| -> Vec<Event> {
        let of_five = net.events.iter().filter(|(own, _)| *own == addr(5)).map(|(_, event)| event.clone());
        of_five.filter(|event| matches!(event, Event::Disconnected | Event::Reconnected)).collect()
    };
    let mut net = Net::new(12);
    net.run_for(Duration::from_hours(1));
    assert_eq!(said(&net), [], "a small network is silent for minutes");
    net.cut = true;
    net.run_for(Duration::from_mins(10));
    assert_eq!(said(&net), [Event::Disconnected]);
    net.run_for(Duration::from_hours(1));
    net.cut = false;
    net.run_for(Duration::from_mins(3));
    assert_eq!(said(&net), [Event::Disconnected, Event::Reconnected]);
}

#[test]
fn a_node_that_starts_without_a_network_joins_when_it_comes() {
    let mut net = Net::new(1);
    net.cut = true;
    net.spawn(1, config());
    net.run_for(Duration::from_hours(2));
    assert_eq!(net.node(1).entries().count(), 0);
    net.cut = false;
    net.run_for(Duration::from_mins(2));
    assert_eq!(net.node(1).entries().count(), 1);
}

#[test]
fn two_nodes_are_a_network_and_a_public_router_is_not_a_contact() {
    let mut net = Net::new(0);
    let at = |index: u8| SocketAddr::from(([50 + index, 18, 1, 1], 6881));
    for (private_network, known) in [(true, 1), (false, 0)] {
        let config = |has_routers| Config { private_network, has_routers, ..Config::new(Family::V4) };
        net.nodes.clear();
        net.nodes.insert(at(0), Node::new(config(false), [0; 32], net.now));
        net.nodes.insert(at(1), Node::new(config(true), [1; 32], net.now));
        net.routers = vec![at(0)];
        net.run_for(Duration::from_mins(1));
        assert_eq!(net.nodes[&at(1)].entries().count(), known);
        assert_eq!(net.nodes[&at(0)].entries().count(), 1, "the router knows who came");
    }
}

#[test]
fn restart_keeps_id_tokens_contacts_and_peers() {
    let mut net = Net::new(10);
    net.run_for(secs(30));
    let now = net.now;
    net.node(3).announce(now, SWARM, 1234, false);
    net.run_for(secs(5));
    let holder = (0..10).find(|&index| net.node(index).peers().peers() > 0).expect("a node stores it");
    let now = net.now;
    let saved = net.node(holder).snapshot(now);
    assert!(saved.contacts.len() >= 8);
    let restarted = Node::new(Config { saved: saved.clone(), ..config() }, [99; 32], Instant::ZERO);
    let again = restarted.snapshot(Instant::ZERO);
    assert_eq!((again.id, again.secrets, again.peers), (saved.id, saved.secrets, saved.peers));
    assert_eq!(again.contacts, saved.contacts);
}

#[test]
fn the_own_neighbourhood_is_looked_at_even_when_there_is_no_room_for_operations() {
    let mut net = Net::new(3);
    net.run_for(secs(10));
    let now = net.now;
    let node = net.node(1);
    while node.has_room_for_operations() {
        node.find_peers(now, SWARM);
    }
    let before = node.operations();
    node.begin_join(now, &[], &[]);
    assert_eq!(node.operations(), before + 1);
}

#[test]
fn a_node_of_a_private_network_that_comes_back_with_another_id_is_known_again() {
    let mut net = Net::new(3);
    net.run_for(secs(60));
    let reborn = Node::new(config(), [99; 32], net.now);
    let contact = Contact { id: reborn.id(), addr: addr(1) };
    net.nodes.insert(addr(1), reborn);
    net.run_for(secs(180));
    assert!(net.node(0).entries().any(|entry| entry.contact == contact));
}

#[test]
fn an_endpoint_that_answers_with_another_id_leaves_the_cache_under_the_old_one() {
    let mut net = Net::new(0);
    net.nodes.clear();
    net.spawn(0, Config { has_routers: false, cache_ways: 8, ..config() });
    net.spawn(1, config());
    net.run_for(secs(60));
    let old = *net.node(1).id();
    assert!(net.node(0).cache.near(&old).any(|(contact, _)| contact.addr == addr(1)));
    let reborn = Node::new(config(), [99; 32], net.now);
    assert_ne!(reborn.id().as_bytes()[0], old.as_bytes()[0]);
    net.nodes.insert(addr(1), reborn);
    net.run_for(secs(180));
    assert!(net.node(0).cache.near(&old).all(|(contact, _)| contact.addr != addr(1)));
}

#[test]
fn routers_are_remembered_when_their_names_cannot_be_resolved_again() {
    let router = "8.8.8.8:6881".parse().unwrap();
    let mut node = Node::new(Config::new(Family::V4), [1; 32], Instant::ZERO);
    node.add_routers(Instant::ZERO, &[router]);
    node.add_routers(Instant::from_secs(5), &[]);
    assert!(node.joining.is_router(&router));
}

#[test]
fn peers_of_a_private_network_are_not_restored_into_the_mainline() {
    let stored =
        |peer: &str| StoredPeer { info_hash: SWARM, peer: peer.parse().unwrap(), seed: false, age: Duration::ZERO };
    let saved = Snapshot { peers: vec![stored("10.0.0.1:1"), stored("8.8.8.8:1")], ..Snapshot::default() };
    let node = Node::new(Config { saved, ..Config::new(Family::V4) }, [1; 32], Instant::ZERO);
    assert_eq!(
        node.peers().iter(Instant::ZERO).map(|stored| stored.peer).collect::<Vec<_>>(),
        ["8.8.8.8:1".parse().unwrap()]
    );
}

/// A node that is only handed datagrams.
struct Bench {
    node: Node,
    now: Instant,
}

impl Bench {
    fn new(config: Config) -> Self {
        let mut bench = Self { node: Node::new(config, [5; 32], Instant::ZERO), now: Instant::from_secs(1) };
        bench.drain();
        bench
    }

    fn drain(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut sent = Vec::new();
        loop {
            match self.node.poll_output() {
                Output::Transmit { to, payload } => sent.push((to, payload.to_vec())),
                Output::Event(_) => {}
                Output::Wait(..) => return sent,
            }
        }
    }

    fn handle(&mut self, from: SocketAddr, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.node.handle_datagram(self.now, from, bytes);
        self.drain().into_iter().inspect(|(to, _)| assert_eq!(*to, from)).map(|(_, bytes)| bytes).collect()
    }
}

fn get_peers(info_hash: &Id) -> Vec<u8> {
    let mut query = b"d1:ad2:id20:abcdefghij01234567899:info_hash20:".to_vec();
    query.extend(info_hash.0);
    query.extend(b"e1:q9:get_peers2:roi1e1:t2:aa1:y1:qe");
    query
}

fn announce(info_hash: &Id, token: &[u8], rest: &str) -> Vec<u8> {
    let mut query = b"d1:ad2:id20:abcdefghij0123456789".to_vec();
    query.extend(rest.as_bytes());
    query.extend(b"9:info_hash20:");
    query.extend(info_hash.0);
    query.extend(b"5:token8:");
    query.extend(token);
    query.extend(b"e1:q13:announce_peer2:roi1e1:t2:aa1:y1:qe");
    query
}

fn token(bench: &mut Bench, from: SocketAddr) -> Vec<u8> {
    let reply = bench.handle(from, &get_peers(&SWARM)).remove(0);
    let Kind::Response(response) = Message::decode(&reply).expect("a message").kind else { panic!("no response") };
    response.token.expect("a token").to_vec()
}

fn code(reply: &[u8]) -> i64 {
    let Kind::Error(code) = Message::decode(reply).expect("a message").kind else { panic!("no error") };
    code
}

#[test]
fn a_peer_is_the_source_address_and_the_announced_or_implied_port() {
    let mut bench = Bench::new(config());
    let from: SocketAddr = "10.9.8.7:4321".parse().unwrap();
    let token = token(&mut bench, from);
    for (rest, port) in [("4:porti77e", 77), ("12:implied_porti1e4:porti0e", 4321), ("12:implied_porti1e", 4321)] {
        let reply = bench.handle(from, &announce(&SWARM, &token, rest)).remove(0);
        assert!(matches!(Message::decode(&reply).expect("a message").kind, Kind::Response(_)));
        assert!(bench.node.peers().iter(bench.now).any(|stored| stored.peer == SocketAddr::new(from.ip(), port)));
    }
}

#[test]
fn a_token_is_good_for_ten_minutes_at_one_address_for_one_infohash() {
    let mut bench = Bench::new(config());
    let from: SocketAddr = "10.9.8.7:4321".parse().unwrap();
    let token = token(&mut bench, from);
    let port = "4:porti77e";
    assert_eq!(code(&bench.handle("10.9.8.6:1".parse().unwrap(), &announce(&SWARM, &token, port))[0]), 203);
    assert_eq!(code(&bench.handle(from, &announce(&Id([1; 20]), &token, port))[0]), 203);
    assert_eq!(bench.node.peers().peers(), 0);
    bench.now += ROTATION;
    bench.node.handle_timeout(bench.now);
    bench.drain();
    bench.handle("10.9.8.7:9".parse().unwrap(), &announce(&SWARM, &token, port));
    assert_eq!(bench.node.peers().peers(), 1, "another port of the same address, one rotation later");
    bench.now += ROTATION;
    bench.node.handle_timeout(bench.now);
    bench.drain();
    assert_eq!(code(&bench.handle(from, &announce(&SWARM, &token, port))[0]), 203);
}

#[test]
fn garbage_responses_errors_and_impossible_sources_are_never_answered() {
    let mut bench = Bench::new(config());
    let from: SocketAddr = "10.9.8.7:4321".parse().unwrap();
    for bytes in [
        &b"hello"[..],
        b"",
        b"d1:t2:aa1:y1:re",
        b"d1:rd2:id20:abcdefghij0123456789e1:t4:aaaa1:y1:re",
        b"d1:eli201e1:xe1:t4:aaaa1:y1:ee",
        b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:y1:qe",
    ] {
        assert_eq!(bench.handle(from, bytes), Vec::<Vec<u8>>::new());
    }
    let ping = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe";
    for from in ["10.9.8.7:0", "0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "[2001:db8::1]:1"] {
        assert_eq!(bench.handle(from.parse().unwrap(), ping), Vec::<Vec<u8>>::new());
    }
    assert_eq!(bench.node.stats().unanswerable, 5);
    assert_eq!(bench.node.stats().unmatched, 2);
}

#[test]
fn a_read_only_node_answers_nothing_and_says_so() {
    let mut net = Net::new(5);
    net.spawn(9, Config { serve: Serve::Never, ..config() });
    net.run_for(secs(30));
    let now = net.now;
    let op = net.node(9).announce(now, SWARM, 1, false);
    net.run_for(secs(5));
    assert_eq!(net.done(op, 9).stored, 5);
    let known = net.nodes.values().any(|node| node.entries().any(|entry| entry.contact.addr == addr(9)));
    assert!(!known, "a read-only node entered a table");
    assert!(net.node(9).stats().responses > 0);
}

#[test]
fn an_id_follows_the_address_that_others_see() {
    let mut net = Net::new(0);
    let at = |index: u8| SocketAddr::from(([50 + index, 18, 1, 1], 6881));
    let public = |index| {
        (at(index), Node::new(Config { compliance: Compliance::Off, ..Config::new(Family::V4) }, [index; 32], net.now))
    };
    net.nodes = (1..30).map(public).collect();
    net.routers = vec![at(1)];
    net.run_for(Duration::from_mins(10));
    let compliant = net.nodes.iter().filter(|(addr, node)| node.id().matches_address(addr.ip())).count();
    assert!(compliant >= 25, "{compliant} of 29 have an id that fits their address");
}

#[test]
fn who_asks_under_our_id_is_answered_so_that_it_notices_and_not_asked_back() {
    let mut bench = Bench::new(config());
    let mut ping = b"d1:ad2:id20:".to_vec();
    ping.extend(bench.node.id().as_bytes());
    ping.extend(b"e1:q4:ping1:t2:aa1:y1:qe");
    let sent = bench.handle("10.9.8.7:4321".parse().unwrap(), &ping);
    assert!(sent.len() == 1 && sent[0].ends_with(b"1:y1:re"), "{sent:?}");
}

#[test]
fn one_source_is_limited_and_the_limit_is_silent() {
    let mut bench = Bench::new(Config::new(Family::V4));
    let from: SocketAddr = "9.9.8.7:4321".parse().unwrap();
    let replies: usize = (0..500).map(|_| bench.handle(from, &get_peers(&SWARM)).len()).sum();
    assert_eq!(replies, crate::engine::limits::SOURCE_BURST as usize);
    assert_eq!(bench.node.stats().limited, 500 - replies as u64);
}

#[test]
fn want_adds_the_other_family() {
    let mut bench = Bench::new(config());
    let v6 = |index: u16| Contact {
        id: NodeId::new([index as u8; 20]),
        addr: ([0x2001, 0xdb8, 0, 0, 0, 0, 0, index], 1).into(),
    };
    bench.node.set_other_family((1..30).map(v6));
    let query = b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz1234564:wantl2:n42:n6ee1:q9:find_node2:roi1e1:t2:aa1:y1:qe";
    let reply = bench.handle("10.9.8.7:1".parse().unwrap(), query).remove(0);
    let Kind::Response(response) = Message::decode(&reply).expect("a message").kind else { panic!("no response") };
    let target = Id(*b"mnopqrstuvwxyz123456");
    let mut expected: Vec<Contact> = (1..30).map(v6).collect();
    expected.sort_by_key(|contact| contact.id.distance(&target));
    assert_eq!(response.contacts(Family::V6).collect::<Vec<_>>(), expected[..8]);
    assert_eq!(response.contacts(Family::V4).count(), 0);
}

fn query() -> impl Strategy<Value = Vec<u8>> {
    let piece = |key: &'static str, value: BoxedStrategy<String>| prop_oneof![3 => value.prop_map(move |value| format!("{}:{key}{value}", key.len())), 1 => Just(String::new())];
    let text = |len: std::ops::RangeInclusive<usize>| {
        proptest::string::string_regex(&format!("[a-z]{{{},{}}}", len.start(), len.end()))
            .expect("a pattern")
            .prop_map(|text| format!("{}:{text}", text.len()))
            .boxed()
    };
    let want = prop::sample::select(vec!["l2:n4e", "l2:n6e", "l2:n42:n6e", "le", "i3e"]).prop_map(String::from).boxed();
    let method = prop::sample::select(vec![
        "ping",
        "find_node",
        "get_peers",
        "announce_peer",
        "vote",
        "sample_infohashes",
        "get",
        "put",
    ]);
    (
        piece("id", text(20..=20)),
        piece("info_hash", text(19..=20)),
        piece("target", text(20..=20)),
        (piece("scrape", Just("i1e".to_owned()).boxed()), piece("want", want)),
        method,
        text(1..=22),
    )
        .prop_map(|(id, hash, target, (scrape, want), method, t)| {
            format!("d1:ad{id}{hash}{scrape}{target}{want}e1:q{}:{method}1:t{t}1:y1:qe", method.len()).into_bytes()
        })
}

proptest! {
    /// Whatever is asked of a node that has much to say, no reply exceeds the cap and none is larger than one datagram
    /// per query.
    #[test]
    fn no_reply_exceeds_its_cap(queries in prop::collection::vec(query(), 1..20)) {
        let mut bench = Bench::new(config());
        let v6 = |index: u16| Contact { id: NodeId::new([index as u8; 20]), addr: ([0x2001, 0xdb8, 0, 0, 0, 0, 0, index], 1).into() };
        bench.node.set_other_family((1..30).map(v6));
        for index in 0..=255 {
            let contact = Contact { id: NodeId::new([index; 20]), addr: addr(index) };
            bench.node.table.answered(bench.now, contact, DELAY);
            let hash = InfoHash::from(*b"aaaaaaaaaaaaaaaaaaaa");
            bench.node.plant(bench.now, &hash, addr(index), false);
        }
        for query in queries {
            let replies = bench.handle("10.9.8.7:4321".parse().unwrap(), &query);
            let answers = replies.iter().filter(|reply| !reply.ends_with(b"1:y1:qe"));
            prop_assert!(answers.clone().count() <= 1);
            prop_assert!(answers.clone().all(|reply| reply.len() <= MAX_DATAGRAM));
        }
    }

    /// No bytes whatever make a node panic or answer twice.
    #[test]
    fn no_datagram_makes_a_node_panic(datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 1..10)) {
        let mut bench = Bench::new(config());
        for datagram in datagrams {
            bench.handle("10.9.8.7:4321".parse().unwrap(), &datagram);
        }
    }
}
