//! This project's node: not a model of it, but the program itself, in the simulator.
//!
//! Rules: those of [`crate::engine`]. The network joins through a router, fills its tables, and has looked at its
//! neighbourhoods a second time, a quarter of an hour later, before an experiment begins; round-trip times are those of
//! the lab's plane, without loss. The passive cache is held to a sixteenth of the network, or a small network would be
//! known by heart.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::id::Id;
use crate::engine::lookup::Effort;
use crate::engine::routing::Entry;
use crate::lab::overlay::Walk;
use crate::sim::link::plane::Plane;
use crate::sim::task::Task;
use crate::sim::{HostId, Link, Network, Terms};

/// How long a network refreshes before an experiment: its nodes look at their neighbourhoods every 15 to 17 minutes.
const SETTLING: Duration = Duration::from_mins(18);
/// No operation takes longer.
const PATIENCE: Duration = Duration::from_mins(2);

/// A settled network of the production node. Nodes are numbered as in the other systems.
pub struct Kademlia {
    network: Network,
    hosts: Vec<HostId>,
}

impl Kademlia {
    /// Lets nodes with these ids join and settle; their announces go to `copies` nodes.
    #[must_use]
    pub fn settle(ids: &[Id], copies: usize, seed: u64) -> Self {
        let mut terms = Terms::lab(ids.len());
        terms.config.copies = copies;
        // What is compared here are messages: the number of those that are sent at once for the sake of time is kept small.
        terms.config.effort = Effort::GENTLE;
        let mut network = Network::new(Link::new(seed).with(Plane::new(seed)), terms, seed);
        let hosts = network.grow_with_ids(ids);
        network.run_for(Duration::from_secs(30));
        // In a private network a router is a contact like any other. It is none of the nodes compared here: it goes, and
        // tables forget it while they refresh.
        network.close_router();
        network.run_for(SETTLING);
        Self { network, hosts }
    }

    /// Whom each node has in its table.
    #[must_use]
    pub fn tables(&self) -> Vec<Vec<usize>> {
        let nodes = || self.hosts.iter().map(|&host| self.network.node(host).expect("the lab kills only in copies"));
        let numbers: BTreeMap<Id, usize> = nodes().map(|node| *node.id()).zip(0..).collect();
        let known = |entry: &Entry| numbers.get(&entry.contact.id).copied();
        nodes().map(|node| node.entries().filter_map(known).collect()).collect()
    }

    /// Looks for the node closest to each target, and notes whether it was found.
    #[must_use]
    pub fn find_closest(&mut self, tasks: &[(usize, Id)]) -> Vec<Walk> {
        for &(source, target) in tasks {
            self.network.find_node(self.hosts[source], target);
        }
        self.in_order(tasks).iter().map(|task| self.closest_walk(task)).collect()
    }

    fn closest_walk(&self, task: &Task) -> Walk {
        let closest = self.network.closest(&task.target, task.host).and_then(|host| self.network.node(host));
        let found = task.nearest.filter(|(contact, _)| closest.is_some_and(|node| node.id() == contact.id));
        Walk { hops: task.nearest.map_or(0, |(_, hops)| hops), found: found.is_some(), ..cost(task) }
    }

    /// Announces each key from the node beside it, and returns who stored it.
    pub fn announce(&mut self, keys: &[(usize, Id)]) -> Vec<Vec<usize>> {
        for &(source, key) in keys {
            self.network.announce(self.hosts[source], key, 6881);
        }
        let tasks = self.in_order(keys);
        tasks.iter().map(|task| task.stored_at.iter().filter_map(|at| self.number(&at.id)).collect()).collect()
    }

    fn number(&self, id: &Id) -> Option<usize> {
        self.hosts.iter().position(|&host| self.network.node(host).is_some_and(|node| *node.id() == *id))
    }

    /// Stops these nodes and at once looks all keys up, each from the node beside it, in a copy of the network. Returns
    /// the walks, and how many messages all of them together sent to the dead.
    #[must_use]
    pub fn read_without(&self, dying: &[usize], keys: &[(usize, Id)]) -> (Vec<Walk>, f64) {
        let mut after = self.without(dying);
        let began = after.network.world().now();
        for &(reader, key) in keys {
            after.network.find_first_peers(after.hosts[reader], key);
        }
        let found = |task: &Task| Walk { hops: 0, found: !task.peers.is_empty(), ..cost(task) };
        let walks = after.in_order(keys).iter().map(found).collect();
        // Upkeep meets the dead too. How often, the same network says that looks nothing up.
        let mut idle = self.without(dying);
        idle.network.run_for(after.network.world().now().since(began));
        (walks, after.sent_to_the_dead() - idle.sent_to_the_dead())
    }

    /// A copy of the network in which these have just stopped.
    fn without(&self, dying: &[usize]) -> Self {
        let mut after = Self { network: self.network.fork(), hosts: self.hosts.clone() };
        dying.iter().for_each(|&node| after.network.kill(self.hosts[node]));
        after
    }

    fn sent_to_the_dead(&self) -> f64 {
        self.network.world().counters().unheard as f64
    }

    /// Lets all operations end and returns their notes in the order in which they were begun.
    fn in_order(&mut self, begun: &[(usize, Id)]) -> Vec<Task> {
        assert!(self.network.finish(PATIENCE), "every operation ends");
        let mut tasks = self.network.take_tasks();
        let place =
            |task: &Task| begun.iter().position(|&(node, id)| self.hosts[node] == task.host && id == task.target);
        tasks.sort_by_cached_key(place);
        tasks
    }
}

/// What an operation cost: the queries that it sent.
fn cost(task: &Task) -> Walk {
    let summary = task.summary.as_ref().expect("the operation has ended");
    Walk { rpcs: summary.asked as u32, ..Walk::default() }
}
