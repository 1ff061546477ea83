//! How long does it take until the first peers are found, and until the lookup ends?
//!
//! One production node alone in a [crowd](crate::sim::crowd) looks up swarms of fifty peers that lie on the eight closest living
//! nodes. It is young, or has lived there for a while; beside it the textbook client. The race is one network of the
//! size of the mainline as a node sees it, a third of which is dead.

mod report;
mod textbook;

use std::time::Duration;

use self::textbook::Textbook;
use super::outcome::Outcome;
use super::parallel;
use super::plan::{Plan, Progress};
use super::throng;
use crate::engine::contact::{Contact, Family};
use crate::engine::id::{Id, InfoHash};
use crate::engine::limits::{CACHE_WAYS, K};
use crate::engine::lookup::Effort;
use crate::engine::node::{Command, Config};
use crate::sim::crowd::{Crowd, Manner, Stage};
use crate::sim::random::Dice;

/// Lookups of each client.
const KEYS: usize = 24;
/// Peers of each swarm.
const PEERS: u8 = 50;
/// Lookups that a client has behind it that has lived for a while.
const EARLIER: usize = 100;

/// Who looks up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Profile {
    Textbook,
    /// Ours without its passive cache.
    NoCache,
    Gentle,
    Normal,
    Fast,
    /// Ours where all nodes name living ones only.
    Living,
}

impl Profile {
    const ALL: [Self; 6] = [Self::Textbook, Self::NoCache, Self::Gentle, Self::Normal, Self::Fast, Self::Living];

    const fn name(self) -> &'static str {
        match self {
            Self::Textbook => "textbook",
            Self::NoCache => "no_cache",
            Self::Gentle => "gentle",
            Self::Normal => "normal",
            Self::Fast => "fast",
            Self::Living => "living",
        }
    }

    fn config(self) -> Config {
        let effort = match self {
            Self::Gentle => Effort::GENTLE,
            Self::Fast => Effort::FAST,
            _ => Effort::NORMAL,
        };
        let cache_ways = if self == Self::NoCache { 0 } else { CACHE_WAYS };
        Config { effort, cache_ways, ..Config::new(Family::V4) }
    }
}

/// How long a client has lived before its lookups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Age {
    /// This many seconds; its lookups follow each other.
    Seconds(u64),
    /// A quarter of an hour and a hundred lookups.
    Long,
}

impl Age {
    fn name(self) -> String {
        match self {
            Self::Seconds(seconds) => seconds.to_string(),
            Self::Long => "900".to_owned(),
        }
    }
}

/// One kind of client in one network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Job {
    n: usize,
    dead: f64,
    profile: Profile,
    age: Age,
    clients: usize,
}

impl Job {
    pub(super) fn seconds(&self) -> f64 {
        let each = if self.age == Age::Long { 0.5e-3 * (KEYS + EARLIER) as f64 } else { 0.03 };
        2e-6 * self.n as f64 + each * self.clients as f64
    }
}

/// What one lookup took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    first: Option<Duration>,
    end: Duration,
    sent: u64,
    sent_first: u64,
    /// Share of the eight closest living nodes that answered.
    recall: f64,
}

#[derive(Clone, Debug)]
pub(super) struct Row {
    job: Job,
    samples: Vec<Sample>,
}

pub(super) const RACE: (usize, f64) = (200_000, 1.0 / 3.0);

pub(super) fn jobs(plan: &Plan) -> Vec<Job> {
    let clients = plan.trials_or(4, 40);
    let mut jobs = Vec::new();
    for n in plan.nodes_or(&[65_536], &[65_536]) {
        for dead in if plan.quick { &[0.2][..] } else { &[0.1, 0.2, 0.3] } {
            let job = |profile| Job { n, dead: *dead, profile, age: Age::Long, clients };
            jobs.extend(Profile::ALL.map(job));
        }
    }
    if plan.nodes.is_none() {
        let (n, dead) = RACE;
        for age in [Age::Seconds(45), Age::Seconds(300), Age::Long] {
            let profiles = [Profile::Gentle, Profile::Normal, Profile::Fast];
            jobs.extend(profiles.map(|profile| Job { n, dead, profile, age, clients }));
        }
        jobs.push(Job { n, dead, profile: Profile::Textbook, age: Age::Long, clients });
    }
    jobs
}

pub(super) fn run(plan: &Plan, progress: Progress<'_>) -> Outcome {
    let rows = parallel::map(&jobs(plan), plan.threads, progress, |job| measure(*job, plan.seed));
    report::outcome(&rows)
}

fn measure(job: Job, seed: u64) -> Row {
    let mut crowd = throng::crowd(job.n, Family::V4, job.dead, (0.0, Manner::Dead), seed);
    crowd.name_living_only(job.profile == Profile::Living);
    let mut samples = Vec::new();
    for client in 0..job.clients as u64 {
        let mut dice = Dice::keyed(seed, &[0x1a7e, client]);
        let keys: Vec<Id> = (0..KEYS).map(|_| dice.id()).collect();
        if job.profile == Profile::Textbook {
            let addr = throng::address(Family::V4, &mut dice);
            let textbook = Textbook::new(&dice.id(), addr, &crowd, &mut dice);
            let look_up = |key: &Id| {
                let closest = publish(&mut crowd, key);
                let (sample, answered) = textbook.look_up(&mut crowd, key, &mut dice);
                Sample { recall: recall(&closest, &answered), ..sample }
            };
            samples.extend(keys.iter().map(look_up));
        } else {
            let mut stage = client_of(job, &mut crowd, seed ^ (client + 1) << 8);
            samples.extend(keys.iter().map(|key| look_up(&mut stage, &mut crowd, *key)));
        }
    }
    Row { job, samples }
}

fn client_of(job: Job, crowd: &mut Crowd, seed: u64) -> Stage {
    let config = job.profile.config();
    match job.age {
        Age::Seconds(seconds) => throng::newcomer(&config, crowd, Duration::from_secs(seconds), seed),
        Age::Long => {
            let mut stage = throng::resident(&config, crowd, seed);
            let mut dice = Dice::keyed(seed, &[0xea51]);
            for _ in 0..EARLIER {
                look_up(&mut stage, crowd, dice.id());
                stage.run_for(crowd, Duration::from_secs(1));
            }
            stage
        }
    }
}

/// The peers of `key` are on the closest living nodes, which are returned.
fn publish(crowd: &mut Crowd, key: &Id) -> Vec<Contact> {
    crowd.forget();
    let closest = crowd.closest_living(key, K);
    for at in &closest {
        (0..PEERS).for_each(|peer| crowd.store(at, *key, ([203, 0, 114, peer], 6881).into()));
    }
    closest
}

fn recall(closest: &[Contact], answered: &[Contact]) -> f64 {
    closest.iter().filter(|contact| answered.contains(contact)).count() as f64 / closest.len().max(1) as f64
}

fn look_up(stage: &mut Stage, crowd: &mut Crowd, key: Id) -> Sample {
    let closest = publish(crowd, &key);
    let errand = throng::run(stage, crowd, key, Command::FindPeers { info_hash: InfoHash(key) });
    Sample {
        first: errand.first_ms.map(|ms| Duration::from_secs_f64(ms / 1e3)),
        end: Duration::from_secs_f64(errand.end_ms / 1e3),
        sent: errand.sent,
        sent_first: errand.sent_first,
        recall: recall(&closest, &errand.closest),
    }
}
