//! `trackerless sample`: some of the infohashes that a node stores.

use std::net::SocketAddr;

use serde::Serialize;

use super::args::SampleArgs;
use super::failure::{Exit, Failure, eprintln_quietly};
use super::network::{self, Base, Network};
use super::output::Printer;
use super::progress::Progress;
use super::session;
use crate::daemon::config::HostPort;
use crate::dht::{SampleError, Sampled};

pub(super) fn run(args: SampleArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let (base, output) = network::begin(args.setup, environment)?;
    session::block_on(sample(&base, &args.node, output))
}

async fn sample(base: &Base, node: &HostPort, output: Printer) -> Result<Exit, Failure> {
    let progress = Progress::new(format_args!("waiting for {node}"));
    let network = Network::open_alone(base).await?;
    let answer = session::first_answer(node, async |addr| ask(&network, addr).await).await?;
    drop(progress);
    network.close().await?;
    if output.is_json() {
        output.result("", &answer)?;
    } else {
        answer.infohashes.iter().try_for_each(|infohash| output.note(infohash))?;
        eprintln_quietly(answer.summary());
    }
    Ok(if answer.infohashes.is_empty() { Exit::Nothing } else { Exit::Done })
}

/// What the node at `addr` told; nothing where it does not answer.
async fn ask(network: &Network, addr: SocketAddr) -> Result<Option<Answer>, Failure> {
    match network.sample(addr).await? {
        Ok(sampled) => Ok(Some(Answer::new(addr, &sampled))),
        Err(SampleError::NoAnswer) => Ok(None),
        Err(error) => Err(Failure::usage(format_args!("{addr}: {error}"), "ask another node; libtorrent's know how")),
    }
}

/// What a node told.
#[derive(Serialize)]
struct Answer {
    address: SocketAddr,
    id: String,
    total: u64,
    interval_secs: u64,
    infohashes: Vec<String>,
}

impl Answer {
    fn new(address: SocketAddr, sampled: &Sampled) -> Self {
        Self {
            address,
            id: sampled.contact.id.to_string(),
            total: sampled.sample.total,
            interval_secs: sampled.sample.interval.as_secs(),
            infohashes: sampled.sample.infohashes.iter().map(ToString::to_string).collect(),
        }
    }

    fn summary(&self) -> String {
        let Self { address, total, interval_secs, infohashes, .. } = self;
        format!("{} of {total} infohashes of {address}; nothing new for {interval_secs} s", infohashes.len())
    }
}
