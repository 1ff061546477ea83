//! What the index costs: bytes a torrent, torrents a second, time of a search, memory. Ours, and others beside it.
//!
//! ```text
//! cargo bench --bench index                                     # a million names
//! cargo bench --bench index -- --files                          # with files
//! cargo bench --bench index -- --stores file,bitmagnet,tantivy  # and others beside it
//! cargo bench --bench index -- --torrents 10000000 --folder /mnt/big
//! ```
//!
//! The torrents follow the law in `law.rs`, from a fixed seed. A cold search comes after the store was closed and its pages were
//! taken out of memory; the time to open it counts, and of five the median is told. Then all files are read once, so that the
//! system has them in memory. A warm search is one of 200 of its class, with another word each time, after as many that do not
//! count.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]

mod bitmagnet;
mod classes;
mod law;
mod measured;
mod ours;
mod postgres;
mod tantivy;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use tempfile::TempDir;
use trackerless::index::query::Query;

use bitmagnet::Bitmagnet;
use classes::{CLASSES, Class};
use law::Law;
use measured::Measured;
use ours::Ours;
use tantivy::Tantivy;

/// Measures the index.
#[derive(Parser)]
struct Options {
    /// What is measured, one after the other.
    #[arg(long, value_delimiter = ',', default_value = "file")]
    stores: Vec<Which>,
    /// Torrents.
    #[arg(long, default_value_t = 1_000_000)]
    torrents: u64,
    /// With names and sizes of files.
    #[arg(long)]
    files: bool,
    /// Torrents that are written at a time.
    #[arg(long, default_value_t = 1_000)]
    batch: u64,
    /// Searches of each class; fewer where they take longer than ten seconds together.
    #[arg(long, default_value_t = 200)]
    searches: u64,
    /// Cold searches of each class.
    #[arg(long, default_value_t = 5)]
    cold: u64,
    /// Folder of what lies in files. An index of ours that is there is searched, and nothing is written.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// The seed of the law.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Given by `cargo bench`; without it, as in `cargo test`, nothing is measured.
    #[arg(long)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Our file.
    File,
    /// Our tables in a PostgreSQL server, which is started for that.
    Database,
    /// PostgreSQL with a schema of bitmagnet's kind.
    Bitmagnet,
    /// tantivy, which is built for that.
    Tantivy,
}

/// Longest time of the searches of a class.
const LONGEST: Duration = Duration::from_secs(10);

fn main() {
    let options = Options::parse();
    if !options.bench {
        return;
    }
    let scratch = TempDir::new().expect("a temporary folder");
    let folder = options.folder.as_deref().unwrap_or(scratch.path());
    let law = Law::new(options.seed, options.files);
    for which in &options.stores {
        let mut store = start(*which, &options, folder);
        println!("\n{}", store.name().split(", by ").next().unwrap_or_default());
        fill(&options, &law, &mut *store);
        search(&options, &law, &mut *store);
        while store.vary() {
            println!("\n{}", store.name());
            search(&options, &law, &mut *store);
        }
    }
}

fn start(which: Which, options: &Options, folder: &Path) -> Box<dyn Measured> {
    match which {
        Which::File => Box::new(Ours::in_folder(folder.to_owned(), options.files)),
        Which::Database => Box::new(Ours::in_database(options.files)),
        Which::Bitmagnet => Box::new(Bitmagnet::start()),
        Which::Tantivy => Box::new(Tantivy::start(folder.join("tantivy"))),
    }
}

fn fill(options: &Options, law: &Law, store: &mut dyn Measured) {
    let there = store.torrents();
    let (mut spent, mut name_bytes) = (Duration::ZERO, 0);
    for first in (there..options.torrents).step_by(options.batch as usize) {
        let numbers = first..(first + options.batch).min(options.torrents);
        let batch: Vec<_> = numbers.map(|number| law.torrent(number)).collect();
        name_bytes += batch.iter().map(|entry| entry.name.len() as u64).sum::<u64>();
        spent += store.add(&batch);
    }
    let written = options.torrents - there;
    if let Some(name_bytes) = name_bytes.checked_div(written) {
        println!("{written} torrents, names of {name_bytes} bytes on average");
        println!("inserted {:.0} a second, in batches of {}", written as f64 / spent.as_secs_f64(), options.batch);
        store.settle();
    }
    let bytes = store.bytes();
    println!("{:.0} bytes a torrent ({} MiB)", bytes as f64 / options.torrents as f64, bytes >> 20);
}

fn search(options: &Options, law: &Law, store: &mut dyn Measured) {
    println!(
        "{:24} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8} {:>9}",
        "search", "cold ms", "coldest", "p50 ms", "p99 ms", "worst", "results", "searches"
    );
    let mut largest = (0, 0);
    for class in CLASSES {
        search_class(options, law, store, class);
        largest = largest.max(measured::resident(&store.processes()));
    }
    println!("{} MiB resident, {} of them not of files", largest.0 >> 20, largest.1 >> 20);
}

fn search_class(options: &Options, law: &Law, store: &mut dyn Measured, (name, make): Class) {
    let one = |store: &mut dyn Measured, number| {
        let query = make(law, number);
        store.search(&Query::parse(&query).unwrap_or_else(|error| panic!("{query}: {error}")))
    };
    let mut cold: Vec<Duration> = (0..options.cold)
        .map(|number| {
            store.close();
            one(store, u64::MAX - number).0
        })
        .collect();
    measured::read_pages(store.folder());
    let (mut times, mut results, searches) = (Vec::new(), 0, options.searches);
    for (warm, numbers) in [(false, 0..searches), (true, searches..2 * searches)] {
        let began = Instant::now();
        for number in numbers.take_while(|_| began.elapsed() < LONGEST) {
            let (time, found) = one(store, number);
            if warm {
                times.push(time);
                results += found;
            }
        }
    }
    println!(
        "{name:24} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>9.2} {:>8} {:>9}",
        at(&mut cold, 0.5),
        at(&mut cold, 1.0),
        at(&mut times, 0.5),
        at(&mut times, 0.99),
        at(&mut times, 1.0),
        results / times.len(),
        times.len()
    );
}

/// The time in milliseconds below which this share of times lies.
fn at(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1000.0
}
