//! What one core serves: our node beside an echo, which is the floor, and beside other DHT nodes.
//!
//! ```text
//! cargo bench --bench throughput -- --servers echo,tokio-echo,trackerless,mainline,libtorrent,bittorrent-dht \
//!     --out target/throughput
//! ```
//!
//! One core serves and another generates the load. All servers run at once, all but the measured one stopped; every
//! scenario is measured for every server in each of five rounds, so that a slow minute of the machine hits all alike.
//! The judge is the CPU time of the serving process (its own accounting, user and system) per verified reply.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock and starts real tasks")]

mod addresses;
mod echo;
mod histogram;
mod load;
mod memory;
mod network;
mod node;
mod plan;
mod population;
mod prepare;
mod query;
mod report;
mod script;
mod server;
mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use server::{Kind, Place};

/// Measures what one core serves.
#[derive(Parser)]
pub struct Options {
    /// Servers to measure, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "echo,tokio-echo,trackerless,mainline,libtorrent",
          value_parser = parse_kind)]
    servers: Vec<Kind>,
    /// Only scenarios whose name contains one of these, separated by commas (default: all).
    #[arg(long, value_delimiter = ',')]
    scenarios: Vec<String>,
    /// Where the JSON, the chart and the servers' logs go.
    #[arg(long, default_value = "target/throughput")]
    out: PathBuf,
    /// Rounds; the medians count.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Outstanding queries in a closed loop.
    #[arg(long, default_value_t = 128)]
    window: usize,
    /// Infohashes to fill the servers with, 50 peers each.
    #[arg(long, default_value_t = 10_000)]
    fill: usize,
    /// The core that serves.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The core that generates the load.
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// Measure memory and start-up instead of speed.
    #[arg(long)]
    memory: bool,
    /// Measure our program on one address and on two, with both cores for servers and generators.
    #[arg(long, conflicts_with = "memory")]
    addresses: bool,
    /// Become a server (the benchmark starts itself so).
    #[arg(long, hide = true, requires = "bind", value_parser = parse_kind)]
    serve: Option<Kind>,
    #[arg(long, hide = true)]
    bind: Option<SocketAddr>,
    #[arg(long, hide = true)]
    bootstrap: Option<SocketAddr>,
    /// Given by `cargo bench`; without it, as in `cargo test`, nothing is measured.
    #[arg(long)]
    bench: bool,
}

fn parse_kind(name: &str) -> Result<Kind, String> {
    Kind::parse(name).ok_or_else(|| format!("one of {}", Kind::ALL.map(Kind::name).join(", ")))
}

impl Options {
    fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

fn main() -> anyhow::Result<()> {
    if !std::env::args().any(|argument| argument == "--bench" || argument == "--serve") {
        println!("a benchmark, not a test: cargo bench --bench throughput -- --help");
        return Ok(());
    }
    let options = Options::parse();
    if let (Some(kind), Some(bind)) = (options.serve, options.bind) {
        match options.bootstrap {
            Some(bootstrap) if kind == Kind::Node => node::serve(bind, bootstrap)?,
            _ => echo::serve(kind, bind)?,
        }
        return Ok(());
    }
    std::fs::create_dir_all(&options.out)?;
    let bootstrap = population::start(options.load_core)?;
    server::pin(&[options.load_core])?;
    let directory = std::fs::canonicalize(&options.out)?;
    let place = Place { directory, server_cores: vec![options.server_core], bootstrap };
    match &options {
        Options { memory: true, .. } => memory::run(&options, &place),
        Options { addresses: true, .. } => addresses::run(&options, place),
        _ => plan::run(&options, &place),
    }
}
