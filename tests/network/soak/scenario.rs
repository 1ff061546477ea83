//! A network in which everything happens at once: members come and go, attackers of every kind are there, one node is
//! flooded, keys are announced and looked up. Used by the short soak test and by `benches/simulator --soak`.

use std::time::Duration;

use trackerless::engine::contact::{Contact, Family};
use trackerless::engine::id::{Id, NodeId};
use trackerless::engine::node::{Node, Stats};
use trackerless::engine::time::Instant;
use trackerless::sim::adversary::{Adversary, Attack, Brief};
use trackerless::sim::churn::Churn;
use trackerless::sim::population::Sessions;
use trackerless::sim::random::Dice;
use trackerless::sim::world::Home;
use trackerless::sim::{HostId, Link, Network, Resident, Terms};

/// Members that stay from the beginning to the end, whose counters are watched. The first is flooded.
const STEADY: usize = 8;
/// Time from one round of announces and lookups to the next.
const ROUND: Duration = Duration::from_mins(10);
/// Rounds of an hour.
const ROUNDS: usize = 6;
/// Longest time that the operations of a round may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// Keys that are announced, and then looked up, in each round.
const KEYS: usize = 20;

/// How large a soak is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Members, those that stay among them.
    pub members: usize,
    /// Attackers of each kind but the flooder, which is one.
    pub of_each_attack: usize,
    /// Time for which the flooder sends 1,000 queries a second in each round.
    pub flood: Duration,
}

/// What one hour came to.
#[derive(Clone, Debug)]
pub struct Hour {
    /// Lookups, and those that found the peer that was announced.
    pub lookups: usize,
    pub found: usize,
    /// Members that left and were replaced.
    pub left: usize,
    /// Counters of a steady node that did not move, each with the node's number; of those that seldom do, the ones that moved
    /// at none of them.
    pub stuck: Vec<(usize, &'static str)>,
    /// Operations that had not ended in time.
    pub unfinished: usize,
    /// What a steady node holds, on average: contacts in its table, and peers of its swarms.
    pub contacts: f64,
    pub peers: f64,
    /// What the passive cache of a member holds, on average: it fills for days, up to its bound.
    pub cached: f64,
}

/// A running soak.
pub struct Soak {
    pub network: Network,
    size: Size,
    churn: Churn,
    steady: Vec<HostId>,
    dice: Dice,
    before: Vec<Stats>,
}

impl Soak {
    /// Lets everyone in.
    pub fn begin(size: Size, link: Link, seed: u64) -> Self {
        let terms = Terms { joins_per_second: 20.0, ..Terms::mainline(Family::V4) };
        let mut network = Network::new(link, terms, seed);
        network.grow(size.members - STEADY);
        let churn = Churn::new(&network, Sessions::CHURN, seed);
        let steady = network.grow(STEADY);
        network.run_for(Duration::from_mins(2));
        let mut soak = Self { network, size, churn, steady, dice: Dice::keyed(seed, &[0x50a]), before: Vec::new() };
        let attacks = Attack::ALL.into_iter().filter(|attack| *attack != Attack::Flooder);
        attacks.for_each(|attack| soak.admit(attack, size.of_each_attack));
        soak.before = soak.stats();
        soak
    }

    fn admit(&mut self, attack: Attack, count: usize) {
        let key = self.dice.id();
        let near = |id: Id| {
            let mut near = key;
            near.0[5..].copy_from_slice(&id.0[5..]);
            near
        };
        let contacts: Vec<Contact> = (0..count)
            .map(|_| {
                let id = self.dice.id();
                let id = if attack == Attack::Sybil { near(id) } else { id };
                Contact { id: NodeId(id), addr: self.network.endpoint() }
            })
            .collect();
        for contact in &contacts {
            let brief = Brief { attack, id: contact.id, key, victim: self.network.router() };
            let attacker = Adversary::new(brief, &contacts, self.dice.bits(), self.network.world().now());
            self.network.admit(Home::open(contact.addr), Resident::Other(Box::new(attacker)));
        }
    }

    /// Runs for an hour.
    pub fn hour(&mut self) -> Hour {
        let (mut found, mut left, mut unfinished) = (0, 0, 0);
        for _ in 0..ROUNDS {
            let end = self.network.world().now() + ROUND;
            let keys: Vec<Id> = (0..KEYS).map(|_| self.dice.id()).collect();
            keys.iter().for_each(|&key| self.order(|network, member| network.announce(member, key, 6881)));
            unfinished += usize::from(!self.network.finish(PATIENCE));
            self.network.take_tasks();
            self.flood();
            left += self.live_until(end - PATIENCE);
            keys.iter().for_each(|&key| self.order(|network, member| network.find_peers(member, key)));
            unfinished += usize::from(!self.network.finish(PATIENCE));
            found += self.network.take_tasks().iter().filter(|task| !task.peers.is_empty()).count();
            left += self.live_until(end);
        }
        let (before, after) = (std::mem::take(&mut self.before), self.stats());
        let pairs = || before.iter().zip(&after).enumerate();
        let stuck = pairs().flat_map(|(number, (before, after))| stuck(before, after).map(move |name| (number, name)));
        let seldom = ["get_peers", "bad_tokens"].into_iter().enumerate();
        let silent =
            seldom.filter(|(index, _)| pairs().all(|(_, (b, a))| seldom_moved(b)[*index] == seldom_moved(a)[*index]));
        let stuck = stuck.chain(silent.map(|(_, name)| (STEADY, name)));
        let hour = Hour {
            lookups: ROUNDS * KEYS,
            found,
            left,
            stuck: stuck.collect(),
            unfinished,
            contacts: self.mean(|node| node.entries().count()),
            peers: self.mean(|node| node.peers().peers()),
            cached: self.cached(),
        };
        self.before = after;
        hour
    }

    /// A member drawn at random begins an operation.
    fn order(&mut self, operation: impl FnOnce(&mut Network, HostId)) {
        let member = *self.dice.pick(self.network.members()).expect("the network has members");
        operation(&mut self.network, member);
    }

    /// Members come and go until then; returns how many went.
    fn live_until(&mut self, until: Instant) -> usize {
        let duration = until.since(self.network.world().now());
        self.churn.run_for(&mut self.network, duration, |network| {
            let addr = network.endpoint();
            network.add(Home::open(addr), Terms::mainline(Family::V4).config)
        })
    }

    fn flood(&mut self) {
        let addr = self.network.endpoint();
        let victim = self.network.world().addr(self.steady[0]);
        let brief = Brief { attack: Attack::Flooder, id: NodeId(self.dice.id()), key: self.dice.id(), victim };
        let flooder = Adversary::new(brief, &[], self.dice.bits(), self.network.world().now());
        let flooder = self.network.admit(Home::open(addr), Resident::Other(Box::new(flooder)));
        self.network.run_for(self.size.flood);
        self.network.kill(flooder);
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.steady.iter().map(|&host| self.network.node(host).expect("a steady node stays"))
    }

    fn stats(&self) -> Vec<Stats> {
        self.nodes().map(|node| *node.stats()).collect()
    }

    fn cached(&self) -> f64 {
        let members = self.network.members();
        let nodes = members.iter().filter_map(|&member| self.network.node(member));
        nodes.map(Node::cached).sum::<usize>() as f64 / members.len() as f64
    }

    fn mean(&self, count: impl Fn(&Node) -> usize) -> f64 {
        self.nodes().map(count).sum::<usize>() as f64 / STEADY as f64
    }
}

/// The counters of a node in such a network that did not move.
fn stuck(before: &Stats, after: &Stats) -> impl Iterator<Item = &'static str> {
    let counters = [
        ("received", before.received, after.received),
        ("sent", before.sent, after.sent),
        ("find_nodes", before.find_nodes, after.find_nodes),
        ("queries", before.queries, after.queries),
        ("responses", before.responses, after.responses),
        ("timeouts", before.timeouts, after.timeouts),
    ];
    counters.into_iter().filter(|(_, before, after)| before == after).map(|(name, ..)| name)
}

/// Counters that move in some hours only where the network is large: few of its keys lie near a given node.
const fn seldom_moved(stats: &Stats) -> [u64; 2] {
    [stats.get_peers, stats.bad_tokens]
}
