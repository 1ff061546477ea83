//! How many hops does a lookup take as the network grows?
//!
//! Networks of 256 to 16,384 nodes, 1,000 lookups each, everyone alive, one copy: a lookup ends at the node to which
//! the key belongs. Theory: Chord walks half of log2 N; systems that resolve 4 bits a hop about a quarter; CAN grows
//! as the d-th root of N.

use super::experiment::{Outcome, Plan, Progress, Verdict};
use super::overlay::{Dead, Walk};
use super::parallel;
use super::plot::{Axis, Chart, Series};
use super::statistics::{mean, quantile, slope};
use super::systems::System;
use super::systems::kademlia::Kademlia;
use super::table::{Decimal, Table};
use crate::engine::id::Id;
use crate::sim::random::Dice;

const SYSTEMS: [System; 7] =
    [System::Chord, System::Kademlia, System::Pastry, System::Tapestry, System::Can2, System::Can4, System::Viceroy];
const LOOKUPS: usize = 1_000;

/// One system at one size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    system: System,
    n: usize,
}

/// What was measured of it.
#[derive(Clone, Debug)]
struct Row {
    job: Job,
    mean_hops: f64,
    p99_hops: f64,
    mean_rpcs: f64,
    found: usize,
}

/// The largest networks first, so that no thread is left alone with them at the end.
pub(super) fn jobs(plan: &Plan) -> Vec<Job> {
    let mut sizes = plan.nodes_or(&[256, 1024], &[256, 1024, 4096, 16384]);
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let systems = plan.systems_among(&SYSTEMS);
    sizes.iter().flat_map(|&n| systems.iter().map(move |&system| Job { system, n })).collect()
}

pub(super) fn run(plan: &Plan, progress: Progress<'_>) -> Outcome {
    let mut rows = parallel::map(&jobs(plan), plan.threads, progress, |&job| measure(job, plan.seed));
    rows.sort_by_key(|row| (row.job.system, row.job.n));
    Outcome { table: table(&rows), picture: picture(&rows), verdicts: verdicts(&rows) }
}

fn measure(job: Job, seed: u64) -> Row {
    let mut dice = Dice::keyed(seed, &[0x4095, job.n as u64]);
    let ids: Vec<Id> = (0..job.n).map(|_| dice.id()).collect();
    let tasks: Vec<(usize, Id)> = (0..LOOKUPS).map(|_| (dice.below(job.n), dice.id())).collect();
    let walks = match job.system.build(&ids, seed) {
        Some(overlay) => {
            let nobody = Dead::nobody(job.n);
            tasks.iter().map(|&(source, key)| overlay.find(source, key, 1, &nobody)).collect()
        }
        None => Kademlia::settle(&ids, job.system.copies(), seed).find_closest(&tasks),
    };
    row(job, &walks)
}

fn row(job: Job, walks: &[Walk]) -> Row {
    let hops: Vec<f64> = walks.iter().map(|walk| f64::from(walk.hops)).collect();
    Row {
        job,
        mean_hops: mean(hops.iter().copied()),
        p99_hops: quantile(&hops, 0.99),
        mean_rpcs: mean(walks.iter().map(|walk| f64::from(walk.rpcs))),
        found: walks.iter().filter(|walk| walk.found).count(),
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&["system", "n", "mean_hops", "p99_hops", "mean_rpcs"]);
    for row in rows {
        let (mean_hops, p99_hops) = (Decimal(row.mean_hops), Decimal(row.p99_hops));
        table.push(&[&row.job.system, &row.job.n, &mean_hops, &p99_hops, &Decimal(row.mean_rpcs)]);
    }
    table
}

fn picture(rows: &[Row]) -> String {
    let (low, high) = (rows.iter().map(|row| row.job.n).min(), rows.iter().map(|row| row.job.n).max());
    let (low, high) = (low.map_or(0.0, doublings), high.map_or(1.0, doublings));
    let mut chart = Chart::new(
        "Hops of a lookup",
        "mean over 1,000 lookups, everyone alive; dashed: ½ log₂ N, Chord's law; can2 leaves the picture",
        Axis::doublings("nodes in the network", low, high),
        Axis::linear("hops", 0.0, 24.0),
    );
    chart.add(Series::dashed("½ log₂ N", &[(low, low / 2.0), (high, high / 2.0)]));
    for system in SYSTEMS {
        let points: Vec<(f64, f64)> = rows.iter().filter(|row| row.job.system == system).map(Row::point).collect();
        if !points.is_empty() {
            chart.add(Series::of(system, &points));
        }
    }
    chart.render()
}

impl Row {
    fn point(&self) -> (f64, f64) {
        (doublings(self.job.n), self.mean_hops)
    }
}

fn doublings(n: usize) -> f64 {
    libm::log2(n as f64)
}

fn verdicts(rows: &[Row]) -> Vec<Verdict> {
    let of = |system: System| rows.iter().filter(move |row| row.job.system == system);
    let mut verdicts = Vec::new();
    for (system, expected, tolerance, from) in [
        (System::Chord, 0.5, 0.06, 0),
        // The node's own first buckets hold 128, 64, 32 and 16: it knows a small network by heart, and the line is bent
        // until they hold a small share of it.
        (System::Kademlia, 0.195, 0.05, 4096),
        (System::Pastry, 0.235, 0.05, 0),
        (System::Tapestry, 0.235, 0.05, 0),
    ] {
        let points: Vec<(f64, f64)> = of(system).filter(|row| row.job.n >= from).map(Row::point).collect();
        if points.len() > 1 {
            verdicts.push(Verdict::near(&format!("{system}: hops per doubling"), slope(&points), expected, tolerance));
        }
    }
    for (system, dimensions) in [(System::Can2, 2.0), (System::Can4, 4.0)] {
        let points: Vec<(f64, f64)> = of(system).map(Row::point).map(|(x, y)| (x, libm::log2(y))).collect();
        if points.len() > 1 {
            verdicts.push(Verdict::near(&format!("{system}: exponent of N"), slope(&points), 1.0 / dimensions, 0.07));
        }
    }
    for row in of(System::Kademlia) {
        let limit = 1.3 * (4.5 + 0.6 * doublings(row.job.n)) + 0.5;
        verdicts.push(Verdict::at_most(&format!("kademlia: rpcs at {}", row.job.n), row.mean_rpcs, limit));
    }
    for row in rows.iter().filter(|row| row.found < LOOKUPS) {
        let text =
            format!("{} at {}: {} lookups missed the closest node", row.job.system, row.job.n, LOOKUPS - row.found);
        verdicts.push(Verdict::new(false, text));
    }
    let all = rows.iter().all(|row| row.found == LOOKUPS);
    verdicts.push(Verdict::new(all, "every lookup ends at the closest node"));
    verdicts
}
