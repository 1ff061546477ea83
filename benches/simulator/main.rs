//! What the simulator costs: a network of production nodes joins, settles, refreshes and is measured, on one core.
//!
//! ```text
//! cargo bench --bench simulator                                   # 1,000 nodes
//! cargo bench --bench simulator -- --nodes 10000 --terms mainline
//! cargo bench --bench simulator -- --nodes 65536 --json
//! cargo bench --bench simulator -- --nodes 2000 --soak 24         # a day of everything at once, hour by hour
//! ```
//!
//! The process asks the allocator for large pages, see [`ask_for_large_pages`]; `GLIBC_TUNABLES=` in front measures without.
//!
//! The judge is CPU time, since the simulator is one thread and the machine may be shared; wall time stands beside it.
//! The trace hash says whether two runs did the same work: figures of runs with different hashes are not comparable.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]

mod cost;
mod run;
mod soak;

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use clap::{Parser, ValueEnum};

/// Measures what simulating a network costs.
#[derive(Parser)]
pub struct Options {
    /// Nodes of the network.
    #[arg(long, default_value_t = 1000)]
    nodes: usize,
    /// How the nodes are.
    #[arg(long, value_enum, default_value_t = Kind::Mainline)]
    terms: Kind,
    /// Minutes of virtual time after the last node began to join.
    #[arg(long, default_value_t = 4)]
    minutes: u64,
    /// Lookups of random targets in the end.
    #[arg(long, default_value_t = 1000)]
    lookups: usize,
    /// The run's seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Hours of churn, attackers and floods instead: memory and counters after each; ends with 1 if one grows or is stuck.
    #[arg(long)]
    soak: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Given by `cargo bench`; without it, as in `cargo test`, nothing is measured.
    #[arg(long)]
    bench: bool,
}

/// The terms on which nodes live.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// Budgets, BEP 42, addresses of the Internet.
    Mainline,
    /// A closed lab: no budgets, local addresses.
    Lab,
}

fn main() -> anyhow::Result<()> {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("a benchmark, not a test: cargo bench --bench simulator -- --help");
        return Ok(());
    }
    let options = Options::parse();
    ask_for_large_pages()?;
    if let Some(hours) = options.soak {
        return soak::run(options.nodes, hours, options.seed);
    }
    let report = run::run(&options)?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

/// Starts this process anew with an allocator that asks for large pages, unless the environment says what it shall do: a
/// large network lies on more pages than the processor can keep in mind, and looking them up takes a fifth of the time.
/// Allocators other than glibc's do not know the variable.
fn ask_for_large_pages() -> std::io::Result<()> {
    const VARIABLE: &str = "GLIBC_TUNABLES";
    if std::env::var_os(VARIABLE).is_some() {
        return Ok(());
    }
    let mut anew = Command::new(std::env::current_exe()?);
    Err(anew.args(std::env::args_os().skip(1)).env(VARIABLE, "glibc.malloc.hugetlb=1").exec())
}
