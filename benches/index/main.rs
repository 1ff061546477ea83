//! What the index costs: bytes a torrent, torrents a second, time of a search, memory.
//!
//! ```text
//! cargo bench --bench index                                     # a million names
//! cargo bench --bench index -- --files                          # with files
//! cargo bench --bench index -- --torrents 10000000 --folder /mnt/big
//! cargo bench --bench index -- --database postgres://user:password@/name?host=/run/postgresql    # an empty one
//! ```
//!
//! The torrents follow the law in `law.rs`, from a fixed seed. A warm search is one of 200 of its class, with another word each
//! time, after as many that do not count; a cold one is the first of its class after the store was opened again, with the pages
//! of the file dropped from the memory of the system where that is allowed (`vm.drop_caches` as root).
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]

mod law;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;
use tempfile::TempDir;
use trackerless::index::query::Query;
use trackerless::index::store::postgres::Address;
use trackerless::index::store::sqlite::FILE_NAME;
use trackerless::index::store::{self, Open, Options as StoreOptions, Page, Place, Store};

use law::Law;

/// Measures the index.
#[derive(Parser)]
struct Options {
    /// Torrents.
    #[arg(long, default_value_t = 1_000_000)]
    torrents: u64,
    /// With names and sizes of files.
    #[arg(long)]
    files: bool,
    /// Torrents that are written at a time.
    #[arg(long, default_value_t = 1_000)]
    batch: usize,
    /// Searches of each class.
    #[arg(long, default_value_t = 200)]
    searches: usize,
    /// Folder of the store; it must be empty.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// A PostgreSQL database in place of the folder; it must be empty.
    #[arg(long)]
    database: Option<Address>,
    /// The seed of the law.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Given by `cargo bench`; without it, as in `cargo test`, nothing is measured.
    #[arg(long)]
    bench: bool,
}

fn main() {
    let options = Options::parse();
    if !options.bench {
        return;
    }
    let scratch = TempDir::new().expect("a temporary folder");
    let folder = options.folder.clone().unwrap_or_else(|| scratch.path().to_owned());
    let law = Law::new(options.seed, options.files);
    insert(&options, &law, &folder);
    search(&options, &law, &folder);
}

fn open(options: &Options, folder: &Path) -> Box<dyn Store> {
    let kept = StoreOptions { most_bytes: 1 << 40, keep_files: options.files, file_words: false };
    let place = options.database.clone().map_or_else(|| Place::Folder(folder.to_owned()), Place::Database);
    store::open(&place, kept, Open::OrMake).expect("a store")
}

/// Bytes of the file, or of the tables.
fn bytes(options: &Options, folder: &Path, store: &mut dyn Store) -> u64 {
    match options.database {
        Some(_) => store.totals().expect("totals").used_bytes,
        None => std::fs::metadata(folder.join(FILE_NAME)).expect("a file").len(),
    }
}

fn insert(options: &Options, law: &Law, folder: &Path) {
    let mut store = open(options, folder);
    let (mut spent, mut name_bytes) = (Duration::ZERO, 0);
    let numbers: Vec<u64> = (0..options.torrents).collect();
    for numbers in numbers.chunks(options.batch) {
        let batch: Vec<_> = numbers.iter().map(|number| law.torrent(*number)).collect();
        name_bytes += batch.iter().map(|entry| entry.name.len()).sum::<usize>();
        let began = Instant::now();
        store.add(&batch).expect("room");
        spent += began.elapsed();
    }
    let totals = store.totals().expect("totals");
    let file = bytes(options, folder, &mut *store);
    println!("{} torrents, names of {} bytes on average", totals.torrents, name_bytes as u64 / totals.torrents);
    println!("inserted {:.0} a second, in batches of {}", totals.torrents as f64 / spent.as_secs_f64(), options.batch);
    println!("{:.0} bytes a torrent ({} MiB)", file as f64 / totals.torrents as f64, file >> 20);
}

fn search(options: &Options, law: &Law, folder: &Path) {
    println!("{:24} {:>10} {:>10} {:>10} {:>10} {:>8}", "search", "cold ms", "p50 ms", "p99 ms", "worst ms", "results");
    for (name, make) in CLASSES {
        let queries: Vec<String> = (0..2 * options.searches as u64).map(|number| make(law, number)).collect();
        drop_caches();
        let mut store = open(options, folder);
        let (cold, _) = timed(&mut *store, &make(law, u64::MAX));
        for query in &queries[..options.searches] {
            timed(&mut *store, query);
        }
        let mut times = Vec::new();
        let mut results = 0;
        for query in &queries[options.searches..] {
            let (time, found) = timed(&mut *store, query);
            times.push(time);
            results += found;
        }
        times.sort_unstable();
        let at = |share: f64| millis(times[((times.len() - 1) as f64 * share) as usize]);
        println!(
            "{name:24} {:>10.2} {:>10.2} {:>10.2} {:>10.2} {:>8}",
            millis(cold),
            at(0.5),
            at(0.99),
            at(1.0),
            results / options.searches
        );
    }
    println!("{} MiB resident", resident_mib());
}

/// A class of searches: its name, and the query of a number.
type Class = (&'static str, fn(&Law, u64) -> String);

const CLASSES: [Class; 7] = [
    ("a rare word", |law, number| law.word(50_000 + number % 50_000)),
    ("a common word", |law, number| law.word(number % 20)),
    ("two common words", |law, number| format!("{} {}", law.word(number % 20), law.word(20 + number % 17))),
    ("a phrase", |law, number| {
        let name = law.torrent(number % 1_000_000 * 7 % 900_000).name;
        let words: Vec<&str> = name.split(['.', ' ']).take(2).collect();
        format!("\"{}\"", words.join(" "))
    }),
    ("a prefix", |law, number| format!("{}*", law.word(100 + number % 5_000).chars().take(4).collect::<String>())),
    ("common, with bounds", |law, number| format!("{} seeds>=5 size<4GiB", law.word(number % 20))),
    ("common, by size", |law, number| format!("{} sort:size", law.word(number % 20))),
];

fn timed(store: &mut dyn Store, query: &str) -> (Duration, usize) {
    let query = Query::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
    let began = Instant::now();
    let found = store.search(&query, Page { skip: 0, most: 100, now: law::NOW }).expect("a search");
    (began.elapsed(), found.entries.len())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Where that is not allowed, a cold search finds pages in the memory of the system.
fn drop_caches() {
    let _ = std::process::Command::new("sync").status();
    let _ = std::fs::write("/proc/sys/vm/drop_caches", "1");
}

fn resident_mib() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    (pages.unwrap_or(0) * 4096) >> 20
}
