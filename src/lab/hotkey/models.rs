//! The baselines: Coral's sloppy storage, and the textbook reading of BEP 5.

use std::collections::BTreeSet;

use super::{Job, Load, loads};
use crate::engine::id::Id;
use crate::engine::limits::K;
use crate::lab::statistics::quantile;
use crate::lab::systems::bep5::Bep5;
use crate::lab::systems::coral::Cluster;
use crate::sim::random::Dice;

/// Puts a minute that a full node of Coral passes on: beta of its papers, one in five seconds.
pub(super) const BETA: f64 = 12.0;
/// Values with which a node of Coral is full.
const FULL: usize = 4;
/// Time for which a value is worth keeping, in seconds.
const LIFETIME_S: f64 = 120.0;
/// Peers with which a reader stops, and peers in an answer.
const ENOUGH: usize = 50;
const PER_ANSWER: usize = 100;
/// Operations of which the textbook's load is the mean: it knows no feedback.
const SAMPLED: usize = 4_000;

/// The nodes, how many bits each shares with the key, and the closest.
struct Town {
    ids: Vec<Id>,
    key: Id,
    bits: Vec<usize>,
    closest: Vec<usize>,
}

impl Town {
    fn new(job: Job, dice: &mut Dice) -> Self {
        let ids: Vec<Id> = (0..job.n).map(|_| dice.id()).collect();
        let key = dice.id();
        let mut closest: Vec<usize> = (0..job.n).collect();
        closest.sort_by(|&a, &b| key.closer(&ids[a], &ids[b]));
        closest.truncate(K);
        let bits = ids.iter().map(|id| id.common_prefix_len(&key)).collect();
        Self { ids, key, bits, closest }
    }
}

/// A node of Coral: who announced here last, and when; and when it last passed on a put while it was full.
#[derive(Clone, Debug, Default)]
struct Store {
    values: Vec<(usize, f64)>,
    passed: Option<f64>,
}

impl Store {
    fn is_full(&self, now: f64) -> bool {
        self.values.len() >= FULL && self.values.iter().all(|(_, at)| now - at < LIFETIME_S / 2.0)
    }

    /// Whether a put stops here: it is full, and another was passed on less than one share of beta ago.
    fn stops(&mut self, now: f64) -> bool {
        if !self.is_full(now) {
            return false;
        }
        let stops = self.passed.is_some_and(|passed| now - passed < 60.0 / BETA);
        if !stops {
            self.passed = Some(now);
        }
        stops
    }

    /// Every put is a value of its own.
    fn put(&mut self, peer: usize, now: f64) {
        self.values.retain(|(_, at)| now - at < LIFETIME_S);
        if self.values.len() >= FULL {
            self.values.remove(0);
        }
        self.values.push((peer, now));
    }
}

/// Coral: a put goes towards the key until a node is full and loaded, and is stored at the one before; a read stops at the first
/// node that has a value. Both begin at the node itself.
pub(super) fn coral(job: Job, seed: u64) -> Load {
    let mut dice = Dice::keyed(seed, &[0x407, job.n as u64]);
    let town = Town::new(job, &mut dice);
    let next = Cluster::new((0..job.n).collect(), &town.ids, seed).next_hops(job.n, town.key);
    let mut stores = vec![Store::default(); job.n];
    let (mut requests, mut puts) = (vec![0.0; job.n], vec![0.0; job.n]);
    let (mut ages, mut told, mut queries, mut reads) = (Vec::new(), Vec::new(), 0.0, 0.0);
    let end = 60.0 * (job.minutes.0 + job.minutes.1) as f64;
    let share = 1.0 / job.minutes.1 as f64;
    let mut now = 0.0;
    while now < end {
        now += dice.exponential(60.0 / job.rate);
        let (measured, source, is_put) = (now > 60.0 * job.minutes.0 as f64, dice.below(job.n), dice.chance(0.5));
        let (mut at, mut before, mut asked) = (source, None, 0.0);
        loop {
            if at != source {
                asked += 1.0;
                requests[at] += if measured { share } else { 0.0 };
                puts[at] += if measured && is_put { share } else { 0.0 };
            }
            let ends = if is_put { stores[at].stops(now) } else { !stores[at].values.is_empty() };
            if ends && is_put {
                // Full and loaded: the one before on the way stores it.
                at = before.unwrap_or(at);
            }
            match next[at].filter(|_| !ends) {
                Some(closer) => (before, at) = (Some(at), closer),
                None => break,
            }
        }
        if is_put {
            stores[at].put(source, now);
        } else if measured && dice.chance(1_000.0 / job.rate) {
            reads += 1.0;
            told.push(stores[at].values.iter().map(|(peer, _)| *peer).collect::<Vec<_>>());
            ages.extend(stores[at].values.iter().map(|(_, put)| now - put));
        }
        queries += if measured { asked } else { 0.0 };
    }
    let root: Vec<f64> = stores[town.closest[0]].values.iter().map(|(_, at)| now - at).collect();
    Load {
        queries_per_operation: queries / (job.rate * job.minutes.1 as f64),
        peers_per_read: told.iter().map(Vec::len).sum::<usize>() as f64 / f64::max(reads, 1.0),
        age_median_s: quantile(&ages, 0.5),
        root_age_median_s: quantile(&root, 0.5),
        distinct_per_1000_reads: distinct(&told),
        ..loads(&requests, &puts, &town.bits, &town.closest)
    }
}

/// Different peers that the last thousand reads were told of.
pub(super) fn distinct<T: Ord + Copy>(reads: &[Vec<T>]) -> f64 {
    let last = reads.iter().rev().take(1_000).flatten().copied();
    last.collect::<BTreeSet<T>>().len() as f64
}

/// The textbook: each operation asks until the eight closest have answered, and an announce goes to those. Clients that are limited do
/// less, and stop reading with fifty peers.
pub(super) fn textbook(job: Job, seed: u64, limited: bool) -> Load {
    let mut dice = Dice::keyed(seed, &[0x407, job.n as u64]);
    let town = Town::new(job, &mut dice);
    let network = Bep5::new(&town.ids, seed);
    let (mut requests, mut puts) = (vec![0.0; job.n], vec![0.0; job.n]);
    let each = job.carried_out() / SAMPLED as f64;
    let (mut queries, mut told) = (0.0, Vec::new());
    for number in 0..SAMPLED {
        let source = dice.below(job.n);
        let rounds = network.rounds(source, town.key);
        let is_put = number % 2 == 0;
        let holds = |round: &Vec<usize>| round.iter().any(|node| town.closest.contains(node));
        let first = rounds.iter().position(holds).map_or(rounds.len(), |first| first + 1);
        let asked = if limited && !is_put && job.n >= ENOUGH { first } else { rounds.len() };
        let asked: Vec<usize> = rounds[..asked].concat();
        asked.iter().for_each(|&node| requests[node] += each);
        queries += asked.len() as f64;
        if is_put {
            let stores = || town.closest.iter().filter(|node| asked.contains(node));
            stores().for_each(|&node| (requests[node], puts[node]) = (requests[node] + each, puts[node] + each));
            queries += stores().count() as f64;
        } else {
            let holders = asked.iter().filter(|node| town.closest.contains(node)).count();
            told.push(peers_of(holders, job.n, &mut dice));
        }
    }
    // Each client announces itself again and again, at random moments.
    let pause = 60.0 * 2.0 * job.n as f64 / job.carried_out();
    let ages: Vec<f64> = (0..1_001).map(|_| dice.exponential(pause)).collect();
    Load {
        queries_per_operation: queries / SAMPLED as f64,
        peers_per_read: told.iter().map(Vec::len).sum::<usize>() as f64 / told.len() as f64,
        age_median_s: quantile(&ages, 0.5),
        root_age_median_s: quantile(&ages, 0.5),
        distinct_per_1000_reads: distinct(&told),
        ..loads(&requests, &puts, &town.bits, &town.closest)
    }
}

/// The peers that so many holders name, each at random.
fn peers_of(holders: usize, n: usize, dice: &mut Dice) -> Vec<usize> {
    let each = (0..holders * PER_ANSWER.min(n)).map(|_| dice.below(n));
    each.collect::<BTreeSet<usize>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::hotkey::Variant;

    fn job(variant: Variant, rate: f64) -> Job {
        Job { variant, n: 494, rate, upgraded_pct: 100, minutes: (2, 1) }
    }

    #[test]
    fn at_the_root_of_coral_a_leak_of_each_neighbour_arrives_whatever_the_load() {
        let [less, more] = [12e3, 240e3].map(|rate| coral(job(Variant::Coral, rate), 1));
        for load in [&less, &more] {
            assert!((12.0..192.0).contains(&load.root_puts) && load.max_puts < 192.0, "{load:?}");
        }
        assert!((0.6..1.4).contains(&(more.root_puts / less.root_puts)), "{} and {}", more.root_puts, less.root_puts);
    }

    #[test]
    fn at_the_root_of_the_textbook_everything_arrives() {
        let plain = textbook(job(Variant::Bep5, 120e3), 1, false);
        assert!((1.4..1.6).contains(&(plain.root_requests / 120e3)), "{}", plain.root_requests);
        let limited = textbook(job(Variant::ClientOnly, 120e3), 1, true);
        // 494 clients do 12 things a minute each.
        assert!(limited.root_requests < 1.5 * 494.0 * 12.0, "{}", limited.root_requests);
    }
}
