//! Resident bytes per stored peer, resident memory of an idle node, and the time from start to first reply.

use std::time::Duration;

use serde::Serialize;

use crate::Options;
use crate::plan::Subject;
use crate::report::median;
use crate::script::Pairs;
use crate::server::{Kind, Place, Server};

/// Starts of which the median counts.
const STARTS: usize = 5;

/// What was measured of one server.
#[derive(Serialize)]
struct Row {
    server: &'static str,
    start_to_first_reply_ms: f64,
    /// With a table full of contacts and nothing stored.
    idle_bytes: u64,
    /// Each on a fresh server: infohashes, peers of each, and resident bytes per stored peer.
    fills: Vec<Fill>,
}

#[derive(Serialize)]
struct Fill {
    info_hashes: usize,
    peers_of_each: usize,
    bytes_per_peer: f64,
}

/// Measures all servers, and writes `memory.json`.
pub fn run(options: &Options, place: &Place) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    println!("| server | start to first reply | idle | 10,000 x 100 | 1,000,000 x 1 |\n|---|---|---|---|---|");
    for &kind in options.servers.iter().filter(|kind| !kind.is_echo()) {
        let row = measure(kind, options, place)?;
        let fills: Vec<String> = row.fills.iter().map(|fill| format!("{:.1} B/peer", fill.bytes_per_peer)).collect();
        println!(
            "| {} | {:.1} ms | {:.1} MiB | {} |",
            row.server,
            row.start_to_first_reply_ms,
            row.idle_bytes as f64 / f64::from(1 << 20),
            fills.join(" | "),
        );
        rows.push(row);
    }
    std::fs::write(options.out.join("memory.json"), serde_json::to_string_pretty(&rows)?)?;
    Ok(())
}

fn measure(kind: Kind, options: &Options, place: &Place) -> anyhow::Result<Row> {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        starts.push(Server::start(kind, place)?.start_to_first_reply.as_secs_f64() * 1e3);
    }
    let (mut fills, mut idle_bytes) = (Vec::new(), 0);
    for (info_hashes, peers_of_each) in [(10_000, 100), (1_000_000, 1)] {
        let mut subject = Subject::start(kind, 0, place)?;
        idle_bytes = settled_bytes(&subject.server)?;
        match subject.fill(&mut Pairs::new(info_hashes, peers_of_each), options.window) {
            Ok(()) => {
                let grown = settled_bytes(&subject.server)?.saturating_sub(idle_bytes);
                let bytes_per_peer = grown as f64 / (info_hashes * peers_of_each) as f64;
                fills.push(Fill { info_hashes, peers_of_each, bytes_per_peer });
            }
            Err(error) => eprintln!("{} did not take {info_hashes} x {peers_of_each}: {error}", kind.name()),
        }
    }
    Ok(Row { server: kind.name(), start_to_first_reply_ms: median(starts), idle_bytes, fills })
}

/// Resident memory a second after the last query.
fn settled_bytes(server: &Server) -> anyhow::Result<u64> {
    std::thread::sleep(Duration::from_secs(1));
    Ok(server.resident_bytes()?)
}
