//! What came of our own announces.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Node;
use super::event::Summary;
use crate::engine::id::InfoHash;
use crate::engine::limits::{OWN_ANNOUNCES, PEER_LIFETIME};
use crate::engine::time::Instant;

/// What came of our last announce of an infohash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnAnnounce {
    /// The infohash.
    pub info_hash: InfoHash,
    /// How long ago it came to its end.
    pub age: Duration,
    /// Nodes that said that they had stored it.
    pub stored: usize,
    /// Of those, the ones that were asked for it by another query and answered.
    pub verified_at: usize,
    /// Of those, the ones that named us.
    pub verified: usize,
    /// Whether nodes crowded around the key, so that it was announced to the whole region.
    pub alarm: bool,
}

impl OwnAnnounce {
    /// Whether another query has seen it; `None` where none has looked for it, as after a renewal.
    #[must_use]
    pub const fn is_seen(&self) -> Option<bool> {
        if self.verified_at == 0 { None } else { Some(self.verified > 0) }
    }

    /// How many of `announces` another query has looked for, and how many of those it has seen.
    pub fn count_seen(announces: impl Iterator<Item = Self>) -> (usize, usize) {
        let outcomes = announces.filter_map(|announce| announce.is_seen());
        outcomes.fold((0, 0), |(all, seen), is_seen| (all + 1, seen + usize::from(is_seen)))
    }
}

/// Our announces that live: others forget them after 45 minutes, and so do we. At most [`OWN_ANNOUNCES`].
#[derive(Clone, Debug, Default)]
pub(super) struct OwnAnnounces(BTreeMap<InfoHash, Noted>);

/// An announce as it is kept: there are thousands.
#[derive(Clone, Copy, Debug)]
struct Noted {
    /// When it came to its end, in microseconds after the start; before it, where an earlier run announced.
    ended_micros: i64,
    stored: u16,
    verified_at: u16,
    verified: u16,
    alarm: bool,
}

impl Noted {
    fn new(now: Instant, announce: &OwnAnnounce) -> Self {
        let OwnAnnounce { age, stored, verified_at, verified, alarm, .. } = *announce;
        let [stored, verified_at, verified] =
            [stored, verified_at, verified].map(|count| u16::try_from(count).unwrap_or(u16::MAX));
        let age_micros = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        Self { ended_micros: micros(now).saturating_sub(age_micros), stored, verified_at, verified, alarm }
    }

    fn age(&self, now: Instant) -> Duration {
        let age_micros = micros(now).saturating_sub(self.ended_micros);
        Duration::from_micros(u64::try_from(age_micros).unwrap_or(0))
    }

    fn told(&self, now: Instant, info_hash: InfoHash) -> OwnAnnounce {
        let [stored, verified_at, verified] = [self.stored, self.verified_at, self.verified].map(usize::from);
        OwnAnnounce { info_hash, age: self.age(now), stored, verified_at, verified, alarm: self.alarm }
    }
}

fn micros(at: Instant) -> i64 {
    i64::try_from(at.as_micros()).unwrap_or(i64::MAX)
}

impl OwnAnnounces {
    /// Keeps one that has come to its end, or is known from an earlier run. Of too many, the oldest goes.
    pub(super) fn note(&mut self, now: Instant, announce: OwnAnnounce) {
        if self.0.len() >= OWN_ANNOUNCES && !self.0.contains_key(&announce.info_hash) {
            self.0.retain(|_, noted| noted.age(now) < PEER_LIFETIME);
        }
        if self.0.len() >= OWN_ANNOUNCES && !self.0.contains_key(&announce.info_hash) {
            let oldest = self.0.iter().max_by_key(|(_, noted)| noted.age(now)).map(|(info_hash, _)| *info_hash);
            if let Some(oldest) = oldest {
                self.0.remove(&oldest);
            }
        }
        self.0.insert(announce.info_hash, Noted::new(now, &announce));
    }

    /// An announce of ours has come to its end.
    pub(super) fn note_announced(&mut self, now: Instant, info_hash: InfoHash, summary: &Summary) {
        let Summary { stored, verified_at, verified, alarm, .. } = *summary;
        self.note(now, OwnAnnounce { info_hash, age: Duration::ZERO, stored, verified_at, verified, alarm });
    }

    /// Those that live.
    pub(super) fn iter(&self, now: Instant) -> impl Iterator<Item = OwnAnnounce> + '_ {
        let told = move |(info_hash, noted): (&InfoHash, &Noted)| noted.told(now, *info_hash);
        self.0.iter().map(told).filter(|announce| announce.age < PEER_LIFETIME)
    }
}

impl Node {
    /// What came of our own announces, of those that live.
    pub fn own_announces(&self, now: Instant) -> impl Iterator<Item = OwnAnnounce> + '_ {
        self.own_announces.iter(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lives_is_kept_and_of_too_many_the_youngest() {
        let (mut announces, mut now) = (OwnAnnounces::default(), Instant::from_secs(1));
        let announce = |number: usize| {
            let mut info_hash = [0; 20];
            info_hash[..8].copy_from_slice(&number.to_be_bytes());
            let info_hash = info_hash.into();
            OwnAnnounce { info_hash, age: Duration::ZERO, stored: 8, verified_at: 2, verified: 1, alarm: false }
        };
        for number in 0..=OWN_ANNOUNCES {
            announces.note(now, announce(number));
            now += Duration::from_millis(1);
        }
        let seen = |verified_at, verified| OwnAnnounce { verified_at, verified, ..announce(0) }.is_seen();
        assert_eq!([seen(2, 1), seen(2, 0), seen(0, 0)], [Some(true), Some(false), None]);
        let all: Vec<OwnAnnounce> = announces.iter(now).collect();
        assert_eq!((all.len(), all[0].info_hash), (OWN_ANNOUNCES, announce(1).info_hash));
        announces.note(now, OwnAnnounce { age: Duration::from_mins(30), ..announce(5) });
        now += Duration::from_mins(20);
        assert_eq!(announces.iter(now).count(), OWN_ANNOUNCES - 1, "one was older than it looked");
        now += Duration::from_mins(30);
        announces.note(now, announce(OWN_ANNOUNCES + 1));
        assert_eq!((announces.iter(now).count(), announces.0.len()), (1, 1));
    }
}
