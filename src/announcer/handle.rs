//! [`Announcer`]: the handle that programs embed.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{broadcast, mpsc};

use super::keeper;
use super::run::Run;
use super::schedule::{Schedule, Terms};
use super::shared::{News, Shared, Timeline};
use super::source::{Listed, ListedState, Listing};
use super::store::{Store, StoreError};
use super::view::{Announcement, SourceStatus, Totals};
use crate::dht::Dht;
use crate::engine::id::InfoHash;
use crate::engine::limits::NEW_DESTINATIONS_PER_SECOND;
use crate::engine::time::Instant;
use crate::net::clock::Clock;
use crate::net::entropy;

/// The source of what [`Announcer::add`] adds.
pub const BY_HAND: &str = "by hand";
/// Most infohashes, unless the settings say otherwise.
pub const MAX: usize = 50_000;
/// Listings that wait to be taken.
const WAITING: usize = 16;

/// How an announcer is to be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Addresses a second that may be asked, sustained, of those that were not spoken to lately; nine tenths of them are used
    /// at the most. What the nodes themselves may ask is said to [`DhtBuilder`](crate::dht::DhtBuilder).
    pub new_destinations_per_second: u32,
    /// The port that is announced where no source knows one.
    pub port: Option<u16>,
    /// Most infohashes.
    pub max: usize,
    /// Sources whose lists of an earlier run go on until they tell a new one. The lists of others are dropped. `None`: all
    /// go on.
    pub sources: Option<BTreeSet<String>>,
    /// The clock to go by.
    pub clock: Clock,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            new_destinations_per_second: NEW_DESTINATIONS_PER_SECOND,
            port: None,
            max: MAX,
            sources: None,
            clock: Clock::new(),
        }
    }
}

/// Why an announcer could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// What an earlier run kept cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gives no randomness.
    #[error("the system gives no randomness: {0}")]
    Entropy(std::io::Error),
}

/// There is no room for another infohash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {0} infohashes already, which is the most that may be announced (watch_max)")]
pub struct Full(pub usize);

/// What to change of an infohash that was added by hand; `None` leaves it as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// The port; the inner `None` is the one of the settings.
    pub port: Option<Option<u16>>,
    /// Whether the client has all of it.
    pub complete: Option<bool>,
    /// Whether it is paused.
    pub paused: Option<bool>,
}

/// A handle to infohashes that are kept announced. Clone it freely; announcing ends when the last clone is dropped.
///
/// ```
/// use trackerless::announcer::{Announcer, News, store::MemoryStore};
/// use trackerless::{Dht, InfoHash};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let loopback = || Dht::builder().private_network(true).bind("127.0.0.1:0".parse().unwrap());
/// let first = loopback().start().await?;
/// let second = loopback().bootstrap([first.local_addrs()[0].to_string()]).start().await?;
///
/// let announcer = Announcer::new(second, MemoryStore::default()).await?;
/// let mut news = announcer.subscribe();
/// let swarm: InfoHash = "da39a3ee5e6b4b0d3255bfef95601890afd80709".parse()?;
/// announcer.add(swarm, None, Some(6881), true)?;
/// assert_eq!(news.recv().await?, News::Announced(swarm));
/// assert_eq!(announcer.announcement(swarm).map(|known| known.stored_at), Some(1));
/// assert_eq!(first.find_peers(swarm).await.next().await, Some("127.0.0.1:6881".parse()?));
/// announcer.shutdown().await;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Announcer {
    shared: Arc<Shared>,
    /// Its last clone ends the task.
    _alive: Arc<Alive>,
}

#[derive(Debug)]
struct Alive(Arc<Shared>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Announcer {
    /// Keeps infohashes announced through `dht` from now on, beginning with those that `store` has kept. There are none yet
    /// in a new store: [`add`](Self::add) them, or send the lists of sources to [`listings`](Self::listings).
    ///
    /// # Errors
    /// What the store has kept cannot be read.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn new(dht: Dht, store: impl Store) -> Result<Self, StartError> {
        Self::start(dht, store, Settings::default()).await
    }

    /// The same with these settings.
    ///
    /// # Errors
    /// What the store has kept cannot be read.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn start(dht: Dht, store: impl Store, settings: Settings) -> Result<Self, StartError> {
        let (store, records) = keeper::load(Box::new(store)).await?;
        let Settings { new_destinations_per_second, port, max, sources, clock } = settings;
        let seed = entropy::seed().map_err(StartError::Entropy)?;
        let mut schedule = Schedule::new(Terms { seed, new_destinations_per_second, port, max });
        let time = Timeline::new(clock);
        let goes_on = |source: &str| source == BY_HAND || sources.as_ref().is_none_or(|names| names.contains(source));
        schedule.restore(time.now(), records, goes_on);
        let (listings, to_list) = mpsc::channel(WAITING);
        let shared = Arc::new(Shared::new(schedule, time, dht, listings));
        let task = Run::new(Arc::clone(&shared), store, to_list).until_stopped();
        #[expect(clippy::disallowed_methods, reason = "ends when the last handle is gone")]
        drop(tokio::spawn(task));
        Ok(Self { _alive: Arc::new(Alive(Arc::clone(&shared))), shared })
    }

    /// Lets this node look for what is announced: one that announces nothing, with a table of its own. Without one the nodes
    /// that announce look themselves, by whole lookups.
    pub fn set_witness(&self, witness: Dht) {
        self.shared.set_witness(witness);
    }

    // What is announced.

    /// Where sources tell their lists: see [`Listing`].
    #[must_use]
    pub fn listings(&self) -> mpsc::Sender<Listing> {
        self.shared.listings.clone()
    }

    /// Keeps an infohash announced until it is [removed](Self::remove), also after a restart. That its torrent is not private
    /// is for the caller to know.
    ///
    /// # Errors
    /// There is no room for another.
    pub fn add(&self, infohash: InfoHash, name: Option<&str>, port: Option<u16>, complete: bool) -> Result<(), Full> {
        let listed = Listed { infohash, name: name.map(Into::into), port, complete, state: ListedState::Active };
        self.list_by_hand(listed)
    }

    fn list_by_hand(&self, listed: Listed) -> Result<(), Full> {
        let mut schedule = self.shared.schedule();
        let taken = schedule.list_more(self.now(), &BY_HAND.into(), &listed);
        let max = schedule.len();
        drop(schedule);
        self.shared.wake.notify_one();
        if taken { Ok(()) } else { Err(Full(max)) }
    }

    /// Changes what was added by hand; whether there is such an infohash.
    pub fn patch(&self, infohash: InfoHash, patch: Patch) -> bool {
        let Some(known) = self.shared.schedule().listed_by(&infohash, BY_HAND) else { return false };
        let state = match patch.paused {
            Some(true) => ListedState::Paused,
            Some(false) => ListedState::Active,
            None => known.state,
        };
        let (port, complete) = (patch.port.unwrap_or(known.port), patch.complete.unwrap_or(known.complete));
        self.list_by_hand(Listed { infohash, name: None, port, complete, state }).is_ok()
    }

    /// Ends what [`add`](Self::add) began; whether it was added by hand. Other sources may go on listing it.
    pub fn remove(&self, infohash: InfoHash) -> bool {
        let removed = self.shared.schedule().list_no_more(self.now(), BY_HAND, infohash);
        self.shared.wake.notify_one();
        removed
    }

    /// A source is no more: what it alone listed is no longer announced.
    pub fn forget_source(&self, source: &str) {
        self.shared.schedule().forget_source(self.now(), source);
        self.shared.wake.notify_one();
    }

    /// The port that is announced where no source knows one. When it changes, what it is announced for is announced again.
    pub fn set_port(&self, port: Option<u16>) {
        self.shared.schedule().set_port(self.now(), port);
        self.shared.wake.notify_one();
    }

    /// New destinations a second, of which nine tenths are used at the most, and most infohashes: see [`Settings`].
    pub fn set_bounds(&self, new_destinations_per_second: u32, max: usize) {
        self.shared.schedule().set_bounds(self.now(), new_destinations_per_second, max);
        self.shared.wake.notify_one();
    }

    /// Takes the list of a source at once.
    pub fn list(&self, listing: Listing) {
        let source = Arc::clone(&listing.source);
        self.shared.schedule().list(self.now(), listing);
        let _ = self.shared.news.send(News::Listed(source));
        self.shared.wake.notify_one();
    }

    /// Announces an infohash as soon as it may be; whether there is such a one.
    pub fn announce_again(&self, infohash: InfoHash) -> bool {
        let is_known = self.shared.schedule().announce_again(self.now(), infohash);
        self.shared.wake.notify_one();
        is_known
    }

    /// Announces everything again as soon as it may be: others hold what is no longer true.
    pub fn announce_all_again(&self) {
        self.shared.schedule().announce_all_again(self.now());
        self.shared.wake.notify_one();
    }

    // What is known.

    /// The time by which all instants are told: since 1970, as the wall clock was when the program started.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.shared.time.now()
    }

    /// How an infohash is.
    #[must_use]
    pub fn announcement(&self, infohash: InfoHash) -> Option<Announcement> {
        self.shared.schedule().announcement(self.now(), &infohash)
    }

    /// At most `most` infohashes that `fits`, after `after`, in their order.
    #[must_use]
    pub fn announcements(
        &self,
        after: Option<InfoHash>,
        most: usize,
        fits: impl Fn(&Announcement) -> bool,
    ) -> Vec<Announcement> {
        self.shared.schedule().announcements(self.now(), after).filter(|known| fits(known)).take(most).collect()
    }

    /// How all of them are together, and what was done since the start.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.shared.schedule().totals(self.now())
    }

    /// The sources, and how each is.
    #[must_use]
    pub fn sources(&self) -> Vec<(Arc<str>, SourceStatus)> {
        let schedule = self.shared.schedule();
        schedule.sources().iter().map(|(name, status)| (Arc::clone(name), status.clone())).collect()
    }

    /// What happens from now on. One that takes it too slowly misses the oldest.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<News> {
        self.shared.news.subscribe()
    }

    /// Ends announcing, for all clones, when what is known has been kept. The nodes go on.
    pub async fn shutdown(&self) {
        self.shared.stop();
        self.shared.ended().await;
    }
}
