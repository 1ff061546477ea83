//! Which torrents are counted again, and when: by value, not all alike.
//!
//! A count is good for an hour where a swarm is large, for a day where nobody is left; where somebody has looked at it within the
//! last day, for a quarter of that. What somebody looked at and whose count is no longer good stands in line: most
//! wanted first, then the largest.
//!
//! Told the time. Bounded: [`MOST_LOOKED_AT`] torrents are remembered, those that were looked at longest ago are forgotten.

use std::collections::{BTreeSet, HashMap};

use super::entry::{Swarm, UnixSeconds};
use crate::engine::id::InfoHash;

/// Most torrents that are remembered as looked at.
pub const MOST_LOOKED_AT: usize = 10_000;
/// Time for which a look counts.
const LOOK_COUNTS: UnixSeconds = 24 * HOUR;
/// What a look divides the life of a count by.
const LOOKED_AT_SHARE: UnixSeconds = 4;
const HOUR: UnixSeconds = 3_600;

/// How long a count is good; nothing where there is none.
#[must_use]
pub const fn life(swarm: Option<Swarm>, looked_at: bool) -> UnixSeconds {
    let life = match swarm {
        None => 0,
        Some(Swarm { seeds: 100.., .. }) => HOUR,
        Some(Swarm { seeds: 10.., .. }) => 3 * HOUR,
        Some(Swarm { seeds: 1.., .. }) => 6 * HOUR,
        Some(Swarm { peers: 1.., .. }) => 12 * HOUR,
        Some(_) => 24 * HOUR,
    };
    if looked_at { life / LOOKED_AT_SHARE } else { life }
}

/// What people look at, and what of it is to be counted again.
#[derive(Debug, Default)]
pub struct Recounts {
    looked_at: HashMap<InfoHash, Look>,
    by_time: BTreeSet<(UnixSeconds, InfoHash)>,
    /// The most valuable last.
    line: BTreeSet<(Value, InfoHash)>,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    last: UnixSeconds,
    looks: u32,
    /// Its place in the line.
    value: Option<Value>,
    /// When it was given out to be counted.
    given_out: UnixSeconds,
}

/// Looks, then seeds.
type Value = (u32, u32);

impl Recounts {
    /// Torrents that stand in line.
    #[must_use]
    pub fn len(&self) -> usize {
        self.line.len()
    }

    /// Whether none stands in line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Whether a count is to be made again, where the torrent turns up.
    #[must_use]
    pub fn is_due(&self, now: UnixSeconds, infohash: InfoHash, swarm: Option<Swarm>) -> bool {
        let looked_at = self.looked_at.get(&infohash).is_some_and(|look| look.last + LOOK_COUNTS > now);
        swarm.is_none_or(|swarm| swarm.at + life(Some(swarm), looked_at) <= now)
    }

    /// Somebody was shown this count.
    pub fn look(&mut self, now: UnixSeconds, infohash: InfoHash, swarm: Option<Swarm>) {
        let before = self.looked_at.get(&infohash).copied().filter(|look| look.last + LOOK_COUNTS > now);
        self.forget(infohash);
        if self.looked_at.len() >= MOST_LOOKED_AT
            && let Some((_, oldest)) = self.by_time.first().copied()
        {
            self.forget(oldest);
        }
        let mut look = before.unwrap_or(Look { last: now, looks: 0, value: None, given_out: 0 });
        (look.last, look.looks) = (now, look.looks.saturating_add(1));
        let old = swarm.is_none_or(|swarm| swarm.at + life(Some(swarm), true) <= now);
        // One of which nobody knows anything is not asked for at each look.
        let rested = look.given_out + life(Some(NOBODY), true) <= now || swarm.is_some();
        look.value = (old && rested).then(|| (look.looks, swarm.map_or(0, |swarm| swarm.seeds)));
        self.line.extend(look.value.map(|value| (value, infohash)));
        self.by_time.insert((now, infohash));
        self.looked_at.insert(infohash, look);
    }

    /// The next torrent to be counted.
    pub fn next(&mut self, now: UnixSeconds) -> Option<InfoHash> {
        let (_, infohash) = self.line.pop_last()?;
        if let Some(look) = self.looked_at.get_mut(&infohash) {
            (look.value, look.given_out) = (None, now);
        }
        Some(infohash)
    }

    fn forget(&mut self, infohash: InfoHash) {
        let Some(look) = self.looked_at.remove(&infohash) else { return };
        self.by_time.remove(&(look.last, infohash));
        if let Some(value) = look.value {
            self.line.remove(&(value, infohash));
        }
    }
}

/// A swarm without anybody.
const NOBODY: Swarm = Swarm { seeds: 0, peers: 0, at: 0 };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::store::behaviour_tests::infohash;
    use proptest::prelude::*;

    const NOW: UnixSeconds = 1_800_000_000;

    fn swarm(seeds: u32, peers: u32, age: UnixSeconds) -> Option<Swarm> {
        Some(Swarm { seeds, peers, at: NOW - age })
    }

    #[test]
    fn large_swarms_are_counted_sooner_and_those_that_somebody_looks_at_soonest() {
        let lives =
            [(500, 0), (50, 0), (5, 0), (0, 3), (0, 0)].map(|(seeds, peers)| life(swarm(seeds, peers, 0), false));
        assert_eq!(lives, [1, 3, 6, 12, 24].map(|hours| hours * HOUR));
        assert_eq!(life(swarm(5, 0, 0), true) * 4, life(swarm(5, 0, 0), false));
        assert_eq!(life(None, false), 0);
        let mut recounts = Recounts::default();
        let old = swarm(5, 0, 2 * HOUR);
        assert!(!recounts.is_due(NOW, infohash(1), old) && recounts.is_due(NOW, infohash(1), None));
        recounts.look(NOW, infohash(1), old);
        assert!(recounts.is_due(NOW, infohash(1), old), "somebody looks at it");
        assert!(!recounts.is_due(
            NOW + LOOK_COUNTS,
            infohash(1),
            swarm(5, 0, 0).map(|s| Swarm { at: NOW + LOOK_COUNTS - 2 * HOUR, ..s })
        ));
    }

    #[test]
    fn what_most_people_look_at_is_counted_first_and_each_once() {
        let mut recounts = Recounts::default();
        for (number, looks, of) in
            [(1, 1, swarm(3, 0, 30 * HOUR)), (2, 3, None), (3, 1, swarm(90, 0, 30 * HOUR)), (4, 1, swarm(9, 9, 60))]
        {
            (0..looks).for_each(|_| recounts.look(NOW, infohash(number), of));
        }
        let order: Vec<_> = std::iter::from_fn(|| recounts.next(NOW)).collect();
        assert_eq!(order, [2, 3, 1].map(infohash), "4 was counted a minute ago");
        recounts.look(NOW + 60, infohash(2), None);
        assert!(recounts.is_empty(), "it was asked for a minute ago, and nobody knew it");
        recounts.look(NOW + 24 * HOUR, infohash(2), None);
        assert_eq!(recounts.len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        #[test]
        fn it_is_bounded_and_gives_out_what_it_knows(looks in prop::collection::vec((0u32..20_000, 0u32..5), 0..400)) {
            let mut recounts = Recounts::default();
            (0..MOST_LOOKED_AT as u32).for_each(|number| recounts.look(NOW, infohash(number), None));
            for (number, seeds) in looks {
                recounts.look(NOW + u64::from(seeds), infohash(number), swarm(seeds, 0, 90 * HOUR));
                prop_assert!(recounts.looked_at.len() <= MOST_LOOKED_AT);
                prop_assert_eq!(recounts.by_time.len(), recounts.looked_at.len());
                prop_assert!(recounts.len() <= recounts.looked_at.len());
            }
            while let Some(given) = recounts.next(NOW) {
                prop_assert!(recounts.looked_at.contains_key(&given));
            }
        }
    }
}
