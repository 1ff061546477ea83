//! What a query brings an attacker who forges its source: bytes of the reply for each byte of the query, calm and in a flood.

use std::net::IpAddr;

use super::*;
use crate::engine::items::{Item, Value};
use crate::engine::krpc::encode::{self, Ask, PutFields};
use crate::engine::limits::{REPLY_BURST_BYTES, SHORT_REPLY_FACTOR, SHORT_REPLY_PEERS};

/// The documented table.
const OPERATING: &str = include_str!("../../../../docs/OPERATING.md");

/// A node of the mainline that knows contacts, a swarm, an item and samples, each more than a datagram holds.
fn knowing(family: Family) -> Bench {
    let mut bench = Bench::new(Config { has_routers: false, ..Config::new(family) });
    let own = bench.node.id();
    let at = |kind: u8, index: u8| -> SocketAddr {
        match family {
            Family::V4 => ([50 + kind, index, 1, 1], 6881).into(),
            Family::V6 => ([0x2001, 0xd00 + u16::from(kind), u16::from(index), 0, 0, 0, 0, 1], 6881).into(),
        }
    };
    for index in 0..100 {
        let mut id = [index * 2; 20];
        id[1] = index;
        bench.node.table.answered(bench.now, Contact { id: NodeId::new(id), addr: at(index % 10, index) }, DELAY);
        (0..2).for_each(|kind| bench.node.plant(bench.now, &SWARM, at(100 + kind, index), index % 2 == 0));
        bench.node.plant(bench.now, &InfoHash::from([index; 20]), at(120, index), false);
    }
    bench.node.items.put(bench.now, &own, item(), None, None).expect("room");
    bench
}

fn item() -> Item {
    Item::Immutable(Value::from_contents(&[b'x'; 990]).expect("a value"))
}

fn asks() -> [(&'static str, Ask<'static>); 8] {
    let put = PutFields { token: b"aoeusnth", value: b"12:Hello World!", signed: None, cas: None };
    let announce = Ask::AnnouncePeer { info_hash: SWARM, port: 6881, seed: false, token: b"aoeusnth" };
    [
        ("ping", Ask::Ping),
        ("find_node", Ask::FindNode(Target(*SWARM))),
        ("get_peers", Ask::GetPeers(SWARM)),
        ("get_peers, scrape (BEP 33)", Ask::Scrape(SWARM)),
        ("sample_infohashes (BEP 51)", Ask::SampleInfohashes(Target(*SWARM))),
        ("get (BEP 44)", Ask::Get(item().target())),
        ("put, token not valid", Ask::Put(put)),
        ("announce_peer, token not valid", announce),
    ]
}

/// The bytes of a query and of its reply, after `spent` bytes of replies to others.
fn measure(family: Family, ask: &Ask<'_>, spent: u32) -> (usize, Vec<u8>) {
    let mut bench = knowing(family);
    let (from, other): (SocketAddr, IpAddr) = match family {
        Family::V4 => (([9, 9, 9, 9], 6881).into(), [8, 8, 8, 8].into()),
        Family::V6 => (([0x2001, 0x999, 0, 0, 0, 0, 0, 1], 6881).into(), [0x2001, 0x888, 0, 0, 0, 0, 0, 1].into()),
    };
    let budget = bench.node.reply_budget.as_mut().expect("a node of the mainline has one");
    budget.note_reply(bench.now, other, spent as usize);
    let mut query = Vec::new();
    encode::query(&mut query, *b"aaaa", &NodeId::new([0x77; 20]), true, ask);
    (query.len(), bench.handle(from, &query).pop().unwrap_or_default())
}

#[test]
fn in_a_flood_no_query_brings_more_than_three_times_its_bytes() {
    for family in [Family::V4, Family::V6] {
        for (name, ask) in asks() {
            for spent in [REPLY_BURST_BYTES / 2 + 1, REPLY_BURST_BYTES * 3 / 4 + 1] {
                let (query, reply) = measure(family, &ask, spent);
                assert!(
                    reply.len() <= query * SHORT_REPLY_FACTOR,
                    "{name}: {} for {query} bytes, {family:?}",
                    reply.len()
                );
                assert!(reply.is_empty() || Message::decode(&reply).is_ok(), "{name} {family:?}");
            }
        }
    }
}

#[test]
fn the_documented_bytes_of_each_reply_are_true() {
    let mut missing = String::new();
    for (name, ask) in asks() {
        let [calm, short, bare] = [0, REPLY_BURST_BYTES / 2 + 1, REPLY_BURST_BYTES * 3 / 4 + 1].map(|spent| {
            let (query, reply) = measure(Family::V4, &ask, spent);
            let factor = reply.len() as f64 / query as f64;
            if reply.is_empty() { "none".to_owned() } else { format!("{} ({factor:.1} x)", reply.len()) }
        });
        let (query, _) = measure(Family::V4, &ask, 0);
        let row = format!("| {name} | {query} | {calm} | {short} | {bare} |");
        if !OPERATING.contains(&row) {
            missing += &format!("{row}\n");
        }
    }
    assert!(missing.is_empty(), "docs/OPERATING.md lacks these rows:\n{missing}");
}

#[test]
fn a_short_reply_brings_a_new_client_contacts_peers_and_a_token() {
    for family in [Family::V4, Family::V6] {
        let (_, reply) = measure(family, &Ask::GetPeers(SWARM), REPLY_BURST_BYTES / 2 + 1);
        let Kind::Response(response) = Message::decode(&reply).expect("a message").kind else { panic!("no response") };
        assert!(response.token.is_some() && response.contacts(family).count() > 0, "{family:?}");
        assert!(response.values.iter().count() >= SHORT_REPLY_PEERS, "{family:?}");
        let (_, reply) = measure(family, &Ask::GetPeers(SWARM), REPLY_BURST_BYTES * 3 / 4 + 1);
        let Kind::Response(response) = Message::decode(&reply).expect("a message").kind else { panic!("no response") };
        assert!(response.token.is_some() && response.contacts(family).count() == 0, "{family:?}");
        let (_, reply) = measure(family, &Ask::GetPeers(SWARM), 0);
        let Kind::Response(response) = Message::decode(&reply).expect("a message").kind else { panic!("no response") };
        assert!(response.values.iter().count() > 15, "the only question of a client brings it peers, {family:?}");
    }
}

#[test]
fn whoever_echoed_a_token_is_answered_in_full_during_a_flood() {
    let mut bench = knowing(Family::V4);
    let from: SocketAddr = ([9, 9, 9, 9], 6881).into();
    let token = bench.node.tokens.give(from.ip(), &SWARM);
    let ask = |bench: &mut Bench, ask: &Ask<'_>| {
        let mut query = Vec::new();
        encode::query(&mut query, *b"aaaa", &NodeId::new([0x77; 20]), true, ask);
        bench.handle(from, &query).pop().unwrap_or_default().len()
    };
    let flood = |bench: &mut Bench| {
        let budget = bench.node.reply_budget.as_mut().expect("a node of the mainline has one");
        budget.note_reply(bench.now, [8, 8, 8, 8].into(), REPLY_BURST_BYTES as usize * 3 / 4 + 1);
    };
    flood(&mut bench);
    let before = ask(&mut bench, &Ask::GetPeers(SWARM));
    ask(&mut bench, &Ask::AnnouncePeer { info_hash: SWARM, port: 6881, seed: false, token: &token });
    let after = ask(&mut bench, &Ask::GetPeers(SWARM));
    assert!(before < 100 && after > 900, "{before} bytes before, {after} after");
    assert_eq!(bench.node.stats().short_replies, 2);
}

#[test]
fn a_node_that_we_asked_is_heard_however_many_others_flood_us() {
    let mut bench = knowing(Family::V4);
    bench.node.find_node(bench.now, Target(*SWARM));
    let asked = bench.drain();
    assert!(!asked.is_empty());
    let budget = bench.node.reply_budget.as_mut().expect("a node of the mainline has one");
    budget.note_reply(bench.now, [8, 8, 8, 8].into(), 2 * REPLY_BURST_BYTES as usize);
    let flooded = measure_in(&mut bench, ([9, 9, 9, 9], 6881).into(), &Ask::Ping);
    assert_eq!((flooded, bench.node.stats().limited_by_all), (0, 1), "a query is dropped");
    for (to, query) in &asked {
        for _ in 0..100 {
            measure_in(&mut bench, *to, &Ask::Ping);
        }
        let transaction = Message::decode(query).expect("ours").transaction;
        let theirs = bench.node.entries().find(|entry| entry.contact.addr == *to).expect("it was asked").contact.id;
        let reply = [&b"d1:rd2:id20:"[..], theirs.as_bytes().as_slice(), b"e1:t4:", transaction, b"1:y1:re"].concat();
        bench.node.handle_datagram(bench.now, *to, &reply);
    }
    assert_eq!(bench.node.stats().responses, asked.len() as u64, "every response counts");
}

/// Bytes of the reply to a query from `from`.
fn measure_in(bench: &mut Bench, from: SocketAddr, ask: &Ask<'_>) -> usize {
    let mut query = Vec::new();
    encode::query(&mut query, *b"aaaa", &NodeId::new([0x77; 20]), true, ask);
    bench.node.handle_datagram(bench.now, from, &query);
    bench.drain().iter().filter(|(to, _)| *to == from).map(|(_, bytes)| bytes.len()).sum()
}
