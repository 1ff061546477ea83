//! BEP 42 towards others, BEP 43 towards ourselves, and announces that are looked at again.

use super::*;
use crate::engine::compliance::Compliance;
use crate::engine::id::NodeId;

fn at(index: u8) -> SocketAddr {
    ([50 + index, 18, 1, 1], 6881).into()
}

/// A mainline of 30 nodes; every third has an id that does not fit its address, and keeps it: it is not told its address.
fn mainline(compliance: Compliance) -> Net {
    let mut net = Net::new(0);
    let mut random = Random::new([3; 32]);
    for index in 0..30 {
        let id = if index % 3 == 0 { random.wire_id() } else { Id::for_address(at(index).ip(), &mut random) };
        let saved = Snapshot { id: Some(NodeId(id)), ..Snapshot::default() };
        let config = Config { saved, compliance, has_routers: index > 0, ..Config::new(Family::V4) };
        net.nodes.insert(at(index), Node::new(config, [index; 32], net.now));
    }
    net.routers = vec![at(1)];
    net
}

fn odd(contact: &Contact) -> bool {
    !contact.is_compliant()
}

#[test]
fn nodes_whose_id_does_not_fit_are_kept_out_where_ids_are_enforced() {
    for (compliance, known) in [(Compliance::Off, true), (Compliance::Prefer, true), (Compliance::Enforce, false)] {
        let mut net = mainline(compliance);
        net.run_for(secs(120));
        let entries = net.nodes.values().flat_map(Node::entries).map(|entry| entry.contact);
        assert_eq!(entries.filter(odd).count() > 0, known, "{compliance:?}");
        let now = net.now;
        let op = net.nodes.get_mut(&at(7)).unwrap().announce(now, SWARM, 5555, false);
        net.run_for(secs(5));
        let stored = |event: &Event| match event {
            Event::Stored { op: other, at, .. } if *other == op => Some(*at),
            _ => None,
        };
        let stored: Vec<Contact> = net.events.iter().filter_map(|(_, event)| stored(event)).collect();
        let fitting = stored.iter().filter(|contact| !odd(contact)).count();
        match compliance {
            Compliance::Off => assert_eq!(stored.len(), 8),
            Compliance::Prefer => assert!(fitting >= 6 && stored.len() >= 8, "{fitting} of {}", stored.len()),
            Compliance::Enforce => assert!(fitting >= 6 && stored.len() == fitting, "{fitting} of {}", stored.len()),
        }
    }
}

#[test]
fn a_node_that_never_serves_answers_no_query_however_many_strangers_ask() {
    let mut bench = Bench::new(Config { serve: Serve::Never, ..config() });
    let ping = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe";
    for port in 1..20 {
        assert_eq!(bench.handle(([10, 9, 8, 7], port).into(), ping).len(), 0);
    }
}

#[test]
fn a_node_serves_once_strangers_have_reached_it() {
    let mut bench = Bench::new(Config { serve: Serve::OnceReached, ..config() });
    let ping = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe";
    let mut ask = |port: u16| bench.handle(([10, 9, 8, 7], port).into(), ping).len();
    assert_eq!((ask(1), ask(1), ask(2)), (0, 0, 0), "one stranger twice, and another");
    assert!(ask(3) >= 1, "the third is the proof");
    assert!(ask(1) >= 1);
}

#[test]
fn what_was_announced_is_looked_at_again() {
    let mut net = Net::new(1);
    (1..20).for_each(|index| net.spawn(index, Config { verify_announces: true, ..config() }));
    net.run_for(secs(60));
    let now = net.now;
    let op = net.node(7).announce(now, SWARM, 5555, true);
    net.run_for(secs(5));
    let summary = net.done(op, 7);
    assert_eq!((summary.stored, summary.verified_at, summary.verified), (8, 2, 2));
    let found = net.peers(op, 7);
    assert!(found.is_empty(), "what verifies is no news: {found:?}");
    let outcome = |net: &mut Net| {
        let now = net.now;
        net.node(7).own_announces(now).map(|own| (own.info_hash, own.stored, own.verified)).collect::<Vec<_>>()
    };
    assert_eq!(outcome(&mut net), [(SWARM, 8, 2)], "what came of it is kept");
    let (now, saved) = (net.now, net.nodes[&addr(7)].snapshot(net.now));
    net.nodes.insert(addr(7), Node::new(Config { saved, ..config() }, [77; 32], now));
    assert_eq!(outcome(&mut net), [(SWARM, 8, 2)], "also over a restart");
    net.now += crate::engine::limits::PEER_LIFETIME;
    assert_eq!(outcome(&mut net), [], "as long as it lives");
}

#[test]
fn items_survive_a_restart_with_what_is_left_of_their_life() {
    use crate::engine::items::{Item, Value};
    let (mut bench, item) = (Bench::new(config()), Item::Immutable(Value::from_contents(b"kept").expect("short")));
    let own = bench.node.id();
    bench.node.items.put(bench.now, &own, item.clone(), None, None).expect("room");
    bench.now += Duration::from_hours(1);
    let saved = bench.node.snapshot(bench.now);
    let mut next = Node::new(Config { saved, ..config() }, [5; 32], bench.now);
    assert_eq!(next.items().get(bench.now, &item.target()), Some(&item));
    next.handle_timeout(bench.now + Duration::from_hours(1));
    assert!(next.items().is_empty(), "its two hours are over");
}
