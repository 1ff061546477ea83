//! A node that has joined a small network and holds swarms, all in memory: the state in which queries find it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use trackerless::engine::contact::{Contact, Family};
use trackerless::engine::id::{Id, NodeId};
use trackerless::engine::node::{Config, Node, Output};
use trackerless::engine::time::Instant;

use crate::network::answer;
use crate::query::{self, PEERS, SOURCES, Template};

/// Nodes of the network.
const NODES: usize = 200;
/// Infohashes that have peers.
pub const STORED: usize = 100;

/// The node, and what its clock says.
pub struct World {
    pub node: Node,
    pub now: Instant,
    mainline: bool,
    /// Time between two queries: budgets are never spent.
    pub pause: Duration,
    /// Of each announce: source, infohash and token.
    pub tokens: Vec<(usize, Id, Vec<u8>)>,
    contacts: Vec<Contact>,
}

impl World {
    /// Always the same one: of a private network without budgets, or of the mainline with all of them.
    pub fn new(mainline: bool) -> Self {
        let contact =
            |index: usize| Contact { id: NodeId(query::id(4, index as u64)), addr: contact_addr(index, mainline) };
        let now = Instant::from_secs(1);
        let config = Config { private_network: !mainline, limited: mainline, ..Config::new(Family::V4) };
        let node = Node::new(config, [7; 32], now);
        let pause = if mainline { Duration::from_millis(2) } else { Duration::ZERO };
        let mut world =
            Self { node, now, mainline, pause, tokens: Vec::new(), contacts: (0..NODES).map(contact).collect() };
        let router = world.contacts[0].addr;
        world.node.add_routers(now, &[router]);
        world.settle();
        world.fill();
        world
    }

    /// Lets a minute pass, in which the node talks to the network.
    fn settle(&mut self) {
        let end = self.now + Duration::from_mins(1);
        while self.now < end {
            let deadline = self.exchange();
            self.now = deadline.max(self.now + Duration::from_millis(1));
            self.node.handle_timeout(self.now);
        }
        self.exchange();
    }

    /// Delivers the node's queries and their answers until it waits.
    fn exchange(&mut self) -> Instant {
        loop {
            let (to, reply) = match self.node.poll_output() {
                Output::Wait(deadline, _) => return deadline,
                Output::Event(_) => continue,
                Output::Transmit { to, payload } => {
                    let Some(contact) = self.contacts.iter().find(|contact| contact.addr == to) else { continue };
                    let mut reply = Vec::new();
                    let own = SocketAddr::from((Ipv4Addr::LOCALHOST, 6881));
                    if answer(&mut reply, payload, own, &contact.id, &self.contacts).is_none() {
                        continue;
                    }
                    (to, reply)
                }
            };
            self.node.handle_datagram(self.now, to, &reply);
        }
    }

    /// Announces [`PEERS`] peers of each of [`STORED`] infohashes.
    fn fill(&mut self) {
        let get_peers = Template::get_peers();
        let mut datagram = vec![0; get_peers.len()];
        for index in 0..STORED * PEERS {
            let (info_hash, source) = (query::info_hash(index / PEERS), (index * 20 + index / PEERS) % SOURCES);
            get_peers.write(&mut datagram, *b"toke", &query::source_id(source), Some(&info_hash), &[]);
            let reply = self.ask(source, &datagram);
            let token = query::read(&reply).expect("a response").token.to_vec();
            let template = Template::announce(token.len());
            let mut announce = vec![0; template.len()];
            template.write(&mut announce, *b"anno", &query::source_id(source), Some(&info_hash), &token);
            self.ask(source, &announce);
            self.tokens.push((source, info_hash, token));
        }
    }

    /// Where source `index` asks from.
    pub fn source(&self, index: usize) -> SocketAddr {
        let addr = source_addr(index);
        match addr.ip() {
            IpAddr::V4(ip) if self.mainline => {
                let [_, second, third, fourth] = ip.octets();
                SocketAddr::new(Ipv4Addr::new(60 + third % 60, second, third, fourth).into(), addr.port())
            }
            _ => addr,
        }
    }

    /// Gives the node a query and returns its reply.
    pub fn ask(&mut self, source: usize, datagram: &[u8]) -> Vec<u8> {
        let from = self.source(source);
        self.now += self.pause;
        self.node.handle_datagram(self.now, from, datagram);
        let mut reply = Vec::new();
        loop {
            match self.node.poll_output() {
                // A newcomer may be pinged at the same time.
                Output::Transmit { to, payload } if to == from && payload.ends_with(b"1:y1:re") => {
                    reply = payload.to_vec()
                }
                Output::Wait(..) => return reply,
                _ => {}
            }
        }
    }
}

/// Where the contacts are: in the mainline each in a network of its own provider.
fn contact_addr(index: usize, mainline: bool) -> SocketAddr {
    let [first, second] = if mainline { [20 + (index % 40) as u8, (index / 40) as u8] } else { [127, 2] };
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(first, second, index as u8, 1)), 6881)
}

/// Where source `index` asks from in a private network.
pub fn source_addr(index: usize) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(query::source_ip(index)), 6881)
}
