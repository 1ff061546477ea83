//! Which metadata is fetched next: the most valuable first.
//!
//! First what a user searched for, then swarms with seeds, then those with peers, then those of which nothing is known;
//! within each the newest first. One that failed waits an hour, then six, then a day, and is then forgotten for a while.
//!
//! Told the time. Bounded: [`MOST_WANTED`] infohashes, as many failures, a handful of peers each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

use arrayvec::ArrayVec;

use super::entry::{Swarm, UnixSeconds};
use crate::engine::id::InfoHash;

/// Most infohashes that wait.
pub const MOST_WANTED: usize = 50_000;
/// Peers that are remembered of each.
pub const PEERS_EACH: usize = 8;
/// Times after which one that failed is tried again.
const AGAIN_AFTER: [UnixSeconds; 3] = [3_600, 6 * 3_600, 24 * 3_600];
/// Time for which one that failed each time is not taken in again.
const GIVEN_UP_FOR: UnixSeconds = 3 * 24 * 3_600;

/// An infohash whose metadata is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The infohash.
    pub infohash: InfoHash,
    /// Peers that a node named.
    pub peers: ArrayVec<SocketAddr, PEERS_EACH>,
    /// What the node counted.
    pub swarm: Option<Swarm>,
    /// Whether a user searched for it.
    pub searched: bool,
}

/// The queue.
#[derive(Debug, Default)]
pub struct Wanted {
    waiting: HashMap<InfoHash, Waiting>,
    /// Those that may be fetched, the most valuable last.
    by_value: BTreeSet<(Value, InfoHash)>,
    /// Those that failed, by the time when they may be tried again.
    later: BTreeSet<(UnixSeconds, InfoHash)>,
    /// Those that were given up, until when.
    given_up: HashMap<InfoHash, UnixSeconds>,
    given_up_by_time: BTreeMap<(UnixSeconds, InfoHash), ()>,
    number: u64,
    /// The number of the last one and how many waited, when all were saved.
    saved: (u64, usize),
}

#[derive(Debug)]
struct Waiting {
    want: Want,
    value: Value,
    failures: usize,
    not_before: UnixSeconds,
    /// Whether it is being fetched.
    taken: bool,
}

/// Searched for, seeds known, peers known, then the newest.
type Value = (bool, u8, u64);

impl Wanted {
    /// Infohashes that wait or are being fetched.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether it is worth a query to ask a node for peers of an infohash: not where some are known, nor while one that failed
    /// is left alone.
    #[must_use]
    pub fn lacks_peers(&self, now: UnixSeconds, infohash: InfoHash) -> bool {
        match self.waiting.get(&infohash) {
            Some(waiting) => waiting.want.peers.is_empty() && waiting.not_before <= now,
            None => self.given_up.get(&infohash).is_none_or(|until| *until <= now),
        }
    }

    /// Takes in an infohash, or what is newly known of one that waits.
    pub fn add(&mut self, now: UnixSeconds, want: Want) {
        if self.given_up.get(&want.infohash).is_some_and(|until| *until > now && !want.searched) {
            return;
        }
        if let Some(waiting) = self.waiting.remove(&want.infohash) {
            self.by_value.remove(&(waiting.value, want.infohash));
            return self.put_back(waiting, want);
        }
        if self.waiting.len() >= MOST_WANTED && !self.drop_least(rank(&want)) {
            return;
        }
        self.number += 1;
        let (searched, rank) = rank(&want);
        let value = (searched, rank, self.number);
        self.by_value.insert((value, want.infohash));
        let waiting = Waiting { value, failures: 0, not_before: 0, taken: false, want };
        self.waiting.insert(waiting.want.infohash, waiting);
    }

    /// The infohashes that wait, one after the other, unless they are those that were saved last.
    pub fn unsaved(&mut self) -> Option<Vec<u8>> {
        let now = (self.number, self.waiting.len());
        let changed = std::mem::replace(&mut self.saved, now) != now;
        changed.then(|| self.waiting.keys().flat_map(|infohash| *infohash.as_bytes()).collect())
    }

    /// The most valuable infohash that may be fetched now; it is taken until [`done`](Self::done) or
    /// [`failed`](Self::failed).
    pub fn next(&mut self, now: UnixSeconds) -> Option<Want> {
        self.wake(now);
        let (_, infohash) = self.by_value.pop_last()?;
        let waiting = self.waiting.get_mut(&infohash).expect("whatever has a value waits");
        waiting.taken = true;
        Some(waiting.want.clone())
    }

    /// The metadata is there, or not wanted any more.
    pub fn done(&mut self, infohash: InfoHash) {
        if let Some(waiting) = self.waiting.remove(&infohash) {
            self.by_value.remove(&(waiting.value, infohash));
            self.later.remove(&(waiting.not_before, infohash));
        }
    }

    /// No peer gave the metadata.
    pub fn failed(&mut self, now: UnixSeconds, infohash: InfoHash) {
        let Some(waiting) = self.waiting.get_mut(&infohash).filter(|waiting| waiting.taken) else { return };
        let Some(wait) = AGAIN_AFTER.get(waiting.failures) else {
            self.done(infohash);
            return self.give_up(now, infohash);
        };
        (waiting.taken, waiting.failures, waiting.not_before) = (false, waiting.failures + 1, now + wait);
        // Peers that did not have it are asked no more; others are looked for.
        waiting.want.peers.clear();
        self.later.insert((waiting.not_before, infohash));
    }

    /// Brings those back that waited long enough after a failure.
    fn wake(&mut self, now: UnixSeconds) {
        while let Some(&(time, infohash)) = self.later.first().filter(|(time, _)| *time <= now) {
            self.later.remove(&(time, infohash));
            if let Some(waiting) = self.waiting.get(&infohash) {
                self.by_value.insert((waiting.value, infohash));
            }
        }
        while let Some((&(time, infohash), ())) =
            self.given_up_by_time.first_key_value().filter(|((time, _), ())| *time <= now)
        {
            self.given_up_by_time.remove(&(time, infohash));
            self.given_up.remove(&infohash);
        }
    }

    /// What is newly known joins what was known; a failure stays one.
    fn put_back(&mut self, mut waiting: Waiting, want: Want) {
        let known = &mut waiting.want;
        for peer in want.peers {
            if !known.peers.contains(&peer) && !known.peers.is_full() {
                known.peers.push(peer);
            }
        }
        known.swarm = want.swarm.or(known.swarm);
        known.searched |= want.searched;
        let (searched, rank) = rank(known);
        waiting.value = (searched, rank, waiting.value.2);
        let infohash = known.infohash;
        let is_later = self.later.contains(&(waiting.not_before, infohash));
        if want.searched && is_later {
            // Somebody waits for it.
            self.later.remove(&(waiting.not_before, infohash));
        }
        if !waiting.taken && (!is_later || want.searched) {
            self.by_value.insert((waiting.value, infohash));
        }
        self.waiting.insert(infohash, waiting);
    }

    /// Drops the least valuable, if it is worth less than one of this rank.
    fn drop_least(&mut self, rank: (bool, u8)) -> bool {
        let least = self.by_value.first().filter(|((searched, least, _), _)| (*searched, *least) <= rank).copied();
        let dropped = least.or_else(|| self.by_value.is_empty().then(|| self.last_of_later()).flatten());
        dropped.map(|(_, infohash)| self.done(infohash)).is_some()
    }

    fn last_of_later(&self) -> Option<(Value, InfoHash)> {
        self.later.last().map(|(_, infohash)| ((false, 0, 0), *infohash))
    }

    fn give_up(&mut self, now: UnixSeconds, infohash: InfoHash) {
        if self.given_up.len() >= MOST_WANTED
            && let Some(((_, oldest), ())) = self.given_up_by_time.pop_first()
        {
            self.given_up.remove(&oldest);
        }
        let until = now + GIVEN_UP_FOR;
        if let Some(before) = self.given_up.insert(infohash, until) {
            self.given_up_by_time.remove(&(before, infohash));
        }
        self.given_up_by_time.insert((until, infohash), ());
    }
}

fn rank(want: &Want) -> (bool, u8) {
    let rank = match want.swarm {
        Some(Swarm { seeds: 10.., .. }) => 4,
        Some(Swarm { seeds: 1.., .. }) => 3,
        Some(Swarm { peers: 1.., .. }) => 2,
        None => 1,
        Some(_) => 0,
    };
    (want.searched, rank)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::store::behaviour_tests::infohash;
    use proptest::prelude::*;

    const NOW: UnixSeconds = 1_800_000_000;

    fn want(number: u32, seeds: Option<u32>) -> Want {
        let swarm = seeds.map(|seeds| Swarm { seeds, peers: 0, at: NOW });
        Want { infohash: infohash(number), peers: ArrayVec::new(), swarm, searched: false }
    }

    fn order(wanted: &mut Wanted, now: UnixSeconds) -> Vec<InfoHash> {
        std::iter::from_fn(|| wanted.next(now).map(|want| want.infohash)).collect()
    }

    #[test]
    fn the_most_valuable_come_first() {
        let mut wanted = Wanted::default();
        for want in [want(1, None), want(2, Some(0)), want(3, Some(5)), want(4, Some(50)), want(5, Some(3))] {
            wanted.add(NOW, want);
        }
        wanted.add(NOW, Want { searched: true, ..want(6, Some(0)) });
        assert_eq!(order(&mut wanted, NOW), [6, 4, 5, 3, 1, 2].map(infohash));
    }

    #[test]
    fn what_failed_waits_longer_each_time_and_is_then_given_up() {
        let mut wanted = Wanted::default();
        wanted.add(NOW, want(1, Some(1)));
        let mut now = NOW;
        for wait in AGAIN_AFTER {
            assert_eq!(order(&mut wanted, now), [infohash(1)]);
            wanted.failed(now, infohash(1));
            wanted.add(now, want(1, Some(2)));
            assert!(order(&mut wanted, now + wait - 1).is_empty(), "{wait}");
            now += wait;
        }
        assert_eq!(order(&mut wanted, now), [infohash(1)]);
        wanted.failed(now, infohash(1));
        wanted.add(now, want(1, Some(9)));
        assert!(wanted.is_empty(), "given up");
        wanted.add(now, Want { searched: true, ..want(1, None) });
        assert_eq!(order(&mut wanted, now), [infohash(1)], "unless somebody searches for it");
    }

    #[test]
    fn nodes_are_asked_for_the_peers_of_what_is_new_and_has_not_failed_of_late() {
        let (mut wanted, one) = (Wanted::default(), infohash(1));
        assert!(wanted.lacks_peers(NOW, one), "nothing is known of it");
        wanted.add(NOW, want(1, None));
        assert!(wanted.lacks_peers(NOW, one), "a node that had it in its sample named no peer");
        wanted.add(NOW, Want { peers: [([1, 2, 3, 4], 6881).into()].into_iter().collect(), ..want(1, None) });
        assert!(!wanted.lacks_peers(NOW, one), "eight nodes have it in their samples");
        let mut now = NOW;
        for wait in AGAIN_AFTER {
            wanted.next(now).unwrap();
            wanted.failed(now, one);
            assert!(!wanted.lacks_peers(now + wait - 1, one), "it is left alone");
            now += wait;
            assert!(wanted.lacks_peers(now, one), "it is tried again soon");
        }
        wanted.next(now).unwrap();
        wanted.failed(now, one);
        assert!(!wanted.lacks_peers(now + GIVEN_UP_FOR - 1, one) && wanted.lacks_peers(now + GIVEN_UP_FOR, one));
    }

    #[test]
    fn what_waits_is_saved_once() {
        let mut wanted = Wanted::default();
        assert_eq!(wanted.unsaved(), None);
        wanted.add(NOW, want(1, None));
        assert_eq!(wanted.unsaved().as_deref(), Some(&infohash(1).as_bytes()[..]));
        assert_eq!(wanted.unsaved(), None);
        wanted.done(infohash(1));
        assert_eq!(wanted.unsaved(), Some(Vec::new()));
    }

    #[test]
    fn a_full_queue_drops_the_least_valuable() {
        let mut wanted = Wanted::default();
        (0..MOST_WANTED as u32).for_each(|number| wanted.add(NOW, want(number, Some(0))));
        wanted.add(NOW, want(u32::MAX, Some(7)));
        assert_eq!(wanted.len(), MOST_WANTED);
        assert_eq!(wanted.next(NOW).unwrap().infohash, infohash(u32::MAX));
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_given_out_twice(steps in prop::collection::vec((0u8..5, 0u32..8, 0u64..100_000), 0..200)) {
            let (mut wanted, mut now, mut out) = (Wanted::default(), NOW, BTreeSet::new());
            for (kind, number, time) in steps {
                now += time / 50;
                match kind {
                    0 | 1 => wanted.add(now, want(number, (kind == 0).then_some(number))),
                    2 => if let Some(want) = wanted.next(now) {
                        prop_assert!(out.insert(want.infohash), "given out twice");
                    },
                    3 => {
                        wanted.done(infohash(number));
                        out.remove(&infohash(number));
                    }
                    _ => {
                        wanted.failed(now, infohash(number));
                        out.remove(&infohash(number));
                    }
                }
                prop_assert!(wanted.by_value.len() + wanted.later.len() + out.len() <= wanted.len() + out.len());
                for infohash in &out {
                    prop_assert!(wanted.waiting[infohash].taken);
                }
            }
        }
    }
}
