//! How long a lookup takes, and how many datagrams it sends: in one network of our nodes on loopback, by our library,
//! by the crate `mainline` and by libtorrent, in turns.
//!
//! ```text
//! cargo bench --bench lookups -- --nodes 1000 --lookups 20 --out target/lookups
//! ```
//!
//! Nothing is lost and nobody is far away here, so this measures what an implementation adds: hops, concurrency, and
//! the courage to stop. What happens when nodes are dead or slow is the simulator's to tell.
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]

mod client;
#[allow(dead_code, reason = "shared with the throughput benchmark, which uses all of it")]
#[path = "../throughput/prepare.rs"]
mod prepare;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use client::{Client, Timing};
use serde::Serialize;
use trackerless::{Dht, InfoHash};

/// Measures lookups in a loopback network.
#[derive(Parser)]
struct Options {
    /// Nodes of the network.
    #[arg(long, default_value_t = 1000)]
    nodes: usize,
    /// Lookups by each client.
    #[arg(long, default_value_t = 20)]
    lookups: usize,
    /// Where the JSON goes.
    #[arg(long, default_value = "target/lookups")]
    out: PathBuf,
    /// Without the other programs.
    #[arg(long)]
    own: bool,
    /// Given by `cargo bench`; without it, as in `cargo test`, nothing is measured.
    #[arg(long)]
    bench: bool,
}

/// The medians of one client.
#[derive(Serialize)]
struct Row {
    client: &'static str,
    what: &'static str,
    done: usize,
    first_peer_ms: Option<f64>,
    end_ms: Option<f64>,
    datagrams_sent: Option<f64>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("a benchmark, not a test: cargo bench --bench lookups -- --help");
        return Ok(());
    }
    let options = Options::parse();
    std::fs::create_dir_all(&options.out)?;
    let network = network(options.nodes).await?;
    let mut clients = Client::start_all(node_addr(0), options.own).await?;
    let mut rows = Vec::new();
    println!("| client | what | done | first peer ms | end ms | datagrams sent |\n|---|---|---|---|---|---|");
    for what in ["find", "announce"] {
        let timings = measure(&options, what, &network, &mut clients).await?;
        for (client, timings) in clients.iter().zip(timings) {
            rows.extend(row(client.name(), what, &timings));
        }
    }
    std::fs::write(options.out.join("lookups.json"), serde_json::to_string_pretty(&rows)?)?;
    Ok(())
}

/// Starts the nodes, some at a time, and lets them settle.
async fn network(nodes: usize) -> anyhow::Result<Vec<Dht>> {
    let mut network = Vec::new();
    for index in 0..nodes {
        let builder = Dht::builder().bind(node_addr(index)).private_network(true);
        let bootstrap = (index > 0).then(|| node_addr(index / 2).to_string());
        network.push(builder.bootstrap(bootstrap).start().await?);
        if index % 20 == 19 {
            network[index].bootstrapped().await;
        }
    }
    for node in &network {
        node.bootstrapped().await;
    }
    eprintln!("{nodes} nodes have joined");
    tokio::time::sleep(Duration::from_secs(20)).await;
    Ok(network)
}

/// The timings of each client, which take turns.
async fn measure(
    options: &Options,
    what: &'static str,
    network: &[Dht],
    clients: &mut [Client],
) -> anyhow::Result<Vec<Vec<Timing>>> {
    let mut timings = vec![Vec::new(); clients.len()];
    for round in 0..options.lookups {
        for index in 0..clients.len() {
            let index = (index + round) % clients.len();
            let info_hash = info_hash(what, round, index);
            if what == "find" {
                let seeder = &network[(round * 37 + index * 101) % network.len()];
                let stored = seeder.announce(info_hash, 6881, false).await.stored_at.len();
                anyhow::ensure!(stored > 0, "the network stores nothing");
            }
            let timing = clients[index].look_up(what, info_hash).await.context(clients[index].name())?;
            timings[index].extend(timing);
        }
    }
    Ok(timings)
}

fn row(client: &'static str, what: &'static str, timings: &[Timing]) -> Option<Row> {
    let of = |figure: fn(&Timing) -> Option<f64>| median(timings.iter().filter_map(figure).collect());
    let row = Row {
        client,
        what,
        done: timings.len(),
        first_peer_ms: of(|timing| timing.first_peer_ms),
        end_ms: of(|timing| timing.end_ms),
        datagrams_sent: of(|timing| timing.datagrams_sent),
    };
    let text = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
    let (first, end, sent) = (text(row.first_peer_ms), text(row.end_ms), text(row.datagrams_sent));
    (row.done > 0).then(|| {
        println!("| {client} | {what} | {} | {first} | {end} | {sent} |", row.done);
        row
    })
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Each node has an address of its own, and four share a /24.
fn node_addr(index: usize) -> SocketAddr {
    let (high, low) = ((index / 4 / 250) as u8, (index / 4 % 250) as u8);
    (Ipv4Addr::new(127, 30 + high, low, 1 + (index % 4) as u8), 6881).into()
}

/// One that nobody has used.
fn info_hash(what: &str, round: usize, client: usize) -> InfoHash {
    let mut bytes = [0x5a; 20];
    // The first bytes decide where it lies: spread them over the key space.
    let place = ((round * 8 + client) as u32).wrapping_mul(0x9e37_79b9);
    bytes[..4].copy_from_slice(&place.to_be_bytes());
    bytes[4] = what.len() as u8;
    bytes.into()
}
