//! A network of production nodes, grown by the real join.
//!
//! [`Network`] is a [`World`] whose hosts are [`Node`]s, with what a network needs besides: addresses, a router to join
//! through, and a note of every operation that the experimenter began. Anything else that speaks KRPC may live in it
//! too ([`Resident::Other`]); see [`super::adversary`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::host::{Action, Host, HostId};
use super::link::Link;
use super::population::{AddressPlan, Reachability};
use super::random::Dice;
use super::router::Router;
use super::task::{self, Task};
use super::world::{Home, World};
use crate::engine::contact::Family;
use crate::engine::id::{Id, InfoHash, NodeId, Target};
use crate::engine::node::{self, Command, Config, Event, Node, OpId, Snapshot};
use crate::engine::time::Instant;

/// Who lives in a network.
#[derive(Clone)]
pub enum Resident {
    /// The node that runs in production.
    Node(Box<Node>),
    /// Anyone else.
    Other(Box<dyn Stranger>),
}

/// A host that is not the production node, but lives among such. Every fitting [`Host`] that can be copied is one.
pub trait Stranger: Host<Report = Event> + Send {
    /// A copy of itself, so that a network can be forked.
    fn fork(&self) -> Box<dyn Stranger>;
}

impl<H: Host<Report = Event> + Clone + Send + 'static> Stranger for H {
    fn fork(&self) -> Box<dyn Stranger> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Stranger> {
    fn clone(&self) -> Self {
        (**self).fork()
    }
}

impl Resident {
    /// The production node, if it is one.
    #[must_use]
    pub fn node(&self) -> Option<&Node> {
        match self {
            Self::Node(node) => Some(node),
            Self::Other(_) => None,
        }
    }
}

impl Host for Resident {
    type Report = Event;

    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        match self {
            Self::Node(node) => node.handle_datagram(now, from, bytes),
            Self::Other(host) => host.handle_datagram(now, from, bytes),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Node(node) => node.handle_timeout(now),
            Self::Other(host) => host.handle_timeout(now),
        }
    }

    fn poll_action(&mut self) -> Action<'_, Event> {
        match self {
            Self::Node(node) => match node.poll_output() {
                node::Output::Transmit { to, payload } => Action::Transmit { to, payload },
                node::Output::Event(event) => Action::Report(event),
                node::Output::Wait(deadline, _) => Action::Wait(deadline),
            },
            Self::Other(host) => host.poll_action(),
        }
    }
}

/// How the nodes of a network are.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What every node starts with; id, secrets and contacts are its own.
    pub config: Config,
    /// How they can be reached.
    pub reachability: Reachability,
    /// Nodes that join per second.
    pub joins_per_second: f64,
}

impl Terms {
    /// A closed lab: everyone open, no budgets, ids as they come. What a node keeps is sized for a network of `n`: the
    /// passive cache holds at most a sixteenth of it, or there would be nothing left to look up.
    #[must_use]
    pub fn lab(n: usize) -> Self {
        let cache_ways = (n / 16 / 256).min(8);
        let config = Config { private_network: true, limited: false, cache_ways, ..Config::new(Family::V4) };
        Self { config, reachability: Reachability::OPEN, joins_per_second: (n as f64 / 60.0).min(60.0) }
    }

    /// The mainline: BEP 42, budgets, and addresses that mean something.
    #[must_use]
    pub fn mainline(family: Family) -> Self {
        let config = Config { cache_ways: 1, ..Config::new(family) };
        Self { config, reachability: Reachability::OPEN, joins_per_second: 10.0 }
    }
}

/// A simulated network of production nodes.
pub struct Network {
    world: World<Resident>,
    terms: Terms,
    plan: AddressPlan,
    dice: Dice,
    router: SocketAddr,
    router_host: HostId,
    members: Vec<HostId>,
    tasks: BTreeMap<(HostId, OpId), Task>,
    /// When each node said that it had joined.
    ready: BTreeMap<HostId, Instant>,
    /// Operations that end with their first peers.
    impatient: BTreeSet<(HostId, OpId)>,
    /// Operations that have not ended.
    running: usize,
}

impl Network {
    /// A network that consists of one router.
    #[must_use]
    pub fn new(link: Link, terms: Terms, seed: u64) -> Self {
        Self::in_world(World::new(link, seed), terms)
    }

    /// A network in a world that has its own invariants. The world's seed is that of the network.
    #[must_use]
    pub fn in_world(mut world: World<Resident>, terms: Terms) -> Self {
        let seed = world.seed();
        let family = terms.config.family;
        let private = terms.config.private_network;
        let mut plan = if private { AddressPlan::of_one_site(family, seed) } else { AddressPlan::new(family, seed) };
        let router = plan.endpoint();
        let router_host = world.spawn(Home::open(router), Resident::Other(Box::new(Router::new(seed))));
        Self {
            world,
            terms,
            plan,
            dice: Dice::keyed(seed, &[0x4e7]),
            router,
            router_host,
            members: Vec::new(),
            tasks: BTreeMap::new(),
            ready: BTreeMap::new(),
            impatient: BTreeSet::new(),
            running: 0,
        }
    }

    /// A copy of the network as it is: one that has settled serves many experiments.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            world: self.world.fork(),
            terms: self.terms.clone(),
            plan: self.plan.clone(),
            dice: self.dice.clone(),
            router: self.router,
            router_host: self.router_host,
            members: self.members.clone(),
            tasks: self.tasks.clone(),
            ready: self.ready.clone(),
            impatient: self.impatient.clone(),
            running: self.running,
        }
    }

    // Growing and shrinking.

    /// Lets `n` nodes join, spread over time, and returns them.
    pub fn grow(&mut self, n: usize) -> Vec<HostId> {
        (0..n).map(|_| self.join(None)).collect()
    }

    /// Lets nodes with these ids join, spread over time, and returns them.
    pub fn grow_with_ids(&mut self, ids: &[Id]) -> Vec<HostId> {
        ids.iter().map(|id| self.join(Some(*id))).collect()
    }

    /// One node joins, a moment later.
    fn join(&mut self, id: Option<Id>) -> HostId {
        self.run_for(Duration::from_secs_f64(1.0 / self.terms.joins_per_second));
        let addr = self.plan.endpoint();
        // A node that is dead by these terms never joins: an open one takes its place.
        let home = self.terms.reachability.home(addr, &mut self.dice).unwrap_or_else(|| Home::open(addr));
        let host = self.settle(home, self.terms.config.clone(), id);
        self.members.push(host);
        host
    }

    /// Adds a node of its own kind, which joins at once.
    pub fn add(&mut self, home: Home, config: Config) -> HostId {
        let host = self.settle(home, config, None);
        self.members.push(host);
        host
    }

    /// Adds a resident that is not a member: an adversary, a node under observation.
    pub fn admit(&mut self, home: Home, resident: Resident) -> HostId {
        let host = self.world.spawn(home, resident);
        self.note_reports();
        host
    }

    /// Ends a node without a word to anyone.
    pub fn kill(&mut self, host: HostId) {
        self.world.kill(host);
        self.members.retain(|member| *member != host);
        // What it was doing is over without a result.
        let unfinished = |(whose, _): &(HostId, OpId), task: &Task| *whose == host && !task.is_over();
        self.running -= self.tasks.iter().filter(|(key, task)| unfinished(key, task)).count();
        self.tasks.retain(|key, task| !unfinished(key, task));
    }

    fn settle(&mut self, home: Home, mut config: Config, id: Option<Id>) -> HostId {
        let addr = home.addr();
        let id = id.or(config.saved.id.map(|id| *id));
        let id = id.or_else(|| (!config.private_network).then(|| self.plan.id_for(addr.ip())));
        config.saved = Snapshot { id: id.map(NodeId), ..config.saved };
        let node = Node::new(config, self.plan.seed(), self.world.now());
        self.admit(home, Resident::Node(Box::new(node)))
    }

    // Time.

    /// Runs for this long.
    pub fn run_for(&mut self, duration: Duration) {
        self.run_until(self.world.now() + duration);
    }

    /// Runs until then.
    pub fn run_until(&mut self, until: Instant) {
        while self.step(until) {}
        self.world.run_until(until);
    }

    /// Runs until every operation has ended, but no longer than `limit`. Whether all have ended.
    pub fn finish(&mut self, limit: Duration) -> bool {
        let until = self.world.now() + limit;
        while self.running > 0 && self.step(until) {}
        self.running == 0
    }

    fn step(&mut self, until: Instant) -> bool {
        let more = self.world.step(until);
        self.note_reports();
        more
    }

    // Operations.

    /// `host` looks for peers of `key`.
    pub fn find_peers(&mut self, host: HostId, key: Id) {
        self.begin(host, key, Command::FindPeers { info_hash: InfoHash(key) });
        self.note_reports();
    }

    /// `host` looks for peers of `key` until it has the first, and then lets the rest be; `None` if there is no such node.
    pub fn find_first_peers(&mut self, host: HostId, key: Id) -> Option<OpId> {
        let op = self.begin(host, key, Command::FindPeers { info_hash: InfoHash(key) })?;
        self.impatient.insert((host, op));
        self.note_reports();
        Some(op)
    }

    /// `host` begins any operation; `None` if there is no such node.
    pub fn operate(&mut self, host: HostId, target: Id, command: Command) -> Option<OpId> {
        let op = self.begin(host, target, command);
        self.note_reports();
        op
    }

    /// `host` announces its client at `port` under `key`.
    pub fn announce(&mut self, host: HostId, key: Id, port: u16) {
        self.begin(host, key, Command::Announce { info_hash: InfoHash(key), port, seed: false });
        self.note_reports();
    }

    /// `host` asks one node for a sample of its infohashes (BEP 51).
    pub fn sample(&mut self, host: HostId, addr: SocketAddr, target: Target) {
        self.begin(host, *target, Command::Sample { addr, target });
        self.note_reports();
    }

    /// `host` looks for the nodes closest to `target`.
    pub fn find_node(&mut self, host: HostId, target: Id) {
        self.begin(host, target, Command::FindNode { target: Target(target) });
        self.note_reports();
    }

    /// Begins an operation; its reports so far are noted by the caller.
    fn begin(&mut self, host: HostId, target: Id, command: Command) -> Option<OpId> {
        let op = self.command(host, |node, now| node.begin(now, command))?;
        self.tasks.insert((host, op), Task::new(host, target, self.world.now()));
        self.running += 1;
        Some(op)
    }

    fn command<R>(&mut self, host: HostId, command: impl FnOnce(&mut Node, Instant) -> R) -> Option<R> {
        self.world.call(host, |resident, now| match resident {
            Resident::Node(node) => Some(command(node, now)),
            Resident::Other(_) => None,
        })?
    }

    /// Takes the notes of all operations, in the order of hosts and then of beginning.
    pub fn take_tasks(&mut self) -> Vec<Task> {
        self.running = 0;
        self.impatient.clear();
        std::mem::take(&mut self.tasks).into_values().collect()
    }

    /// Takes the notes of those operations of `host` that have ended, in the order of beginning.
    pub fn take_ended(&mut self, host: HostId) -> Vec<(OpId, Task)> {
        let of_host = self.tasks.iter().filter(|((whose, _), task)| *whose == host && task.is_over());
        let ended: Vec<OpId> = of_host.map(|((_, op), _)| *op).collect();
        ended.into_iter().filter_map(|op| Some((op, self.take_task(host, op).ok()?))).collect()
    }

    /// Takes the notes of an operation that has ended.
    ///
    /// # Errors
    /// Whether it is still under way: otherwise its node was ended, or its notes were taken before.
    pub fn take_task(&mut self, host: HostId, op: OpId) -> Result<Task, bool> {
        match self.tasks.get(&(host, op)) {
            Some(task) if task.is_over() => {
                self.impatient.remove(&(host, op));
                self.tasks.remove(&(host, op)).ok_or(false)
            }
            task => Err(task.is_some()),
        }
    }

    // Who is there.

    /// The world below.
    #[must_use]
    pub const fn world(&self) -> &World<Resident> {
        &self.world
    }

    /// The world below, to suspend and relocate its hosts.
    pub const fn world_mut(&mut self) -> &mut World<Resident> {
        &mut self.world
    }

    /// The living members, oldest first.
    #[must_use]
    pub fn members(&self) -> &[HostId] {
        &self.members
    }

    /// A living node.
    #[must_use]
    pub fn node(&self, host: HostId) -> Option<&Node> {
        self.world.host(host)?.node()
    }

    /// The living member whose id is closest to `target`, except this one.
    #[must_use]
    pub fn closest(&self, target: &Id, except: HostId) -> Option<HostId> {
        let others = self.members.iter().filter(|member| **member != except);
        others.filter_map(|&member| Some((self.node(member)?.id().distance(target), member))).min().map(|best| best.1)
    }

    /// When a node said that it had joined, if it did.
    #[must_use]
    pub fn ready_at(&self, host: HostId) -> Option<Instant> {
        self.ready.get(&host).copied()
    }

    /// Takes the router from the network. The nodes are not told.
    pub fn close_router(&mut self) {
        self.world.suspend(self.router_host);
    }

    /// Puts it back.
    pub fn open_router(&mut self) {
        self.world.resume(self.router_host);
    }

    /// The router through which everyone joins.
    #[must_use]
    pub const fn router(&self) -> SocketAddr {
        self.router
    }

    /// A fresh endpoint of this network's address plan.
    pub fn endpoint(&mut self) -> SocketAddr {
        self.plan.endpoint()
    }

    // Reports.

    fn note_reports(&mut self) {
        while self.world.has_reports() {
            for (at, host, event) in self.world.take_reports() {
                self.note(at, host, event);
            }
        }
    }

    fn note(&mut self, at: Instant, host: HostId, event: Event) {
        if event == Event::RoutersWanted {
            let router = self.router;
            self.command(host, |node, now| node.add_routers(now, &[router]));
            return;
        }
        if let Event::Ready { .. } = event {
            self.ready.insert(host, at);
            return;
        }
        let Some(op) = task::operation(&event) else { return };
        let Some(task) = self.tasks.get_mut(&(host, op)) else { return };
        if task.is_over() {
            return;
        }
        task.note(at, event);
        let has_enough = !task.peers.is_empty() && self.impatient.contains(&(host, op));
        if has_enough && !task.is_over() {
            self.stop(host, op);
        }
        self.running -= usize::from(self.tasks[&(host, op)].is_over());
    }

    /// Ends an operation that has found what it was begun for.
    fn stop(&mut self, host: HostId, op: OpId) {
        let asked = self.command(host, |node, _| {
            let asked = node.asked(op);
            node.cancel(op);
            asked
        });
        if let Some(task) = self.tasks.get_mut(&(host, op)) {
            task.stop(asked.flatten().unwrap_or(0));
        }
    }
}
