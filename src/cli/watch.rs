//! `trackerless watch`: what the node keeps announced, and how that is.
//!
//! It asks the node that runs with the data folder. Without one, and with `--alone`, it reads and writes the file that a node
//! keeps there: a node that runs sees a change within a second, and the next one finds it.

use std::path::Path;
use std::time::Duration;

use super::args::{WatchAddArgs, WatchArgs, WatchCommand, WatchListArgs, WatchRemoveArgs};
use super::failure::{Exit, Failure, eprintln_quietly};
use super::network::{self, Base};
use super::output::{Printer, counted};
use super::session;
use super::words::span;
use crate::announcer::schedule::{Schedule, Terms};
use crate::announcer::store::{SqliteStore, Store, StoreError, WatchList, Watched};
use crate::daemon::announcing;
use crate::daemon::config::Config;
use crate::daemon::control::announcements::{
    AnnouncementRecord, SourceRecord, UnwatchRecord, WatchRecord, is_not_visible,
};
use crate::daemon::control::client::{Client, ClientError};
use crate::daemon::view::AnnouncerView;
use crate::dht;
use crate::engine::limits::K;
use crate::engine::time::Instant;
use crate::net::clock::unix_seconds;
use crate::torrent::Torrent;

pub(super) fn run(args: WatchArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    session::block_on(async {
        match args.command {
            WatchCommand::Add(args) => add(args, environment).await,
            WatchCommand::List(args) => list(args, environment).await,
            WatchCommand::Remove(args) => remove(args, environment).await,
        }
    })
}

async fn add(args: WatchAddArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let watched: Vec<Watched> = args.targets.iter().map(|target| named(target)).collect::<Result<_, _>>()?;
    if let Some(missing) = watched.iter().find(|watched| is_missing(watched)) {
        return Err(Failure::usage(
            format_args!("there is no {}, and it is not an infohash or a magnet URI", missing.target),
            "name a folder of torrent files, a list, a torrent file, an infohash or a magnet URI",
        ));
    }
    let (base, output) = network::begin(args.setup, environment)?;
    let table = Table::open(&base).await?;
    for mut watched in watched {
        (watched.port, watched.seed) = (args.port, args.seed);
        watched.recursive |= args.recursive;
        let record = table.add(&watched).await?;
        let text = if record.new { "watched" } else { "watched already, now as you say" };
        output.result(format_args!("{watched}  {text}"), &record)?;
    }
    if args.port.is_none() && table.announce_port(&base).await?.is_none() {
        eprintln_quietly("note: there is no port to announce yet: give --port, or set announce_port");
    }
    table.tell_who_takes_it(&base.data_dir);
    Ok(Exit::Done)
}

async fn remove(args: WatchRemoveArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let (base, output) = network::begin(args.setup, environment)?;
    let table = Table::open(&base).await?;
    let mut exit = Exit::Done;
    for target in &args.targets {
        let record = table.remove(named(target)?.target).await?;
        let text = if record.removed { "no longer watched" } else { "was not watched by `watch add`" };
        exit = if record.removed { exit } else { Exit::Nothing };
        output.result(format_args!("{}  {text}", record.target), &record)?;
    }
    table.tell_who_takes_it(&base.data_dir);
    Ok(exit)
}

/// The table of what is watched: the running node's, or the file itself.
enum Table {
    Running(Client),
    Kept(WatchList),
}

impl Table {
    async fn open(base: &Base) -> Result<Self, Failure> {
        match base.running().await {
            Some(client) => Ok(Self::Running(client)),
            None => Ok(Self::Kept(WatchList::open(&base.data_dir)?)),
        }
    }

    async fn add(&self, watched: &Watched) -> Result<WatchRecord, Failure> {
        match self {
            Self::Running(client) => Ok(client.watch(&watched.clone().into()).await?),
            Self::Kept(list) => Ok(WatchRecord { target: watched.target.clone(), new: list.add(watched)? }),
        }
    }

    async fn remove(&self, target: String) -> Result<UnwatchRecord, Failure> {
        match self {
            Self::Running(client) => Ok(client.unwatch(&target).await?),
            Self::Kept(list) => Ok(UnwatchRecord { removed: list.remove(&target)?, target }),
        }
    }

    /// The port that is announced where no source knows one.
    async fn announce_port(&self, config: &Config) -> Result<Option<u16>, Failure> {
        match self {
            Self::Running(client) => Ok(client.watched().await?.announce_port),
            Self::Kept(_) => Ok(announcing::port(config)),
        }
    }

    fn tell_who_takes_it(&self, data_dir: &Path) {
        match self {
            Self::Running(_) => eprintln_quietly("it takes it within a second"),
            Self::Kept(_) => match dht::holder(data_dir) {
                Some(process) => eprintln_quietly(format_args!("{process} takes it within a second")),
                None => eprintln_quietly("no node runs with this data folder; `trackerless run` will take it"),
            },
        }
    }
}

fn named(target: &str) -> Result<Watched, Failure> {
    let cure = "name a folder of torrent files, a list, a torrent file, an infohash or a magnet URI";
    Watched::new(target).map_err(|error| Failure::usage(format_args!("TARGET {target:?}: {error}"), cure))
}

fn is_missing(watched: &Watched) -> bool {
    Torrent::parse(&watched.target).is_err() && !Path::new(&watched.target).exists()
}

// Listing.

async fn list(args: WatchListArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let (base, output) = network::begin(args.setup, environment)?;
    let known = match base.running().await {
        Some(client) => Some(Known::of_running(&client, args.not_visible).await?),
        None => Known::read(&base, args.not_visible)?,
    };
    let Some(known) = known else {
        eprintln_quietly("nothing is watched yet: `trackerless watch add`");
        return Ok(Exit::Nothing);
    };
    for record in &known.announcements {
        output.result(text(record, known.now), record)?;
    }
    known.tell_sources(output)?;
    eprintln_quietly(summary(&known.totals));
    Ok(if known.announcements.is_empty() && !args.not_visible { Exit::Nothing } else { Exit::Done })
}

/// What the running node says, or the file.
struct Known {
    announcements: Vec<AnnouncementRecord>,
    totals: AnnouncerView,
    sources: Vec<SourceRecord>,
    watched: Vec<Watched>,
    /// The time by which it is told, in seconds since 1970.
    now: u64,
}

impl Known {
    async fn of_running(client: &Client, not_visible: bool) -> Result<Self, ClientError> {
        let mut page = client.announcements(not_visible, None).await?;
        let mut announcements = std::mem::take(&mut page.announcements);
        while let Some(after) = page.next {
            page = client.announcements(not_visible, Some(&after)).await?;
            announcements.append(&mut page.announcements);
        }
        let watching = client.watched().await?;
        let watched = watching.watched.into_iter().map(Into::into).collect();
        Ok(Self { announcements, totals: page.totals, sources: watching.sources, watched, now: page.now })
    }

    fn read(config: &Config, not_visible: bool) -> Result<Option<Self>, Failure> {
        let Some(mut store) = SqliteStore::look(&config.data_dir)? else { return Ok(None) };
        let watched = config.watch.iter().cloned().chain(WatchList::open(&config.data_dir)?.all()?).collect();
        let now = Instant::from_secs(unix_seconds());
        let port = store.port()?.or(announcing::port(config));
        let terms = Terms { seed: [0; 32], new_destinations_per_second: 1, port, max: usize::MAX };
        let mut schedule = Schedule::new(terms);
        schedule.restore(now, store.load()?, |_| true);
        let wanted = schedule.announcements(now, None).filter(|known| !not_visible || is_not_visible(known.state));
        Ok(Some(Self {
            announcements: wanted.map(|known| AnnouncementRecord::new(&known, now)).collect(),
            totals: AnnouncerView::new(&schedule.totals(now)),
            sources: store.sources()?.iter().map(|(name, status)| SourceRecord::new(name, status)).collect(),
            watched,
            now: now.as_secs(),
        }))
    }

    /// What is wrong with a source, or what it could not use; for programs each source.
    fn tell_sources(&self, output: Printer) -> Result<(), Failure> {
        for source in &self.sources {
            if output.is_json() {
                output.result("", source)?;
                continue;
            }
            let name = &source.source;
            if let Some(trouble) = &source.trouble {
                eprintln_quietly(format_args!("{name}: {trouble}"));
            }
            if source.refused > 0 {
                let count = counted(source.refused, "torrent");
                eprintln_quietly(format_args!("{name}: {count} found no room: raise watch_max"));
            }
            for left in &source.left_out {
                eprintln_quietly(format_args!("left out: {name}: {}: {}", left.entry, left.reason));
            }
        }
        let is_read = |watched: &Watched| self.sources.iter().any(|source| source.source == watched.target);
        for watched in self.watched.iter().filter(|watched| !is_read(watched)) {
            eprintln_quietly(format_args!("{watched}: not read yet"));
        }
        Ok(())
    }
}

fn summary(totals: &AnnouncerView) -> String {
    let states: Vec<String> = totals.states.iter().map(|state| format!("{} {}", state.count, state.name)).collect();
    let all = match totals.infohashes {
        0 => return "nothing is listed yet".to_owned(),
        1 => "1 infohash".to_owned(),
        count => format!("{count} infohashes"),
    };
    format!("{all}: {}", states.join(", "))
}

fn text(known: &AnnouncementRecord, now: u64) -> String {
    let name = known.name.as_deref().map(|name| format!("  {name}")).unwrap_or_default();
    let mut text = format!("{}{name}  {}", known.infohash, known.state);
    if known.is_withheld() {
        return text;
    }
    let mut add = |part: String| {
        text.push_str(", ");
        text.push_str(&part);
    };
    add(format!("{} of {K} copies", known.stored_at));
    if let Some(looked) = known.looked_at {
        let ago = span(Duration::from_secs(now.saturating_sub(looked)));
        add(known.visible_as.map_or_else(|| format!("not seen {ago} ago"), |addr| format!("seen as {addr} {ago} ago")));
    }
    if let Some((seeds, peers)) = known.seeds.zip(known.peers) {
        add(format!("seeds {seeds}, peers {peers}"));
    }
    match known.next_in_seconds {
        Some(seconds) if seconds > 0 => add(format!("next in {}", span(Duration::from_secs(seconds)))),
        _ => add("next now".to_owned()),
    }
    if let Some(error) = &known.error {
        add(error.clone());
    }
    text
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged { .. } => {
                Self::usage(&error, "start `trackerless run`: it sets the file aside and begins afresh")
            }
            _ => Self::usage(&error, error.cure()),
        }
    }
}
