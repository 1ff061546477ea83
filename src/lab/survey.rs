//! How many of all infohashes does a survey see, and at what cost?
//!
//! A network of the production node in which every node holds about twelve infohashes, announced by its nodes. One node
//! surveys it with the index's own [`Survey`]: one query a node, within its interval, one of four in each round. Beside it a
//! random walk that asks whom it knows, again and again. The model is that of a random choice: of nodes of which the share
//! `v` was asked, none is among the eight that hold an infohash with a probability of `(1 - v)` to the power of 8.

use std::collections::BTreeSet;
use std::time::Duration;

use super::outcome::{Outcome, Verdict};
use super::parallel;
use super::plan::{Plan, Progress};
use super::plot::{Axis, Chart, Colour, Series};
use super::table::{Decimal, Table};
use crate::engine::contact::Contact;
use crate::engine::id::{Id, InfoHash, Target};
use crate::engine::time::Instant;
use crate::index::survey::{Question, Reaction, Survey};
use crate::sim::link::plane::Plane;
use crate::sim::random::Dice;
use crate::sim::task::Task;
use crate::sim::{HostId, Link, Network, Terms};

/// Infohashes for each node of the network; eight nodes hold each.
const KEYS_PER_NODE: f64 = 1.5;
/// Nodes that hold each infohash.
const COPIES: i32 = 8;
/// Announces that run at a time.
const ANNOUNCES: usize = 2_000;
/// Questions that are awaited at a time.
const QUESTIONS: usize = 16;
/// No operation takes longer.
const PATIENCE: Duration = Duration::from_mins(2);
/// Shares of the network after which coverage is noted.
const SHARES: [f64; 8] = [0.03125, 0.0625, 0.125, 0.25, 0.375, 0.5, 0.75, 1.0];
/// The share at which the verdict is given, and how far below the model it may be, in points.
const JUDGED: f64 = 0.25;
const TOLERANCE_PCT: f64 = 2.0;
/// The time of the first question: any time will do.
const BEGAN: u64 = 1_800_000_000;

/// A network of one size, and one way to ask.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    n: usize,
    way: Way,
}

/// How the nodes to ask are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// The index's own sweep.
    Survey,
    /// Anyone who is known, at random.
    Walk,
}

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Survey => "survey",
            Self::Walk => "random walk",
        }
    }
}

impl Job {
    pub(super) fn seconds(&self) -> f64 {
        1e-2 * self.n as f64
    }
}

/// What was seen after this many queries.
#[derive(Clone, Copy, Debug)]
struct Row {
    job: Job,
    share: f64,
    seen_pct: f64,
    model_pct: f64,
}

pub(super) fn jobs(plan: &Plan) -> Vec<Job> {
    let sizes = plan.nodes_or(&[300], &[1_000, 10_000]);
    sizes.into_iter().flat_map(|n| [Way::Survey, Way::Walk].map(|way| Job { n, way })).collect()
}

pub(super) fn run(plan: &Plan, progress: Progress<'_>) -> Outcome {
    let rows = parallel::map(&jobs(plan), plan.threads, progress, |&job| measure(job, plan.seed));
    let rows: Vec<Row> = rows.into_iter().flatten().collect();
    Outcome { table: table(&rows), picture: picture(&rows), verdicts: verdicts(&rows), more: Vec::new() }
}

fn measure(job: Job, seed: u64) -> Vec<Row> {
    let mut surveyed = Surveyed::new(job, seed);
    let mut rows = Vec::new();
    for share in SHARES {
        let most = (share * job.n as f64).round() as usize;
        while surveyed.asked < most && surveyed.round((most - surveyed.asked).min(QUESTIONS)) {}
        rows.push(Row { job, share, seen_pct: surveyed.seen_pct(), model_pct: model_pct(share) });
    }
    rows
}

fn model_pct(share: f64) -> f64 {
    100.0 * (1.0 - (1.0 - share).powi(COPIES))
}

/// A network with infohashes, and what one of its nodes has seen of them.
struct Surveyed {
    network: Network,
    host: HostId,
    way: Way,
    dice: Dice,
    survey: Survey,
    /// All that the walk knows.
    known: Vec<Contact>,
    keys: BTreeSet<InfoHash>,
    seen: BTreeSet<InfoHash>,
    asked: usize,
}

impl Surveyed {
    fn new(job: Job, seed: u64) -> Self {
        let mut dice = Dice::keyed(seed, &[0x5e7e, job.n as u64]);
        let mut network = Network::new(Link::new(seed).with(Plane::new(seed)), Terms::lab(job.n), seed);
        let hosts = network.grow(job.n);
        network.run_for(Duration::from_mins(3));
        let keys: Vec<Id> = (0..(job.n as f64 * KEYS_PER_NODE) as usize).map(|_| dice.id()).collect();
        for part in keys.chunks(ANNOUNCES) {
            for key in part {
                let announcer = *dice.pick(&hosts).expect("a network has nodes");
                network.announce(announcer, *key, 6881);
            }
            network.finish(PATIENCE);
            network.take_tasks();
        }
        let host = hosts[0];
        let known: Vec<Contact> =
            network.node(host).into_iter().flat_map(|node| node.entries()).map(|entry| entry.contact).collect();
        let mut survey = Survey::new(true);
        survey.learn(known.iter().copied());
        let keys = keys.into_iter().map(InfoHash).collect();
        Self { network, host, way: job.way, dice, survey, known, keys, seen: BTreeSet::new(), asked: 0 }
    }

    /// Asks so many nodes at once; whether there was one to ask.
    fn round(&mut self, most: usize) -> bool {
        let questions: Vec<Question> = (0..most).filter_map(|_| self.question()).collect();
        for question in &questions {
            self.network.sample(self.host, question.contact.addr, question.target);
        }
        self.asked += questions.len();
        self.network.finish(PATIENCE);
        let tasks = self.network.take_tasks();
        let heard: BTreeSet<Contact> = tasks.iter().filter_map(|task| Some(task.sampled.as_ref()?.0)).collect();
        for question in questions.iter().filter(|question| !heard.contains(&question.contact)) {
            self.survey.heard(self.now(), question.contact.addr, Reaction::Silent);
        }
        tasks.iter().for_each(|task| self.hear(task));
        !questions.is_empty()
    }

    fn question(&mut self) -> Option<Question> {
        match self.way {
            Way::Survey => self.survey.next(self.now()),
            Way::Walk => {
                let contact = *self.dice.pick(&self.known)?;
                Some(Question { contact, target: Target(self.dice.id()) })
            }
        }
    }

    fn hear(&mut self, task: &Task) {
        let Some((contact, sample)) = &task.sampled else { return };
        self.seen.extend(sample.infohashes.iter().filter(|infohash| self.keys.contains(*infohash)));
        match self.way {
            Way::Survey => {
                self.survey.heard(self.now(), contact.addr, Reaction::Sample(sample.interval));
                self.survey.learn(task.contacts.iter().copied());
            }
            Way::Walk => self.known.extend(task.contacts.iter().copied()),
        }
    }

    fn now(&self) -> u64 {
        BEGAN + self.network.world().now().since(Instant::ZERO).as_secs()
    }

    fn seen_pct(&self) -> f64 {
        100.0 * self.seen.len() as f64 / self.keys.len() as f64
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&["way", "n", "queries_per_node", "seen_pct", "model_pct"]);
    for row in rows {
        let [share, seen, model] = [row.share, row.seen_pct, row.model_pct].map(Decimal);
        table.push(&[&row.job.way.name().replace(' ', "-"), &row.job.n, &share, &seen, &model]);
    }
    table
}

fn picture(rows: &[Row]) -> String {
    let mut chart = Chart::new(
        "Infohashes that a survey sees",
        "every node holds about twelve; one query a node for a sample (BEP 51)",
        Axis::linear("queries for each node of the network", 0.0, 1.0),
        Axis::linear("infohashes seen, %", 0.0, 100.0),
    );
    let mut kinds: Vec<(usize, Way)> = rows.iter().map(|row| (row.job.n, row.job.way)).collect();
    kinds.dedup();
    for (place, (n, way)) in kinds.into_iter().enumerate() {
        let of_kind = rows.iter().filter(|row| (row.job.n, row.job.way) == (n, way));
        let points: Vec<(f64, f64)> =
            std::iter::once((0.0, 0.0)).chain(of_kind.map(|row| (row.share, row.seen_pct))).collect();
        chart.add(Series::new(format!("{}, {n} nodes", way.name()), Colour::nth(place), &points));
    }
    let model: Vec<(f64, f64)> =
        (0..=20).map(|step| f64::from(step) / 20.0).map(|share| (share, model_pct(share))).collect();
    chart.add(Series::dashed("model: a random choice", &model));
    chart.render()
}

fn verdicts(rows: &[Row]) -> Vec<Verdict> {
    let judged = rows.iter().filter(|row| row.share == JUDGED && row.job.way == Way::Survey);
    let verdict = |row: &Row| {
        let least = row.model_pct - TOLERANCE_PCT;
        let text = format!(
            "infohashes that a survey of {} nodes sees with {JUDGED} queries a node, %: {:.2}, must be at least {least:.2}",
            row.job.n, row.seen_pct
        );
        Verdict::new(row.seen_pct >= least, text)
    };
    judged.map(verdict).collect()
}
