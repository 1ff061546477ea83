//! What a response or an error in answer to our query makes of the operation and of the contact.

use super::*;
use crate::engine::krpc::Fault;
use crate::engine::limits::PEERS_PER_SWARM;
use crate::engine::routing::Health;

const THEIRS: NodeId = NodeId::new([0x55; 20]);

/// A node that knows one contact and has just asked it for the nodes closest to [`SWARM`]; and its query.
fn asking() -> (Bench, OpId, Vec<u8>) {
    let mut bench = Bench::new(Config { has_routers: false, ..config() });
    bench.node.table.answered(bench.now, Contact { id: THEIRS, addr: addr(1) }, DELAY);
    let op = bench.node.find_node(bench.now, Target(*SWARM));
    let (to, query) = bench.drain().pop().expect("a query");
    assert_eq!(to, addr(1));
    (bench, op, query)
}

/// The end of the operation, which comes without further delay.
fn summary(bench: &mut Bench, op: OpId) -> Option<Summary> {
    loop {
        match bench.node.poll_output() {
            Output::Event(Event::Done { op: other, summary }) if other == op => return Some(summary),
            Output::Wait(..) => return None,
            _ => {}
        }
    }
}

fn reply(query: &[u8], head: &[u8], kind: &[u8]) -> Vec<u8> {
    let transaction = Message::decode(query).expect("a query").transaction;
    [head, b"1:t4:", transaction, b"1:y1:", kind, b"e"].concat()
}

fn response_from(id: &Id, query: &[u8]) -> Vec<u8> {
    reply(query, &[&b"d1:rd2:id20:"[..], &id.0, b"e"].concat(), b"r")
}

#[test]
fn a_response_is_one_only_under_an_id_that_is_not_ours_nor_zero() {
    let own = Bench::new(Config { has_routers: false, ..config() }).node.id();
    for (id, answered) in [(THEIRS, 1), (own, 0), (NodeId::ZERO, 0)] {
        let (mut bench, op, query) = asking();
        assert_eq!(bench.node.id(), own);
        bench.node.handle_datagram(bench.now, addr(1), &response_from(&id, &query));
        // One that reached no node is tried once more.
        let counted = bench.node.stats().responses;
        assert_eq!(counted, answered, "{id}");
        if answered == 1 {
            assert_eq!(summary(&mut bench, op).map(|summary| summary.closest.len()), Some(1));
        }
        assert!(bench.node.entries().all(|entry| entry.contact.id == THEIRS));
    }
}

#[test]
fn an_error_is_no_answer_but_no_death_either() {
    for error in [&b"d1:eli202e6:Servere"[..], b"d1:eli201ee", b"d1:e5:Oops!"] {
        let (mut bench, _, query) = asking();
        let errors = (0..5).map(|_| {
            bench.node.handle_datagram(bench.now, addr(1), &reply(&query, error, b"e"));
            bench.node.stats().errors
        });
        assert_eq!(errors.last(), Some(1), "once for one query");
        assert!(bench.node.entries().all(|entry| entry.health(bench.now) == Health::Good), "it lives");
    }
}

#[test]
fn nothing_is_written_to_a_node_that_gives_no_token_or_one_too_long() {
    for (token, written) in [(8, true), (64, true), (65, false), (0, false)] {
        let mut bench = Bench::new(Config { has_routers: false, ..config() });
        bench.node.table.answered(bench.now, Contact { id: THEIRS, addr: addr(1) }, DELAY);
        bench.node.announce(bench.now, SWARM, 1, false);
        let (_, query) = bench.drain().pop().expect("a query");
        let token = [format!("5:token{token}:").into_bytes(), vec![b'x'; token]].concat();
        let head = [&b"d1:rd2:id20:"[..], THEIRS.as_bytes().as_slice(), &token, b"e"].concat();
        bench.node.handle_datagram(bench.now, addr(1), &reply(&query, &head, b"r"));
        let announces = |query: &[u8]| query.windows(13).any(|bytes| bytes == b"announce_peer");
        assert_eq!(bench.drain().iter().any(|(_, query)| announces(query)), written);
    }
}

/// aria2 drops an answer without a token whole, with the peers and nodes in it.
#[test]
fn a_full_store_gives_a_token_and_refuses_the_announce() {
    let from: SocketAddr = ([60, 1, 1, 1], 6881).into();
    let config = Config { peer_memory_bytes: 0, has_routers: false, ..Config::new(Family::V4) };
    let mut bench = Bench::new(config);
    let given = token(&mut bench, from);
    let reply = bench.handle(from, &announce(&SWARM, &given, "4:porti77e")).remove(0);
    assert_eq!(code(&reply), Fault::NoRoom.code());
    assert_eq!((bench.node.peers().peers(), bench.node.stats().announces_not_stored), (0, 1));
    // A swarm that is there takes peers for ever: the oldest gives way.
    let mut bench = Bench::new(Config { has_routers: false, ..Config::new(Family::V4) });
    for index in 0..2 * PEERS_PER_SWARM {
        bench.node.plant(bench.now, &SWARM, ([50, (index >> 8) as u8, index as u8, 1], 6881).into(), false);
    }
    let given = token(&mut bench, from);
    let reply = bench.handle(from, &announce(&SWARM, &given, "4:porti7777e")).remove(0);
    assert!(matches!(Message::decode(&reply).expect("a message").kind, Kind::Response(_)));
    assert_eq!(bench.node.peers().peers(), PEERS_PER_SWARM);
}
