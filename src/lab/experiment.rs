//! The experiments by name: a [plan](Plan) in, an [outcome](Outcome) out.

use std::fmt;
use std::str::FromStr;

use super::outcome::Outcome;
use super::plan::{Plan, Progress};
use super::{announcer, churn, clusters, eclipse, failures, geometry, hops, hotkey, latency, survey};

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
    /// Packets that it takes to keep infohashes announced, and the share of them that is visible.
    Announcer,
    /// Infohashes that a survey sees over the queries that it sends.
    Survey,
    /// Time to the first peers, and to the end of a lookup.
    Latency,
    /// Lookups that find while attackers sit beside the key.
    Eclipse,
    /// Time until an object arrives where nodes gather by round-trip time.
    Clusters,
    /// Load on the nodes around a key that everybody asks for.
    Hotkey,
}

impl Experiment {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Hops,
        Self::Failures,
        Self::Geometry,
        Self::Churn,
        Self::Announcer,
        Self::Survey,
        Self::Latency,
        Self::Eclipse,
        Self::Clusters,
        Self::Hotkey,
    ];

    /// Its name in commands and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hops => "hops",
            Self::Failures => "failures",
            Self::Geometry => "geometry",
            Self::Churn => "churn",
            Self::Announcer => "announcer",
            Self::Survey => "survey",
            Self::Latency => "latency",
            Self::Eclipse => "eclipse",
            Self::Clusters => "clusters",
            Self::Hotkey => "hotkey",
        }
    }

    /// Its question, in one line.
    #[must_use]
    pub const fn question(self) -> &'static str {
        match self {
            Self::Hops => "how many hops does a lookup take as the network grows?",
            Self::Failures => "how many lookups fail when X % of the nodes stop at once?",
            Self::Geometry => "which shape of a network leaves the most ways when nodes die?",
            Self::Announcer => "what does it cost to keep infohashes announced, and are they visible?",
            Self::Churn => "do lookups succeed while nodes come and go all the time?",
            Self::Survey => "how many of all infohashes does a survey see, and at what cost?",
            Self::Latency => "how long does it take until the first peers are found, and until the end?",
            Self::Eclipse => "can nodes beside a key take it?",
            Self::Clusters => "how much sooner does an object arrive where nodes gather by round-trip time?",
            Self::Hotkey => "what does a node bear that is near a key that everybody asks for?",
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
            Self::Announcer => announcer::jobs(plan).iter().flat_map(announcer::Job::seconds).collect(),
            Self::Churn => churn::jobs(plan).iter().flat_map(churn::Job::seconds).collect(),
            Self::Survey => survey::jobs(plan).iter().map(survey::Job::seconds).collect(),
            Self::Latency => latency::jobs(plan).iter().map(latency::Job::seconds).collect(),
            Self::Eclipse => eclipse::jobs(plan).iter().map(eclipse::Job::seconds).collect(),
            Self::Clusters => clusters::jobs(plan).iter().map(clusters::Job::seconds).collect(),
            Self::Hotkey => hotkey::jobs(plan).iter().map(hotkey::Job::seconds).collect(),
        }
    }

    /// On how many threads its jobs run: churn is one history.
    #[must_use]
    pub const fn threads(self, plan: &Plan) -> usize {
        match self {
            Self::Churn | Self::Announcer => 1,
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
            Self::Announcer => announcer::run(plan, progress),
            Self::Survey => survey::run(plan, progress),
            Self::Latency => latency::run(plan, progress),
            Self::Eclipse => eclipse::run(plan, progress),
            Self::Clusters => clusters::run(plan, progress),
            Self::Hotkey => hotkey::run(plan, progress),
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
#[error("no experiment is called `{0}`; there are {names}, and `all` of them", names = Experiment::ALL.map(Experiment::name).join(", "))]
pub struct UnknownExperiment(String);

impl FromStr for Experiment {
    type Err = UnknownExperiment;
    fn from_str(name: &str) -> Result<Self, UnknownExperiment> {
        Self::ALL.into_iter().find(|each| each.name() == name).ok_or_else(|| UnknownExperiment(name.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::systems::System;

    #[test]
    fn an_unknown_name_is_answered_with_those_that_exist() {
        let error = "foo".parse::<Experiment>().expect_err("no such experiment").to_string();
        assert_eq!(
            error,
            "no experiment is called `foo`; there are hops, failures, geometry, churn, announcer, survey, latency, eclipse, clusters, hotkey, and `all` of them"
        );
        let error = "foo".parse::<System>().expect_err("no such system").to_string();
        assert!(System::ALL.iter().all(|system| error.contains(system.name())), "{error}");
    }

    #[test]
    fn what_is_asked_for_is_what_the_estimate_counts() {
        let seconds = |experiment: Experiment, plan: &Plan| experiment.seconds(plan).iter().sum::<f64>();
        let all = |plan: &Plan| Experiment::ALL.iter().map(|each| seconds(*each, plan)).sum::<f64>();
        let full = Plan::new(1);
        let only = |system| Plan { systems: Some(vec![system]), ..Plan::new(1) };
        // As measured at full size: 355, 450, 2 and 520 s, and of the announcer as estimated.
        assert!((2_000.0..9_000.0).contains(&all(&full)), "{}", all(&full));
        assert!(all(&Plan { quick: true, ..Plan::new(1) }) < 120.0);
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
