//! One infohash: who wants it announced, who holds it, and what is known of its being seen.

use std::sync::Arc;

use smallvec::SmallVec;

use super::copies::Copies;
use super::second::Second;
use super::source::{Listed, ListedState};
use crate::engine::contact::CompactAddr;
use crate::engine::id::InfoHash;
use crate::engine::time::Instant;

/// Longest name that is kept, in bytes.
const MAX_NAME_BYTES: usize = 120;

/// One source that lists an infohash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedBy {
    /// The source.
    pub source: Arc<str>,
    /// The port of its client, where it knows it.
    pub port: Option<u16>,
    /// Whether the client has all of it.
    pub complete: bool,
    /// Whether its client shares our IPv4 address only.
    pub ipv4_only: bool,
    /// Whether it may be announced.
    pub state: ListedState,
}

/// What is known of an infohash that is kept announced. Instants are those of the schedule's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// When it was announced last, successfully.
    pub announced: Option<Second>,
    /// When another path to it was tried last, and gave an answer.
    pub looked: Option<Second>,
    /// The address under which it was seen then; `None` if it was not.
    pub seen_as: Option<CompactAddr>,
    /// Seeds and other peers of its swarm when it was announced last, ours included (BEP 33).
    pub swarm: Option<(u32, u32)>,
    /// What went wrong last; gone when it went well.
    pub error: Option<AnnounceError>,
    /// Announces in a row that no node stored, or looks in a row that did not find it.
    pub failures: u8,
}

/// Why an infohash is not visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnnounceError {
    /// Nobody answered.
    #[error("no node answered: is this host online, and may it send UDP?")]
    NoAnswer,
    /// Nodes answered, but none stored it.
    #[error("nodes answered, but none stored it; it is tried again soon")]
    NotStored,
    /// It was stored, but a lookup along another path did not find it.
    #[error("it is stored, but another node did not find it; it is announced afresh")]
    NotSeen,
}

/// Why an infohash is not announced at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Withheld {
    Private,
    Paused,
    PrivacyUnknown,
    Elsewhere,
    NoPort,
}

/// One infohash.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: Option<Arc<str>>,
    /// In the order in which the sources listed it.
    pub(super) listed: SmallVec<[ListedBy; 1]>,
    pub(super) copies: Copies,
    pub(super) evidence: Evidence,
    /// Drawn anew for each round, between 0 and 1.
    pub(super) jitter: f32,
    /// What is or was last announced: what the copies say.
    pub(super) announced_port: u16,
    /// Where it stands in the queue of announces.
    pub(super) place: Place,
    /// When it is looked at again, while it waits for that.
    pub(super) look_at: Option<Second>,
    /// The next announce begins without its holders.
    pub(super) afresh: bool,
    /// What is under way was overtaken by events: it is to be announced again.
    pub(super) again: bool,
}

/// Where an entry stands in the queue of announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is withheld.
    Out,
    /// It waits for its time.
    Later(Second),
    /// It waits for the budget.
    Ready(Rank),
    /// It is being announced.
    Running,
}

/// Who goes first of those that are ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// No copy of it lives, and it had no turn since: seeds of swarms with few others first, then by lot.
    First { others: u32, lot: u32 },
    /// It had its turn before; the longest overdue first.
    Again(Second),
}

/// What an entry wants announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) port: u16,
    pub(super) seed: bool,
    pub(super) ipv4_only: bool,
}

impl Entry {
    pub(super) fn new(name: Option<Arc<str>>) -> Self {
        Self {
            name: name.map(shortened),
            listed: SmallVec::new(),
            copies: Copies::default(),
            evidence: Evidence::default(),
            jitter: 0.5,
            announced_port: 0,
            place: Place::Out,
            look_at: None,
            afresh: false,
            again: false,
        }
    }

    /// A source lists it: what the same source said before is replaced. What it once called active is public, which is part of what
    /// the infohash stands for: that it does not know so yet, after a new start, changes nothing.
    pub(super) fn list(&mut self, source: &Arc<str>, ipv4_only: bool, listed: &Listed) {
        if let Some(name) = &listed.name {
            self.name = Some(shortened(Arc::clone(name)));
        }
        let Listed { port, complete, mut state, .. } = *listed;
        let known = self.listed.iter().find(|other| other.source == *source);
        if state == ListedState::PrivacyUnknown && known.is_some_and(|known| known.state == ListedState::Active) {
            state = ListedState::Active;
        }
        let by =
            ListedBy { source: Arc::clone(source), port: port.filter(|port| *port > 0), complete, ipv4_only, state };
        match self.listed.iter_mut().find(|other| other.source == *source) {
            Some(known) => *known = by,
            None => self.listed.push(by),
        }
    }

    /// A source does not list it any more; whether it did.
    pub(super) fn unlist(&mut self, source: &str) -> bool {
        let before = self.listed.len();
        self.listed.retain(|by| *by.source != *source);
        self.listed.len() < before
    }

    /// What to announce. Of several sources the first that knows a port gives it.
    pub(super) fn wanted(&self, default_port: Option<u16>) -> Result<Wanted, Withheld> {
        let has = |state| self.listed.iter().any(|by| by.state == state);
        if has(ListedState::Private) {
            return Err(Withheld::Private);
        }
        let active = || self.listed.iter().filter(|by| by.state == ListedState::Active);
        let Some(by) = active().find(|by| by.port.is_some()).or_else(|| active().next()) else {
            return Err(match () {
                () if has(ListedState::PrivacyUnknown) => Withheld::PrivacyUnknown,
                () if has(ListedState::Elsewhere) => Withheld::Elsewhere,
                () => Withheld::Paused,
            });
        };
        let port = by.port.or(default_port).ok_or(Withheld::NoPort)?;
        Ok(Wanted { port, seed: active().any(|by| by.complete), ipv4_only: by.ipv4_only })
    }

    pub(super) fn living(&self, now: Instant) -> usize {
        self.copies.iter().filter(|copy| copy.lives(now)).count()
    }

    /// When the first of its copies is to be renewed.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        self.copies.iter().filter(|copy| copy.lives(now)).map(|copy| copy.due(self.jitter)).min()
    }

    /// Its copies count no longer, but their nodes are where the next announce begins.
    pub(super) fn expire(&mut self) {
        self.copies.expire();
        (self.evidence.looked, self.evidence.seen_as) = (None, None);
    }

    /// Its rank when no copy of it lives.
    pub(super) fn first_rank(&self, info_hash: &InfoHash, seed: bool) -> Rank {
        let others = self.evidence.swarm.map_or(0, |(seeds, peers)| seeds.saturating_add(peers));
        let others = if seed { others.min(u32::MAX / 2) } else { (u32::MAX / 2).saturating_add(others) };
        let [.., a, b, c, d] = info_hash.0.0;
        Rank::First { others, lot: u32::from_be_bytes([a, b, c, d]) }
    }
}

/// A name, cut where it is long.
fn shortened(name: Arc<str>) -> Arc<str> {
    match name.char_indices().map(|(at, letter)| at + letter.len_utf8()).take_while(|end| *end <= MAX_NAME_BYTES).last()
    {
        Some(end) if end < name.len() => name[..end].into(),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(source: &str, port: Option<u16>, complete: bool, state: ListedState) -> (Arc<str>, Listed) {
        let infohash = InfoHash::new([1; 20]);
        (source.into(), Listed { infohash, name: None, port, complete, state })
    }

    #[test]
    fn what_several_sources_say_is_laid_together() {
        let mut entry = Entry::new(Some("x".repeat(500).into()));
        assert_eq!(entry.name.as_ref().unwrap().len(), MAX_NAME_BYTES);
        let mut list = |by: (Arc<str>, Listed)| {
            entry.list(&by.0, false, &by.1);
            entry.wanted(Some(9))
        };
        assert_eq!(
            list(by("folder", None, false, ListedState::Active)),
            Ok(Wanted { port: 9, seed: false, ipv4_only: false })
        );
        assert_eq!(
            list(by("client", Some(5), true, ListedState::Active)),
            Ok(Wanted { port: 5, seed: true, ipv4_only: false })
        );
        assert_eq!(
            list(by("client", Some(5), true, ListedState::Paused)),
            Ok(Wanted { port: 9, seed: false, ipv4_only: false })
        );
        assert_eq!(
            list(by("folder", Some(0), false, ListedState::Active)),
            Ok(Wanted { port: 9, seed: false, ipv4_only: false })
        );
        // It was active before: it is public.
        assert!(list(by("folder", None, false, ListedState::PrivacyUnknown)).is_ok());
        assert_eq!(list(by("folder", None, false, ListedState::Paused)), Err(Withheld::Paused));
        assert_eq!(list(by("folder", None, false, ListedState::PrivacyUnknown)), Err(Withheld::PrivacyUnknown));
        assert_eq!(list(by("client", Some(5), true, ListedState::Private)), Err(Withheld::Private));
        assert!(entry.unlist("client") && !entry.unlist("client"));
        entry.list(&"folder".into(), false, &by("", None, true, ListedState::Active).1);
        assert_eq!(entry.wanted(None), Err(Withheld::NoPort));
    }

    #[test]
    fn seeds_with_few_others_go_first_and_what_was_announced_before_last() {
        let mut entry = Entry::new(None);
        let hash = InfoHash::new([1; 20]);
        let alone = entry.first_rank(&hash, true);
        entry.evidence.swarm = Some((90, 10));
        let (many, leech) = (entry.first_rank(&hash, true), entry.first_rank(&hash, false));
        assert!(alone < many && many < leech && leech < Rank::Again(Instant::ZERO.into()));
    }

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Entry>() <= 136, "{}", size_of::<Entry>());
    }
}
