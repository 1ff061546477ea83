//! A small network of nodes on the mainline's terms, and the questions that every test asks it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use trackerless::engine::contact::Family;
use trackerless::engine::id::Id;
use trackerless::engine::node::Config;
use trackerless::sim::invariant::{DatagramsFit, OnlySendableDestinations};
use trackerless::sim::link::plane::Plane;
use trackerless::sim::random::Dice;
use trackerless::sim::sound_tables::SoundTables;
use trackerless::sim::task::Task;
use trackerless::sim::{HostId, Link, Network, Terms, World};

/// The largest datagram that a node may send.
pub const LARGEST: usize = 1024;

/// A link with the Internet's delays and nothing else.
pub fn calm() -> Link {
    Link::new(1).with(Plane::new(1))
}

/// As `run --lan` has it, but for the passive cache: what a node once heard shall not hide what its table lacks.
pub fn private() -> Terms {
    let lab = Terms::lab(0);
    let config = Config { private_network: true, ..lab.config };
    Terms { config, joins_per_second: 100.0, ..lab }
}

/// A network of `n` nodes that joined over this link and had two minutes to settle, watched by all invariants.
pub fn network_of(n: usize, link: Link) -> Network {
    network_on(n, link, Terms::mainline(Family::V4))
}

/// The same on other terms.
pub fn network_on(n: usize, link: Link, terms: Terms) -> Network {
    let mut network = Network::in_world(World::new(link, 1), terms);
    watch(&mut network);
    network.grow(n);
    network.run_for(Duration::from_secs(120));
    network
}

/// A copy of a network, watched like the network itself.
pub fn copy_of(network: &Network) -> Network {
    let mut copy = network.fork();
    watch(&mut copy);
    copy
}

/// Sets all invariants to watch it.
pub fn watch(network: &mut Network) {
    let world = network.world_mut();
    world.watch(OnlySendableDestinations);
    world.watch(DatagramsFit(LARGEST));
    world.watch(SoundTables::default());
}

/// Where the clients of all announcers listen.
const PORT: u16 = 6881;

/// What a round of announces and lookups came to.
pub struct Round {
    /// Announces and lookups, each.
    pub keys: usize,
    /// Nodes that stored an announce, on average.
    pub stored: f64,
    /// Lookups that found the very peer that was announced: an invented peer does not count.
    pub found: usize,
    /// Peers that lookups were told of, although they were never announced.
    pub invented: usize,
    /// Queries of a lookup until it ended, on average.
    pub asked: f64,
    /// The slower half of the lookups had their first peers after this many milliseconds.
    pub median_ms: u128,
}

impl Round {
    /// For a table.
    pub fn cells(&self) -> [String; 4] {
        [
            format!("{}/{}", self.found, self.keys),
            format!("{:.1}", self.stored),
            format!("{:.1}", self.asked),
            if self.median_ms == u128::MAX { "never".into() } else { self.median_ms.to_string() },
        ]
    }

    /// The names of [`Self::cells`].
    pub const COLUMNS: [&str; 4] = ["found", "stored on", "asked", "median ms"];
}

/// `count` keys are announced by members drawn at random and looked up by others.
pub fn round(network: &mut Network, count: usize, salt: u64) -> Round {
    let keys = announce(network, count, salt);
    look_up(network, &keys, salt)
}

/// Announces keys from members drawn at random.
pub fn announce(network: &mut Network, count: usize, salt: u64) -> Announced {
    let mut dice = Dice::keyed(1, &[salt]);
    let keys: Vec<Id> = (0..count).map(|_| dice.id()).collect();
    let mut peers = BTreeMap::new();
    for &key in &keys {
        let announcer = member(network, &mut dice);
        network.announce(announcer, key, PORT);
        peers.insert(key, SocketAddr::new(network.world().addr(announcer).ip(), PORT));
    }
    network.finish(Duration::from_secs(60));
    let stored: usize = network.take_tasks().iter().map(|task| task.stored_at.len()).sum();
    Announced { stored: stored as f64 / keys.len() as f64, keys, peers }
}

/// Keys that were announced, by whom, and on how many nodes each is stored on average.
pub struct Announced {
    pub keys: Vec<Id>,
    peers: BTreeMap<Id, SocketAddr>,
    stored: f64,
}

/// Looks all keys up, each from a member drawn at random.
pub fn look_up(network: &mut Network, announced: &Announced, salt: u64) -> Round {
    let mut dice = Dice::keyed(2, &[salt]);
    for &key in &announced.keys {
        let reader = member(network, &mut dice);
        network.find_peers(reader, key);
    }
    network.finish(Duration::from_secs(60));
    let tasks = network.take_tasks();
    let is_true = |task: &Task, peer: &SocketAddr| announced.peers.get(&task.target) == Some(peer);
    let finds = |task: &Task| task.peers.iter().any(|peer| is_true(task, peer));
    let invented = |task: &Task| task.peers.iter().filter(|peer| !is_true(task, peer)).count();
    let asked: usize = tasks.iter().filter_map(|task| task.summary.as_ref()).map(|summary| summary.asked).sum();
    let mut times: Vec<u128> = tasks.iter().map(|task| task.first_peers.map_or(u128::MAX, |t| t.as_millis())).collect();
    times.sort_unstable();
    Round {
        keys: announced.keys.len(),
        stored: announced.stored,
        found: tasks.iter().filter(|task| finds(task)).count(),
        invented: tasks.iter().map(invented).sum(),
        asked: asked as f64 / tasks.len().max(1) as f64,
        median_ms: times[times.len() / 2],
    }
}

/// A member drawn at random.
pub fn member(network: &Network, dice: &mut Dice) -> HostId {
    *dice.pick(network.members()).expect("the network has members")
}

/// Rows under a head line, in columns.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].len());
        cells.chain([head[column].len()]).max().unwrap_or(0)
    };
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.enumerate().map(|(i, cell)| format!("{cell:>0$}", width(i))).collect();
        writeln!(text, "{}", padded.join("  ")).expect("a string takes every line");
    };
    line(&mut head.iter().copied());
    rows.iter().for_each(|row| line(&mut row.iter().map(String::as_str)));
    text
}

/// A row: its name and the cells of a round.
pub fn row(name: impl ToString, round: &Round) -> Vec<String> {
    [name.to_string()].into_iter().chain(round.cells()).collect()
}

/// The head line of such rows.
pub fn head(name: &'static str) -> Vec<&'static str> {
    [name].into_iter().chain(Round::COLUMNS).collect()
}
