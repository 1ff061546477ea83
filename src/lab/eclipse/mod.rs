//! Can a key be taken? Attackers beside one key, and nodes that announce it and look for it.
//!
//! A key has one announcer and one reader, both production nodes that have lived in the network for a while; the others are
//! a [crowd](crate::sim::crowd). Attackers are let in, the key is announced, and looked up. *Guarded* are nodes that do what
//! `engine/node/operation/guard.rs` says; the others do what every client does. Three claims are told apart: both are guarded, only the
//! announcer, only the reader.

mod ids;
mod report;

use self::ids::{Addresses, Placement, Pool};
use super::outcome::Outcome;
use super::parallel;
use super::plan::{Plan, Progress};
use super::throng::{self, Errand};
use crate::engine::compliance::Compliance;
use crate::engine::contact::Contact;
use crate::engine::id::{Id, InfoHash};
use crate::engine::node::{Command, Config};
use crate::sim::crowd::{Crowd, Extra, Manner, Stage, is_invented};
use crate::sim::random::Dice;

/// Nodes that announce, and as many that read: they take turns.
const ACTORS: u64 = 4;
/// Share of the honest nodes that are dead but named.
const DEAD: f64 = 0.2;
const PORT: u16 = 6881;

/// Which of the two sides are guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Guarded {
    Both,
    Announcer,
    Reader,
    Neither,
}

impl Guarded {
    const ALL: [Self; 4] = [Self::Both, Self::Announcer, Self::Reader, Self::Neither];

    const fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Announcer => "announcer",
            Self::Reader => "reader",
            Self::Neither => "neither",
        }
    }
}

/// An attack: how it looks from outside, and what the victims make of ids.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scene {
    n: usize,
    addresses: Addresses,
    /// Addresses from which the attacker chooses; 0 of no attack.
    bought: usize,
    placement: Placement,
    manner: Manner,
    attackers: usize,
    defence: Compliance,
    guarded: Guarded,
    /// Share of all nodes that are hostile, wherever they are.
    anywhere: f64,
}

/// What became of the keys of one scene.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    keys: usize,
    /// Attackers that found a place, on average.
    placed: f64,
    /// Announces that an honest node has stored.
    stored: usize,
    /// Readers that were told of the true peer.
    found: usize,
    /// Peers told that were true, and all.
    told: (usize, usize),
    /// Alarms of announcers and of readers.
    alarms: (usize, usize),
    /// Readers that searched the region.
    widened: usize,
    /// Keys that no reader could read, without an alarm.
    taken_unseen: usize,
    /// Datagrams of an announce and of a search, on average.
    sent: (f64, f64),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    scene: Scene,
    tally: Tally,
}

/// Scenes that share a network and a pool of addresses.
#[derive(Clone, Debug)]
pub(super) struct Job {
    scenes: Vec<Scene>,
    keys: usize,
}

impl Job {
    pub(super) fn seconds(&self) -> f64 {
        let lookups: f64 = self.scenes.iter().map(|scene| (self.keys_of(scene) * 2) as f64).sum();
        1.0 + 1e-6 * self.scenes[0].bought as f64 + 0.7e-3 * lookups
    }

    /// Without an attack, what is looked for is rare.
    fn keys_of(&self, scene: &Scene) -> usize {
        if scene.attackers == 0 && scene.guarded == Guarded::Both { 25 * self.keys } else { self.keys }
    }
}

pub(super) fn jobs(plan: &Plan) -> Vec<Job> {
    let keys = plan.trials_or(10, 100);
    let sizes = plan.nodes_or(&[5_000], &[5_000, 50_000]);
    let mut jobs = Vec::new();
    for n in sizes {
        for (addresses, bought) in [
            (Addresses::V4, 1_000),
            (Addresses::V4, 100_000),
            (Addresses::V4, 3_000_000),
            (Addresses::V4Unfitting, 10_000),
            (Addresses::V6, 100_000),
            (Addresses::V6Provider, 100_000),
            (Addresses::V6Owner, 30_000),
        ] {
            if !plan.quick || bought <= 100_000 {
                jobs.push(Job { scenes: scenes(n, addresses, bought, plan.quick), keys });
            }
        }
    }
    jobs
}

fn scenes(n: usize, addresses: Addresses, bought: usize, quick: bool) -> Vec<Scene> {
    let base = Scene {
        n,
        addresses,
        bought,
        placement: Placement::Nearest,
        manner: Manner::Clique,
        attackers: 0,
        defence: Compliance::Prefer,
        guarded: Guarded::Both,
        anywhere: 0.0,
    };
    let defences: &[Compliance] = match addresses {
        Addresses::V4Unfitting => &[Compliance::Off, Compliance::Prefer, Compliance::Enforce],
        _ if quick || n > 10_000 => &[Compliance::Prefer],
        _ => &[Compliance::Prefer, Compliance::Enforce],
    };
    let manners: &[Manner] = &[Manner::Hiding, Manner::Silent, Manner::Inventing, Manner::Clique];
    let mut scenes = Vec::new();
    for &defence in defences {
        for guarded in Guarded::ALL {
            scenes.push(Scene { defence, guarded, ..base });
            for attackers in [1, 4, 8, 12, 16, 20, 32, 64] {
                let is_shown =
                    |manner: &&Manner| matches!(attackers, 8 | 20 | 64) || (!quick && **manner == base.manner);
                let manners = manners.iter().filter(is_shown);
                scenes.extend(manners.map(|&manner| Scene { defence, guarded, attackers, manner, ..base }));
            }
        }
    }
    if addresses == Addresses::V4 && bought == 100_000 {
        for placement in [Placement::Unseen, Placement::Unsuspected] {
            for guarded in Guarded::ALL {
                for attackers in [8, 12, 16, 20, 64] {
                    scenes.push(Scene { placement, guarded, attackers, ..base });
                }
            }
        }
        scenes.extend([Manner::Hiding, Manner::Silent].map(|manner| Scene { manner, anywhere: 0.2, ..base }));
    }
    scenes
}

pub(super) fn run(plan: &Plan, progress: Progress<'_>) -> Outcome {
    let jobs = jobs(plan);
    let rows = parallel::map(&jobs, plan.threads, progress, |job| measure(job, plan.seed)).concat();
    report::outcome(&rows)
}

fn measure(job: &Job, seed: u64) -> Vec<Row> {
    let first = job.scenes[0];
    let pool = Pool::bought(first.addresses, first.bought, seed);
    let mut casts: Vec<(Setting, Cast)> = Vec::new();
    let mut rows = Vec::new();
    for scene in &job.scenes {
        let setting = Setting::of(scene);
        if !casts.iter().any(|(known, _)| *known == setting) {
            casts.push((setting, Cast::new(scene, seed)));
        }
        let cast = casts.iter_mut().find(|(known, _)| *known == setting).map(|(_, cast)| cast);
        let tally = cast.map(|cast| cast.play(scene, &pool, job.keys_of(scene), seed)).unwrap_or_default();
        rows.push(Row { scene: *scene, tally });
    }
    rows
}

/// What scenes must share to share their actors.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Setting {
    defence: Compliance,
    guarded: Guarded,
    manner: Option<Manner>,
}

impl Setting {
    fn of(scene: &Scene) -> Self {
        let manner = (scene.anywhere > 0.0).then_some(scene.manner);
        Self { defence: scene.defence, guarded: scene.guarded, manner }
    }
}

/// A network, and those who announce and read in it.
struct Cast {
    crowd: Crowd,
    announcers: Vec<Stage>,
    readers: Vec<Stage>,
}

impl Cast {
    fn new(scene: &Scene, seed: u64) -> Self {
        let others = (scene.anywhere, scene.manner);
        let mut crowd = throng::crowd(scene.n, scene.addresses.family(), DEAD, others, seed);
        let mut actors = |is_guarded: bool, salt: u64| -> Vec<Stage> {
            let config =
                Config { compliance: scene.defence, guard_keys: is_guarded, ..Config::new(scene.addresses.family()) };
            (0..ACTORS).map(|number| throng::resident(&config, &mut crowd, seed ^ (salt + number) << 8)).collect()
        };
        let announcers = actors(matches!(scene.guarded, Guarded::Both | Guarded::Announcer), 0x100);
        let readers = actors(matches!(scene.guarded, Guarded::Both | Guarded::Reader), 0x200);
        Self { crowd, announcers, readers }
    }

    fn play(&mut self, scene: &Scene, pool: &Pool, keys: usize, seed: u64) -> Tally {
        let mut dice = Dice::keyed(seed, &[0xec1, scene.n as u64]);
        let mut tally = Tally { keys, ..Tally::default() };
        for number in 0..keys {
            let key = dice.id();
            let attackers = self.attackers(scene, pool, &key);
            tally.placed += attackers.len() as f64 / keys as f64;
            let intruders: Vec<Extra> =
                attackers.iter().map(|&contact| Extra { contact, manner: scene.manner }).collect();
            self.crowd.forget();
            self.crowd.let_in(&intruders);
            self.act(key, number, &attackers, &mut tally);
        }
        tally
    }

    fn attackers(&self, scene: &Scene, pool: &Pool, key: &Id) -> Vec<Contact> {
        if scene.attackers == 0 {
            return Vec::new();
        }
        let (n, honest) = (scene.n as f64 * (1.0 - DEAD), self.crowd.closest_living(key, 64));
        let distances: Vec<f64> = honest.iter().map(|contact| contact.id.distance(key).fraction()).collect();
        let beside = pool.beside(key, 40.0 / n);
        scene.placement.choose(&beside, key, &distances, n, scene.attackers)
    }

    /// A key is announced and looked up.
    fn act(&mut self, key: Id, number: usize, attackers: &[Contact], tally: &mut Tally) {
        let actor = number % ACTORS as usize;
        let (mut announcer, mut reader) = (self.announcers[actor].clone(), self.readers[actor].clone());
        let info_hash = InfoHash(key);
        let announce = Command::Announce { info_hash, port: PORT, seed: false };
        let announced = throng::run(&mut announcer, &mut self.crowd, key, announce);
        let read = throng::run(&mut reader, &mut self.crowd, key, Command::FindPeers { info_hash });
        let peer = std::net::SocketAddr::new(announcer.addr().ip(), PORT);
        tally.note(&announced, &read, attackers, &peer);
    }
}

impl Tally {
    fn note(&mut self, announced: &Errand, read: &Errand, attackers: &[Contact], peer: &std::net::SocketAddr) {
        let found = read.peers.contains(peer);
        self.stored += usize::from(announced.stored_at.iter().any(|at| !attackers.contains(at)));
        self.found += usize::from(found);
        self.told.0 += read.peers.iter().filter(|told| !is_invented(told)).count();
        self.told.1 += read.peers.len();
        self.alarms.0 += usize::from(announced.alarm);
        self.alarms.1 += usize::from(read.alarm);
        self.widened += usize::from(read.swept > 0);
        self.taken_unseen += usize::from(!found && !announced.alarm && !read.alarm);
        self.sent.0 += announced.sent as f64 / self.keys as f64;
        self.sent.1 += read.sent as f64 / self.keys as f64;
    }

    fn percent(&self, count: usize) -> f64 {
        100.0 * count as f64 / self.keys.max(1) as f64
    }
}
