//! Attackers that single out one node: they say that it is at another address, and they fill its memory with swarms beside
//! its id.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use trackerless::engine::contact::{Contact, Family};
use trackerless::engine::id::{Id, InfoHash, NodeId};
use trackerless::engine::krpc::encode::{self, Ask, Reply};
use trackerless::engine::krpc::{Kind, Message};
use trackerless::engine::node::{Config, Event};
use trackerless::engine::time::Instant;
use trackerless::sim::host::{Action, Host};
use trackerless::sim::random::Dice;
use trackerless::sim::world::Home;
use trackerless::sim::{HostId, Network, Resident, Terms};

use crate::setup::{calm, network_of};

/// Members of the network.
const HONEST: usize = 60;
/// Where the liars say that everybody is.
const ELSEWHERE: [u8; 4] = [66, 66, 66, 66];

/// What an attacker does every now and then to its victim.
#[derive(Clone, Copy)]
enum Deed {
    /// It pings, and tells whoever asks it that he is elsewhere.
    Lie,
    /// It announces to infohashes next to this id, each another one.
    Announce(Id),
}

/// An attacker; it answers everybody.
#[derive(Clone)]
struct Attacker {
    deed: Deed,
    id: NodeId,
    victim: SocketAddr,
    every: Duration,
    next: Instant,
    dice: Dice,
    /// The infohash for which it has asked for a token.
    wanted: Id,
    outbox: VecDeque<(SocketAddr, Vec<u8>)>,
    sending: Vec<u8>,
}

impl Attacker {
    fn ask(&mut self, to: SocketAddr, ask: &Ask<'_>) {
        let mut bytes = Vec::new();
        encode::query(&mut bytes, (self.dice.bits() as u32).to_be_bytes(), &self.id, false, ask);
        self.outbox.push_back((to, bytes));
    }
}

impl Host for Attacker {
    type Report = Event;

    fn handle_datagram(&mut self, _: Instant, from: SocketAddr, bytes: &[u8]) {
        match Message::decode(bytes) {
            Ok(Message { transaction, kind: Kind::Query(_), .. }) => {
                let seen = match self.deed {
                    Deed::Lie => (ELSEWHERE, from.port()).into(),
                    Deed::Announce(_) => from,
                };
                let mut bytes = Vec::new();
                Reply::begin(&mut bytes, &self.id, &seen, transaction).end();
                self.outbox.push_back((from, bytes));
            }
            Ok(Message { kind: Kind::Response(response), .. }) => {
                if let (Deed::Announce(_), Some(token)) = (self.deed, response.token) {
                    let info_hash = InfoHash(self.wanted);
                    self.ask(from, &Ask::AnnouncePeer { info_hash, port: 666, seed: false, token });
                }
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if now < self.next {
            return;
        }
        self.next = now + self.every;
        match self.deed {
            Deed::Lie => self.ask(self.victim, &Ask::Ping),
            Deed::Announce(beside) => {
                self.wanted = beside.sharing_prefix(60, self.dice.id());
                self.ask(self.victim, &Ask::GetPeers(InfoHash(self.wanted)));
            }
        }
    }

    fn poll_action(&mut self) -> Action<'_, Event> {
        match self.outbox.pop_front() {
            Some((to, payload)) => {
                self.sending = payload;
                Action::Transmit { to, payload: &self.sending }
            }
            None => Action::Wait(self.next),
        }
    }
}

/// Lets attackers in, at one address in each of `count` networks that begin with `first`.
fn admit(network: &mut Network, deed: Deed, count: usize, victim: SocketAddr, every: Duration) -> Vec<Contact> {
    let mut contacts = Vec::new();
    for index in 0..count {
        let addr: SocketAddr = match deed {
            // A /16 each.
            Deed::Lie => ([130, index as u8, 7, 7], 6881).into(),
            // A /24 each.
            Deed::Announce(_) => ([131, (index >> 8) as u8, index as u8, 7], 6881).into(),
        };
        let mut dice = Dice::keyed(9, &[index as u64]);
        let id = NodeId(dice.id());
        let next = network.world().now() + Duration::from_millis(10 * index as u64);
        let attacker =
            Attacker { deed, id, victim, every, next, dice, wanted: *id, outbox: VecDeque::new(), sending: Vec::new() };
        network.admit(Home::open(addr), Resident::Other(Box::new(attacker)));
        contacts.push(Contact { id, addr });
    }
    contacts
}

fn id_of(network: &Network, host: HostId) -> NodeId {
    network.node(host).expect("a member").id()
}

/// Seventy of them, each from a /16 of its own, greet a node that knows where it is, and are verified and asked by it.
#[test]
fn seventy_liars_do_not_move_a_node_that_knows_where_it_is() {
    let mut network = network_of(HONEST, calm());
    network.run_for(Duration::from_mins(5));
    let victim = network.members()[0];
    let (addr, before) = (network.world().addr(victim), id_of(&network, victim));
    admit(&mut network, Deed::Lie, 70, addr, Duration::from_secs(5));
    network.run_for(Duration::from_mins(30));
    let node = network.node(victim).expect("a member");
    let liars = node.entries().filter(|entry| entry.contact.addr.ip().to_string().starts_with("130.")).count();
    assert!(liars > 10, "{liars} of them are in its table");
    assert_eq!((node.id(), node.external_addr()), (before, Some(addr)));
    assert!(node.stats().votes_refused > 0);
}

/// Ten of them, each from a /16 of its own, are all whom a new node knows at first: they answer before anybody else does.
#[test]
fn ten_liars_who_answer_first_do_not_tell_a_new_node_where_it_is() {
    let mut network = network_of(HONEST, calm());
    let addr = network.endpoint();
    let liars = admit(&mut network, Deed::Lie, 10, addr, Duration::from_secs(5));
    let mut config = Terms::mainline(Family::V4).config;
    config.saved.id = Some(NodeId(Id([0x5a; 20])));
    config.saved.contacts = liars;
    config.saved.contacts.push(contact_of(&network, network.members()[0]));
    let newcomer = network.add(Home::open(addr), Config { has_routers: true, ..config });
    network.run_for(Duration::from_mins(5));
    let node = network.node(newcomer).expect("a member");
    assert_eq!(node.external_addr(), Some(addr));
    assert!(node.id().matches_address(addr.ip()), "{}", node.id());
}

fn contact_of(network: &Network, host: HostId) -> Contact {
    Contact { id: id_of(network, host), addr: network.world().addr(host) }
}

/// From seven hundred /24s to infohashes that only this node is close to; its memory is full long before they are done.
#[test]
fn swarms_that_are_announced_again_stay_whoever_announces_beside_our_id() {
    let mut network = network_of(HONEST, calm());
    let small = Config { peer_memory_bytes: 60_000, ..Terms::mainline(Family::V4).config };
    let addr = network.endpoint();
    let victim = network.add(Home::open(addr), small);
    network.run_for(Duration::from_mins(1));
    let own = id_of(&network, victim);
    // Swarms of one to four peers around it, announced twice.
    let mut dice = Dice::new(3);
    let keys: Vec<Id> = (0..40).map(|_| own.sharing_prefix(8, dice.id())).collect();
    for _ in 0..2 {
        for (index, &key) in keys.iter().enumerate() {
            for number in 0..=index % 4 {
                let announcer = network.members()[(7 * index + 11 * number) % HONEST];
                network.announce(announcer, key, 6881);
            }
            network.finish(Duration::from_secs(30));
        }
        network.take_tasks();
        network.run_for(Duration::from_mins(10));
    }
    let kept = |network: &Network| {
        let node = network.node(victim).expect("a member");
        let stored: std::collections::BTreeSet<Id> =
            node.peers().iter(network.world().now()).map(|stored| *stored.info_hash).collect();
        keys.iter().filter(|key| stored.contains(key)).count()
    };
    let before = kept(&network);
    assert!(before >= 38, "{before} of 40 swarms are stored");
    admit(&mut network, Deed::Announce(*own), 700, addr, Duration::from_secs(7));
    network.run_for(Duration::from_mins(3));
    let stats = *network.node(victim).expect("a member").stats();
    assert!(stats.announces_not_stored > 100, "its memory is full: {stats:?}");
    assert_eq!(kept(&network), before);
}
