//! `trackerless search`: torrents of the index by their names.

use std::time::Duration;

use super::args::SearchArgs;
use super::failure::{Exit, Failure, eprintln_quietly};
use super::output::Printer;
use super::session;
use super::words::{size, span};
use crate::daemon::config::Config;
use crate::index::entry::Entry;
use crate::index::query::{Query, QueryError};
use crate::index::record::Record;
use crate::index::store::{self, Found, Open, Page, Store, StoreError};
use crate::net::clock::unix_seconds;

pub(super) fn run(args: SearchArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let query = read_query(&args.words)?;
    let (config, output) = session::begin(args.setup, environment)?;
    let page = Page { skip: 0, most: args.limit as usize, now: unix_seconds() };
    let found = open(&config)?.search(&query, page)?;
    print(&found, page, output)
}

/// The query that the arguments make, joined by blanks; one with blanks of its own is a phrase only if it has quotation
/// marks, as on the page and in other programs.
pub(super) fn read_query(words: &[String]) -> Result<Query, Failure> {
    let text = words.join(" ");
    Query::parse(&text).map_err(|error| wrong_query(&text, &error))
}

fn wrong_query(text: &str, error: &QueryError) -> Failure {
    let cure = format!("it was read as: {text}\n      {}^", " ".repeat(error.at + "it was read as: ".len() - 1));
    Failure::usage(format_args!("the query is wrong {error}"), cure)
}

/// The index that the settings name.
pub(super) fn open(config: &Config) -> Result<Box<dyn Store>, Failure> {
    Ok(store::open(&config.index_place(), config.index_options(), Open::Existing)?)
}

fn print(found: &Found, page: Page, output: Printer) -> Result<Exit, Failure> {
    for entry in &found.entries {
        output.result(line(entry, page.now), &Record::from(entry))?;
    }
    if found.entries.is_empty() {
        eprintln_quietly("nothing in the index fits");
        return Ok(Exit::Nothing);
    }
    if found.more && !output.is_json() {
        eprintln_quietly("there is more; see more with --limit, or narrow it by another word");
    }
    Ok(Exit::Done)
}

/// Infohash, seeds, peers, size, age, name.
pub(super) fn line(entry: &Entry, now: u64) -> String {
    let swarm =
        |of: fn(&crate::index::entry::Swarm) -> u32| entry.swarm.as_ref().map_or("?".to_owned(), |s| of(s).to_string());
    let seen = span(Duration::from_secs(now.saturating_sub(entry.seen)));
    format!(
        "{}  {:>5} {:>5}  {:>10}  {seen:>11} ago  {}",
        entry.infohash,
        swarm(|swarm| swarm.seeds),
        swarm(|swarm| swarm.peers),
        size(entry.size_bytes),
        entry.name
    )
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing(_) | StoreError::Unreachable { .. } => Self::nothing(&error, error.cure()),
            _ => Self::usage(&error, error.cure()),
        }
    }
}
