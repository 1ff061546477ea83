//! How much sooner does an object arrive where nodes gather in clusters by round-trip time?
//!
//! [Coral](super::systems::coral) in a network of 494 nodes on the plane of round trips, once as one flat table and once
//! with a cluster of 100 ms and one of 60 ms for each node inside the table of all. A share of the nodes caches an object
//! and has said so at the root of its key in each cluster that it is in; all others read it once. A read is the lookup,
//! query after query, and one round trip to a holder drawn from those that the lookup found.

use super::outcome::{Outcome, Verdict};
use super::parallel;
use super::plan::{Plan, Progress};
use super::plot::{Axis, Chart, Colour, Series};
use super::statistics::quantile;
use super::systems::coral::{self, Cluster};
use super::table::{Decimal, Table};
use super::throng;
use crate::engine::contact::Family;
use crate::engine::id::Id;
use crate::sim::link::plane::Plane;
use crate::sim::random::Dice;

const NODES: usize = 494;
const SHARES: [f64; 8] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5];
/// Diameters of the clusters, the narrowest first; all nodes together are the last.
const DIAMETERS_MS: [f64; 3] = [60.0, 100.0, f64::INFINITY];
const JITTER: u64 = 11;

/// One object in a network of its own, at each of the shares.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    n: usize,
    object: u64,
}

impl Job {
    pub(super) fn seconds(&self) -> f64 {
        3e-7 * (self.n * self.n) as f64
    }
}

/// How long each reader waited for the object, in milliseconds: without clusters, and with them.
#[derive(Clone, Debug, Default)]
struct Reads {
    flat_ms: Vec<f64>,
    cluster_ms: Vec<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    share: f64,
    flat_p50_ms: f64,
    cluster_p50_ms: f64,
}

pub(super) fn jobs(plan: &Plan) -> Vec<Job> {
    let n = plan.nodes_or(&[NODES], &[NODES])[0].max(2);
    (0..plan.trials_or(6, 40) as u64).map(|object| Job { n, object }).collect()
}

pub(super) fn run(plan: &Plan, progress: Progress<'_>) -> Outcome {
    let objects = parallel::map(&jobs(plan), plan.threads, progress, |job| measure(*job, plan.seed));
    let row = |(index, &share): (usize, &f64)| {
        let median = |ms: fn(&Reads) -> &Vec<f64>| {
            let all: Vec<f64> = objects.iter().flat_map(|reads| ms(&reads[index])).copied().collect();
            quantile(&all, 0.5)
        };
        Row { share, flat_p50_ms: median(|reads| &reads.flat_ms), cluster_p50_ms: median(|reads| &reads.cluster_ms) }
    };
    let rows: Vec<Row> = SHARES.iter().enumerate().map(row).collect();
    Outcome { table: table(&rows), picture: picture(&rows), verdicts: verdicts(&rows), more: Vec::new() }
}

fn measure(job: Job, seed: u64) -> Vec<Reads> {
    let mut dice = Dice::keyed(seed, &[0xc02a1, job.object]);
    let town = Town::new(job.n, &mut dice);
    let key = dice.id();
    // Whoever caches the object at a small share does so at a larger one.
    let mut order: Vec<usize> = (0..job.n).collect();
    dice.shuffle(&mut order);
    SHARES.map(|share| town.read(key, order.split_at((share * job.n as f64).round().max(1.0) as usize))).to_vec()
}

/// Nodes on the plane, and the clusters that each of them is in.
struct Town {
    seed: u64,
    round_trips_ms: Vec<Vec<f64>>,
    /// By diameter.
    levels: Vec<Level>,
}

/// The clusters of one diameter.
struct Level {
    clusters: Vec<Cluster>,
    /// By node.
    cluster_of: Vec<usize>,
}

impl Level {
    fn new(diameter_ms: f64, ids: &[Id], round_trips_ms: &[Vec<f64>], seed: u64) -> Self {
        let members = coral::gather(ids.len(), diameter_ms, |a, b| round_trips_ms[a][b]);
        let mut cluster_of = vec![0; ids.len()];
        for (cluster, members) in members.iter().enumerate() {
            members.iter().for_each(|&node| cluster_of[node] = cluster);
        }
        Self { clusters: members.into_iter().map(|members| Cluster::new(members, ids, seed)).collect(), cluster_of }
    }

    fn cluster(&self, node: usize) -> &Cluster {
        &self.clusters[self.cluster_of[node]]
    }
}

impl Town {
    fn new(n: usize, dice: &mut Dice) -> Self {
        let seed = dice.bits();
        let ids: Vec<Id> = (0..n).map(|_| dice.id()).collect();
        let ips: Vec<_> = (0..n).map(|_| throng::address(Family::V4, dice).ip()).collect();
        let mut plane = Plane::new(seed);
        let round_trips_ms: Vec<Vec<f64>> =
            ips.iter().map(|&a| ips.iter().map(|&b| plane.round_trip(a, b).as_secs_f64() * 1e3).collect()).collect();
        let levels = DIAMETERS_MS.map(|diameter| Level::new(diameter, &ids, &round_trips_ms, seed)).into();
        Self { seed, round_trips_ms, levels }
    }

    /// Each of the readers reads the object, of which the holders have said that they have it.
    fn read(&self, key: Id, (holders, readers): (&[usize], &[usize])) -> Reads {
        let flat = &self.levels[self.levels.len() - 1..];
        let time = |levels: &[Level], reader: usize| Reader::new(self, reader).read(levels, key, holders);
        Reads {
            flat_ms: readers.iter().map(|&reader| time(flat, reader)).collect(),
            cluster_ms: readers.iter().map(|&reader| time(&self.levels, reader)).collect(),
        }
    }
}

/// A reader, and how long it has waited.
struct Reader<'a> {
    town: &'a Town,
    reader: usize,
    waited_ms: f64,
    asked: u64,
}

impl<'a> Reader<'a> {
    const fn new(town: &'a Town, reader: usize) -> Self {
        Self { town, reader, waited_ms: 0.0, asked: 0 }
    }

    /// Looks the key up in the narrowest cluster, and from where it ends in the next wider one, until one has a holder.
    fn read(mut self, levels: &[Level], key: Id, holders: &[usize]) -> f64 {
        let mut at = self.reader;
        for level in levels {
            let cluster = level.cluster(self.reader);
            at = if cluster.contains(at) { at } else { self.reader };
            for node in cluster.path(at, key) {
                self.ask(node);
                at = node;
            }
            let here = |holder: &&usize| level.cluster_of[**holder] == level.cluster_of[self.reader];
            let found: Vec<usize> = holders.iter().filter(here).copied().collect();
            let names = [self.reader as u64, level.clusters.len() as u64];
            if let Some(&holder) = Dice::keyed(self.town.seed, &names).pick(&found) {
                self.ask(holder);
                return self.waited_ms;
            }
        }
        f64::INFINITY
    }

    /// One query and its answer. Both vary by 5 %, and three packets of a hundred wait exp(100 ms) longer.
    fn ask(&mut self, node: usize) {
        self.asked += 1;
        let names = [JITTER, self.reader as u64, node as u64, self.asked];
        let mut dice = Dice::keyed(self.town.seed, &names);
        let one_way = self.town.round_trips_ms[self.reader][node] / 2.0;
        for _ in 0..2 {
            let slow = if dice.chance(0.03) { dice.exponential(100.0) } else { 0.0 };
            self.waited_ms += one_way * (1.0 + 0.05 * dice.normal()).max(0.5) + slow;
        }
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&["share", "flat_p50_ms", "cluster_p50_ms"]);
    for row in rows {
        table.push(&[&Decimal(row.share), &Decimal(row.flat_p50_ms), &Decimal(row.cluster_p50_ms)]);
    }
    table
}

fn picture(rows: &[Row]) -> String {
    let line = |ms: fn(&Row) -> f64| rows.iter().map(|row| (100.0 * row.share, ms(row))).collect::<Vec<_>>();
    let most = rows.iter().map(|row| row.flat_p50_ms).fold(100.0, f64::max);
    let mut chart = Chart::new(
        "Time until an object arrives, over the nodes that cache it",
        "medians; clusters of 60 and 100 ms inside the table of all",
        Axis::linear("nodes that cache the object, %", 0.0, 50.0),
        Axis::linear("milliseconds", 0.0, (most / 200.0).ceil() * 200.0),
    );
    chart.add(Series::new("one flat table", Colour::nth(0), &line(|row| row.flat_p50_ms)));
    chart.add(Series::new("clusters", Colour::nth(1), &line(|row| row.cluster_p50_ms)));
    chart.add(Series::dashed("a quarter of flat", &line(|row| row.flat_p50_ms / 4.0)));
    chart.render()
}

fn verdicts(rows: &[Row]) -> Vec<Verdict> {
    let verdict = |row: &Row| {
        let (factor, least) = (row.flat_p50_ms / row.cluster_p50_ms, if row.share < 0.02 { 3.0 } else { 4.0 });
        let share = 100.0 * row.share;
        let text =
            format!("{share:.0} % cache it, times as fast with clusters: {factor:.3}, must be at least {least:.3}");
        Verdict::new(factor >= least, text)
    };
    rows.iter().map(verdict).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_pay_and_the_more_the_more_nodes_cache_it() {
        let outcome = run(&Plan { trials: Some(2), ..Plan::new(1) }, &|_| ());
        let factor = |row: &Vec<String>| row[1].parse::<f64>().unwrap() / row[2].parse::<f64>().unwrap();
        let factors: Vec<f64> = outcome.table.rows().iter().map(factor).collect();
        assert_eq!(factors.len(), SHARES.len());
        assert!(factors[0] > 2.5 && factors[7] > 1.2 * factors[0], "{factors:?}");
    }

    #[test]
    fn who_has_a_holder_beside_it_asks_nobody_far_away() {
        let mut dice = Dice::new(1);
        let town = Town::new(100, &mut dice);
        let narrow = &town.levels[0];
        let crowded =
            (0..100).find(|&node| narrow.cluster_of.iter().filter(|of| **of == narrow.cluster_of[node]).count() > 5);
        let reader = crowded.expect("a cluster of six");
        let holder = (0..100).find(|&node| node != reader && narrow.cluster_of[node] == narrow.cluster_of[reader]);
        let holder = [holder.expect("another member")];
        let key = dice.id();
        let alone = Reader::new(&town, reader).read(&town.levels[..1], key, &holder);
        assert_eq!(Reader::new(&town, reader).read(&town.levels, key, &holder), alone);
        assert!(Reader::new(&town, reader).read(&town.levels[2..], key, &holder) > alone);
    }
}
