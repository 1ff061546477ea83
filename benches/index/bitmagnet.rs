//! PostgreSQL with a schema of bitmagnet's kind (its `migrations/`, as of version 20): the same tables, each with its kinds of
//! indexes, and words as a `tsvector` with weights and places in an inverted index. Tables of what only other services know
//! (films, their makers) are left out.
//!
//! It is searched as bitmagnet does (`internal/database/query/query.go`): by rank with one statement; by seeders with two at
//! once, of which the first one counts that has an answer: one that lets the planner choose, and one that collects at
//! most 50,000 fitting torrents and then sorts them.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row};
use trackerless::index::entry::Entry;
use trackerless::index::query::{Bound, Number, Query, Sort, What};
use trackerless::index::words::query_words;

use crate::measured::{Measured, WANTED};
use crate::postgres::Postgres;

const TABLES: &str = "
    CREATE EXTENSION btree_gin;
    CREATE TYPE files_status AS ENUM('no_info', 'single', 'multi', 'over_threshold');
    CREATE TABLE torrents(
        info_hash bytea PRIMARY KEY, name text NOT NULL, size bigint NOT NULL, private boolean NOT NULL,
        files_status files_status NOT NULL, files_count integer, extension text,
        created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);
    CREATE TABLE torrent_files(
        info_hash bytea REFERENCES torrents ON DELETE CASCADE, index integer, path text, extension text, size bigint NOT NULL,
        created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL,
        PRIMARY KEY(info_hash, path), UNIQUE(info_hash, index));
    CREATE TABLE torrents_torrent_sources(
        source text, info_hash bytea REFERENCES torrents ON DELETE CASCADE, import_id text, seeders integer, leechers integer,
        published_at timestamptz, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL,
        PRIMARY KEY(source, info_hash));
    CREATE TABLE torrent_contents(
        id text PRIMARY KEY, info_hash bytea NOT NULL REFERENCES torrents ON DELETE CASCADE, content_type text,
        content_source text, content_id text, languages jsonb, episodes jsonb, video_resolution text, video_source text,
        video_codec text, video_3d text, video_modifier text, release_group text, size bigint NOT NULL, files_count integer,
        seeders integer, leechers integer, published_at timestamptz NOT NULL, created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL, tsv tsvector, UNIQUE(info_hash, content_type, content_source, content_id));
    CREATE INDEX ON torrent_contents USING gin(content_type, tsv);
    CREATE INDEX ON torrent_contents USING gin(content_type, languages);
";

/// Columns, or pairs of columns, that have an index in the order of their values.
const INDEXED: [(&str, &[&str]); 4] = [
    ("torrents", &["name", "size", "files_status", "extension", "created_at"]),
    ("torrent_files", &["size", "extension"]),
    ("torrents_torrent_sources", &["info_hash", "import_id", "seeders", "leechers", "created_at", "updated_at"]),
    (
        "torrent_contents",
        &[
            "content_type",
            "content_source",
            "content_id",
            "content_source, content_id",
            "content_type, updated_at",
            "episodes",
            "video_resolution",
            "video_source",
            "video_codec",
            "video_3d",
            "video_modifier",
            "release_group",
            "size",
            "seeders",
            "leechers",
            "published_at",
            "updated_at",
            "coalesce(files_count, 0)",
            "coalesce(seeders, -1)",
            "coalesce(leechers, -1)",
        ],
    ),
];

const INSERT: &str = "
    WITH new AS (
        SELECT *, to_timestamp(found) AS at FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::integer[],
            $5::integer[], $6::integer[], $7::bigint[], $8::text[], $9::text[], $10::text[])
            AS new(hash, name, size, files, seeders, leechers, found, kind, resolution, tsv)),
    torrent AS (
        INSERT INTO torrents SELECT hash, name, size, false,
            CASE WHEN files > 1 THEN 'multi' ELSE 'single' END::files_status, files, NULL, at, at FROM new),
    source AS (
        INSERT INTO torrents_torrent_sources SELECT 'dht', hash, NULL, seeders, leechers, at, at, at FROM new)
    INSERT INTO torrent_contents(
        id, info_hash, content_type, video_resolution, size, files_count, seeders, leechers, published_at, created_at,
        updated_at, tsv)
    SELECT encode(hash, 'hex') || ':' || coalesce(kind, '?') || ':?:?', hash, kind, resolution, size, files, seeders,
        leechers, at, at, at, tsv::tsvector FROM new";

const INSERT_FILES: &str = "
    INSERT INTO torrent_files
    SELECT hash, index, path, substring(lower(path) FROM '[^/.]\\.([a-z0-9]+)$'), size, to_timestamp(found), to_timestamp(found)
    FROM unnest($1::bytea[], $2::integer[], $3::text[], $4::bigint[], $5::bigint[]) AS new(hash, index, path, size, found)";

/// Fitting torrents that the second statement collects at most.
const COLLECTED: usize = 50_000;

/// The server, and two connections to it.
pub struct Bitmagnet {
    server: Postgres,
    runtime: Runtime,
    clients: Option<[Client; 2]>,
    by_rank: bool,
}

impl Bitmagnet {
    pub fn start() -> Self {
        let server = Postgres::start();
        server.sql(TABLES);
        for (table, columns) in INDEXED {
            columns.iter().for_each(|columns| drop(server.sql(&format!("CREATE INDEX ON {table}({columns})"))));
        }
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { server, runtime, clients: None, by_rank: false }
    }

    fn connect(&mut self) {
        if self.clients.is_none() {
            let url = self.server.url();
            let one = async || {
                let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("a server");
                self.runtime.spawn(connection);
                client
            };
            self.clients = Some(self.runtime.block_on(async { [one().await, one().await] }));
        }
    }
}

impl Measured for Bitmagnet {
    fn name(&self) -> String {
        format!("PostgreSQL as bitmagnet has it, by {}", if self.by_rank { "rank" } else { "seeders" })
    }

    fn vary(&mut self) -> bool {
        !std::mem::replace(&mut self.by_rank, true)
    }

    fn add(&mut self, batch: &[Entry]) -> Duration {
        self.connect();
        let client = self.clients.as_mut().map(|[client, _]| client).expect("a connection");
        let began = Instant::now();
        self.runtime.block_on(add(client, batch)).expect("room");
        began.elapsed()
    }

    fn settle(&mut self) {
        self.server.sql("VACUUM ANALYZE");
    }

    fn bytes(&mut self) -> u64 {
        let tables = INDEXED.map(|(table, _)| format!("pg_total_relation_size('{table}')")).join(" + ");
        self.server.sql(&format!("SELECT {tables}")).parse().expect("a number")
    }

    fn close(&mut self) {
        self.clients = None;
        self.server.restart();
    }

    fn search(&mut self, query: &Query) -> (Duration, usize) {
        let began = Instant::now();
        self.connect();
        let [first, second] = self.clients.as_ref().expect("connections");
        let asked = Asked::new(query, self.by_rank);
        let found = async {
            let words: [&(dyn ToSql + Sync); 1] = [&asked.words];
            let plain = first.query(&asked.plain, &words);
            match self.by_rank {
                true => (plain.await.expect("an answer").len(), began.elapsed()),
                false => asked.race(plain, second, began).await,
            }
        };
        let (results, spent) = self.runtime.block_on(found);
        (spent, results)
    }

    fn folder(&self) -> &Path {
        self.server.folder()
    }

    fn processes(&self) -> Vec<u32> {
        self.server.processes()
    }
}

/// A query as the database reads it.
struct Asked {
    words: String,
    plain: String,
    collecting: String,
}

impl Asked {
    fn new(query: &Query, by_rank: bool) -> Self {
        let words: Vec<String> = query.terms.iter().map(|term| tsquery(&term.what)).collect();
        let key = match query.sort {
            Sort::Size => "tc.size",
            _ if by_rank => "ts_rank_cd(tc.tsv, $1::text::tsquery)",
            _ => "coalesce(tc.seeders, -1)",
        };
        let bound = |bound: &Bound| match bound.number {
            Number::Seeds => format!(" AND tc.seeders >= {}", bound.least),
            _ => format!(" AND tc.size <= {}", bound.most),
        };
        let bounds: String = query.bounds.iter().map(bound).collect();
        let fitting = format!(
            "SELECT tc.info_hash, t.name, tc.size, tc.seeders, tc.leechers, tc.published_at, {key} AS place
             FROM torrent_contents AS tc JOIN torrents AS t ON t.info_hash = tc.info_hash
             WHERE tc.tsv @@ $1::text::tsquery{bounds}"
        );
        let order = format!("ORDER BY place DESC LIMIT {WANTED}");
        let collecting = format!(
            "WITH fitting AS MATERIALIZED ({fitting} LIMIT {COLLECTED}),
                counted AS MATERIALIZED (SELECT count(*) AS number FROM fitting)
             SELECT * FROM fitting WHERE (SELECT number FROM counted) < {COLLECTED} {order}"
        );
        Self { words: words.join(" & "), plain: format!("{fitting} {order}"), collecting }
    }

    /// Both statements at once; the first answer, and when it was there.
    async fn race(
        &self,
        plain: impl Future<Output = Result<Vec<Row>, tokio_postgres::Error>>,
        second: &Client,
        began: Instant,
    ) -> (usize, Duration) {
        let words: [&(dyn ToSql + Sync); 1] = [&self.words];
        let collecting = second.query(&self.collecting, &words);
        tokio::pin!(plain, collecting);
        tokio::select! {
            rows = &mut plain => {
                let won = (rows.expect("an answer").len(), began.elapsed());
                // Its time does not count. It is waited for: a cancellation that arrives late would hit the next statement.
                let _ = collecting.await;
                won
            }
            rows = &mut collecting => {
                let rows = rows.expect("an answer").len();
                if rows == 0 {
                    return (plain.await.expect("an answer").len(), began.elapsed());
                }
                let won = (rows, began.elapsed());
                let _ = plain.await;
                won
            }
        }
    }
}

fn tsquery(what: &What) -> String {
    match what {
        What::Word(word) | What::Files(word) => format!("'{word}'"),
        What::Prefix(beginning) => format!("'{beginning}':*"),
        What::Phrase(words) => {
            format!("({})", words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" <-> "))
        }
    }
}

async fn add(client: &mut Client, batch: &[Entry]) -> Result<(), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    let hashes: Vec<&[u8]> = batch.iter().map(|entry| &entry.infohash.as_bytes()[..]).collect();
    let names: Vec<&str> = batch.iter().map(|entry| &*entry.name).collect();
    let sizes: Vec<i64> = batch.iter().map(|entry| entry.size_bytes as i64).collect();
    let files: Vec<i32> = batch.iter().map(|entry| entry.file_count as i32).collect();
    let seeders: Vec<Option<i32>> = batch.iter().map(|entry| entry.swarm.map(|swarm| swarm.seeds as i32)).collect();
    let leechers: Vec<Option<i32>> = batch.iter().map(|entry| entry.swarm.map(|swarm| swarm.peers as i32)).collect();
    let found: Vec<i64> = batch.iter().map(|entry| entry.found as i64).collect();
    let resolutions: Vec<Option<String>> = batch.iter().map(resolution).collect();
    let kinds: Vec<Option<&str>> = batch.iter().zip(&resolutions).map(|(entry, found)| kind(entry, found)).collect();
    let words: Vec<String> = batch.iter().zip(&resolutions).map(|(entry, found)| tsvector(entry, found)).collect();
    let rows: &[&(dyn ToSql + Sync)] =
        &[&hashes, &names, &sizes, &files, &seeders, &leechers, &found, &kinds, &resolutions, &words];
    transaction.execute(INSERT, rows).await?;
    add_files(&transaction, batch).await?;
    transaction.commit().await
}

async fn add_files(
    transaction: &tokio_postgres::Transaction<'_>,
    batch: &[Entry],
) -> Result<(), tokio_postgres::Error> {
    let (mut hashes, mut places, mut paths, mut sizes, mut found) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for entry in batch {
        for (place, file) in entry.files.iter().enumerate() {
            hashes.push(&entry.infohash.as_bytes()[..]);
            places.push(place as i32);
            paths.push(&*file.path);
            sizes.push(file.size_bytes as i64);
            found.push(entry.found as i64);
        }
    }
    if !paths.is_empty() {
        transaction.execute(INSERT_FILES, &[&hashes, &places, &paths, &sizes, &found]).await?;
    }
    Ok(())
}

fn resolution(entry: &Entry) -> Option<String> {
    ["720p", "1080p", "2160p"].iter().find(|found| entry.name.contains(**found)).map(|found| format!("V{found}"))
}

fn kind(entry: &Entry, resolution: &Option<String>) -> Option<&'static str> {
    let is_episode = |word: &str| word.len() == 6 && word.starts_with('S') && word[3..].starts_with('E');
    match entry.name.split(['.', ' ']).any(is_episode) {
        true => Some("tv_show"),
        false => resolution.as_ref().map(|_| "movie"),
    }
}

/// The words of a name and the infohash weigh most, then the resolution, then the names of files.
fn tsvector(entry: &Entry, resolution: &Option<String>) -> String {
    let mut weighed: Vec<(String, char)> = vec![(entry.infohash.to_string(), 'A')];
    weighed.extend(query_words(&entry.name).into_iter().map(|word| (word, 'A')));
    weighed.extend(resolution.as_ref().map(|found| (found.to_lowercase(), 'C')));
    weighed.extend(entry.files.iter().flat_map(|file| query_words(&file.path)).map(|word| (word, 'D')));
    let lexeme = |(place, (word, weight)): (usize, (String, char))| format!("'{word}':{}{weight}", place + 1);
    weighed.into_iter().take(16_000).enumerate().map(lexeme).collect::<Vec<_>>().join(" ")
}
