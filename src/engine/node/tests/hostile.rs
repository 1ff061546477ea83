//! One owner against a node of the mainline: what it must not reach.

use std::net::IpAddr;

use super::*;
use crate::engine::contact::CompactAddr;

/// The attacker's only address; it answers on every port.
const EVIL: [u8; 4] = [66, 66, 66, 66];

/// A node that knows honest nodes, each in a /24 of its own; all answer at once, the attacker under any id it likes.
struct Siege {
    now: Instant,
    node: Node,
    honest: BTreeMap<SocketAddr, NodeId>,
}

impl Siege {
    fn new(honest: u8) -> Self {
        let (now, mut random) = (Instant::from_secs(1), Random::new([77; 32]));
        let config = Config { has_routers: false, ..Config::new(Family::V4) };
        let mut siege = Self { now, node: Node::new(config, [5; 32], now), honest: BTreeMap::new() };
        for index in 0..honest {
            let contact = Contact { id: NodeId(random.wire_id()), addr: ([50, index, 1, 1], 6881).into() };
            siege.honest.insert(contact.addr, contact.id);
            siege.node.table.answered(now, contact, Duration::from_millis(100));
            siege.node.cache.answered(now, contact, Duration::from_millis(100));
        }
        siege
    }

    /// Runs `op` to its end; who was asked. The honest name `named`, the attacker answers under an id beside `close_to`.
    fn run(&mut self, op: OpId, named: &[Contact], close_to: &Id) -> Vec<SocketAddr> {
        let mut asked = Vec::new();
        while self.node.operations.contains_key(&op) {
            let mut out = Vec::new();
            let deadline = loop {
                match self.node.poll_output() {
                    Output::Transmit { to, payload } => out.push((to, payload.to_vec())),
                    Output::Event(_) => {}
                    Output::Wait(deadline, _) => break deadline,
                }
            };
            self.now = if out.is_empty() { deadline.max(self.now) } else { self.now + DELAY };
            for (to, query) in out {
                asked.push(to);
                let reply = self.reply(to, &query, named, close_to);
                self.node.handle_datagram(self.now, to, &reply);
            }
            self.node.handle_timeout(self.now);
        }
        asked
    }

    fn reply(&self, from: SocketAddr, query: &[u8], named: &[Contact], close_to: &Id) -> Vec<u8> {
        let mut beside = NodeId(*close_to);
        beside.0.0[19] ^= from.port() as u8;
        let honest = self.honest.get(&from);
        let mut nodes = Vec::new();
        for contact in named.iter().filter(|_| honest.is_some()) {
            nodes.extend_from_slice(contact.id.as_bytes());
            nodes.extend_from_slice(CompactAddr::new(&contact.addr).as_bytes());
        }
        let transaction = Message::decode(query).expect("ours").transaction.to_vec();
        let mut reply = b"d1:rd2:id20:".to_vec();
        reply.extend_from_slice(honest.unwrap_or(&beside).as_bytes());
        reply.extend_from_slice(format!("5:nodes{}:", nodes.len()).as_bytes());
        reply.extend_from_slice(&nodes);
        reply.extend_from_slice(format!("e1:t{}:", transaction.len()).as_bytes());
        reply.extend_from_slice(&transaction);
        reply.extend_from_slice(b"1:y1:re");
        reply
    }
}

#[test]
fn one_address_does_not_take_over_an_infohash_by_answering_under_many_ids() {
    let mut siege = Siege::new(40);
    for port in 1..=8 {
        // Somewhere else in the key space a node names a port of the attacker's; asked, it says that it is near SWARM.
        let mut elsewhere = Id([0x11; 20]);
        elsewhere.0[0] = 0x1f * port as u8;
        let op = siege.node.find_node(siege.now, Target(elsewhere));
        siege.run(op, &[Contact { id: NodeId(elsewhere), addr: (EVIL, port).into() }], &SWARM);
    }
    let op = siege.node.find_peers(siege.now, SWARM);
    let asked = siege.run(op, &[], &SWARM);
    assert!(asked.iter().filter(|addr| addr.ip() == IpAddr::from(EVIL)).count() <= 1, "asked {asked:?}");
    assert!(asked.len() >= 8, "asked {asked:?}");
}

#[test]
fn an_endpoint_that_changes_its_id_is_in_the_cache_under_neither() {
    let mut siege = Siege::new(10);
    let (addr, old) = siege.honest.pop_first().expect("ten of them");
    let op = siege.node.find_node(siege.now, Target(*old));
    siege.run(op, &[], &SWARM);
    let cached = |id: &Id| siege.node.cache.near(id).any(|(contact, _)| contact.addr == addr);
    assert!(!cached(&old) && !cached(&SWARM));
    assert!(siege.node.entries().all(|entry| entry.contact.addr != addr));
}

#[test]
fn a_node_that_has_learned_its_address_may_take_an_id_that_fits_it_once() {
    let mut siege = Siege::new(10);
    let (addr, old) = siege.honest.first_key_value().map(|(addr, id)| (*addr, *id)).expect("ten of them");
    let mut random = Random::new([3; 32]);
    for is_in in [true, false] {
        let id = NodeId(Id::for_address(addr.ip(), &mut random));
        siege.honest.insert(addr, id);
        let op = siege.node.find_node(siege.now, Target(*old));
        siege.run(op, &[], &SWARM);
        let in_table = siege.node.entries().any(|entry| entry.contact == Contact { id, addr });
        let in_cache = siege.node.cache.near(&id).any(|(contact, _)| contact.addr == addr);
        assert_eq!((in_table, in_cache), (is_in, is_in));
    }
}
