//! What people see of the announcer: how each infohash is, and how all of them are.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::entry::AnnounceError;
use super::source::LeftOut;
use crate::engine::id::InfoHash;
use crate::engine::time::Instant;

/// How an infohash is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum State {
    /// It is stored, and another node found it lately.
    Visible,
    /// It is stored; no other node has looked for it yet.
    Stored,
    /// It is stored, but another node did not find it. It is announced afresh.
    NotVisible,
    /// Its turn was minutes ago: the budget is spent on others.
    Overdue,
    /// It waits for its first turn.
    Waiting,
    /// It is being announced, and no copy of it is known yet.
    Announcing,
    /// The last announce was stored nowhere.
    Failing,
    /// Its client has paused it: not announced.
    Paused,
    /// It is private (BEP 27): never announced.
    Private,
    /// Nobody knows yet whether it is private: not announced before.
    PrivacyUnknown,
    /// The world reaches its client at another address than ours: not announced from here.
    Elsewhere,
    /// No source knows a port, and none is set: not announced.
    NoPort,
}

impl State {
    /// All of them, in the order in which people read them.
    pub const ALL: [Self; 12] = [
        Self::Visible,
        Self::Stored,
        Self::NotVisible,
        Self::Overdue,
        Self::Waiting,
        Self::Announcing,
        Self::Failing,
        Self::Paused,
        Self::Private,
        Self::PrivacyUnknown,
        Self::Elsewhere,
        Self::NoPort,
    ];

    /// Its name, for people and programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Visible => "visible",
            Self::Stored => "stored",
            Self::NotVisible => "not visible",
            Self::Overdue => "overdue",
            Self::Waiting => "waiting",
            Self::Announcing => "announcing",
            Self::Failing => "failing",
            Self::Paused => "paused",
            Self::Private => "private",
            Self::PrivacyUnknown => "privacy unknown",
            Self::Elsewhere => "elsewhere",
            Self::NoPort => "no port",
        }
    }

    /// Whether it is not announced, and is not meant to be.
    #[must_use]
    pub const fn is_withheld(self) -> bool {
        matches!(self, Self::Paused | Self::Private | Self::PrivacyUnknown | Self::Elsewhere | Self::NoPort)
    }
}

/// How an infohash is, and what shows it. Instants are those of the schedule's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The infohash.
    pub info_hash: InfoHash,
    /// Its name, if a source knows it.
    pub name: Option<Arc<str>>,
    /// How it is.
    pub state: State,
    /// The port that is announced; `None` where it is withheld.
    pub port: Option<u16>,
    /// Whether it is announced as a seed.
    pub seed: bool,
    /// Nodes that hold it now, as far as is known: eight for each address family.
    pub stored_at: usize,
    /// When it was announced last.
    pub announced: Option<Instant>,
    /// When another path to it was tried last.
    pub looked: Option<Instant>,
    /// The address under which it was found then.
    pub seen_as: Option<SocketAddr>,
    /// Seeds and other peers of its swarm, ours included.
    pub swarm: Option<(u32, u32)>,
    /// When it is announced next; `None` where it is withheld or under way, a moment that has passed where it waits.
    pub next: Option<Instant>,
    /// What went wrong last.
    pub error: Option<AnnounceError>,
    /// The sources that list it.
    pub sources: Vec<Arc<str>>,
}

/// How all infohashes are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Number of infohashes in each state; none that is 0.
    pub states: BTreeMap<State, usize>,
    /// Infohashes whose turn it is: they wait for the budget.
    pub behind: usize,
    /// Time in which those are announced, about.
    pub catches_up_in: Duration,
    /// Time since which no node has answered; `None` while some do.
    pub offline: Option<Duration>,
    /// Copies that live, of all infohashes together.
    pub copies: usize,
    /// Infohashes that another node found within the last hour.
    pub seen_within_hour: usize,
    /// What was done since the start.
    pub counters: Counters,
}

impl Totals {
    /// All infohashes.
    #[must_use]
    pub fn infohashes(&self) -> usize {
        self.states.values().sum()
    }

    /// Those that are to be announced.
    #[must_use]
    pub fn wanted(&self) -> usize {
        self.states.iter().filter(|(state, _)| !state.is_withheld()).map(|(_, count)| count).sum()
    }
}

/// What was done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Announces that came to their end.
    pub announces: u64,
    /// Of those, the ones that no node stored.
    pub failed: u64,
    /// Queries sent for announces.
    pub announce_queries: u64,
    /// Nodes that stored one of them.
    pub stored: u64,
    /// Looks along another path that got an answer.
    pub looks: u64,
    /// Of those, the ones that did not find it.
    pub not_seen: u64,
    /// Queries sent for looks.
    pub look_queries: u64,
}

/// What is known of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceStatus {
    /// Torrents that it lists.
    pub torrents: usize,
    /// Torrents that found no room: there are more than the setting allows.
    pub refused: usize,
    /// Entries of it that could not be used.
    pub left_out: Vec<LeftOut>,
    /// Why it could not be asked last time.
    pub trouble: Option<String>,
    /// When it told its list last.
    pub listed: Option<Instant>,
    /// Since when it can be asked, or cannot; unknown in what an earlier run has kept.
    pub since: Option<Instant>,
}
