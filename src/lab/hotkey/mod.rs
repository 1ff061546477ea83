//! What does a node bear that is near a key that everybody asks for?
//!
//! All nodes of a network want one key: half of what they do is to announce themselves under it, half to look it up, so many
//! times a minute together. What the nodes around the key then get is measured for Coral, for the textbook reading of BEP 5,
//! and for networks of the production node, of which all or a part obey the hot-key rule (`engine/budgets/demand.rs`,
//! `engine/node/operation/hot.rs`).
//!
//! A client that is *limited* does at most one thing in five seconds for one key, at a phase of its own, whatever its users
//! ask of it in between: the gateway and the announcer of this program do far less.

mod models;
mod product;
mod report;

use super::outcome::Outcome;
use super::parallel;
use super::plan::{Plan, Progress};

/// Fewer nodes than this are simulated also where few obey the rule.
const SMALL: usize = 400;
/// Operations a minute for one key of a client that is limited.
const MOST_PER_MINUTE: f64 = 12.0;

/// Who the nodes are, and what their clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Variant {
    /// Coral's sloppy storage.
    Coral,
    /// The textbook: each operation asks the eight closest.
    Bep5,
    /// Textbook nodes, whose clients are limited and stop reading with fifty peers.
    ClientOnly,
    /// The production node; its clients are limited.
    Product,
    /// The same, with clients that are not.
    NoClientLimit,
}

impl Variant {
    const ALL: [Self; 5] = [Self::Coral, Self::Bep5, Self::ClientOnly, Self::Product, Self::NoClientLimit];

    const fn name(self) -> &'static str {
        match self {
            Self::Coral => "coral",
            Self::Bep5 => "bep5",
            Self::ClientOnly => "sloppy_client_only",
            Self::Product => "product",
            Self::NoClientLimit => "product_no_client_limit",
        }
    }
}

/// One network under one load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Job {
    variant: Variant,
    n: usize,
    /// Operations that all users together ask for, a minute.
    rate: f64,
    /// Nodes that obey the rule, in hundredths.
    upgraded_pct: usize,
    /// Minutes until the measurement, and of it.
    minutes: (u64, u64),
}

impl Job {
    /// Share of the moments, one in five seconds, at which a client that is limited has something to do.
    fn busy(&self) -> f64 {
        1.0 - libm::exp(-self.rate / self.n as f64 / MOST_PER_MINUTE)
    }

    /// Operations of all clients that are carried out a minute.
    fn carried_out(&self) -> f64 {
        match self.variant {
            Variant::ClientOnly | Variant::Product => self.n as f64 * MOST_PER_MINUTE * self.busy(),
            _ => self.rate,
        }
    }

    pub(super) fn seconds(&self) -> f64 {
        let all = self.minutes.0 + self.minutes.1;
        let operations = self.carried_out() * all as f64;
        match self.variant {
            Variant::Coral => 4e-8 * operations,
            Variant::Bep5 | Variant::ClientOnly => 0.2 + 1e-5 * self.n as f64,
            _ if self.upgraded_pct < 100 => 3e-4 * operations + 0.01 * self.n as f64,
            _ => 6e-5 * operations + 0.01 * self.n as f64,
        }
    }
}

/// What was measured, a minute and node unless it says otherwise.
#[derive(Clone, Debug, Default)]
pub(super) struct Load {
    root_requests: f64,
    root_puts: f64,
    max_requests: f64,
    max_puts: f64,
    mean8_requests: f64,
    queries_per_operation: f64,
    peers_per_read: f64,
    age_median_s: f64,
    root_age_median_s: f64,
    distinct_per_1000_reads: f64,
    /// Queries for the key that were answered, in hundredths.
    answered_pct: f64,
    /// Of the nodes that share exactly so many bits with the key: how many there are, and their puts.
    levels: Vec<(usize, f64)>,
}

#[derive(Clone, Debug)]
pub(super) struct Row {
    job: Job,
    load: Load,
}

pub(super) fn jobs(plan: &Plan) -> Vec<Job> {
    let rates = if plan.quick { &[120e3][..] } else { &[120e3, 1.2e6, 12e6] };
    let mut jobs = Vec::new();
    for n in plan.nodes_or(&[250], &[250, 494, 5_000, 50_000]) {
        let of = |variant| rates.iter().filter_map(move |&rate| job(variant, n, rate));
        jobs.extend(Variant::ALL.into_iter().flat_map(of));
        if !plan.quick && n < SMALL {
            jobs.extend(job(Variant::Product, n, 120e3).into_iter().flat_map(partly_upgraded));
            // Four times as much as clients do that are limited: a simulation of more takes hours.
            let rate = 4.0 * MOST_PER_MINUTE * n as f64;
            jobs.push(Job { variant: Variant::NoClientLimit, n, rate, upgraded_pct: 100, minutes: (8, 1) });
        }
    }
    jobs
}

/// Networks in which few nodes obey the rule, and half of them.
fn partly_upgraded(job: Job) -> [Job; 3] {
    [1, 10, 50].map(|upgraded_pct| Job { upgraded_pct, ..job })
}

/// The network under this load, where it can be simulated: each query of the production node is one.
fn job(variant: Variant, n: usize, rate: f64) -> Option<Job> {
    let is_feasible = match variant {
        Variant::Product => n <= 10_000,
        Variant::NoClientLimit => false,
        _ => true,
    };
    let minutes = if variant == Variant::Product { (12, 1) } else { (2, 1) };
    is_feasible.then_some(Job { variant, n, rate, upgraded_pct: 100, minutes })
}

pub(super) fn run(plan: &Plan, progress: Progress<'_>) -> Outcome {
    let rows =
        parallel::map(&jobs(plan), plan.threads, progress, |job| Row { job: *job, load: measure(*job, plan.seed) });
    report::outcome(&rows)
}

fn measure(job: Job, seed: u64) -> Load {
    match job.variant {
        Variant::Coral => models::coral(job, seed),
        Variant::Bep5 => models::textbook(job, seed, false),
        Variant::ClientOnly => models::textbook(job, seed, true),
        Variant::Product | Variant::NoClientLimit => product::measure(job, seed),
    }
}

/// Sums by node, put together.
fn loads(requests: &[f64], puts: &[f64], bits: &[usize], closest: &[usize]) -> Load {
    let most = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
    let levels = (0..=bits.iter().copied().max().unwrap_or(0)).map(|level| {
        let of: Vec<f64> = bits.iter().zip(puts).filter(|(bits, _)| **bits == level).map(|(_, puts)| *puts).collect();
        (of.len(), super::statistics::mean(of))
    });
    Load {
        root_requests: requests[closest[0]],
        root_puts: puts[closest[0]],
        max_requests: most(requests),
        max_puts: most(puts),
        mean8_requests: super::statistics::mean(closest.iter().map(|&node| requests[node])),
        levels: levels.collect(),
        answered_pct: 100.0,
        ..Load::default()
    }
}
