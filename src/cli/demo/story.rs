//! What the demo tells: its steps, as lines for people and as records for programs.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use super::super::output::{as_text, counted};
use crate::engine::id::InfoHash;

/// Something that happened, and when.
#[derive(Debug, Serialize)]
pub(super) struct Moment {
    /// Milliseconds since the demo began.
    pub(super) at_ms: f64,
    #[serde(flatten)]
    pub(super) step: Step,
}

/// Something that happened.
#[derive(Debug, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub(super) enum Step {
    Start {
        nodes: usize,
    },
    Join {
        fewest_contacts: usize,
        most_contacts: usize,
    },
    Announce {
        node: usize,
        #[serde(serialize_with = "as_text")]
        infohash: InfoHash,
        port: u16,
    },
    Stored {
        nodes: Vec<usize>,
        asked: usize,
    },
    Search {
        node: usize,
    },
    Hop {
        hop: u8,
        node: Option<usize>,
        address: SocketAddr,
        shared_bits: usize,
        nodes: usize,
        peers: usize,
    },
    Found {
        found: bool,
        peer: Option<SocketAddr>,
        took_ms: f64,
        asked: usize,
        hops: u8,
    },
}

impl Moment {
    pub(super) fn new(since_start: Duration, step: Step) -> Self {
        Self { at_ms: millis(since_start), step }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.1} ms  {:<9} {}", self.at_ms, self.step.name(), self.step)
    }
}

impl Step {
    fn name(&self) -> String {
        match self {
            Self::Start { .. } => "start".to_owned(),
            Self::Join { .. } => "join".to_owned(),
            Self::Announce { .. } => "announce".to_owned(),
            Self::Stored { .. } => "stored".to_owned(),
            Self::Search { .. } => "search".to_owned(),
            Self::Hop { hop, .. } => format!("  hop {hop}"),
            Self::Found { found: true, .. } => "found".to_owned(),
            Self::Found { found: false, .. } => "failed".to_owned(),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { nodes } => write!(f, "{nodes} nodes listen on 127.0.0.1; each was told of one other"),
            Self::Join { fewest_contacts, most_contacts } if fewest_contacts == most_contacts => {
                write!(f, "all have met others: each now knows {most_contacts} of them")
            }
            Self::Join { fewest_contacts, most_contacts } => {
                write!(f, "all have met others: each now knows {fewest_contacts} to {most_contacts} of them")
            }
            Self::Announce { node, infohash, port } => {
                write!(
                    f,
                    "node {node} has torrent {:.8}... on port {port}, and tells the network",
                    infohash.to_string()
                )
            }
            Self::Stored { nodes, asked } => {
                write!(f, "by nodes {}: the nearest to it, found by {asked} questions", numbers(nodes))
            }
            Self::Search { node } => write!(f, "node {node} has never heard of it, and asks who has it"),
            Self::Hop { node, address, shared_bits, nodes, peers, .. } => {
                write!(f, "{:<8} {:<16} {shared_bits:>3} bits in common  ", node_name(*node), address.to_string())?;
                write_answer(f, *nodes, *peers)
            }
            Self::Found { found: true, peer: Some(peer), .. } => write!(f, "{peer}"),
            Self::Found { .. } => f.write_str("no answer held the peer"),
        }
    }
}

fn write_answer(f: &mut fmt::Formatter<'_>, nodes: usize, peers: usize) -> fmt::Result {
    match (peers, nodes) {
        (0, 0) => f.write_str("knows no nearer node"),
        (0, nodes) => write!(f, "names {} that may know", counted(nodes, "node")),
        (1, _) => f.write_str("knows the peer"),
        (peers, _) => write!(f, "knows {peers} peers"),
    }
}

fn numbers(nodes: &[usize]) -> String {
    nodes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

fn node_name(node: Option<usize>) -> String {
    node.map_or_else(|| "a node".to_owned(), |number| format!("node {number}"))
}

pub(super) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
