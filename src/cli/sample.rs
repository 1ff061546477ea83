//! `trackerless sample`: some of the infohashes that a node stores.

use std::net::SocketAddr;

use serde::Serialize;

use super::args::SampleArgs;
use super::failure::{Exit, Failure, eprintln_quietly};
use super::logging;
use super::output::Output;
use super::progress::Progress;
use super::session::{self, Session};
use crate::daemon::config::{Config, HostPort};
use crate::dht::{SampleError, Sampled};

pub(super) fn run(args: SampleArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let config = Config::load(&args.settings.into_sources(environment))?;
    logging::start_quiet(&config);
    session::block_on(sample(&config, &args.node, Output::new(args.json)))
}

async fn sample(config: &Config, node: &HostPort, output: Output) -> Result<Exit, Failure> {
    let progress = Progress::new(format_args!("waiting for {node}"));
    let session = Session::open_alone(config).await?;
    let answer = first_answer(&session, node).await?;
    drop(progress);
    session.close().await;
    if output.is_json() {
        output.result("", &answer)?;
    } else {
        answer.infohashes.iter().try_for_each(|infohash| output.note(infohash))?;
        eprintln_quietly(answer.summary());
    }
    Ok(if answer.infohashes.is_empty() { Exit::Nothing } else { Exit::Done })
}

/// Asks the addresses of the host one after the other until one answers.
async fn first_answer(session: &Session, node: &HostPort) -> Result<Answer, Failure> {
    for addr in session::resolve(node).await? {
        match session.sample(addr).await {
            Ok(sampled) => return Ok(Answer::new(addr, &sampled)),
            Err(SampleError::NoAnswer) => {}
            Err(error) => {
                return Err(Failure::usage(format_args!("{node}: {error}"), "ask another node; libtorrent's know how"));
            }
        }
    }
    let cure = "check the address, and that UDP is not blocked on the way; a read-only or a busy node may stay silent";
    Err(Failure::no_network(format_args!("{node} did not answer"), cure))
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
