//! A network of the production node, of which all want one key.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::models::distinct;
use super::{Job, Load, MOST_PER_MINUTE, Variant, loads};
use crate::engine::contact::Family;
use crate::engine::id::{Id, InfoHash};
use crate::engine::limits::K;
use crate::engine::node::{Command, Config};
use crate::engine::time::Instant;
use crate::lab::statistics::{mean, quantile};
use crate::sim::link::plane::Plane;
use crate::sim::random::Dice;
use crate::sim::task::Task;
use crate::sim::{HostId, Link, Network, Terms};

/// Time that a network settles.
const SETTLING: Duration = Duration::from_mins(3);
/// Tasks that are looked at to say what readers are told.
const READS: usize = 20_000;
const PORT: u16 = 6881;

pub(super) fn measure(job: Job, seed: u64) -> Load {
    let mut town = Town::settle(job, seed);
    town.run_for(job.minutes.0);
    let before = town.counts();
    (town.reads, town.operations) = (Vec::new(), 0);
    town.run_for(job.minutes.1);
    town.load(&before)
}

/// What nodes were asked for the key, and what they answered, since their start.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    requests: u64,
    puts: u64,
    refused: u64,
}

struct Town {
    job: Job,
    network: Network,
    key: Id,
    dice: Dice,
    /// By node: when it next does something.
    due: Vec<Instant>,
    /// What readers were told.
    reads: Vec<Vec<SocketAddr>>,
    operations: u64,
}

impl Town {
    fn settle(job: Job, seed: u64) -> Self {
        let mut dice = Dice::keyed(seed, &[0x407, job.n as u64, job.upgraded_pct as u64]);
        let cache_ways = (job.n / 16 / 256).min(8);
        // A search of the region is another experiment.
        let upgraded = Config { guard_keys: false, cache_ways, ..Config::new(Family::V4) };
        let plain = Config { hot_keys: None, visits: false, ..upgraded.clone() };
        let terms = Terms { config: upgraded.clone(), joins_per_second: 20.0, ..Terms::mainline(Family::V4) };
        let mut network = Network::new(Link::new(seed).with(Plane::new(seed)), terms, seed);
        for number in 0..job.n {
            let is_upgraded = (number + 1) * job.upgraded_pct / 100 > number * job.upgraded_pct / 100;
            let addr = network.endpoint();
            network.run_for(Duration::from_millis(50));
            let config = if is_upgraded { &upgraded } else { &plain };
            network.add(crate::sim::world::Home::open(addr), config.clone());
        }
        network.run_for(SETTLING);
        let (key, now) = (dice.id(), network.world().now());
        let mut town = Self { job, network, key, dice, due: Vec::new(), reads: Vec::new(), operations: 0 };
        town.due = (0..job.n).map(|_| now + town.pause().mul_f64(town.dice.unit())).collect();
        town
    }

    /// Time between two things that one client does.
    fn pause(&mut self) -> Duration {
        let per_minute = match self.job.variant {
            Variant::Product => MOST_PER_MINUTE,
            _ => self.job.rate / self.job.n as f64,
        };
        match self.job.variant {
            Variant::Product => Duration::from_secs_f64(60.0 / per_minute),
            _ => Duration::from_secs_f64(self.dice.exponential(60.0 / per_minute)),
        }
    }

    fn run_for(&mut self, minutes: u64) {
        let end = self.network.world().now() + Duration::from_mins(minutes);
        let mut order: std::collections::BTreeSet<(Instant, usize)> =
            self.due.iter().copied().zip(0..).filter(|(due, _)| *due < end).collect();
        while let Some((due, node)) = order.pop_first() {
            self.network.run_until(due);
            let is_busy = self.job.variant != Variant::Product || self.dice.chance(self.job.busy());
            if is_busy {
                self.operate(node);
            }
            self.due[node] = due + self.pause();
            if self.due[node] < end {
                order.insert((self.due[node], node));
            }
        }
        self.network.run_until(end);
    }

    fn operate(&mut self, node: usize) {
        let (host, info_hash) = (self.network.members()[node], InfoHash(self.key));
        for (_, task) in self.network.take_ended(host) {
            self.note(&task);
        }
        let command = if self.dice.chance(0.5) {
            Command::Announce { info_hash, port: PORT, seed: false }
        } else {
            Command::FindPeers { info_hash }
        };
        self.operations += 1;
        self.network.operate(host, self.key, command);
    }

    fn note(&mut self, task: &Task) {
        // An announce, too, is told of peers on its way; what counts is a reader.
        if task.stored_at.is_empty() && self.reads.len() < READS {
            self.reads.push(task.peers.clone());
        }
    }

    fn counts(&self) -> Vec<Counts> {
        let of = |host: &HostId| {
            self.network.node(*host).map_or(Counts::default(), |node| {
                let stats = node.stats();
                let (requests, refused) = (stats.get_peers + stats.announces, stats.limited);
                Counts { requests: requests + refused - stats.limited_by_key, puts: stats.announces, refused }
            })
        };
        self.network.members().iter().map(of).collect()
    }

    fn load(&mut self, before: &[Counts]) -> Load {
        let after = self.counts();
        let minutes = self.job.minutes.1 as f64;
        let per_minute = |count: fn(&Counts) -> u64| -> Vec<f64> {
            after.iter().zip(before).map(|(after, before)| (count(after) - count(before)) as f64 / minutes).collect()
        };
        let (requests, puts, refused) =
            (per_minute(|of| of.requests), per_minute(|of| of.puts), per_minute(|of| of.refused));
        let nodes: Vec<_> = self.network.members().iter().filter_map(|&host| self.network.node(host)).collect();
        let ids: Vec<Id> = nodes.iter().map(|node| *node.id()).collect();
        let mut closest: Vec<usize> = (0..ids.len()).collect();
        closest.sort_by(|&a, &b| self.key.closer(&ids[a], &ids[b]));
        closest.truncate(K);
        let bits: Vec<usize> = ids.iter().map(|id| id.common_prefix_len(&self.key)).collect();
        let now = self.network.world().now();
        let ages =
            |node: usize| -> Vec<f64> { nodes[node].peers().iter(now).map(|peer| peer.age.as_secs_f64()).collect() };
        // A store counts as often as it is asked.
        let weighted = (0..nodes.len())
            .filter(|node| requests[*node] > 0.0)
            .map(|node| (quantile(&ages(node), 0.5), requests[node]));
        let all: f64 = requests.iter().sum();
        Load {
            queries_per_operation: all * minutes / self.operations.max(1) as f64,
            peers_per_read: mean(self.reads.iter().map(|read| read.len() as f64)),
            age_median_s: weighted_median(weighted.collect()),
            root_age_median_s: quantile(&ages(closest[0]), 0.5),
            distinct_per_1000_reads: distinct(&self.reads),
            answered_pct: 100.0 * (1.0 - refused.iter().sum::<f64>() / all.max(1.0)),
            ..loads(&requests, &puts, &bits, &closest)
        }
    }
}

fn weighted_median(values: Vec<(f64, f64)>) -> f64 {
    let mut by_age: BTreeMap<u64, f64> = BTreeMap::new();
    for (age, weight) in values {
        *by_age.entry(age as u64).or_default() += weight;
    }
    let half = by_age.values().sum::<f64>() / 2.0;
    let mut seen = 0.0;
    let age = by_age.into_iter().find(|(_, weight)| {
        seen += weight;
        seen >= half
    });
    age.map_or(0.0, |(age, _)| age as f64)
}
