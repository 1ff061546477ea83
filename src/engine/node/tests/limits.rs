//! Limits that strangers can reach, each reached: what is over it is counted or left, and the node goes on.

use super::*;
use crate::engine::contact::CompactAddr;
use crate::engine::krpc::encode::{self, Ask, Reply};
use crate::engine::limits::{
    KEY_REPLIES_PER_SECOND, KEY_REPLY_BURST, MAX_CONTACTS, MAX_RECEIVED, MAX_TOKEN, OPERATIONS, OTHER_FAMILY_CONTACTS,
    OWNER_REPLY_BURST_BYTES, OWNER_REPLY_BYTES_PER_SECOND, PEERS_PER_LOOKUP, ROUNDS_OF_WRITES, ROUTERS, SAVED_CONTACTS,
    SOURCE_QUERIES_PER_SECOND,
};

fn mainline() -> Config {
    Config { has_routers: false, cache_ways: 0, ..Config::new(Family::V4) }
}

fn far(index: usize) -> SocketAddr {
    ([50 + (index >> 16) as u8, (index >> 8) as u8, index as u8, 1], 6881).into()
}

/// A node that knows one contact, which does not answer.
fn with_a_contact() -> Bench {
    let mut bench = Bench::new(mainline());
    bench.node.table.answered(bench.now, Contact { id: NodeId::new([0x55; 20]), addr: far(1) }, DELAY);
    bench
}

#[test]
fn one_operation_more_than_may_run_is_over_at_once() {
    let mut bench = with_a_contact();
    let ops: Vec<OpId> = (0..=OPERATIONS).map(|_| bench.node.find_node(bench.now, Target(*SWARM))).collect();
    assert_eq!((bench.node.operations.len(), bench.node.stats().operations_refused), (OPERATIONS, 1));
    let mut over = Vec::new();
    while let output @ (Output::Event(_) | Output::Transmit { .. }) = bench.node.poll_output() {
        if let Output::Event(Event::Done { op, .. }) = output {
            over.push(op);
        }
    }
    assert_eq!(over, [ops[OPERATIONS]]);
}

#[test]
fn routers_and_contacts_of_the_other_family_are_bounded() {
    let mut bench = Bench::new(Config { has_routers: true, ..mainline() });
    let routers: Vec<SocketAddr> = (0..3 * ROUTERS).map(far).collect();
    bench.node.add_routers(bench.now, &routers);
    assert_eq!(bench.drain().len(), ROUTERS);
    let contact = |index: u16| Contact {
        id: NodeId::new([index as u8; 20]),
        addr: (std::net::Ipv6Addr::new(0x2001, 0xd00, index, 0, 0, 0, 0, 1), 6881).into(),
    };
    bench.node.set_other_family((0..2 * OTHER_FAMILY_CONTACTS as u16).map(contact));
    assert_eq!(bench.node.other_family.len(), OTHER_FAMILY_CONTACTS);
}

#[test]
fn contacts_that_are_saved_without_a_good_one_are_bounded() {
    let contact = |index: usize| Contact { id: NodeId::new([index as u8; 20]), addr: far(index) };
    let saved = Snapshot { contacts: (0..3 * SAVED_CONTACTS).map(contact).collect(), ..Snapshot::default() };
    let bench = Bench::new(Config { saved, ..mainline() });
    assert_eq!(bench.node.snapshot(bench.now).contacts.len(), SAVED_CONTACTS);
}

#[test]
fn datagrams_and_tokens_that_are_too_long_are_left() {
    let mut bench = with_a_contact();
    let mut ping = Vec::new();
    encode::query(&mut ping, *b"aaaa", &NodeId::new([0x77; 20]), true, &Ask::Ping);
    ping.resize(MAX_RECEIVED, b' ');
    bench.handle(far(2), &ping);
    assert_eq!(bench.node.stats().unanswerable, 0, "the longest that is read");
    ping.push(b' ');
    assert_eq!(bench.handle(far(2), &ping), Vec::<Vec<u8>>::new());
    assert_eq!(bench.node.stats().unanswerable, 1);
    for (length, kept) in [(MAX_TOKEN, true), (MAX_TOKEN + 1, false)] {
        let token = vec![b'x'; length];
        let mut reply = Vec::new();
        let mut response = Reply::begin(&mut reply, &NodeId::new([0x55; 20]), &far(1), b"aaaa");
        response.token(&token);
        response.end();
        let Kind::Response(response) = Message::decode(&reply).expect("a message").kind else { panic!("no response") };
        assert_eq!(response.token.is_some(), kept, "{length} bytes");
    }
}

#[test]
fn contacts_and_peers_of_answers_are_bounded() {
    let mut bench = with_a_contact();
    let op = bench.node.find_peers(bench.now, SWARM);
    let (to, query) = bench.drain().pop().expect("a query");
    let transaction = Message::decode(&query).expect("ours").transaction.to_vec();
    let contacts: Vec<u8> = (0..3 * MAX_CONTACTS)
        .flat_map(|index| [&[index as u8 + 1; 20][..], CompactAddr::new(&far(3000 + 256 * index)).as_bytes()].concat())
        .collect();
    let head = format!("d1:rd2:id20:{}5:nodes{}:", "U".repeat(20), contacts.len());
    let values = b"6:valuesl6:\x08\x08\x08\x08\x1a\xe1e";
    let reply = [head.as_bytes(), &contacts, values, b"e1:t4:", &transaction, b"1:y1:re"].concat();
    let Kind::Response(response) = Message::decode(&reply).expect("a message").kind else { panic!("no response") };
    assert_eq!((response.contacts(Family::V4).count(), response.values.iter().count()), (MAX_CONTACTS, 1));
    // As many peers were reported as one lookup reports.
    let operation = bench.node.operations.get_mut(&op).expect("it runs");
    operation.seen.extend((0..PEERS_PER_LOOKUP).map(far));
    bench.node.handle_datagram(bench.now, to, &reply);
    assert_eq!(bench.node.operations.get(&op).map(|operation| operation.seen.len()), Some(PEERS_PER_LOOKUP));
}

#[test]
fn a_source_and_a_network_get_what_they_may_and_no_more() {
    let mut bench = Bench::new(mainline());
    let mut ping = Vec::new();
    encode::query(&mut ping, *b"aaaa", &NodeId::new([0x77; 20]), true, &Ask::Ping);
    let answered = |bench: &mut Bench, hosts: u8, seconds: u64| {
        let (mut answers, mut bytes) = (0, 0);
        for _ in 0..100 * seconds {
            for host in 0..hosts {
                for reply in bench.handle(([80, 1, 1, host], 6881).into(), &ping) {
                    (answers, bytes) = (answers + 1, bytes + reply.len() + 28);
                }
            }
            bench.now += DELAY;
        }
        (answers, bytes)
    };
    answered(&mut bench, 1, 10);
    let (answers, _) = answered(&mut bench, 1, 10);
    assert!(answers <= 10 * SOURCE_QUERIES_PER_SECOND + 1, "{answers} in ten seconds");
    assert!(bench.node.stats().limited > 0);
    let (_, bytes) = answered(&mut bench, 250, 10);
    assert!(bytes as u32 <= 10 * OWNER_REPLY_BYTES_PER_SECOND + OWNER_REPLY_BURST_BYTES, "{bytes} bytes");
    assert!(bench.node.stats().limited_by_network > 0);
}

/// Ten thousand questions a second for one swarm, of as many askers, and a hundred for others between them, of which every one is
/// answered in full.
#[test]
fn a_swarm_that_everybody_asks_for_does_not_silence_the_others() {
    let mut bench = with_a_contact();
    let hot = InfoHash(Id([0x66; 20]));
    let peer = |index: usize| StoredPeer { info_hash: hot, peer: far(256 * index), seed: false, age: Duration::ZERO };
    for index in 0..500 {
        bench.node.peers.announce(bench.now, &NodeId(Id([0x77; 20])), &peer(index));
    }
    let ask = |info_hash: InfoHash| {
        let mut query = Vec::new();
        encode::query(&mut query, *b"aaaa", &NodeId::new([0x77; 20]), true, &Ask::GetPeers(info_hash));
        query
    };
    let (mut hot_answers, mut bytes, mut others) = (0, 0, 0);
    for index in 0..30_000 {
        bench.now += Duration::from_micros(100);
        let replies = bench.handle(far(256 * (index % 17_000) + 7), &ask(hot));
        (hot_answers, bytes) = (hot_answers + replies.len(), bytes + replies.iter().map(Vec::len).sum::<usize>());
        if index % 100 == 0 {
            let mut other = [0x55; 20];
            other[..4].copy_from_slice(&(index as u32).to_be_bytes());
            others += bench.handle(far(256 * (index % 17_000) + 8), &ask(InfoHash(Id(other)))).len();
        }
    }
    assert!(others >= 297, "{others} of 300: one in some thousand shares a slot");
    assert_eq!(bench.node.stats().short_replies, 0);
    let most = 3 * KEY_REPLIES_PER_SECOND + KEY_REPLY_BURST;
    assert!((most as usize * 9 / 10..=most as usize).contains(&hot_answers), "{hot_answers} of {most}");
    assert_eq!(bench.node.stats().limited_by_key, 30_000 - hot_answers as u64);
    assert!(bytes > 3 * 300 * KEY_REPLIES_PER_SECOND as usize, "they bring peers");
}

/// Every node says that it has no room: the search ends.
#[test]
fn an_announce_that_nobody_takes_goes_on_a_bounded_number_of_times() {
    let mut bench = Bench::new(mainline());
    let mut random = Random::new([4; 32]);
    let mut ids = BTreeMap::new();
    for index in 0..200 {
        let contact = Contact { id: NodeId(random.wire_id()), addr: far(256 * index) };
        bench.node.table.answered(bench.now, contact, DELAY);
        ids.insert(contact.addr, contact.id);
    }
    let known = bench.node.entries().count();
    assert!(known > 100, "{known}");
    let op = bench.node.announce(bench.now, SWARM, 5555, false);
    let mut refused = 0;
    while bench.node.operations.contains_key(&op) {
        for (to, bytes) in bench.drain() {
            let query = Message::decode(&bytes).expect("ours");
            let Kind::Query(query_kind) = &query.kind else { continue };
            let reply = match query_kind.method {
                crate::engine::krpc::Method::AnnouncePeer { .. } => {
                    refused += 1;
                    [&b"d1:eli202e7:no roome1:t4:"[..], query.transaction, b"1:y1:ee"].concat()
                }
                _ => [
                    &b"d1:rd2:id20:"[..],
                    ids[&to].as_bytes().as_slice(),
                    b"5:token4:abcde1:t4:",
                    query.transaction,
                    b"1:y1:re",
                ]
                .concat(),
            };
            bench.node.handle_datagram(bench.now, to, &reply);
        }
        bench.now += DELAY;
        bench.node.handle_timeout(bench.now);
    }
    // Two attempts, each of a first round of writes and those that follow.
    let most = 2 * (1 + ROUNDS_OF_WRITES) * 2 * crate::engine::limits::K;
    assert!((2 * ROUNDS_OF_WRITES..=most).contains(&refused), "{refused} refusals");
}
