//! Do lookups succeed while nodes come and go all the time?
//!
//! A network of the production node, caught under way: every node has what is left of a Weibull session (shape .5, median
//! 60 minutes), leaves without a word when it ends, and is replaced at once by a newcomer. Keys are announced again every
//! 20 minutes by a node that is there. Every ten minutes all keys are looked up from nodes drawn at random, at least ten
//! minutes after the last announce.

use std::time::Duration;

use super::outcome::{Outcome, Verdict};
use super::plan::{Plan, Progress};
use super::plot::{Axis, Chart, Colour, Series};
use super::statistics::mean;
use super::table::{Decimal, Table};
use crate::engine::id::Id;
use crate::sim::churn::Churn;
use crate::sim::link::plane::Plane;
use crate::sim::population::Sessions;
use crate::sim::random::Dice;
use crate::sim::world::Home;
use crate::sim::{HostId, Link, Network, Terms};

const INTERVAL_MINUTES: usize = 10;
const ANNOUNCE_EVERY_MINUTES: usize = 20;
const MUST_FIND_PCT: f64 = 99.5;
const PATIENCE: Duration = Duration::from_mins(1);

/// A network and how long it is watched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    n: usize,
    minutes: usize,
    keys: usize,
}

impl Job {
    const fn intervals(&self) -> usize {
        self.minutes / INTERVAL_MINUTES
    }

    /// One job, but a long one: it counts by intervals.
    pub(super) fn seconds(&self) -> Vec<f64> {
        vec![3.6e-3 * self.n as f64; self.intervals()]
    }
}

/// What was seen at one moment.
#[derive(Clone, Copy, Debug)]
struct Row {
    minute: usize,
    success_pct: f64,
    stale_pct: f64,
    repair_messages: f64,
}

pub(super) fn jobs(plan: &Plan) -> Vec<Job> {
    let (minutes, keys) = if plan.quick { (120, 50) } else { (24 * 60, 100) };
    let sizes = plan.nodes_or(&[150], &[1_000]);
    sizes.into_iter().take(1).map(|n| Job { n, minutes, keys }).collect()
}

pub(super) fn run(plan: &Plan, progress: Progress<'_>) -> Outcome {
    let rows: Vec<Row> = jobs(plan).into_iter().flat_map(|job| watch(job, plan.seed, progress)).collect();
    Outcome { table: table(&rows), picture: picture(&rows), verdicts: verdicts(&rows), more: Vec::new() }
}

fn watch(job: Job, seed: u64, progress: Progress<'_>) -> Vec<Row> {
    let mut observed = Observed::new(job, seed);
    let mut interval = |number: usize| {
        let row = observed.interval((number + 1) * INTERVAL_MINUTES);
        progress(number);
        row
    };
    (0..job.intervals()).map(&mut interval).collect()
}

/// The network under observation.
struct Observed {
    network: Network,
    churn: Churn,
    keys: Vec<Id>,
    dice: Dice,
    newcomers: Terms,
}

impl Observed {
    fn new(job: Job, seed: u64) -> Self {
        let mut dice = Dice::keyed(seed, &[0xc4e, job.n as u64]);
        let newcomers = Terms::lab(job.n);
        let mut network = Network::new(Link::new(seed).with(Plane::new(seed)), newcomers.clone(), seed);
        network.grow(job.n);
        network.run_for(Duration::from_mins(3));
        let churn = Churn::new(&network, Sessions::CHURN, seed);
        let keys = (0..job.keys).map(|_| dice.id()).collect();
        let mut observed = Self { network, churn, keys, dice, newcomers };
        observed.announce();
        observed
    }

    fn interval(&mut self, minute: usize) -> Row {
        let before = self.network.world().counters().sent;
        let config = self.newcomers.config.clone();
        self.churn.run_for(&mut self.network, Duration::from_mins(INTERVAL_MINUTES as u64), |network| {
            let addr = network.endpoint();
            network.add(Home::open(addr), config.clone())
        });
        let sent = self.network.world().counters().sent - before;
        let node_minutes = (self.network.members().len() * INTERVAL_MINUTES) as f64;
        let row = Row {
            minute,
            stale_pct: self.stale_pct(),
            success_pct: self.success_pct(),
            repair_messages: sent as f64 / node_minutes,
        };
        if minute.is_multiple_of(ANNOUNCE_EVERY_MINUTES) {
            self.announce();
        }
        row
    }

    fn announce(&mut self) {
        for key in self.keys.clone() {
            let announcer = self.random_member();
            self.network.announce(announcer, key, 6881);
        }
        self.network.finish(PATIENCE);
        self.network.take_tasks();
    }

    fn success_pct(&mut self) -> f64 {
        for key in self.keys.clone() {
            let reader = self.random_member();
            self.network.find_first_peers(reader, key);
        }
        self.network.finish(PATIENCE);
        let found = self.network.take_tasks().iter().filter(|task| !task.peers.is_empty()).count();
        100.0 * found as f64 / self.keys.len() as f64
    }

    /// The share of the entries in all tables whose node is gone.
    fn stale_pct(&self) -> f64 {
        let world = self.network.world();
        let members = || self.network.members().iter().filter_map(|&member| Some((member, self.network.node(member)?)));
        let living: std::collections::BTreeSet<_> = members().map(|(member, _)| world.addr(member)).collect();
        let gone = |addr| f64::from(u8::from(!living.contains(&addr)));
        100.0 * mean(members().flat_map(|(_, node)| node.entries().map(|entry| gone(entry.contact.addr))))
    }

    fn random_member(&mut self) -> HostId {
        *self.dice.pick(self.network.members()).expect("a node that leaves is replaced")
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&["minute", "success_pct", "stale_pct", "repair_msgs_per_node_min"]);
    for row in rows {
        let [success, stale, repair] = [row.success_pct, row.stale_pct, row.repair_messages].map(Decimal);
        table.push(&[&row.minute, &success, &stale, &repair]);
    }
    table
}

fn picture(rows: &[Row]) -> String {
    let hours = rows.last().map_or(1.0, |row| row.minute as f64 / 60.0);
    let line =
        |value: fn(&Row) -> f64| rows.iter().map(|row| (row.minute as f64 / 60.0, value(row))).collect::<Vec<_>>();
    let worst = rows.iter().map(|row| row.success_pct).fold(99.0, f64::min);
    let mut chart = Chart::new(
        "Lookups while nodes come and go",
        "Weibull sessions, shape .5, median one hour; a node that leaves is replaced at once",
        Axis::linear("hours", 0.0, hours),
        Axis::linear("lookups that find, %", worst.floor(), 100.0),
    );
    chart.add(Series::new("lookups that find, %", Colour::nth(0), &line(|row| row.success_pct)));
    chart.add(Series::dashed("must find: 99.5 %", &[(1.0, MUST_FIND_PCT), (hours.max(1.0), MUST_FIND_PCT)]));
    let most = rows.iter().map(|row| row.repair_messages.max(row.stale_pct)).fold(1.0, f64::max);
    chart.begin_below(
        Axis::linear("hours", 0.0, hours),
        Axis::linear("datagrams a node and minute; %", 0.0, (most / 10.0).ceil() * 10.0),
    );
    chart.add(Series::new("datagrams sent", Colour::nth(2), &line(|row| row.repair_messages)));
    chart.add(Series::new("table entries gone, %", Colour::nth(1), &line(|row| row.stale_pct)));
    chart.render()
}

fn verdicts(rows: &[Row]) -> Vec<Verdict> {
    let success = mean(rows.iter().filter(|row| row.minute > 60).map(|row| row.success_pct));
    let text = format!("lookups that find after the first hour, %: {success:.3}, must be at least {MUST_FIND_PCT:.3}");
    vec![Verdict::new(success >= MUST_FIND_PCT, text)]
}
