//! The index: search with JSON, Torznab, and what browsers and qBittorrent need to search here.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::extract::{Asked, Named, id};
use crate::daemon::control::Control;
use crate::daemon::control::problem::Problem;
use crate::daemon::control::record::FileRecord;
use crate::engine::id::InfoHash;
use crate::index::entry::{Entry, Swarm};
use crate::index::query::Query;
use crate::index::service::{Held, Index};
use crate::index::store::{Found, Page, StoreError};
use crate::index::torznab::{self, Request, Search, TorznabError};
use crate::net::clock::unix_seconds;

/// Most results of one answer.
const MOST: u32 = 1_000;
/// Places by which a torrent may have moved between two pages without being told twice, or left out.
const SLACK: usize = 100;
/// Most infohashes whose counts are told at once.
const MOST_COUNTS: usize = 200;

/// What to search for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SearchQuery {
    /// Words, "a phrase", -not, size>1GiB, files:mkv, seeds>=5, seen<7d, sort:seeds, infohashes.
    q: String,
    /// Most results.
    #[serde(default = "usual")]
    limit: u32,
    /// How many results come before.
    #[serde(default)]
    skip: u32,
    /// The `next` of the answer before, in place of `skip`.
    after: Option<String>,
}

const fn usual() -> u32 {
    50
}

/// Whose counts are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CountsQuery {
    /// Infohashes, separated by commas, at most 200.
    infohashes: String,
}

/// Counts that the index has, in the order asked.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CountsRecord {
    counts: Vec<CountRecord>,
}

/// The last count of a torrent. What is unknown is absent, never 0.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CountRecord {
    infohash: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    seeds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peers: Option<u32>,
    /// When seeds and peers were counted, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    counted: Option<u64>,
}

/// What a search found.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SearchRecord {
    /// The torrents, best first.
    torrents: Vec<TorrentRecord>,
    /// Whether there may be more.
    more: bool,
    /// What to send as `after` for those that follow; nothing where there are none.
    next: Option<String>,
}

/// A torrent of the index with all that is kept of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HeldRecord {
    torrent: TorrentRecord,
    /// Its files, as far as they are kept.
    files: Vec<FileRecord>,
    /// Its counts over time, the oldest first.
    history: Vec<PointRecord>,
}

/// A count of seeds and peers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PointRecord {
    seeds: u32,
    peers: u32,
    /// When they were counted, in seconds since 1970.
    counted: u64,
}

/// A torrent of the index. What is unknown is absent, never 0.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TorrentRecord {
    infohash: String,
    name: String,
    /// Bytes.
    size: u64,
    file_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    seeds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peers: Option<u32>,
    /// When seeds and peers were counted, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    counted: Option<u64>,
    found: u64,
    seen: u64,
    /// Where it is known from: mine, passive, survey or import.
    source: String,
    magnet: String,
    /// The kind that its name hints at, as Torznab numbers them.
    category: u32,
}

impl From<&Entry> for TorrentRecord {
    fn from(entry: &Entry) -> Self {
        Self {
            infohash: entry.infohash.to_string(),
            name: entry.name.clone(),
            size: entry.size_bytes,
            file_count: entry.file_count,
            seeds: entry.swarm.map(|swarm| swarm.seeds),
            peers: entry.swarm.map(|swarm| swarm.peers),
            counted: entry.swarm.map(|swarm| swarm.at),
            found: entry.found,
            seen: entry.seen,
            source: entry.source.name().to_owned(),
            magnet: torznab::magnet(entry),
            category: torznab::category(&entry.name),
        }
    }
}

impl Control {
    /// What a query finds. An infohash that the index does not have is asked for at its peers.
    async fn searched(&self, index: &Index, query: Query, page: Page) -> Result<Found, StoreError> {
        let named = query.infohashes.clone();
        let mut found = index.search(query, page).await?;
        if let ([infohash], true) = (&named[..], found.entries.is_empty() && page.skip == 0) {
            found.entries.extend(index.ask_now(&self.dht, *infohash).await?);
        }
        Ok(found)
    }

    fn index(&self) -> Result<&Arc<Index>, Problem> {
        let cure = "start the node with --index survey, passive or mine";
        self.index.as_ref().ok_or_else(|| Problem::not_found("this node has no index", cure))
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, &error, error.cure())
    }
}

/// Searches the index.
#[utoipa::path(get, path = "/api/v1/search", tag = "index", params(SearchQuery), responses(
    (status = 200, body = SearchRecord), (status = 400, body = Problem), (status = 404, body = Problem),
    (status = 503, body = Problem)))]
pub(super) async fn search(
    State(control): State<Arc<Control>>,
    Asked(asked): Asked<SearchQuery>,
) -> Result<Json<SearchRecord>, Problem> {
    let cure = "see docs/INDEX.md for what a query may hold";
    let query =
        Query::parse(&asked.q).map_err(|error| Problem::bad(format_args!("the query is wrong {error}"), cure))?;
    let start = match (&asked.after, asked.skip) {
        (None, skip) => Start::At(skip as usize),
        (Some(after), 0) => Start::After(after.parse()?),
        (Some(_), _) => return Err(Problem::bad("`after` and `skip` at once", "give one of them")),
    };
    let most = asked.limit.clamp(1, MOST) as usize;
    let (entries, next) =
        start.page(most, async |page| Ok(control.searched(control.index()?, query, page).await?)).await?;
    let more = next.is_some();
    let next = next.map(|next| next.to_string());
    Ok(Json(SearchRecord { torrents: entries.iter().map(TorrentRecord::from).collect(), more, next }))
}

/// One torrent of the index, with its files and its counts over time.
#[utoipa::path(get, path = "/api/v1/index/{infohash}", tag = "index", params(("infohash" = String, Path, description = "The infohash.")),
    responses((status = 200, body = HeldRecord), (status = 400, body = Problem), (status = 404, body = Problem),
    (status = 503, body = Problem)))]
pub(super) async fn held(
    State(control): State<Arc<Control>>,
    Named(infohash): Named<String>,
) -> Result<Json<HeldRecord>, Problem> {
    let infohash: InfoHash = id(&infohash)?;
    let cure = "search for it: what is not there is fetched";
    let held = control.index()?.held(infohash).await?;
    let Held { entry, history } = held.ok_or_else(|| Problem::not_found("the index has no such torrent", cure))?;
    let point = |swarm: &Swarm| PointRecord { seeds: swarm.seeds, peers: swarm.peers, counted: swarm.at };
    Ok(Json(HeldRecord {
        torrent: TorrentRecord::from(&entry),
        files: entry.files.iter().map(FileRecord::from).collect(),
        history: history.iter().map(point).collect(),
    }))
}

/// Counts of many torrents at once, as the index has them. Old ones are made again in the background.
#[utoipa::path(get, path = "/api/v1/scrapes", tag = "index", params(CountsQuery), responses(
    (status = 200, body = CountsRecord), (status = 400, body = Problem), (status = 404, body = Problem),
    (status = 503, body = Problem)))]
pub(super) async fn scrapes(
    State(control): State<Arc<Control>>,
    Asked(asked): Asked<CountsQuery>,
) -> Result<Json<CountsRecord>, Problem> {
    let infohashes: Vec<InfoHash> = asked.infohashes.split(',').map(id).collect::<Result<_, _>>()?;
    if infohashes.len() > MOST_COUNTS {
        return Err(Problem::bad("too many infohashes at once", format_args!("give {MOST_COUNTS} at the most")));
    }
    let counts = control.index()?.counted(infohashes.clone()).await?;
    let record = |(infohash, swarm): (InfoHash, Option<Swarm>)| CountRecord {
        infohash: infohash.to_string(),
        seeds: swarm.map(|swarm| swarm.seeds),
        peers: swarm.map(|swarm| swarm.peers),
        counted: swarm.map(|swarm| swarm.at),
    };
    Ok(Json(CountsRecord { counts: infohashes.into_iter().zip(counts).map(record).collect() }))
}

/// Searches the index as Torznab has it.
#[utoipa::path(get, path = "/torznab/api", tag = "index", responses((status = 200, content_type = "application/xml")))]
pub(super) async fn torznab(
    State(control): State<Arc<Control>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let body = match Request::parse(query.as_deref().unwrap_or_default()) {
        Ok(Request::Caps) => torznab::caps(),
        Ok(Request::Search(search)) => found(&control, &search, &base(&control, &headers)).await?,
        Err(error) => torznab::error(&error),
    };
    Ok(([(CONTENT_TYPE, "application/xml; charset=utf-8")], body).into_response())
}

async fn found(control: &Control, search: &Search, base: &str) -> Result<String, Problem> {
    // Kinds are guessed from names, which no store can do: more is read, and what does not fit is left out.
    let most = if search.categories.is_empty() { search.limit } else { search.limit * 5 };
    let page = Page { skip: search.offset, most, now: unix_seconds() };
    match control.searched(control.index()?, search.query.clone(), page).await {
        Ok(Found { mut entries, .. }) => {
            entries.retain(|entry| search.wants(entry));
            entries.truncate(search.limit);
            Ok(torznab::results(base, &entries, search.offset))
        }
        Err(error) => Ok(torznab::error(&TorznabError { code: 900, text: error.to_string() })),
    }
}

/// Where a page of results begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Behind this many.
    At(usize),
    /// Behind the page before.
    After(Cursor),
}

/// The end of a page. Torrents come and are counted between two pages: the next one begins behind the torrent that was the
/// last, wherever it is now, and at its place where it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    /// How many results came before, and with the page.
    place: usize,
    /// The time of the first page, by which all have the same bounds of ages.
    now: u64,
    /// The last torrent.
    last: InfoHash,
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}", self.place, self.now, self.last)
    }
}

impl std::str::FromStr for Cursor {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let mut parts = text.splitn(3, '-');
        let mut part = || parts.next().unwrap_or_default();
        match (part().parse(), part().parse(), part().parse()) {
            (Ok(place), Ok(now), Ok(last)) => Ok(Self { place, now, last }),
            _ => Err(Problem::bad(format_args!("{text:?} is no `next` of an answer"), "send it as it came, or none")),
        }
    }
}

impl Start {
    /// The results of a page, and its end where others follow.
    async fn page(
        self,
        most: usize,
        search: impl AsyncFnOnce(Page) -> Result<Found, Problem>,
    ) -> Result<(Vec<Entry>, Option<Cursor>), Problem> {
        let (place, now) = match self {
            Self::At(place) => (place, unix_seconds()),
            Self::After(cursor) => (cursor.place, cursor.now),
        };
        // Of results before and behind it some are read, too, among which the last torrent may be by now.
        let slack = if matches!(self, Self::After(_)) { SLACK } else { 0 };
        let skip = place.saturating_sub(slack);
        let Found { mut entries, more } = search(Page { skip, most: place - skip + most + slack, now }).await?;
        let last = match self {
            Self::At(_) => None,
            Self::After(cursor) => entries.iter().position(|entry| entry.infohash == cursor.last),
        };
        let first = last.map_or(place - skip, |last| last + 1).min(entries.len());
        entries.drain(..first);
        let more = more || entries.len() > most;
        entries.truncate(most);
        let end = entries.last().map(|last| Cursor { place: skip + first + entries.len(), now, last: last.infohash });
        Ok((entries, end.filter(|_| more)))
    }
}

/// How a browser searches here.
#[utoipa::path(get, path = "/opensearch.xml", tag = "index",
    responses((status = 200, body = str, content_type = "application/opensearchdescription+xml")))]
pub(super) async fn opensearch(State(control): State<Arc<Control>>, headers: HeaderMap) -> Response {
    let kind = "application/opensearchdescription+xml";
    ([(CONTENT_TYPE, kind)], torznab::opensearch(&base(&control, &headers))).into_response()
}

/// The search plug-in for qBittorrent.
#[utoipa::path(get, path = "/trackerless.py", tag = "index", responses((status = 200, content_type = "text/x-python")))]
pub(super) async fn plugin(State(control): State<Arc<Control>>, headers: HeaderMap) -> Response {
    let body = torznab::qbittorrent_plugin(&base(&control, &headers));
    ([(CONTENT_TYPE, "text/x-python; charset=utf-8")], body).into_response()
}

/// The URL by which the client calls this interface. The guard has let through no name but ours.
fn base(control: &Control, headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    format!("http://{host}{}", control.config().control_base_path.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::entry::Source;

    fn entry(number: u8) -> Entry {
        Entry {
            infohash: InfoHash::new([number; 20]),
            name: number.to_string(),
            size_bytes: 1,
            file_count: 1,
            files: Vec::new(),
            found: 1,
            seen: 1,
            swarm: None,
            source: Source::Survey,
        }
    }

    /// A page of results that are these.
    async fn page(start: Start, most: usize, results: &[u8]) -> (Vec<u8>, Option<Cursor>) {
        let search = async |page: Page| {
            let entries: Vec<Entry> = results.iter().skip(page.skip).take(page.most).copied().map(entry).collect();
            Ok(Found { more: results.len() > page.skip + page.most, entries })
        };
        let (entries, next) = start.page(most, search).await.unwrap();
        (entries.iter().map(|entry| entry.infohash.as_bytes()[0]).collect(), next)
    }

    #[tokio::test]
    async fn pages_follow_each_other_whatever_came_and_went_between_them() {
        let all = [1, 2, 3, 4, 5, 6, 7, 8];
        let (first, next) = page(Start::At(0), 3, &all).await;
        let next = next.unwrap();
        assert_eq!((first, next.place), (vec![1, 2, 3], 3));
        let again: Cursor = next.to_string().parse().unwrap();
        assert_eq!(again, next);
        let (second, end) = page(Start::After(next), 3, &all).await;
        assert_eq!(second, [4, 5, 6]);
        assert_eq!(page(Start::After(end.unwrap()), 3, &all).await, (vec![7, 8], None));
        for (now, wanted) in [
            (&[9, 1, 2, 3, 4, 5][..], [4, 5].as_slice()),
            (&[2, 3, 4, 5], &[4, 5]),
            (&[1, 2, 4, 3, 5], &[5]),
            (&[1, 2, 4, 5, 6], &[5, 6]),
            (&[1], &[]),
        ] {
            assert_eq!(page(Start::After(next), 3, now).await.0, wanted, "{now:?}");
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in ["", "3", "3-4", "3-4-xyz", "-1-4-", "99999999999999999999-1-1"] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }
}
