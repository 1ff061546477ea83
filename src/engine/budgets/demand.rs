//! How much each infohash is asked for, and what of it is answered in full: the node's part of the hot-key rule.
//!
//! A key is *hot* while it is asked for more often than [`HotKeyRule::queries_per_minute`] over some minutes, and *full* while its swarm
//! has [`HotKeyRule::peers`] peers. What is hot and full is answered with peers alone: contacts would lead those who ask on to
//! the nodes closest to the key, which are no less full. A few are let through all the same, at an even pace, and at an
//! even pace tokens are given to newcomers, so that what is stored is renewed. The rule is that of Coral's sloppy storage
//! (Freedman, Freudenthal and Mazieres, NSDI 2004) in messages of BEP 5.

use super::shares::Shares;
use super::{Budget, FEW_SLOTS};
use crate::engine::id::InfoHash;
use crate::engine::keyed_hash::KeyedHash;
use crate::engine::limits::{
    HOT_KEY_PASSES_PER_MINUTE, HOT_KEY_PEERS, HOT_KEY_QUERIES_PER_MINUTE, HOT_KEY_SLOTS, HOT_KEY_TOKENS_PER_MINUTE,
};
use crate::engine::random::Random;
use crate::engine::time::Instant;

/// Minutes' worth of questions that may come at once before a key is hot: a swarm that is just filling is ordinary.
const AT_ONCE_MINUTES: u32 = 5;
/// Budgets count sixtieths: what comes a minute is then a whole number a second.
const ONE: u32 = 60;

/// When a key is hot, and what is then answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotKeyRule {
    /// Peers from which on a swarm is full; while it is hot, the most that it keeps.
    pub peers: usize,
    /// Questions a minute above which a key is hot.
    pub queries_per_minute: u32,
    /// Questions a minute for a key that is hot and full which are answered with contacts, too.
    pub passes_per_minute: u32,
    /// Tokens a minute for newcomers to a swarm that is hot and full.
    pub tokens_per_minute: u32,
}

impl HotKeyRule {
    /// What a node does unless it is told otherwise.
    pub const DEFAULT: Self = Self {
        peers: HOT_KEY_PEERS,
        queries_per_minute: HOT_KEY_QUERIES_PER_MINUTE,
        passes_per_minute: HOT_KEY_PASSES_PER_MINUTE,
        tokens_per_minute: HOT_KEY_TOKENS_PER_MINUTE,
    };
}

/// The demand for infohashes. Those that share a slot share it.
#[derive(Clone, Debug)]
pub struct Demand {
    rule: HotKeyRule,
    queries: Shares,
    passes: Shares,
    tokens: Shares,
    hash: KeyedHash,
}

impl Demand {
    /// No demand yet.
    #[must_use]
    pub fn new(rule: HotKeyRule, random: &mut Random) -> Self {
        const { assert!(HOT_KEY_SLOTS >= FEW_SLOTS) };
        let shares = |per_minute: u32, burst: u32| Shares::new(Budget::new(per_minute, burst * ONE), HOT_KEY_SLOTS);
        Self {
            rule,
            queries: shares(rule.queries_per_minute, AT_ONCE_MINUTES * rule.queries_per_minute),
            passes: shares(rule.passes_per_minute, 1),
            tokens: shares(rule.tokens_per_minute, 1),
            hash: KeyedHash::new(random),
        }
    }

    /// One more question for a key: whether it is hot. It is for as long as the questions of the last minutes are a debt.
    pub fn note_query(&mut self, now: Instant, info_hash: &InfoHash) -> bool {
        let mark = self.mark(info_hash);
        let queries = self.queries.of(now, mark);
        queries.spend(now, ONE);
        queries.available(now) < ONE
    }

    /// What a swarm keeps at the most while its key is hot; `None` while it is not.
    pub fn most_peers(&mut self, now: Instant, info_hash: &InfoHash) -> Option<usize> {
        self.is_hot(now, info_hash).then_some(self.rule.peers)
    }

    /// Whether a key is hot.
    fn is_hot(&mut self, now: Instant, info_hash: &InfoHash) -> bool {
        let mark = self.mark(info_hash);
        self.queries.of(now, mark).available(now) < ONE
    }

    /// Whether a question for a key that is hot and full is answered in full all the same: now and then one is.
    pub fn passes(&mut self, now: Instant, info_hash: &InfoHash) -> bool {
        let mark = self.mark(info_hash);
        self.passes.of(now, mark).take(now, ONE)
    }

    /// Whether a newcomer to the swarm of a hot key gets a token: the less likely the fuller it is from the half on (random
    /// early drop), and at an even pace once it is full.
    pub fn admits_newcomer(&mut self, now: Instant, info_hash: &InfoHash, peers: usize, random: &mut Random) -> bool {
        let (left, half) = (self.rule.peers.saturating_sub(peers), self.rule.peers.div_ceil(2));
        if left > 0 {
            return left >= half || random.wire_below(half) < left;
        }
        let mark = self.mark(info_hash);
        self.tokens.of(now, mark).take(now, ONE)
    }

    fn mark(&self, info_hash: &InfoHash) -> u64 {
        self.hash.of(info_hash.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::id::Id;

    const KEY: InfoHash = InfoHash(Id([7; 20]));
    const RULE: HotKeyRule =
        HotKeyRule { peers: 100, queries_per_minute: 60, passes_per_minute: 12, tokens_per_minute: 30 };

    fn demand() -> (Demand, Random) {
        let mut random = Random::new([1; 32]);
        (Demand::new(RULE, &mut random), random)
    }

    /// Of `per_minute` evenly spaced moments of a minute from `from` on, those at which `is` says so.
    fn count(from: u64, per_minute: u64, mut is: impl FnMut(Instant) -> bool) -> usize {
        let at = |number| Instant::from_secs(from) + Duration::from_secs(60) * number as u32 / per_minute as u32;
        (0..per_minute).filter(|number| is(at(*number))).count()
    }

    #[test]
    fn a_key_is_hot_while_it_is_asked_for_more_often_than_its_rate() {
        let (mut demand, _) = demand();
        assert_eq!(count(100, 59, |now| demand.note_query(now, &KEY)), 0);
        assert_eq!(count(160, 59, |now| demand.note_query(now, &KEY)), 0);
        count(220, 600, |now| demand.note_query(now, &KEY));
        assert!(demand.is_hot(Instant::from_secs(280), &KEY), "ten times as often");
        assert!(!demand.is_hot(Instant::from_secs(280), &InfoHash(Id([8; 20]))), "another key is not");
        count(280, 6000, |now| demand.note_query(now, &KEY));
        assert!(demand.is_hot(Instant::from_secs(635), &KEY), "the debt is that of five minutes at the most");
        assert!(!demand.is_hot(Instant::from_secs(642), &KEY));
    }

    #[test]
    fn passes_and_tokens_come_at_an_even_pace_once_a_swarm_is_full() {
        let (mut demand, mut random) = demand();
        assert!((12..=13).contains(&count(100, 600, |now| demand.passes(now, &KEY))));
        // Not all at the start: the second half of a minute has as many as the first.
        assert!((5..=7).contains(&count(160, 600, |now| now < Instant::from_secs(190) && demand.passes(now, &KEY))));
        let given = count(400, 600, |now| demand.admits_newcomer(now, &KEY, 100, &mut random));
        assert!((30..=31).contains(&given), "{given}");
    }

    #[test]
    fn newcomers_are_dropped_at_random_well_before_a_swarm_is_full() {
        let (mut demand, mut random) = demand();
        let mut gives = |peers| count(100, 1000, |now| demand.admits_newcomer(now, &KEY, peers, &mut random));
        assert_eq!([gives(0), gives(50)], [1000, 1000]);
        for (peers, share) in [(60, 800), (75, 500), (90, 200)] {
            let given = gives(peers);
            assert!(given.abs_diff(share) < 60, "{given} of 1000 at {peers}");
        }
    }
}
