//! What does it cost to keep infohashes announced, and are they visible all the time?
//!
//! The announcer's schedule, the same that runs in production, keeps its infohashes announced through one node of a network
//! in which the others come and go (Weibull sessions, shape .5, median 60 minutes). Beside it in the same network another node
//! announces as many infohashes by the naive schedule: each by a whole lookup, every 15 minutes. Every minute some of both are
//! looked up by nodes drawn at random.
//!
//! Half-way the announcer is restarted: it is away for five minutes, and what it kept is all that it knows. In a second,
//! smaller network its host sleeps for eight hours.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use super::outcome::{Outcome, Verdict};
use super::plan::{Plan, Progress};
use super::plot::{Axis, Chart, Colour, Series};
use super::statistics::mean;
use super::table::{Decimal, Table};
use crate::announcer::schedule::{AnnounceOrder, Announced, Look, LookOrder, Next, Schedule, Terms as Pace};
use crate::announcer::source::{Listed, ListedState, Listing};
use crate::engine::contact::Family;
use crate::engine::id::InfoHash;
use crate::engine::krpc::encode::VERSION;
use crate::engine::limits::NEW_DESTINATIONS_PER_SECOND;
use crate::engine::node::{Command, Config, OpId, Serve};
use crate::engine::time::Instant;
use crate::sim::churn::Churn;
use crate::sim::link::plane::Plane;
use crate::sim::population::Sessions;
use crate::sim::random::Dice;
use crate::sim::task::Task;
use crate::sim::world::Home;
use crate::sim::{HostId, Link, Network, Terms};

const PORT: u16 = 6881;
const NAIVE_PORT: u16 = 6882;
const NAIVE_EVERY: Duration = Duration::from_mins(15);
const INTERVAL_MINUTES: usize = 10;
/// Time between two looks at what has come to its end.
const STEP: Duration = Duration::from_millis(500);
const AWAY: Duration = Duration::from_mins(5);
const SLEEP: Duration = Duration::from_hours(8);
/// Most packets sent for an infohash in an hour: a floor of 24 for copies that live 45 minutes, and what churn may add.
const MOST_PACKETS: f64 = 34.0;
const MUST_BE_VISIBLE_PCT: f64 = 99.0;

/// A network, and how long it is watched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    n: usize,
    infohashes: usize,
    minutes: usize,
    /// Whether the host sleeps at the end.
    sleeps: bool,
}

impl Job {
    const fn intervals(&self) -> usize {
        self.minutes / INTERVAL_MINUTES
    }

    /// It counts by intervals; the sleep is one of them.
    pub(super) fn seconds(&self) -> Vec<f64> {
        let interval = 3.6e-3 * self.n as f64 + 5e-3 * self.infohashes as f64;
        let sleep = self.sleeps.then_some(3.6e-3 * self.n as f64 * 49.0);
        std::iter::repeat_n(interval, self.intervals()).chain(sleep).collect()
    }
}

pub(super) fn jobs(plan: &Plan) -> Vec<Job> {
    let (sizes, minutes) = (plan.nodes_or(&[150, 100], &[10_000, 1_000]), if plan.quick { 200 } else { 240 });
    let infohashes = if plan.quick { 30 } else { 500 };
    let awake = sizes.first().map(|&n| Job { n, infohashes, minutes, sleeps: false });
    let asleep = sizes.last().map(|&n| Job { n, infohashes, minutes: 60, sleeps: true });
    awake.into_iter().chain(asleep).collect()
}

pub(super) fn run(plan: &Plan, progress: Progress<'_>) -> Outcome {
    let (mut rows, mut catch_ups, mut cost, mut done) = (Vec::new(), Vec::new(), Cost::default(), 0);
    for job in jobs(plan) {
        let mut observed = Observed::new(job, plan.seed);
        let mut next = || {
            progress(done);
            done += 1;
        };
        for number in 1..=job.intervals() {
            let row = observed.interval(number * INTERVAL_MINUTES);
            if !job.sleeps {
                rows.push(row);
                if number == job.intervals() / 2 {
                    observed.restart();
                }
            }
            next();
        }
        catch_ups.push(observed.caught_up_after);
        if !job.sleeps {
            cost = observed.cost();
        }
        if job.sleeps {
            observed.sleep();
            next();
            catch_ups.push(observed.caught_up_after);
        }
    }
    Outcome {
        table: table(&rows),
        picture: picture(&rows),
        verdicts: verdicts(&rows, cost, &catch_ups),
        more: Vec::new(),
    }
}

/// What was seen in ten minutes.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    minute: usize,
    visible_pct: f64,
    naive_visible_pct: f64,
    /// Packets sent for an infohash in an hour, at this rate.
    announce_packets: f64,
    look_packets: f64,
    naive_packets: f64,
}

/// Packets sent for an infohash in an hour, once it goes on and on.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    announces: f64,
    looks: f64,
}

/// What is counted in an interval.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    announce: usize,
    look: usize,
    naive: usize,
    /// Looked up by others, and found: of ours and of the naive schedule.
    looked: [usize; 2],
    found: [usize; 2],
}

/// What one kind of work costs once it goes on and on. What was announced together is announced together again, so that a time
/// of a few rounds holds one more or one less; so each infohash is counted from the end of its first to the end of its last.
#[derive(Debug, Default)]
struct Steady {
    of: BTreeMap<InfoHash, (Instant, Instant, usize)>,
}

impl Steady {
    fn note(&mut self, now: Instant, info_hash: InfoHash, packets: usize) {
        match self.of.entry(info_hash) {
            Entry::Vacant(place) => drop(place.insert((now, now, 0))),
            Entry::Occupied(mut place) => {
                let (_, last, sum) = place.get_mut();
                (*last, *sum) = (now, *sum + packets);
            }
        }
    }

    /// Packets for an infohash in an hour.
    fn per_hour(&self) -> f64 {
        let packets: usize = self.of.values().map(|(_, _, sum)| sum).sum();
        let hours: f64 = self.of.values().map(|(first, last, _)| last.since(*first).as_secs_f64() / 3600.0).sum();
        packets as f64 / hours.max(f64::MIN_POSITIVE)
    }
}

/// The network under observation.
struct Observed {
    job: Job,
    network: Network,
    churn: Churn,
    newcomers: Terms,
    dice: Dice,
    schedule: Schedule,
    announcer: HostId,
    witness: HostId,
    announces: BTreeMap<OpId, AnnounceOrder>,
    looks: BTreeMap<OpId, LookOrder>,
    keys: Vec<InfoHash>,
    naive: HostId,
    naive_keys: Vec<InfoHash>,
    naive_begun: usize,
    naive_since: Instant,
    probes: Vec<(HostId, OpId, usize)>,
    counts: Counts,
    announce_pace: Steady,
    look_pace: Steady,
    /// Since when some wait for their first turn.
    behind_since: Option<Instant>,
    /// The longest time until none did.
    caught_up_after: Duration,
}

impl Observed {
    fn new(job: Job, seed: u64) -> Self {
        let mut dice = Dice::keyed(seed, &[0xa22, job.n as u64]);
        // With the rules of the mainline a renewal costs more: two of eight copies lie beside the closest nodes.
        let joins_per_second = (job.n as f64 / 60.0).clamp(5.0, 60.0);
        let newcomers = Terms { joins_per_second, ..Terms::mainline(Family::V4) };
        let mut network = Network::new(Link::new(seed).with(Plane::new(seed)), newcomers.clone(), seed);
        network.grow(job.n);
        network.run_for(Duration::from_mins(3));
        let churn = Churn::new(&network, Sessions::CHURN, seed);
        // These stay: the sessions were drawn before they came.
        let mut stay = |config: &Config| settle(&mut network, config);
        let [announcer, naive] = [stay(&newcomers.config), stay(&newcomers.config)];
        // It stores nothing: what it finds others have (BEP 43).
        let witness = stay(&Config { serve: Serve::Never, ..newcomers.config.clone() });
        network.run_for(Duration::from_mins(3));
        let mut draw = || (0..job.infohashes).map(|_| InfoHash(dice.id())).collect::<Vec<_>>();
        let (keys, naive_keys) = (draw(), draw());
        let now = network.world().now();
        let mut schedule = Schedule::new(pace(seed));
        schedule.list(now, listing(&keys));
        Self {
            job,
            network,
            churn,
            newcomers,
            dice,
            schedule,
            announcer,
            witness,
            announces: BTreeMap::new(),
            looks: BTreeMap::new(),
            keys,
            naive,
            naive_keys,
            naive_begun: 0,
            naive_since: now,
            probes: Vec::new(),
            counts: Counts::default(),
            announce_pace: Steady::default(),
            look_pace: Steady::default(),
            behind_since: None,
            caught_up_after: Duration::ZERO,
        }
    }

    fn now(&self) -> Instant {
        self.network.world().now()
    }

    fn interval(&mut self, minute: usize) -> Row {
        self.counts = Counts::default();
        for _ in 0..INTERVAL_MINUTES {
            self.probe();
            self.run_for(Duration::from_mins(1));
        }
        let counts = self.counts;
        let per_hour = |count: usize| count as f64 / self.job.infohashes as f64 * 60.0 / INTERVAL_MINUTES as f64;
        let pct = |which: usize| 100.0 * counts.found[which] as f64 / counts.looked[which].max(1) as f64;
        Row {
            minute,
            visible_pct: pct(0),
            naive_visible_pct: pct(1),
            announce_packets: per_hour(counts.announce),
            look_packets: per_hour(counts.look),
            naive_packets: per_hour(counts.naive),
        }
    }

    fn cost(&self) -> Cost {
        Cost { announces: self.announce_pace.per_hour(), looks: self.look_pace.per_hour() }
    }

    /// The announcer ends, and begins again five minutes later with what it has kept.
    fn restart(&mut self) {
        let kept = self.schedule.take_changed(usize::MAX).into_iter().filter_map(|(_, record)| record);
        let kept: Vec<_> = kept.collect();
        self.announces.clear();
        self.looks.clear();
        self.schedule = Schedule::new(pace(self.job.n as u64));
        self.run_for(AWAY);
        self.schedule.restore(self.now(), kept, |_| true);
        self.caught_up_after = Duration::ZERO;
        self.behind_since = Some(self.now());
    }

    /// The announcer's host sleeps while the network goes on, and is awake for an hour.
    fn sleep(&mut self) {
        self.network.world_mut().suspend(self.announcer);
        self.announces.clear();
        self.looks.clear();
        let newcomers = self.newcomers.config.clone();
        self.churn.run_for(&mut self.network, SLEEP, |network| settle(network, &newcomers));
        self.network.world_mut().resume(self.announcer);
        let now = self.now();
        self.schedule.announce_all_again(now);
        self.behind_since = Some(now);
        self.caught_up_after = Duration::ZERO;
        self.run_for(Duration::from_hours(1));
    }

    fn run_for(&mut self, duration: Duration) {
        let until = self.now() + duration;
        while self.now() < until {
            self.begin_due();
            self.begin_naive();
            let newcomers = self.newcomers.config.clone();
            self.churn.run_for(&mut self.network, STEP, |network| settle(network, &newcomers));
            self.note_ended();
            self.note_behind();
        }
    }

    // The announcer.

    fn begin_due(&mut self) {
        loop {
            let now = self.now();
            match self.schedule.next(now) {
                Next::Announce(order) => {
                    let AnnounceOrder { info_hash, port, seed, .. } = order;
                    let holders = order.holders.clone();
                    let command = Command::RenewAnnounce { info_hash, port, seed, holders };
                    let op = self.network.operate(self.announcer, *info_hash, command);
                    self.announces.extend(op.map(|op| (op, order)));
                }
                Next::Look(order) => {
                    let LookOrder { info_hash, port } = order;
                    let command = Command::Look { info_hash, port, addresses: [].into() };
                    let op = self.network.operate(self.witness, *info_hash, command);
                    self.looks.extend(op.map(|op| (op, order)));
                }
                Next::Wait(_) => return,
            }
        }
    }

    fn note_ended(&mut self) {
        let now = self.now();
        for (op, task) in self.network.take_ended(self.announcer) {
            if let Some(order) = self.announces.remove(&op) {
                self.counts.announce += asked(&task);
                self.announce_pace.note(now, order.info_hash, asked(&task));
                self.schedule.announced(now, &announced(order.info_hash, &task));
            }
        }
        for (op, task) in self.network.take_ended(self.witness) {
            if let Some(order) = self.looks.remove(&op) {
                self.counts.look += asked(&task);
                self.look_pace.note(now, order.info_hash, asked(&task));
                let seen_as = task.peers.first().copied();
                let (info_hash, asked, answered) = (order.info_hash, asked(&task), answered(&task));
                self.schedule.looked(now, &Look { info_hash, seen_as, asked, answered });
            }
        }
        self.counts.naive += self.network.take_ended(self.naive).iter().map(|(_, task)| asked(task)).sum::<usize>();
        self.note_probes();
    }

    fn note_behind(&mut self) {
        let now = self.now();
        let waits = self.schedule.totals(now).behind > 0 || !self.announces.is_empty();
        match (self.behind_since, waits) {
            (None, true) => self.behind_since = Some(now),
            (Some(since), false) => {
                self.behind_since = None;
                self.caught_up_after = self.caught_up_after.max(now.since(since));
            }
            _ => {}
        }
    }

    // The naive schedule.

    /// Each infohash every 15 minutes, evenly spread.
    fn begin_naive(&mut self) {
        let due = self.now().since(self.naive_since).as_secs_f64() / NAIVE_EVERY.as_secs_f64();
        while (self.naive_begun as f64) < due * self.naive_keys.len() as f64 {
            let key = self.naive_keys[self.naive_begun % self.naive_keys.len()];
            self.network.announce(self.naive, *key, NAIVE_PORT);
            self.naive_begun += 1;
        }
    }

    // Those who look.

    /// Some of both are looked up by nodes drawn at random.
    fn probe(&mut self) {
        for which in [0, 1] {
            for _ in 0..20 {
                let keys = if which == 0 { &self.keys } else { &self.naive_keys };
                let key = *self.dice.pick(keys).expect("there are infohashes");
                let reader = *self.dice.pick(self.network.members()).expect("a node that leaves is replaced");
                let is_ours = [self.announcer, self.witness, self.naive].contains(&reader);
                let op = if is_ours { None } else { self.network.find_first_peers(reader, *key) };
                self.probes.extend(op.map(|op| (reader, op, which)));
            }
        }
    }

    fn note_probes(&mut self) {
        let mut left = Vec::new();
        for (reader, op, which) in std::mem::take(&mut self.probes) {
            match self.network.take_task(reader, op) {
                Ok(task) => {
                    self.counts.looked[which] += 1;
                    self.counts.found[which] += usize::from(!task.peers.is_empty());
                }
                Err(is_under_way) if is_under_way => left.push((reader, op, which)),
                // Its node has left.
                Err(_) => {}
            }
        }
        self.probes = left;
    }
}

fn settle(network: &mut Network, config: &Config) -> HostId {
    let addr = network.endpoint();
    network.add(Home::open(addr), config.clone())
}

fn pace(seed: u64) -> Pace {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    Pace { seed: bytes, new_destinations_per_second: NEW_DESTINATIONS_PER_SECOND, port: Some(PORT), max: usize::MAX }
}

fn listing(keys: &[InfoHash]) -> Listing {
    let listed = |infohash: &InfoHash| Listed {
        infohash: *infohash,
        name: None,
        port: None,
        complete: true,
        state: ListedState::Active,
    };
    let torrents = Some(keys.iter().map(listed).collect());
    Listing { source: "lab".into(), torrents, ipv4_only: false, left_out: Vec::new(), trouble: None }
}

fn asked(task: &Task) -> usize {
    task.summary.as_ref().map_or(0, |summary| summary.asked)
}

fn answered(task: &Task) -> usize {
    task.summary.as_ref().map_or(0, |summary| summary.answered)
}

fn announced(info_hash: InfoHash, task: &Task) -> Announced {
    Announced {
        info_hash,
        stored: task.stored_at.iter().map(|contact| (*contact, VERSION)).collect(),
        asked: asked(task),
        answered: answered(task),
        swarm: Some((1, 0)),
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "minute",
        "visible_pct",
        "naive_visible_pct",
        "announce_packets_per_infohash_hour",
        "look_packets_per_infohash_hour",
        "naive_packets_per_infohash_hour",
    ]);
    for row in rows {
        let [visible, naive_visible] = [row.visible_pct, row.naive_visible_pct].map(Decimal);
        let [announces, looks, naive] = [row.announce_packets, row.look_packets, row.naive_packets].map(Decimal);
        table.push(&[&row.minute, &visible, &naive_visible, &announces, &looks, &naive]);
    }
    table
}

fn picture(rows: &[Row]) -> String {
    let hours = rows.last().map_or(1.0, |row| row.minute as f64 / 60.0);
    let line =
        |value: fn(&Row) -> f64| rows.iter().map(|row| (row.minute as f64 / 60.0, value(row))).collect::<Vec<_>>();
    let mut chart = Chart::new(
        "What it costs to be visible",
        "half of the nodes stay for less than an hour; the announcer is restarted half-way",
        Axis::linear("hours", 0.0, hours),
        Axis::linear("packets sent for an infohash in an hour", 0.0, 250.0),
    );
    chart.add(Series::new("naive: all, every 15 min", Colour::nth(1), &line(|row| row.naive_packets)));
    chart.add(Series::new(
        "announcer, with looks",
        Colour::nth(0),
        &line(|row| row.announce_packets + row.look_packets),
    ));
    chart.add(Series::new("announcer, looks alone", Colour::nth(4), &line(|row| row.look_packets)));
    chart.add(Series::dashed("at most 34", &[(0.0, MOST_PACKETS), (hours, MOST_PACKETS)]));
    let worst = rows.iter().skip(1).map(|row| row.visible_pct.min(row.naive_visible_pct)).fold(95.0, f64::min);
    chart.begin_below(Axis::linear("hours", 0.0, hours), Axis::linear("visible to others, %", worst.floor(), 100.0));
    chart.add(Series::new("naive, visible", Colour::nth(1), &line(|row| row.naive_visible_pct)));
    chart.add(Series::new("announcer, visible", Colour::nth(0), &line(|row| row.visible_pct)));
    chart.render()
}

fn verdicts(rows: &[Row], cost: Cost, catch_ups: &[Duration]) -> Vec<Verdict> {
    // Steady: after the first period, at the start of which everything is announced together.
    let steady = || rows.iter().filter(|row| row.minute > 40);
    let Cost { announces, looks } = cost;
    let packets = announces + looks;
    let naive = mean(steady().map(|row| row.naive_packets));
    let visible = mean(rows.iter().filter(|row| row.minute > 20).map(|row| row.visible_pct));
    let at_most = |what: &str, seconds: Duration, most: u64| {
        let seconds = seconds.as_secs_f64();
        Verdict::new(seconds <= most as f64, format!("{what}, seconds: {seconds:.0}, must be at most {most}"))
    };
    let mut verdicts = vec![
        Verdict::new(
            packets <= MOST_PACKETS,
            format!(
                "packets for an infohash and hour, steady: {packets:.1} (announces {announces:.1}, looks {looks:.1}), \
                 must be at most {MOST_PACKETS}; naive {naive:.1}"
            ),
        ),
        Verdict::new(
            visible >= MUST_BE_VISIBLE_PCT,
            format!("visible to others, %: {visible:.2}, must be at least {MUST_BE_VISIBLE_PCT}"),
        ),
    ];
    let names = ["longest time behind after a restart", "after a cold start", "after eight hours of sleep"];
    verdicts.extend(names.iter().zip(catch_ups).map(|(name, time)| at_most(name, *time, 1200)));
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_network_shows_what_a_large_one_does() {
        let plan = Plan { quick: true, nodes: Some(vec![30, 30]), ..Plan::new(3) };
        let outcome = run(&plan, &|_| ());
        assert_eq!(outcome.table.rows().len(), 20);
        assert!(outcome.holds(), "{:#?}", outcome.verdicts);
    }
}
