//! One run: grow, settle, measure.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use trackerless::engine::contact::Family;
use trackerless::engine::id::NodeId;
use trackerless::sim::random::Dice;
use trackerless::sim::{HostId, Link, Network, Terms};

use crate::cost::{Cost, Meter, peak_bytes};
use crate::{Kind, Options};

/// Lookups that run at the same time, as in the lab.
const AT_ONCE: usize = 100;

/// What a run came to.
#[derive(Serialize)]
pub struct Report {
    nodes: usize,
    terms: String,
    seed: u64,
    virtual_seconds: u64,
    events: u64,
    datagrams: u64,
    /// Nodes that say they have joined.
    joined: usize,
    join: Cost,
    settle: Cost,
    measure: Cost,
    events_per_cpu_second: f64,
    peak_bytes: u64,
    bytes_per_node: u64,
    lookups: usize,
    /// Lookups that ended with the closest node of all.
    found_closest: usize,
    /// Queries of a lookup, on average.
    queries_per_lookup: f64,
    trace: String,
}

/// Grows a network, lets it settle, and measures it.
pub fn run(options: &Options) -> anyhow::Result<Report> {
    let mut meter = Meter::start()?;
    let mut network = Network::new(Link::internet(options.seed), terms(options), options.seed);
    network.grow(options.nodes);
    let join = meter.lap()?;
    network.run_for(Duration::from_mins(options.minutes));
    let settle = meter.lap()?;
    let looked = look_up(&mut network, options);
    let measure = meter.lap()?;
    let counters = network.world().counters();
    let peak_bytes = peak_bytes()?;
    Ok(Report {
        nodes: options.nodes,
        terms: format!("{:?}", options.terms).to_lowercase(),
        seed: options.seed,
        virtual_seconds: network.world().now().as_secs(),
        events: counters.events,
        datagrams: counters.sent,
        joined: network.members().iter().filter(|&&member| network.ready_at(member).is_some()).count(),
        join,
        settle,
        measure,
        events_per_cpu_second: counters.events as f64 / (join.cpu_seconds + settle.cpu_seconds + measure.cpu_seconds),
        peak_bytes,
        bytes_per_node: peak_bytes / options.nodes.max(1) as u64,
        lookups: options.lookups,
        found_closest: looked.found_closest,
        queries_per_lookup: looked.queries as f64 / options.lookups.max(1) as f64,
        trace: format!("{:016x}", network.world().trace()),
    })
}

fn terms(options: &Options) -> Terms {
    let lab = Terms::lab(options.nodes);
    match options.terms {
        Kind::Lab => lab,
        Kind::Mainline => Terms { joins_per_second: lab.joins_per_second, ..Terms::mainline(Family::V4) },
    }
}

#[derive(Default)]
struct Looked {
    found_closest: usize,
    queries: usize,
}

/// Looks random targets up from random members.
fn look_up(network: &mut Network, options: &Options) -> Looked {
    let mut dice = Dice::keyed(options.seed, &[0x100c]);
    let mut looked = Looked::default();
    let ids: Vec<(HostId, NodeId)> =
        network.members().iter().filter_map(|&member| Some((member, network.node(member)?.id()))).collect();
    for first in (0..options.lookups).step_by(AT_ONCE) {
        for _ in first..(first + AT_ONCE).min(options.lookups) {
            let member = *dice.pick(network.members()).expect("the network has members");
            network.find_node(member, dice.id());
        }
        network.finish(Duration::from_secs(60));
        for task in network.take_tasks() {
            let others = ids.iter().filter(|(member, _)| *member != task.host);
            let closest = others.map(|(_, id)| id).min_by(|a, b| task.target.closer(a, b));
            looked.found_closest += usize::from(task.nearest.map(|(contact, _)| contact.id) == closest.copied());
            looked.queries += task.summary.map_or(0, |summary| summary.asked);
        }
    }
    looked
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |f: &mut fmt::Formatter<'_>, name, cost: Cost| {
            writeln!(f, "{name:8} {:9.1} s CPU {:9.1} s wall", cost.cpu_seconds, cost.wall_seconds)
        };
        writeln!(f, "{} nodes ({}), {} s of virtual time", self.nodes, self.terms, self.virtual_seconds)?;
        part(f, "join", self.join)?;
        part(f, "settle", self.settle)?;
        part(f, "measure", self.measure)?;
        writeln!(
            f,
            "{} events, {:.0} a second of CPU; {} datagrams",
            self.events, self.events_per_cpu_second, self.datagrams
        )?;
        writeln!(f, "{} MiB at the most, {} bytes a node", self.peak_bytes >> 20, self.bytes_per_node)?;
        writeln!(
            f,
            "{} joined; {} of {} lookups found the closest node, after {:.1} queries",
            self.joined, self.found_closest, self.lookups, self.queries_per_lookup
        )?;
        writeln!(f, "trace {}", self.trace)
    }
}
