//! `trackerless index`: status, forget, export, import.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::Path;

use serde_json::json;

use super::args::{CarryArgs, ForgetArgs, ImportArgs, IndexArgs, IndexCommand, IndexSetup};
use super::failure::{Exit, Failure, eprintln_quietly};
use super::output::counted;
use super::search::{line, open, read_query};
use super::session;
use super::words::size;
use crate::daemon::config::Config;
use crate::daemon::control::api_key;
use crate::daemon::control::client::Client;
use crate::daemon::view::IndexView;
use crate::engine::id::InfoHash;
use crate::index::entry::Source;
use crate::index::filter::digest;
use crate::index::origins::Origins;
use crate::index::query::Query;
use crate::index::record::{CarryError, Record, export, import};
use crate::index::store::{self, Mark, Open, Page, Store};
use crate::index::torznab::date;
use crate::net::clock::unix_seconds;

/// What was forgotten and when, in the data folder.
const FORGOTTEN_LOG: &str = "index.forgotten.log";
/// Most torrents that are forgotten by one search.
const MOST_FORGOTTEN: usize = 10_000;

pub(super) fn run(args: IndexArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    match args.command {
        IndexCommand::Status(args) => status(args, environment),
        IndexCommand::Forget(args) => forget(args, environment),
        IndexCommand::Export(args) => carry_out(args, environment),
        IndexCommand::Import(args) => carry_in(args, environment),
    }
}

fn status(args: IndexSetup, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let (config, output) = session::begin(args.setup, environment)?;
    let totals = open(&config)?.totals()?;
    let running = session::block_on(live(&config))?;
    let per_torrent = totals.used_bytes.checked_div(totals.torrents);
    let each = per_torrent.map(|bytes| format!(", {bytes} bytes each")).unwrap_or_default();
    let text = format!(
        "{} in {}{each}; {} that must not come back{}",
        counted(totals.torrents as usize, "torrent"),
        size(totals.used_bytes),
        totals.marks,
        running.as_ref().map(at_work).unwrap_or_default()
    );
    let record = json!({
        "torrents": totals.torrents,
        "used_bytes": totals.used_bytes,
        "marks": totals.marks,
        "running": running,
    });
    output.result(text, &record)?;
    if let Ok(key) = api_key(&config.data_dir) {
        eprintln_quietly(format_args!("API key for Torznab, which other hosts need: {key}"));
    }
    Ok(Exit::Done)
}

/// The index of the node that runs with this data folder; nothing where none runs, or it has none.
async fn live(config: &Config) -> Result<Option<IndexView>, Failure> {
    let Some(client) = Client::of_folder(&config.data_dir).await else { return Ok(None) };
    Ok(client.view().await?.index)
}

/// What the index of the running node has done, for people.
fn at_work(index: &IndexView) -> String {
    let work = |name: &str| index.work.iter().find(|named| named.name == name).map_or(0, |named| named.count);
    let survey = index.survey.as_ref().map(|survey| {
        format!(
            "\nsurvey    {:.0} % of the key space, after {}; {} known",
            survey.place * 100.0,
            counted(survey.sweeps as usize, "whole sweep"),
            counted(survey.nodes, "node")
        )
    });
    format!(
        "\nmode      {}{}\nmetadata  {} wanted; since the start {} fetched, {} given by no peer, {} private, {} refused\n\
         sent      since the start {} queries and {} connections; {} fetched",
        index.mode,
        survey.unwrap_or_default(),
        index.wanted,
        work("fetched"),
        work("not_given"),
        work("private"),
        work("refused"),
        work("query"),
        work("connection"),
        size(index.metadata_bytes)
    )
}

fn forget(args: ForgetArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let query = read_query(&args.words)?;
    let (config, output) = session::begin(args.setup, environment)?;
    let mut store = open(&config)?;
    let now = unix_seconds();
    let found = store.search(&query, Page { skip: 0, most: MOST_FORGOTTEN, now })?;
    for entry in &found.entries {
        output.result(line(entry, now), &Record::from(entry))?;
    }
    let infohashes = named(&query, found.entries.iter().map(|entry| entry.infohash).collect());
    if infohashes.is_empty() {
        eprintln_quietly("nothing in the index fits");
        return Ok(Exit::Nothing);
    }
    if !args.yes {
        eprintln_quietly(format_args!("{} would be forgotten; --yes does it", counted(infohashes.len(), "torrent")));
        return Ok(Exit::Done);
    }
    note_forgotten(&config.data_dir.join(FORGOTTEN_LOG), &infohashes, now)?;
    let forgotten = store.forget(&infohashes, Mark::Forgotten, now)?;
    eprintln_quietly(format_args!("{} forgotten; they do not come back", counted(forgotten, "torrent")));
    Ok(Exit::Done)
}

/// Says in a log what is forgotten and when. The log is no catalogue: it has the lines of a list of refused infohashes, and can be
/// one.
fn note_forgotten(log: &Path, infohashes: &[InfoHash], now: u64) -> Result<(), Failure> {
    let mut lines = format!("# {} forgotten: {}\n", counted(infohashes.len(), "torrent"), date(now));
    for infohash in infohashes {
        lines += &hex::encode(digest(*infohash));
        lines.push('\n');
    }
    let written = File::options().append(true).create(true).open(log);
    written.and_then(|mut log| log.write_all(lines.as_bytes())).map_err(|error| {
        let cure = "make room for it, or let this user write there; nothing was forgotten";
        Failure::usage(format_args!("{} cannot be written: {error}", log.display()), cure)
    })
}

/// What is to be forgotten: an infohash that is named also where it is not there, so that it never comes.
fn named(query: &Query, found: Vec<InfoHash>) -> Vec<InfoHash> {
    if query.infohashes.is_empty() { found } else { query.infohashes.clone() }
}

fn carry_out(args: CarryArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let (config, _) = session::begin(args.setup.clone(), environment)?;
    let mut store = open(&config)?;
    let written = match &args.file {
        Some(path) => {
            File::create(path).map_err(CarryError::File).and_then(|file| export(&mut *store, BufWriter::new(file)))
        }
        None => export(&mut *store, BufWriter::new(io::stdout().lock())),
    };
    let count = written.map_err(|error| match error {
        CarryError::File(error) if args.file.is_none() => Failure::from_stdout(error),
        error => failed(&args, error),
    })?;
    eprintln_quietly(format_args!("{} written", counted(count, "torrent")));
    Ok(if count > 0 { Exit::Done } else { Exit::Nothing })
}

fn carry_in(args: ImportArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let ImportArgs { source, carry: args } = args;
    let (config, output) = session::begin(args.setup.clone(), environment)?;
    std::fs::create_dir_all(&config.data_dir).map_err(|error| failed(&args, error.into()))?;
    let mut store = store::open(&config.index_place(), config.index_options(), Open::OrMake)?;
    let now = unix_seconds();
    let source = registered(&mut *store, source.unwrap_or_else(|| source_name(&args)))?;
    let read = match &args.file {
        Some(path) => File::open(path)
            .map_err(CarryError::File)
            .and_then(|file| import(&mut *store, BufReader::new(file), now, source)),
        None => import(&mut *store, io::stdin().lock(), now, source),
    };
    let added = read.map_err(|error| failed(&args, error))?;
    let text = format!(
        "{} new, {} known before, {} refused because they were forgotten, {} thrown away for lack of room",
        added.new, added.renewed, added.marked, added.evicted
    );
    let record =
        json!({ "new": added.new, "renewed": added.renewed, "marked": added.marked, "evicted": added.evicted });
    output.result(text, &record)?;
    Ok(if added.new + added.renewed > 0 { Exit::Done } else { Exit::Nothing })
}

/// What the torrents of an import remember. Whose torrents were dropped for a lie brings no more under the same name.
fn registered(store: &mut dyn Store, name: String) -> Result<Source, Failure> {
    let mut origins = Origins::load(store)?;
    let cure = "import from a source that you trust; the same under another name: --source NAME";
    let source = origins.source(&name).map_err(|error| Failure::usage(error, cure))?;
    origins.save(store)?;
    Ok(source)
}

fn source_name(args: &CarryArgs) -> String {
    let name = args.file.as_ref().and_then(|path| path.file_name());
    name.map_or_else(|| "standard input".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn failed(args: &CarryArgs, error: CarryError) -> Failure {
    let file = args.file.as_ref().map_or("standard input".to_owned(), |path| path.display().to_string());
    match error {
        CarryError::Store(error) => error.into(),
        CarryError::File(_) => {
            Failure::usage(format_args!("{file}: {error}"), "name a file that can be read or written")
        }
        CarryError::Line { .. } => Failure::usage(
            format_args!("{file}, {error}"),
            "give what `trackerless index export` writes; the lines before it are in",
        ),
    }
}
