//! What requests and answers about what is kept announced are made of. `watch list` prints the same records of what a node
//! has kept, so that it does not matter whether the node runs.

use std::net::SocketAddr;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::feed::Named;
use crate::announcer::store::Watched;
use crate::announcer::view::{Announcement, SourceStatus, State};
use crate::daemon::view::{AnnouncerView, GatewayView};
use crate::engine::time::Instant;

/// How an infohash is that is kept announced, and what shows it. Times are in seconds since 1970.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AnnouncementRecord {
    /// The infohash, 40 hexadecimal digits.
    pub infohash: String,
    /// Its name, if a source knows it.
    pub name: Option<String>,
    /// How it is, in the words of docs/ANNOUNCER.md.
    pub state: String,
    /// The port that is announced; nothing where it is withheld.
    pub port: Option<u16>,
    /// Whether it is announced as a seed.
    pub seed: bool,
    /// Nodes that hold it now, as far as is known.
    pub stored_at: usize,
    /// When it was announced last.
    pub announced_at: Option<u64>,
    /// When another path to it was tried last.
    pub looked_at: Option<u64>,
    /// The address under which it was found then.
    #[schema(value_type = Option<String>)]
    pub visible_as: Option<SocketAddr>,
    /// Seeds of its swarm.
    pub seeds: Option<u32>,
    /// Other peers of its swarm.
    pub peers: Option<u32>,
    /// Seeds and other peers over the last day at most, the oldest first, and at this moment; where they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<(u16, u16)>,
    /// Time until it is announced next, in seconds; 0 where its turn has come.
    pub next_in_seconds: Option<u64>,
    /// What went wrong last.
    pub error: Option<String>,
    /// The sources that list it.
    pub sources: Vec<String>,
}

impl AnnouncementRecord {
    /// How it is at this moment.
    #[must_use]
    pub fn new(known: &Announcement, now: Instant) -> Self {
        Self {
            infohash: known.info_hash.to_string(),
            name: known.name.as_deref().map(str::to_owned),
            state: known.state.name().to_owned(),
            port: known.port,
            seed: known.seed,
            stored_at: known.stored_at,
            announced_at: known.announced.map(Instant::as_secs),
            looked_at: known.looked.map(Instant::as_secs),
            visible_as: known.seen_as,
            seeds: known.swarm.map(|(seeds, _)| seeds),
            peers: known.swarm.map(|(_, peers)| peers),
            history: Vec::new(),
            next_in_seconds: known.next.map(|next| next.since(now).as_secs()),
            error: known.error.map(|error| error.to_string()),
            sources: known.sources.iter().map(|source| source.to_string()).collect(),
        }
    }

    /// Whether it is not announced, and is not meant to be.
    #[must_use]
    pub fn is_withheld(&self) -> bool {
        state_named(&self.state).is_some_and(State::is_withheld)
    }
}

/// Whether something should be visible and is not known to be.
#[must_use]
pub fn is_not_visible(state: State) -> bool {
    !state.is_withheld() && state != State::Visible
}

/// The state with this name.
pub(super) fn state_named(name: &str) -> Option<State> {
    State::ALL.into_iter().find(|state| state.name() == name)
}

/// Some of what is kept announced, in the order of the infohashes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AnnouncementsRecord {
    /// The time of the node, in seconds since 1970.
    pub now: u64,
    /// How all infohashes are together, whichever are told here.
    pub totals: AnnouncerView,
    /// The infohashes.
    pub announcements: Vec<AnnouncementRecord>,
    /// What to send as `after` for those that follow; nothing at the end.
    pub next: Option<String>,
}

/// What is to be kept announced.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddRequest {
    /// An infohash or a magnet URI.
    pub target: String,
    /// The port at which its client listens; without it, that of the settings.
    #[serde(default)]
    pub port: Option<u16>,
    /// Whether the client has the whole torrent (BEP 33).
    #[serde(default)]
    pub seed: bool,
    /// Whether it is paused: listed, and not announced for now.
    #[serde(default)]
    pub paused: bool,
}

/// What to change; what is not named stays as it is.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchRequest {
    /// The port; `null` for that of the settings.
    #[serde(default, deserialize_with = "named")]
    #[schema(value_type = Option<u16>)]
    pub port: Option<Option<u16>>,
    /// Whether the client has the whole torrent.
    #[serde(default)]
    pub seed: Option<bool>,
    /// Whether it is paused.
    #[serde(default)]
    pub paused: Option<bool>,
}

/// Tells a value of `null` from one that is missing.
#[expect(clippy::option_option, reason = "missing, null and a value are three things")]
fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u16>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// What is to be kept announced as long as the answer is read.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldRequest {
    /// The infohashes, each 40 hexadecimal digits.
    pub infohashes: Vec<String>,
    /// The port at which their client listens.
    pub port: u16,
    /// Whether the client has all of them (BEP 33).
    #[serde(default)]
    pub seed: bool,
}

/// What becomes of that.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum HeldEvent {
    /// They are kept announced from now on.
    Held {
        /// How many.
        infohashes: usize,
    },
    /// One was looked for, or no node stored it.
    Announcement(Box<AnnouncementRecord>),
}

impl Named for HeldEvent {
    fn name(&self) -> &'static str {
        match self {
            Self::Held { .. } => "held",
            Self::Announcement(_) => "announcement",
        }
    }
}

/// Something that is watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WatchedRecord {
    /// An infohash, a magnet URI, or the absolute path of a folder, a list or a torrent file.
    pub target: String,
    /// The port at which its client listens; without it, that of the settings.
    #[serde(default)]
    pub port: Option<u16>,
    /// Whether the folders in a folder are watched too.
    #[serde(default)]
    pub recursive: bool,
    /// Whether the client has all of it (BEP 33).
    #[serde(default)]
    pub seed: bool,
    /// Whether it is paused: listed, and not announced for now.
    #[serde(default)]
    pub paused: bool,
}

impl From<Watched> for WatchedRecord {
    fn from(Watched { target, port, recursive, seed, paused }: Watched) -> Self {
        Self { target, port, recursive, seed, paused }
    }
}

impl From<WatchedRecord> for Watched {
    fn from(WatchedRecord { target, port, recursive, seed, paused }: WatchedRecord) -> Self {
        Self { target, port, recursive, seed, paused }
    }
}

/// What is watched, and how each source is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WatchingRecord {
    /// The port that is announced where no source knows one.
    pub announce_port: Option<u16>,
    /// What the configuration and the table of the data folder name.
    pub watched: Vec<WatchedRecord>,
    /// The sources that have told a list.
    pub sources: Vec<SourceRecord>,
}

/// How a source is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SourceRecord {
    /// Its name.
    pub source: String,
    /// Torrents that it lists.
    pub torrents: usize,
    /// Torrents that found no room.
    pub refused: usize,
    /// Entries of it that could not be used.
    pub left_out: Vec<LeftOutRecord>,
    /// Why it could not be asked last time.
    pub trouble: Option<String>,
}

/// How a torrent client is that is followed. Times are in seconds since 1970.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TorrentClientRecord {
    /// Its address, without a password.
    pub client: String,
    /// `followed`; `in trouble`, where it could not be asked or its torrents are not announced; or `not asked yet`.
    pub state: String,
    /// Since when it is so.
    pub since: Option<u64>,
    /// What is wrong, with the cure.
    pub error: Option<String>,
    /// Torrents that it has.
    pub torrents: usize,
    /// Torrents that found no room.
    pub refused: usize,
}

impl TorrentClientRecord {
    /// How the client at this address is, by what is known of it as a source.
    #[must_use]
    pub fn new(client: String, status: Option<&SourceStatus>) -> Self {
        // One that was not asked since the start is known from an earlier run alone.
        let asked = status.filter(|status| status.since.is_some());
        let state = match asked {
            None => "not asked yet",
            Some(status) if status.trouble.is_some() => "in trouble",
            Some(_) => "followed",
        };
        Self {
            client,
            state: state.to_owned(),
            since: asked.and_then(|status| status.since).map(Instant::as_secs),
            error: asked.and_then(|status| status.trouble.clone()),
            torrents: status.map_or(0, |status| status.torrents),
            refused: status.map_or(0, |status| status.refused),
        }
    }
}

/// Those for whom this node announces.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ClientsRecord {
    /// What the gateway holds for those that take it for a tracker; nothing where there is no gateway.
    pub gateway: Option<GatewayView>,
    /// The torrent clients that are followed, as the settings name them.
    pub torrent_clients: Vec<TorrentClientRecord>,
}

/// An entry that could not be used.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LeftOutRecord {
    /// The entry.
    pub entry: String,
    /// Why not.
    pub reason: String,
}

impl SourceRecord {
    /// How the source of this name is.
    #[must_use]
    pub fn new(name: &str, status: &SourceStatus) -> Self {
        let left_out = status.left_out.iter();
        let left_out = left_out.map(|left| LeftOutRecord { entry: left.entry.clone(), reason: left.reason.clone() });
        Self {
            source: name.to_owned(),
            torrents: status.torrents,
            refused: status.refused,
            left_out: left_out.collect(),
            trouble: status.trouble.clone(),
        }
    }
}

/// What came of a wish to watch something.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct WatchRecord {
    /// What is watched.
    pub target: String,
    /// Whether it was not watched before.
    pub new: bool,
}

/// What came of a wish to watch something no longer.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UnwatchRecord {
    /// What was named.
    pub target: String,
    /// Whether it was watched.
    pub removed: bool,
}
