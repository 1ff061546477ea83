//! The index at work: it surveys, fetches metadata and stores, inside the future of its caller.
//!
//! What happens next is decided by the pure parts: [`Survey`] whom to ask, [`Wanted`] what to
//! fetch, [`Filter`] what not to keep. This file sends, waits and writes. Everything that it costs others has a pace: queries
//! a second, connections a second, connections at a time, bytes a day.

mod backlog;
mod fetch;
mod live;
mod pace;
mod recount;
mod spot;
mod sweep;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrayvec::ArrayVec;
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;

use super::entry::{Entry, Source, Swarm, UnixSeconds};
use super::filter::{Filter, FilterError};
use super::query::Query;
use super::recount::Recounts;
use super::shares::Shares;
use super::store::{Found, Known, Mark, Open, Options, Page, Place, Store, StoreError, Totals, open};
use super::survey::Survey;
use super::wanted::{Want, Wanted};
use crate::dht::{Dht, State};
use crate::engine::id::InfoHash;
use crate::net::clock::unix_seconds;

use self::backlog::Backlog;
use self::pace::Pace;

/// Time between two looks at what we and others announce, and at the lists of what must not be kept.
const LOOK_EVERY: Duration = Duration::from_secs(5 * 60);
/// Time between two measurements of the store.
const MEASURE_EVERY: Duration = Duration::from_secs(10);
/// Swarms of others that are taken in at a time.
const MOST_AT_ONCE: usize = 20_000;

/// Where torrents come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// There is no index.
    #[default]
    Off,
    /// What this node announces: its own lists and the gateway's clients.
    Mine,
    /// That, and what others announced to this node.
    Passive,
    /// That, and what a survey of the network finds.
    Survey,
}

impl Mode {
    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Mine => "mine",
            Self::Passive => "passive",
            Self::Survey => "survey",
        }
    }
}

/// What the index may take, and what it must not keep.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where torrents come from.
    pub mode: Mode,
    /// How they are kept.
    pub options: Options,
    /// Lists of words and phrases that names must not have.
    pub refused_words: Vec<PathBuf>,
    /// Lists of digests of infohashes that must not be kept.
    pub refused_infohashes: Vec<PathBuf>,
    /// Queries a second to nodes of the DHT.
    pub queries_per_second: u32,
    /// Connections to peers at a time.
    pub connections: usize,
    /// New connections to peers a second.
    pub connections_per_second: u32,
    /// Bytes of metadata a day.
    pub bytes_per_day: u64,
    /// Our name among peers (BEP 20).
    pub our_peer_id: [u8; 20],
    /// Whether the network is a private one, in which many nodes share an address.
    pub private_network: bool,
}

/// The index of a running node.
#[derive(Debug)]
pub struct Index {
    settings: Settings,
    store: Arc<Mutex<Box<dyn Store>>>,
    /// Turns at the store: who waits for one holds no thread.
    turns: Arc<Semaphore>,
    /// Whether nothing could be asked of the store when it was last tried.
    stopped: AtomicBool,
    backlog: Mutex<Backlog>,
    recounts: Mutex<Recounts>,
    /// Imported torrents whose metadata is fetched to be compared.
    compared: Mutex<VecDeque<Entry>>,
    /// Whether several nodes may survey for this store, each its shares.
    divided: AtomicBool,
    wanted: Mutex<Wanted>,
    filter: Mutex<Filter>,
    counts: Counts,
    /// How much the store held when that was last measured.
    totals: Mutex<Option<Totals>>,
    /// It holds nothing before its shares are known, and where the mode is another.
    survey: Mutex<Survey>,
    queries: Pace,
    connects: Pace,
    /// A place for each torrent that is asked for at once.
    live: Semaphore,
}

/// What the index has done since it was opened.
#[derive(Debug, Default)]
struct Counts {
    asked: AtomicU64,
    sampled: AtomicU64,
    seen: AtomicU64,
    fetched: AtomicU64,
    failed: AtomicU64,
    private: AtomicU64,
    refused: AtomicU64,
    bytes: AtomicU64,
    connected: AtomicU64,
}

/// The same as plain numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Queries sent to nodes.
    pub asked: u64,
    /// Nodes that gave a sample.
    pub sampled: u64,
    /// Infohashes in samples and announces, each time that one was seen.
    pub seen: u64,
    /// Torrents whose metadata came and was kept.
    pub fetched: u64,
    /// Torrents that no peer gave the metadata of.
    pub failed: u64,
    /// Private torrents that were dropped.
    pub private: u64,
    /// Torrents that a list refused.
    pub refused: u64,
    /// Bytes of metadata.
    pub bytes: u64,
    /// Connections to peers that were begun.
    pub connected: u64,
    /// Infohashes whose metadata is wanted.
    pub wanted: u64,
}

/// Where a survey is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SweepFigures {
    /// Nodes that it knows.
    pub nodes: usize,
    /// The share of the key space that this sweep has come by.
    pub place: f64,
    /// Sweeps that were finished.
    pub sweeps: u64,
}

impl SweepFigures {
    fn new(survey: &Survey) -> Option<Self> {
        let figures = Self { nodes: survey.len(), place: survey.place(), sweeps: survey.sweeps() };
        (survey.shares() != Shares::NONE).then_some(figures)
    }
}

/// The index in figures.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Where its torrents come from.
    pub mode: Mode,
    /// How much it holds; nothing before that was measured, and while its database cannot be reached.
    pub totals: Option<Totals>,
    /// What it has done.
    pub activity: Activity,
    /// Where its survey is; nothing where there is none, or it holds no share of the key space.
    pub sweep: Option<SweepFigures>,
}

/// A torrent of the index with all that is kept of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The torrent, with its files.
    pub entry: Entry,
    /// Its counts over time, the oldest first.
    pub history: Vec<Swarm>,
}

/// Why the index could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Its store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A list cannot be read.
    #[error("{path} cannot be read: {source}", path = .path.display())]
    Unreadable {
        /// The list.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A list has a line that is wrong.
    #[error("{path}, {error}", path = .path.display())]
    Line {
        /// The list.
        path: PathBuf,
        /// The line.
        error: FilterError,
    },
}

impl OpenError {
    /// What the user can do about it.
    #[must_use]
    pub const fn cure(&self) -> &'static str {
        match self {
            Self::Store(error) => error.cure(),
            Self::Unreadable { .. } => "name a file that exists and can be read",
            Self::Line { .. } => "mend the line, or take it out",
        }
    }
}

impl Index {
    /// Opens the index at its place. A database need not be there yet.
    ///
    /// # Errors
    /// Its store or a list cannot be used.
    pub fn open(place: &Place, settings: Settings) -> Result<Self, OpenError> {
        let filter = read_filter(&settings)?;
        let store = open(place, settings.options, Open::OrMake)?;
        let mut survey = Survey::new(settings.private_network);
        survey.hold(Shares::NONE);
        Ok(Self {
            store: Arc::new(Mutex::new(store)),
            turns: Arc::new(Semaphore::new(1)),
            stopped: AtomicBool::new(false),
            backlog: Mutex::new(Backlog::default()),
            recounts: Mutex::new(Recounts::default()),
            compared: Mutex::new(VecDeque::new()),
            divided: AtomicBool::new(false),
            wanted: Mutex::new(Wanted::default()),
            filter: Mutex::new(filter),
            counts: Counts::default(),
            totals: Mutex::new(None),
            survey: Mutex::new(survey),
            queries: Pace::new(settings.queries_per_second),
            connects: Pace::new(settings.connections_per_second),
            live: Semaphore::new(live::MOST_LIVE),
            settings,
        })
    }

    /// Works; never ends.
    pub async fn run(&self, dht: &Dht) {
        let survey = async {
            match self.settings.mode {
                Mode::Survey => self.sweep(dht).await,
                Mode::Off | Mode::Mine | Mode::Passive => std::future::pending().await,
            }
        };
        tokio::join!(survey, self.fetch(dht), self.look(dht), self.recount(dht), self.spot_check(), self.measure());
    }

    /// The figures of this moment; of the store, those of the last seconds.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures {
            mode: self.settings.mode,
            totals: *lock(&self.totals),
            activity: self.activity(),
            sweep: SweepFigures::new(&lock(&self.survey)),
        }
    }

    /// Measures the store now and then; never ends.
    async fn measure(&self) {
        let mut ticks = tokio::time::interval(MEASURE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let totals = self.totals().await.ok();
            *lock(&self.totals) = totals;
        }
    }

    /// What a query finds.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn search(&self, query: Query, page: Page) -> Result<Found, StoreError> {
        let found = {
            let query = query.clone();
            self.with_store(move |store| store.search(&query, page)).await?
        };
        for entry in &found.entries {
            lock(&self.recounts).look(unix_seconds(), entry.infohash, entry.swarm);
        }
        // What a user searches for and is not there is fetched first.
        for infohash in query.infohashes {
            if !found.entries.iter().any(|entry| entry.infohash == infohash) {
                self.want(infohash, ArrayVec::new(), None, true);
            }
        }
        Ok(found)
    }

    /// One torrent, whole; `None` where it is not there.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn held(&self, infohash: InfoHash) -> Result<Option<Held>, StoreError> {
        let query = Query { infohashes: vec![infohash], ..Query::default() };
        let page = Page { skip: 0, most: 1, now: unix_seconds() };
        self.with_store(move |store| {
            let Some(entry) = store.search(&query, page)?.entries.pop() else { return Ok(None) };
            let (files, history) = (store.files(infohash)?, store.history(infohash)?);
            Ok(Some(Held { entry: Entry { files, ..entry }, history }))
        })
        .await
    }

    /// What is known of infohashes.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn known(&self, infohashes: Vec<InfoHash>) -> Result<Vec<Known>, StoreError> {
        self.with_store(move |store| store.known(&infohashes)).await
    }

    /// The last counts of torrents, each with its time; `None` where there is none. They are made again in the background
    /// when they are old.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn counted(&self, infohashes: Vec<InfoHash>) -> Result<Vec<Option<Swarm>>, StoreError> {
        let known = self.known(infohashes.clone()).await?;
        let mut recounts = lock(&self.recounts);
        let told = infohashes.into_iter().zip(known).map(|(infohash, known)| {
            let Known::Yes(swarm) = known else { return None };
            recounts.look(unix_seconds(), infohash, swarm);
            swarm
        });
        Ok(told.collect())
    }

    /// Forgets torrents for good.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn forget(&self, infohashes: Vec<InfoHash>) -> Result<usize, StoreError> {
        self.with_store(move |store| store.forget(&infohashes, Mark::Forgotten, unix_seconds())).await
    }

    /// How much it holds.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn totals(&self) -> Result<Totals, StoreError> {
        self.with_store(|store| store.totals()).await
    }

    /// What it has done.
    #[must_use]
    pub fn activity(&self) -> Activity {
        let Counts { asked, sampled, seen, fetched, failed, private, refused, bytes, connected } = &self.counts;
        let read = |count: &AtomicU64| count.load(Relaxed);
        Activity {
            asked: read(asked),
            sampled: read(sampled),
            seen: read(seen),
            fetched: read(fetched),
            failed: read(failed),
            private: read(private),
            refused: read(refused),
            bytes: read(bytes),
            connected: read(connected),
            wanted: lock(&self.wanted).len() as u64,
        }
    }

    /// Does something with the store on a thread that may wait.
    async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(&self.store);
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let worked = move || {
            let done = work(&mut **lock(&store));
            drop(turn);
            done
        };
        let done = tokio::task::spawn_blocking(worked).await;
        match done.map_err(tokio::task::JoinError::try_into_panic) {
            Ok(done) => {
                self.tell_once(done.as_ref().err());
                done
            }
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // The runtime ends, and everything with it.
            Err(Err(_)) => std::future::pending().await,
        }
    }

    /// Wants the metadata of an infohash that is not in the store.
    fn want(
        &self,
        infohash: InfoHash,
        peers: ArrayVec<std::net::SocketAddr, { super::wanted::PEERS_EACH }>,
        swarm: Option<Swarm>,
        searched: bool,
    ) {
        if !lock(&self.filter).refuses_infohash(infohash) {
            lock(&self.wanted).add(unix_seconds(), Want { infohash, peers, swarm, searched });
        }
    }

    /// Whether it is worth a query to ask a node for peers of an infohash that is not in the store.
    fn lacks_peers(&self, infohash: InfoHash) -> bool {
        !lock(&self.filter).refuses_infohash(infohash) && lock(&self.wanted).lacks_peers(unix_seconds(), infohash)
    }

    /// Reads the lists of what must not be kept again, now. One that is wrong leaves those before in force.
    pub async fn read_lists(&self) {
        let settings = self.settings.clone();
        match tokio::task::spawn_blocking(move || read_filter(&settings)).await {
            Ok(Ok(filter)) => *lock(&self.filter) = filter,
            Ok(Err(error)) => {
                let cure = error.cure();
                tracing::warn!(%error, cure, "a list of the index cannot be used; the one before stays in force");
            }
            Err(_) => {}
        }
    }

    /// Looks now and then at what this node and others announce, and at the lists.
    async fn look(&self, dht: &Dht) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.read_lists().await;
            let infohashes = announced(&dht.snapshot().await, self.settings.mode);
            self.counts.seen.fetch_add(infohashes.len() as u64, Relaxed);
            if let Err(error) = self.take_in(infohashes).await {
                self.warn(&error, "the index cannot be read");
            }
        }
    }

    /// Wants the metadata of those that are not in the store.
    async fn take_in(&self, infohashes: Vec<InfoHash>) -> Result<(), StoreError> {
        let known = self.known(infohashes.clone()).await?;
        for (infohash, known) in infohashes.into_iter().zip(known) {
            if known == Known::No {
                self.want(infohash, ArrayVec::new(), None, false);
            }
        }
        Ok(())
    }

    /// Says once that nothing can be asked of the store, and once that it can again.
    fn tell_once(&self, error: Option<&StoreError>) {
        let stopped = error.is_some_and(StoreError::stops_all);
        let before = self.stopped.swap(stopped, Relaxed);
        match (error, before) {
            (Some(error), false) if stopped => {
                tracing::error!(%error, cure = error.cure(), "the node goes on; what it finds meanwhile is kept up to a bound");
            }
            (None, true) => tracing::info!("the database of the index is reached again"),
            _ => {}
        }
    }

    /// Says what failed, unless that was said already.
    fn warn(&self, error: &StoreError, what: &'static str) {
        if !error.stops_all() {
            tracing::warn!(%error, cure = error.cure(), "{what}");
        }
    }

    /// Writes torrents, and those that could not be written before.
    async fn write(&self, entries: Vec<Entry>) {
        lock(&self.backlog).add(entries);
        self.catch_up().await;
    }

    /// Leaves a mark.
    async fn mark(&self, infohash: InfoHash, mark: Mark) {
        lock(&self.backlog).mark(infohash, mark);
        self.catch_up().await;
    }

    /// Writes what waits. What cannot be written now waits on, if it may be written later.
    async fn catch_up(&self) {
        loop {
            let Some(batch) = lock(&self.backlog).next() else { return };
            let written = {
                let batch = batch.clone();
                self.with_store(move |store| batch.write(store, unix_seconds())).await
            };
            let Err(error) = written else { continue };
            self.warn(&error, "torrents could not be stored");
            if error.passes() {
                lock(&self.backlog).put_back(batch);
            }
            return;
        }
    }
}

/// The infohashes that this node and, where that is wanted, others announced.
fn announced(state: &State, mode: Mode) -> Vec<InfoHash> {
    let mut infohashes = std::collections::BTreeSet::new();
    for node in &state.nodes {
        infohashes.extend(node.snapshot.own_announces.iter().map(|announce| announce.info_hash));
        if matches!(mode, Mode::Passive | Mode::Survey) {
            infohashes.extend(node.snapshot.peers.iter().map(|stored| stored.info_hash));
        }
    }
    infohashes.into_iter().take(MOST_AT_ONCE).collect()
}

/// Which source a torrent of this mode has.
const fn source(mode: Mode) -> Source {
    match mode {
        Mode::Off | Mode::Mine => Source::Mine,
        Mode::Passive => Source::Passive,
        Mode::Survey => Source::Survey,
    }
}

fn read_filter(settings: &Settings) -> Result<Filter, OpenError> {
    let mut filter = Filter::default();
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).map_err(|source| OpenError::Unreadable { path: path.clone(), source })
    };
    for path in &settings.refused_words {
        filter.add_words(&read(path)?).map_err(|error| OpenError::Line { path: path.clone(), error })?;
    }
    for path in &settings.refused_infohashes {
        filter.add_digests(&read(path)?).map_err(|error| OpenError::Line { path: path.clone(), error })?;
    }
    Ok(filter)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The time, as the store and the pure parts are told it.
fn now() -> UnixSeconds {
    unix_seconds()
}
