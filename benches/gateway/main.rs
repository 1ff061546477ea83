//! What the gateway serves over UDP on one core, beside a tracker that does nothing else.
//!
//! ```text
//! cargo install aquatic_udp --version 0.9.0
//! cargo bench --bench gateway -- --aquatic ~/.cargo/bin/aquatic_udp
//! ```
//!
//! One core serves and another generates the load; all servers run at once and all but the measured one
//! are idle (a signal that stops it is the end of `aquatic_udp`). A thousand
//! torrents are warm, each with fifty peers. The judge is the CPU time of the serving process per verified answer. Then
//! the latency at a fixed rate, and the memory after a million infohashes that nobody else asks for.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock and starts real tasks")]

#[path = "../throughput/histogram.rs"]
mod histogram;
mod load;
mod serve;
mod server;
#[path = "../throughput/wire.rs"]
mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use load::{Ask, Load, Outcome};
use server::{Kind, Server};

/// Measures the gateway.
#[derive(Parser)]
struct Options {
    /// The rival's program; without it, only ours is measured.
    #[arg(long)]
    aquatic: Option<PathBuf>,
    /// Rounds; the medians count.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Outstanding requests in a closed loop.
    #[arg(long, default_value_t = 128)]
    window: usize,
    /// Requests a second for the latency.
    #[arg(long, default_value_t = 20_000.0)]
    rate: f64,
    /// Infohashes for the memory.
    #[arg(long, default_value_t = 1_000_000)]
    flood: u64,
    /// Become a server (the benchmark starts itself so).
    #[arg(long, hide = true)]
    serve: Option<SocketAddr>,
    /// Peers that the server's DHT knows of each torrent.
    #[arg(long, hide = true, default_value_t = 0)]
    found: u32,
    /// Given by `cargo bench`; without it, as in `cargo test`, nothing is measured.
    #[arg(long)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if let Some(addr) = options.serve {
        return serve::run(addr, options.found);
    }
    if !options.bench {
        println!("a benchmark, not a test: cargo bench --bench gateway -- --help");
        return Ok(());
    }
    server::pin(1)?;
    let mut subjects = Vec::new();
    for kind in [Kind::Found, Kind::Local].into_iter().chain(options.aquatic.clone().map(Kind::Aquatic)) {
        let server = Server::start(kind)?;
        let mut load = Load::new(server.addr)?;
        load.fill(server.kind.clients_here())?;
        subjects.push((server, load, Vec::new(), Vec::new()));
    }
    for round in 0..options.rounds {
        for (server, load, closed, open) in &mut subjects {
            let ask = Ask::Warm { clients: server.kind.clients_here() };
            let duration = Duration::from_secs_f64(options.seconds);
            closed.push(measured(server, || load.closed(ask, options.window, duration))?);
            open.push(measured(server, || load.open(ask, options.rate, duration))?);
            eprintln!("{round} {:?} {} | {}", server.kind, closed[round], open[round]);
        }
    }
    for (server, _, closed, open) in &subjects {
        println!("{:?}: {}", server.kind, summary(closed, open));
    }
    let (server, load, ..) = &mut subjects[0];
    flood(load, server, options.flood)
}

/// One measurement.
struct Measurement {
    outcome: Outcome,
    cpu_us: f64,
}

fn measured(server: &Server, run: impl FnOnce() -> std::io::Result<Outcome>) -> anyhow::Result<Measurement> {
    let before = server.cpu_time()?;
    let outcome = run()?;
    let cpu_us = (server.cpu_time()? - before).as_secs_f64() * 1e6 / outcome.verified.max(1) as f64;
    Ok(Measurement { outcome, cpu_us })
}

impl std::fmt::Display for Measurement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Outcome { verified, lost, wrong, peers, seconds, ref latency } = self.outcome;
        let (per_second, mean) = (verified as f64 / seconds, peers as f64 / verified.max(1) as f64);
        let [p50, p99] = [0.5, 0.99].map(|share| latency.quantile_us(share));
        write!(
            f,
            "{per_second:.0}/s, {:.2} us CPU, {mean:.0} peers, p50 {p50:.0} us, p99 {p99:.0} us, {lost} lost, {wrong} wrong",
            self.cpu_us
        )
    }
}

fn summary(closed: &[Measurement], open: &[Measurement]) -> String {
    let cpu = median(closed.iter().map(|measurement| measurement.cpu_us));
    let p99 = median(open.iter().map(|measurement| measurement.outcome.latency.quantile_us(0.99)));
    format!("{cpu:.2} us CPU per answer ({:.0} a second per core), p99 {p99:.0} us at the fixed rate", 1e6 / cpu)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn flood(load: &mut Load, server: &Server, count: u64) -> anyhow::Result<()> {
    let before = server.resident_bytes()?;
    let outcome = load.closed(Ask::Once { count }, 128, Duration::from_secs(600))?;
    let after = server.resident_bytes()?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!("{} infohashes: {:.1} MiB before, {:.1} MiB after", outcome.verified, mib(before), mib(after));
    Ok(())
}
