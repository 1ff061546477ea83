//! What the engine costs without a socket.
//!
//! ```text
//! cargo bench --bench engine                      # messages a second on one core, beside bendy
//! cargo bench --bench engine -- --instructions    # exact: fails if a case needs 5 % more than engine.instructions
//! cargo bench --bench engine -- --instructions --update
//! cargo bench --bench engine -- --snapshot         # how long a node stands still while a million peers are saved
//! cargo bench --bench engine -- --wildcard         # what it costs to answer from the address that was asked
//! ```
//!
//! Instructions are counted by callgrind, which is exact and repeatable on one kind of machine, so a gate on them is
//! honest where one on time would not be. A case is run twice in a process of its own, with few and with many
//! messages; the difference is free of everything that happens once.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]

mod case;
mod instructions;
#[path = "../throughput/network.rs"]
mod network;
#[allow(dead_code, reason = "shared with the other benchmark, which uses all of it")]
#[path = "../throughput/query.rs"]
mod query;
mod snapshot;
mod wildcard;
mod world;

use std::time::{Duration, Instant};

use case::{CASES, Case};
use clap::Parser;

/// Measures the engine alone.
#[derive(Parser)]
struct Options {
    /// Count instructions and compare them with the committed table.
    #[arg(long)]
    instructions: bool,
    /// Write the table anew.
    #[arg(long, requires = "instructions")]
    update: bool,
    /// Time the snapshot of a million stored peers.
    #[arg(long)]
    snapshot: bool,
    /// Compare a socket on the wildcard with one on an address.
    #[arg(long)]
    wildcard: bool,
    /// Run one case so many times (the benchmark starts itself so).
    #[arg(long, hide = true, requires = "times")]
    case: Option<String>,
    #[arg(long, hide = true)]
    times: Option<usize>,
    /// Given by `cargo bench`; without it, as in `cargo test`, nothing is measured.
    #[arg(long)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    if !std::env::args().any(|argument| argument == "--bench" || argument == "--case") {
        println!("a benchmark, not a test: cargo bench --bench engine -- --help");
        return Ok(());
    }
    let options = Options::parse();
    if let (Some(name), Some(times)) = (&options.case, options.times) {
        let case = CASES.iter().find(|case| case.name == name).expect("a known case");
        let mut run = (case.make)();
        (0..times).for_each(|_| run());
    } else if options.snapshot {
        snapshot::measure();
    } else if options.wildcard {
        wildcard::measure()?;
    } else if options.instructions {
        instructions::check(options.update)?;
    } else {
        CASES.iter().for_each(time);
    }
    Ok(())
}

/// Prints how many a second: the best of several rounds, since whatever disturbs a round only slows it.
fn time(case: &Case) {
    const BATCH: u32 = 2_000;
    let mut run = (case.make)();
    let mut best = Duration::MAX;
    for _ in 0..50 {
        let start = Instant::now();
        (0..BATCH).for_each(|_| run());
        best = best.min(start.elapsed());
    }
    let each = best.as_secs_f64() / f64::from(BATCH);
    println!("{:50} {:9.1} ns {:12.0} a second", case.name, each * 1e9, 1.0 / each);
}
