//! Rules that hold in the mainline, each beside what holds in a private network.

use super::*;
use crate::engine::krpc::encode::{self, Ask};
use crate::engine::krpc::{Method, Query};

fn at(index: u8) -> SocketAddr {
    ([50 + index, 18, 1, 1], 6881).into()
}

fn mainline() -> Config {
    Config { has_routers: false, cache_ways: 0, ..Config::new(Family::V4) }
}

fn private() -> Config {
    Config { private_network: true, ..mainline() }
}

fn query(read_only: bool, ask: &Ask<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode::query(&mut bytes, *b"aaaa", &NodeId::new([0x77; 20]), read_only, ask);
    bytes
}

#[test]
fn local_addresses_stay_out_of_a_mainline_store() {
    for (config, stored) in [(mainline(), 0), (private(), 1)] {
        for from in ["10.9.8.7:4321", "192.168.1.2:1", "172.16.0.1:1", "100.64.0.1:1", "169.254.1.1:1", "127.0.0.1:1"] {
            let (mut bench, from) = (Bench::new(config.clone()), from.parse::<SocketAddr>().unwrap());
            let token = bench.node.tokens.give(from.ip(), &SWARM);
            let announce = Ask::AnnouncePeer { info_hash: SWARM, port: 7000, seed: false, token: &token };
            let replies = bench.handle(from, &query(true, &announce));
            assert_eq!((replies.len(), bench.node.peers().peers()), (1, stored), "{from}");
            assert_eq!(bench.node.stats().announces_not_stored, 1 - stored as u64, "{from}");
        }
    }
    let mut bench = Bench::new(mainline());
    let token = bench.node.tokens.give(at(1).ip(), &SWARM);
    let announce = Ask::AnnouncePeer { info_hash: SWARM, port: 7000, seed: false, token: &token };
    bench.handle(at(1), &query(true, &announce));
    assert_eq!(bench.node.peers().peers(), 1, "a global one has its place");
}

/// Whether a query from a stranger makes us ping it.
fn pings_back(config: Config, read_only: bool, ask: &Ask<'_>) -> bool {
    let mut bench = Bench::new(config);
    bench.node.handle_datagram(bench.now, at(1), &query(read_only, ask));
    bench.node.handle_timeout(bench.now);
    let sent = bench.drain();
    let is_ping = |bytes: &[u8]| matches!(Message::decode(bytes).expect("ours").kind, Kind::Query(_));
    sent.iter().any(|(to, bytes)| *to == at(1) && is_ping(bytes))
}

#[test]
fn a_read_only_querier_is_not_pinged() {
    for config in [mainline(), private()] {
        for ask in [Ask::Ping, Ask::FindNode(Target(*SWARM)), Ask::GetPeers(SWARM), Ask::Get(Target(*SWARM))] {
            assert!(pings_back(config.clone(), false, &ask), "{ask:?}");
            assert!(!pings_back(config.clone(), true, &ask), "BEP 43, {ask:?}");
        }
    }
}

/// How often the own id changed while contacts say that we are at `ours`.
fn told(bench: &mut Bench, ours: [u8; 4]) -> usize {
    let before = *bench.node.id();
    for voter in 1..=Rules::MAINLINE.settling_votes as u8 {
        bench.node.note_external(bench.now, &at(voter), (ours, 6881).into());
    }
    usize::from(*bench.node.id() != before)
}

#[test]
fn the_own_id_changes_at_most_every_ten_minutes() {
    let mut bench = Bench::new(mainline());
    assert_eq!(told(&mut bench, [77, 1, 1, 1]), 1);
    assert!(bench.node.id().matches_address([77, 1, 1, 1].into()));
    bench.now += Duration::from_secs(599);
    assert_eq!(told(&mut bench, [88, 2, 2, 2]), 0, "it has just changed");
    bench.now += Duration::from_secs(1);
    assert_eq!(told(&mut bench, [88, 2, 2, 2]), 1);
    assert!(bench.node.id().matches_address([88, 2, 2, 2].into()));
}

/// Answers all queries of a node that announces: with a token, and with `named` as the only peer once it was announced to.
fn verified(named: [u8; 6]) -> Summary {
    let mut bench = Bench::new(Config { verify_announces: true, ..mainline() });
    let holder = Contact { id: NodeId::new([0x55; 20]), addr: at(1) };
    bench.node.table.answered(bench.now, holder, DELAY);
    let op = bench.node.announce(bench.now, SWARM, 5555, false);
    let mut announced = false;
    for _ in 0..20 {
        loop {
            let (to, bytes) = match bench.node.poll_output() {
                Output::Transmit { to, payload } => (to, payload.to_vec()),
                Output::Event(Event::Done { op: other, summary }) if other == op => return summary,
                Output::Event(_) => continue,
                Output::Wait(..) => break,
            };
            let query = Message::decode(&bytes).expect("ours");
            let body: Vec<u8> = match query.kind {
                Kind::Query(Query { method: Method::GetPeers { .. }, .. }) if announced => {
                    [&b"6:valuesl6:"[..], &named, b"e"].concat()
                }
                Kind::Query(Query { method: Method::GetPeers { .. }, .. }) => b"5:token4:abcd".to_vec(),
                Kind::Query(Query { method: Method::AnnouncePeer { .. }, .. }) => {
                    announced = true;
                    Vec::new()
                }
                _ => Vec::new(),
            };
            // We are seen at 77.1.1.1:6881.
            let head = b"d2:ip6:\x4d\x01\x01\x01\x1a\xe11:rd2:id20:";
            let reply =
                [head, holder.id.as_bytes().as_slice(), &body, b"e1:t4:", query.transaction, b"1:y1:re"].concat();
            bench.node.handle_datagram(bench.now, to, &reply);
        }
        bench.now += DELAY;
        bench.node.handle_timeout(bench.now);
    }
    panic!("the announce has not ended")
}

#[test]
fn an_announce_is_seen_only_where_our_own_address_is_named() {
    let port = 5555u16.to_be_bytes();
    for (ip, port, seen) in [
        ([77, 1, 1, 1], port, 1),
        ([77, 1, 1, 2], port, 0),
        ([88, 1, 1, 1], port, 0),
        ([77, 1, 1, 1], 5556u16.to_be_bytes(), 0),
    ] {
        let named = [ip[0], ip[1], ip[2], ip[3], port[0], port[1]];
        let summary = verified(named);
        assert_eq!((summary.stored, summary.verified_at, summary.verified), (1, 1, seen), "{named:?}");
    }
}

/// Two hundred liars, each from a /16 of its own, ask us and enter the table; all say that we are elsewhere.
#[test]
fn liars_who_greet_us_do_not_move_our_id() {
    let mut bench = Bench::new(mainline());
    assert_eq!(told(&mut bench, [77, 1, 1, 1]), 1);
    let id = *bench.node.id();
    bench.now += Duration::from_mins(11);
    for index in 0..200u8 {
        let liar: SocketAddr = ([30 + index % 190, index, 1, 1], 6881).into();
        let mut greeting = Vec::new();
        encode::query(&mut greeting, *b"aaaa", &NodeId::new([index.wrapping_mul(37) | 1; 20]), false, &Ask::Ping);
        bench.node.handle_datagram(bench.now, liar, &greeting);
        bench.now += Duration::from_millis(150);
        bench.node.handle_timeout(bench.now);
        for (to, bytes) in bench.drain() {
            let message = Message::decode(&bytes).expect("ours");
            if let Kind::Query(_) = message.kind {
                let head = b"d2:ip6:\x42\x42\x42\x42\x1a\xe11:rd2:id20:";
                let theirs = [index.wrapping_mul(37) | 1; 20];
                let reply = [&head[..], &theirs, b"e1:t4:", message.transaction, b"1:y1:re"].concat();
                bench.node.handle_datagram(bench.now, to, &reply);
            }
        }
    }
    assert!(bench.node.entries().count() > 20, "they are in the table");
    assert_eq!(*bench.node.id(), id, "within half a minute");
    assert_eq!(bench.node.external_addr(), Some(([77, 1, 1, 1], 6881).into()));
    assert!(bench.node.stats().votes_refused > 100);
}

#[test]
fn a_new_table_takes_at_most_a_third_from_those_who_asked_first() {
    let mut bench = Bench::new(mainline());
    // Thirty contacts that we found ourselves.
    for index in 0..30u8 {
        let contact =
            Contact { id: NodeId::new([index.wrapping_mul(53) | 1; 20]), addr: ([150, index, 1, 1], 1).into() };
        bench.node.table.answered(bench.now, contact, DELAY);
    }
    let found = bench.node.entries().count();
    for index in 0..200u8 {
        let greeter: SocketAddr = ([31, index, 1, 1], 6881).into();
        let theirs = [index.wrapping_mul(59) | 2; 20];
        let mut greeting = Vec::new();
        encode::query(&mut greeting, *b"aaaa", &NodeId::new(theirs), false, &Ask::Ping);
        bench.node.handle_datagram(bench.now, greeter, &greeting);
        bench.now += Duration::from_millis(110);
        bench.node.handle_timeout(bench.now);
        for (to, bytes) in bench.drain() {
            let message = Message::decode(&bytes).expect("ours");
            if to == greeter && matches!(message.kind, Kind::Query(_)) {
                let reply = [&b"d1:rd2:id20:"[..], &theirs, b"e1:t4:", message.transaction, b"1:y1:re"].concat();
                bench.node.handle_datagram(bench.now, to, &reply);
            }
        }
    }
    let all = bench.node.entries().count();
    assert!(all > found && (all - found) * 3 <= all, "{} of {all} entries asked first", all - found);
}
