//! `trackerless watch`: what the node keeps announced, and how that is.
//!
//! It reads and writes the file in the data folder that the running node keeps, which sees a change within a second; without
//! a running node the next one finds it there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::args::{WatchAddArgs, WatchArgs, WatchCommand, WatchListArgs, WatchRemoveArgs};
use super::failure::{Exit, Failure, eprintln_quietly};
use super::output::{Printer, counted};
use super::session;
use super::words::span;
use crate::announcer::schedule::{Schedule, Terms};
use crate::announcer::store::{SqliteStore, Store, StoreError, WatchList, Watched};
use crate::announcer::view::{Announcement, SourceStatus, State};
use crate::daemon::announcing;
use crate::daemon::config::Config;
use crate::dht;
use crate::engine::limits::K;
use crate::engine::time::Instant;
use crate::net::clock::unix_seconds;
use crate::torrent::Torrent;

pub(super) fn run(args: WatchArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    match args.command {
        WatchCommand::Add(args) => add(args, environment),
        WatchCommand::List(args) => list(args, environment),
        WatchCommand::Remove(args) => remove(args, environment),
    }
}

fn add(args: WatchAddArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let watched: Vec<Watched> = args.targets.iter().map(|target| named(target)).collect::<Result<_, _>>()?;
    if let Some(missing) = watched.iter().find(|watched| is_missing(watched)) {
        return Err(Failure::usage(
            format_args!("there is no {}, and it is not an infohash or a magnet URI", missing.target),
            "name a folder of torrent files, a list, a torrent file, an infohash or a magnet URI",
        ));
    }
    let (config, output) = session::begin(args.setup, environment)?;
    let list = WatchList::open(&config.data_dir)?;
    for mut watched in watched {
        (watched.port, watched.seed) = (args.port, args.seed);
        watched.recursive |= args.recursive;
        let is_new = list.add(&watched)?;
        let text = if is_new { "watched" } else { "watched already, now as you say" };
        let record = json!({ "target": watched.target, "new": is_new });
        output.result(format_args!("{watched}  {text}"), &record)?;
    }
    if announcing::port(&config).is_none() && args.port.is_none() {
        eprintln_quietly("note: there is no port to announce yet: give --port, or set announce_port");
    }
    tell_who_takes_it(&config.data_dir);
    Ok(Exit::Done)
}

fn remove(args: WatchRemoveArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let (config, output) = session::begin(args.setup, environment)?;
    let list = WatchList::open(&config.data_dir)?;
    let mut exit = Exit::Done;
    for target in &args.targets {
        let target = named(target)?.target;
        let is_known = list.remove(&target)?;
        let text = if is_known { "no longer watched" } else { "was not watched by `watch add`" };
        exit = if is_known { exit } else { Exit::Nothing };
        output.result(format_args!("{target}  {text}"), &json!({ "target": target, "removed": is_known }))?;
    }
    tell_who_takes_it(&config.data_dir);
    Ok(exit)
}

fn named(target: &str) -> Result<Watched, Failure> {
    let cure = "name a folder of torrent files, a list, a torrent file, an infohash or a magnet URI";
    Watched::new(target).map_err(|error| Failure::usage(format_args!("TARGET {target:?}: {error}"), cure))
}

fn is_missing(watched: &Watched) -> bool {
    Torrent::parse(&watched.target).is_err() && !Path::new(&watched.target).exists()
}

fn tell_who_takes_it(data_dir: &Path) {
    match dht::holder(data_dir) {
        Some(process) => eprintln_quietly(format_args!("{process} takes it within a second")),
        None => eprintln_quietly("no node runs with this data folder; `trackerless run` will take it"),
    }
}

// Listing.

fn list(args: WatchListArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let (config, output) = session::begin(args.setup, environment)?;
    let Some(known) = Known::read(&config)? else {
        eprintln_quietly("nothing is watched yet: `trackerless watch add`");
        return Ok(Exit::Nothing);
    };
    let mut shown = 0;
    for announcement in known.schedule.announcements(known.now, None) {
        let is_hidden = announcement.state.is_withheld() || announcement.state == State::Visible;
        if !(args.not_visible && is_hidden) {
            output.result(text(&announcement, known.now), &record(&announcement, known.now))?;
            shown += 1;
        }
    }
    known.tell_sources(output)?;
    eprintln_quietly(known.summary());
    Ok(if shown == 0 && !args.not_visible { Exit::Nothing } else { Exit::Done })
}

/// What the file says.
struct Known {
    schedule: Schedule,
    sources: BTreeMap<Arc<str>, SourceStatus>,
    watched: Vec<Watched>,
    now: Instant,
}

impl Known {
    fn read(config: &Config) -> Result<Option<Self>, Failure> {
        let Some(mut store) = SqliteStore::look(&config.data_dir)? else { return Ok(None) };
        let watched = config.watch.iter().cloned().chain(WatchList::open(&config.data_dir)?.all()?).collect();
        let now = Instant::from_secs(unix_seconds());
        let port = store.port()?.or(announcing::port(config));
        let terms = Terms { seed: [0; 32], new_destinations_per_second: 1, port, max: usize::MAX };
        let mut schedule = Schedule::new(terms);
        schedule.restore(now, store.load()?, |_| true);
        Ok(Some(Self { schedule, sources: store.sources()?, watched, now }))
    }

    /// What is wrong with a source, or what it could not use; for programs each source.
    fn tell_sources(&self, output: Printer) -> Result<(), Failure> {
        for (name, status) in &self.sources {
            if output.is_json() {
                output.result("", &source_record(name, status))?;
                continue;
            }
            if let Some(trouble) = &status.trouble {
                eprintln_quietly(format_args!("{name}: {trouble}"));
            }
            if status.refused > 0 {
                let count = counted(status.refused, "torrent");
                eprintln_quietly(format_args!("{name}: {count} found no room: raise watch_max"));
            }
            for left in &status.left_out {
                eprintln_quietly(format_args!("left out: {name}: {}: {}", left.entry, left.reason));
            }
        }
        for watched in self.watched.iter().filter(|watched| !self.sources.contains_key(watched.target.as_str())) {
            eprintln_quietly(format_args!("{watched}: not read yet"));
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let totals = self.schedule.totals(self.now);
        let states: Vec<String> =
            totals.states.iter().map(|(state, count)| format!("{count} {}", state.name())).collect();
        let all = match totals.infohashes() {
            0 => return "nothing is listed yet".to_owned(),
            1 => "1 infohash".to_owned(),
            count => format!("{count} infohashes"),
        };
        format!("{all}: {}", states.join(", "))
    }
}

fn text(known: &Announcement, now: Instant) -> String {
    let name = known.name.as_deref().map(|name| format!("  {name}")).unwrap_or_default();
    let mut text = format!("{}{name}  {}", known.info_hash, known.state.name());
    if known.state.is_withheld() {
        return text;
    }
    let mut add = |part: String| {
        text.push_str(", ");
        text.push_str(&part);
    };
    add(format!("stored at {} of {K}", known.stored_at));
    if let Some(looked) = known.looked {
        let ago = span(now.since(looked));
        add(known.seen_as.map_or_else(|| format!("not seen {ago} ago"), |addr| format!("seen as {addr} {ago} ago")));
    }
    if let Some((seeds, peers)) = known.swarm {
        add(format!("seeds {seeds}, peers {peers}"));
    }
    match known.next {
        Some(next) if next > now => add(format!("next in {}", span(next.since(now)))),
        _ => add("next now".to_owned()),
    }
    if let Some(error) = known.error {
        add(error.to_string());
    }
    text
}

fn record(known: &Announcement, now: Instant) -> Value {
    json!({
        "infohash": known.info_hash.to_string(),
        "name": known.name.as_deref(),
        "state": known.state.name(),
        "port": known.port,
        "seed": known.seed,
        "stored_at": known.stored_at,
        "announced_at": known.announced.map(Instant::as_secs),
        "looked_at": known.looked.map(Instant::as_secs),
        "visible_as": known.seen_as,
        "seeds": known.swarm.map(|(seeds, _)| seeds),
        "peers": known.swarm.map(|(_, peers)| peers),
        "next_in_seconds": known.next.map(|next| next.since(now).as_secs()),
        "error": known.error.map(|error| error.to_string()),
        "sources": known.sources.iter().map(|source| &**source).collect::<Vec<&str>>(),
    })
}

fn source_record(name: &str, status: &SourceStatus) -> Value {
    let left_out = status.left_out.iter().map(|left| json!({ "entry": left.entry, "reason": left.reason }));
    json!({
        "source": name,
        "torrents": status.torrents,
        "refused": status.refused,
        "left_out": left_out.collect::<Vec<_>>(),
        "trouble": status.trouble,
    })
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
