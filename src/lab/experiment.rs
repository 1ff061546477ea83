//! What an experiment is: a plan in, tables, a picture and verdicts out.

use std::fmt;
use std::str::FromStr;

use super::systems::System;
use super::table::Table;
use super::{churn, failures, geometry, hops};

/// The experiments, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Experiment {
    /// Path length over the size of the network.
    Hops,
    /// Failed lookups over the share of nodes that died at once.
    Failures,
    /// Failed paths over dead nodes, by the shape of the network alone.
    Geometry,
    /// Lookups that succeed while nodes come and go.
    Churn,
}

impl Experiment {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Hops, Self::Failures, Self::Geometry, Self::Churn];

    /// Its name in commands and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hops => "hops",
            Self::Failures => "failures",
            Self::Geometry => "geometry",
            Self::Churn => "churn",
        }
    }

    /// Its question, in one line.
    #[must_use]
    pub const fn question(self) -> &'static str {
        match self {
            Self::Hops => "how many hops does a lookup take as the network grows?",
            Self::Failures => "how many lookups fail when X % of the nodes stop at once?",
            Self::Geometry => "which shape of a network leaves the most ways when nodes die?",
            Self::Churn => "do lookups succeed while nodes come and go all the time?",
        }
    }

    /// About how many seconds each of its jobs keeps one core busy: what [`Progress`] counts off. Fitted to processor times
    /// that were measured system by system and size by size, in a release build on a shared server core.
    #[must_use]
    pub fn seconds(self, plan: &Plan) -> Vec<f64> {
        match self {
            Self::Hops => hops::jobs(plan).iter().map(hops::Job::seconds).collect(),
            Self::Failures => failures::jobs(plan).iter().map(failures::Job::seconds).collect(),
            Self::Geometry => geometry::jobs(plan).iter().map(geometry::Job::seconds).collect(),
            Self::Churn => churn::jobs(plan).iter().flat_map(churn::Job::seconds).collect(),
        }
    }

    /// On how many threads its jobs run: churn is one history.
    #[must_use]
    pub const fn threads(self, plan: &Plan) -> usize {
        match self {
            Self::Churn => 1,
            _ => plan.threads,
        }
    }

    /// Runs it.
    #[must_use]
    pub fn run(self, plan: &Plan, progress: Progress<'_>) -> Outcome {
        match self {
            Self::Hops => hops::run(plan, progress),
            Self::Failures => failures::run(plan, progress),
            Self::Geometry => geometry::run(plan, progress),
            Self::Churn => churn::run(plan, progress),
        }
    }
}

impl fmt::Display for Experiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No experiment has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no experiment is called `{0}`")]
pub struct UnknownExperiment(String);

impl FromStr for Experiment {
    type Err = UnknownExperiment;
    fn from_str(name: &str) -> Result<Self, UnknownExperiment> {
        Self::ALL.into_iter().find(|each| each.name() == name).ok_or_else(|| UnknownExperiment(name.into()))
    }
}

/// Called with the number of each job that is done, from any thread.
pub type Progress<'a> = &'a (dyn Fn(usize) + Sync);

/// What to run. What is `None` is the experiment's own default.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where all randomness comes from.
    pub seed: u64,
    /// Sizes of the network.
    pub nodes: Option<Vec<usize>>,
    /// Which systems.
    pub systems: Option<Vec<System>>,
    /// How often to repeat with other ids, keys and deaths.
    pub trials: Option<usize>,
    /// Small sizes and few trials: the same figure, coarser.
    pub quick: bool,
    /// How many threads work. Changes nothing but the time.
    pub threads: usize,
}

impl Plan {
    /// The defaults, on one thread.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, nodes: None, systems: None, trials: None, quick: false, threads: 1 }
    }

    /// The sizes asked for, or these.
    #[must_use]
    pub fn nodes_or(&self, quick: &[usize], full: &[usize]) -> Vec<usize> {
        self.nodes.clone().unwrap_or_else(|| if self.quick { quick } else { full }.to_vec())
    }

    /// The systems asked for that this experiment knows, or all that it knows.
    #[must_use]
    pub fn systems_among(&self, known: &[System]) -> Vec<System> {
        let asked = |system: &&System| self.systems.as_ref().is_none_or(|asked| asked.contains(system));
        known.iter().filter(asked).copied().collect()
    }

    /// The number of trials asked for, or this.
    #[must_use]
    pub fn trials_or(&self, quick: usize, full: usize) -> usize {
        self.trials.unwrap_or(if self.quick { quick } else { full }).max(1)
    }
}

/// What an experiment found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The measured table.
    pub table: Table,
    /// The picture, as SVG.
    pub picture: String,
    /// Whether the result is what it must be, one by one.
    pub verdicts: Vec<Verdict>,
}

impl Outcome {
    /// Whether everything holds, but for what is missed for a known cause.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.holds || verdict.explained)
    }
}

/// Whether one thing is as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is.
    pub holds: bool,
    /// It is not, for a cause that the text gives with a measurement: a known miss, no news.
    pub explained: bool,
    /// What must be, and what was measured.
    pub text: String,
}

impl Verdict {
    /// A judgement with its reason.
    #[must_use]
    pub fn new(holds: bool, text: impl Into<String>) -> Self {
        Self { holds, explained: false, text: text.into() }
    }

    /// The same; if it does not hold, for this cause, which was measured.
    #[must_use]
    pub fn or_missed(self, because: impl fmt::Display) -> Self {
        if self.holds {
            return self;
        }
        Self { holds: false, explained: true, text: format!("{}; because {because}", self.text) }
    }

    /// Whether `measured` lies within `tolerance` of `expected`.
    #[must_use]
    pub fn near(what: &str, measured: f64, expected: f64, tolerance: f64) -> Self {
        let holds = (measured - expected).abs() <= tolerance;
        Self::new(holds, format!("{what}: {measured:.3}, must be {expected:.3} +- {tolerance:.3}"))
    }

    /// Whether `measured` is at most `limit`.
    #[must_use]
    pub fn at_most(what: &str, measured: f64, limit: f64) -> Self {
        Self::new(measured <= limit, format!("{what}: {measured:.3}, must be at most {limit:.3}"))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match (self.holds, self.explained) {
            (true, _) => "holds",
            (false, true) => "MISSED",
            (false, false) => "FAILS",
        };
        write!(f, "{word} {}", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_miss_is_shown_and_is_no_failure() {
        let missed = Verdict::near("slope", 0.3, 0.2, 0.05).or_missed("the line is bent");
        assert_eq!(missed.to_string(), "MISSED slope: 0.300, must be 0.200 +- 0.050; because the line is bent");
        let kept = Verdict::near("slope", 0.2, 0.2, 0.05).or_missed("the line is bent");
        assert_eq!(kept.to_string(), "holds slope: 0.200, must be 0.200 +- 0.050");
        let outcome = |verdicts| Outcome { table: Table::new(&["n"]), picture: String::new(), verdicts };
        assert!(outcome(vec![missed.clone(), kept]).holds());
        assert!(!outcome(vec![missed, Verdict::new(false, "another")]).holds());
    }

    #[test]
    fn what_is_asked_for_is_what_the_estimate_counts() {
        let seconds = |experiment: Experiment, plan: &Plan| experiment.seconds(plan).iter().sum::<f64>();
        let all = |plan: &Plan| Experiment::ALL.iter().map(|each| seconds(*each, plan)).sum::<f64>();
        let full = Plan::new(1);
        let only = |system| Plan { systems: Some(vec![system]), ..Plan::new(1) };
        // As measured at full size: 355, 450, 2 and 520 s.
        assert!((1_100.0..1_600.0).contains(&all(&full)), "{}", all(&full));
        assert!(all(&Plan { quick: true, ..Plan::new(1) }) < 60.0);
        let failures = seconds(Experiment::Failures, &full);
        let ten = seconds(Experiment::Failures, &Plan { trials: Some(10), ..Plan::new(1) });
        assert!((failures / ten - 2.0).abs() < 1e-9);
        assert!(seconds(Experiment::Hops, &only(System::Pastry)) < 1.0);
        assert!(seconds(Experiment::Hops, &only(System::Kademlia)) > 0.8 * seconds(Experiment::Hops, &full));
        let small = Plan { nodes: Some(vec![256]), ..Plan::new(1) };
        assert!(seconds(Experiment::Hops, &small) < 3.0);
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_on_any_number_of_threads() {
        let systems = Some(vec![System::Kademlia, System::Chord, System::Pastry]);
        let run = |threads| {
            let plan = Plan { nodes: Some(vec![20]), systems: systems.clone(), threads, ..Plan::new(7) };
            Experiment::Hops.run(&plan, &|_| ())
        };
        let (alone, together) = (run(1), run(2));
        assert_eq!(alone.table.rows().len(), 3);
        assert_eq!(alone.table.to_string(), together.table.to_string());
        assert_eq!(alone.picture, together.picture);
        assert_eq!(alone.verdicts, together.verdicts);
    }
}
