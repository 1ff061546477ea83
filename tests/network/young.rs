//! A network in which everyone is new: all join within moments of each other, and then announce and search.

use std::time::Duration;

use trackerless::engine::contact::Family;
use trackerless::engine::id::Id;
use trackerless::sim::link::delay::Delay;
use trackerless::sim::random::Dice;
use trackerless::sim::task::Task;
use trackerless::sim::{HostId, Link, Network, Resident, Terms};

use crate::setup::{calm, private, table};

/// How they come to know each other.
#[derive(Clone, Copy)]
enum Entrance {
    /// Each through the first, which knows everyone, as soon as the last has joined.
    Member,
    /// All within moments through a router, which names any node.
    Router,
}

fn mainline() -> Terms {
    Terms { joins_per_second: 100.0, ..Terms::mainline(Family::V4) }
}

/// One host, or a few under one roof: a tenth of a millisecond.
fn near() -> Link {
    Link::new(1).with(Delay(Duration::from_micros(100)))
}

/// A network of `n` nodes of which the last has joined just now.
fn newborn(n: usize, entrance: Entrance, link: Link, mut terms: Terms, seed: u64) -> Network {
    let is_routed = matches!(entrance, Entrance::Router);
    terms.config.has_routers = is_routed;
    let mut network = Network::new(link, terms, seed);
    for _ in 0..n {
        let host = network.grow(1)[0];
        if !is_routed {
            join_through_first(&mut network, host);
        }
    }
    let everyone = network.members().to_vec();
    everyone.iter().for_each(|&member| await_join(&mut network, member));
    network
}

fn join_through_first(network: &mut Network, host: HostId) {
    let first = network.members()[0];
    if host != first {
        let first = network.world().addr(first);
        network.world_mut().call(host, |resident, now| match resident {
            Resident::Node(node) => node.add_routers(now, &[first]),
            Resident::Other(_) => unreachable!("members are nodes"),
        });
        await_join(network, host);
    }
}

/// Runs until `member` knows a contact and has ended its search for itself.
fn await_join(network: &mut Network, member: HostId) {
    let is_joining = |network: &Network| {
        let node = network.node(member).expect("members stay");
        node.operations() > 0 || node.entries().next().is_none()
    };
    while is_joining(network) {
        let next = network.world().now() + Duration::from_micros(100);
        network.run_until(next);
    }
}

/// What became of searches in networks of one kind.
#[derive(Default)]
struct Tally {
    nodes: usize,
    /// Nodes to which a whole side of the key space is unknown, though nodes live there.
    blind: usize,
    lookups: usize,
    /// Lookups that did not see the closest node.
    missed: usize,
    reads: usize,
    /// Reads that did not find what was announced before.
    vain: usize,
}

impl Tally {
    fn add(&mut self, network: &Network, dice: &mut Dice) {
        self.nodes += network.members().len();
        self.blind += network.members().iter().filter(|&&member| is_blind(network, member)).count();
        self.look_up(network.fork(), dice);
        self.announce_and_read(network.fork(), dice);
    }

    fn look_up(&mut self, mut network: Network, dice: &mut Dice) {
        for _ in 0..20 {
            let asker = member(&network, dice);
            network.find_node(asker, dice.id());
        }
        network.finish(Duration::from_secs(60));
        let tasks = network.take_tasks();
        self.lookups += tasks.len();
        self.missed += tasks.iter().filter(|task| has_missed(&network, task)).count();
    }

    fn announce_and_read(&mut self, mut network: Network, dice: &mut Dice) {
        let keys: Vec<Id> = (0..5).map(|_| dice.id()).collect();
        for &key in &keys {
            let announcer = member(&network, dice);
            network.announce(announcer, key, 6881);
        }
        network.finish(Duration::from_secs(60));
        network.take_tasks();
        for key in keys.into_iter().flat_map(|key| [key; 4]) {
            let reader = member(&network, dice);
            network.find_peers(reader, key);
        }
        network.finish(Duration::from_secs(60));
        let tasks = network.take_tasks();
        self.reads += tasks.len();
        self.vain += tasks.iter().filter(|task| task.peers.is_empty()).count();
    }

    fn row(&self, name: &str, n: usize, after: Duration) -> Vec<String> {
        let share = |part: usize, whole: usize| format!("{part}/{whole}");
        let (blind, missed) = (share(self.blind, self.nodes), share(self.missed, self.lookups));
        vec![name.into(), n.to_string(), format!("{after:?}"), blind, missed, share(self.vain, self.reads)]
    }
}

fn member(network: &Network, dice: &mut Dice) -> HostId {
    *dice.pick(network.members()).expect("the network has members")
}

fn is_blind(network: &Network, member: HostId) -> bool {
    let node = network.node(member).expect("members stay");
    let side = |id: &Id| node.id().common_prefix_len(id);
    let others = network.members().iter().filter(|&&other| other != member);
    let mut sides = others.filter_map(|&other| Some(side(&network.node(other)?.id())));
    sides.any(|there| node.entries().all(|entry| side(&entry.contact.id) != there))
}

fn has_missed(network: &Network, task: &Task) -> bool {
    let closest = network.closest(&task.target, task.host).and_then(|host| network.node(host)).expect("others live");
    // In a private network the router is a node like any other, and may be closer.
    task.nearest.is_none_or(|(seen, _)| task.target.closer(&closest.id(), &seen.id).is_lt())
}

const AFTER: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(10)];

/// Networks of one kind and size, each from a seed of its own, at several ages.
fn tallies(n: usize, young: impl Fn(u64) -> Network) -> [Tally; AFTER.len()] {
    let mut tallies = AFTER.map(|_| Tally::default());
    for seed in 0..(100 / n as u64).clamp(1, 3) {
        let mut network = young(seed);
        let born = network.world().now();
        for (tally, after) in tallies.iter_mut().zip(AFTER) {
            network.run_until(born + after);
            tally.add(&network, &mut Dice::keyed(seed, &[after.as_millis() as u64]));
        }
    }
    tallies
}

#[test]
fn a_young_network_has_no_islands() {
    let mut rows = Vec::new();
    let mut measure = |name: &str, sizes: &[usize], young: &dyn Fn(usize, u64) -> Network| {
        for &n in sizes {
            let tallies = tallies(n, |seed| young(n, seed));
            for (tally, after) in tallies.iter().zip(AFTER) {
                rows.push(tally.row(name, n, after));
                assert!(
                    after.is_zero() || tally.vain == 0,
                    "{name}, {n} nodes, {after:?}: {} reads in vain",
                    tally.vain
                );
            }
        }
    };
    measure("one host", &[10, 20, 50, 200], &|n, seed| newborn(n, Entrance::Member, near(), private(), seed));
    measure("private", &[10, 20, 50], &|n, seed| newborn(n, Entrance::Router, calm(), private(), seed));
    measure("mainline", &[10, 20, 50], &|n, seed| newborn(n, Entrance::Router, calm(), mainline(), seed));
    let head = ["network", "nodes", "after", "blind", "missed", "in vain"];
    insta::assert_snapshot!(table(&head, &rows));
}
