//! `trackerless find`: the peers of torrents, printed as they arrive, and what came of each torrent.

use std::cell::Cell;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use futures_util::stream::{self, Stream};
use futures_util::{FutureExt, StreamExt};
use serde::Serialize;

use super::args::FindArgs;
use super::failure::{Exit, Failure, eprintln_quietly};
use super::network::{self, Base, Network};
use super::output::{Printer, counted};
use super::progress::Progress;
use super::session::{self, AT_ONCE};
use super::target::{Selection, Target};
use crate::engine::id::InfoHash;

pub(super) fn run(args: FindArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let selection = session::targets(&args.swarms)?;
    let limits = Limits {
        want: args.want.map_or(usize::MAX, |want| want as usize),
        timeout: Duration::from_secs(args.timeout.into()),
        join: args.joining.patience_within(args.timeout),
    };
    let (base, output) = network::begin(args.setup, environment)?;
    let found = session::block_on(find(&base, &selection, limits, output))?;
    Ok(selection.exit(found))
}

/// When a search has enough.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Number of peers of a torrent.
    want: usize,
    /// Longest time for a torrent.
    timeout: Duration,
    /// Longest time for joining the DHT.
    join: Duration,
}

async fn find(base: &Base, selection: &Selection, limits: Limits, output: Printer) -> Result<Exit, Failure> {
    let (targets, several) = (&selection.targets[..], selection.names_several());
    let progress = Progress::new("joining the DHT");
    let network = Network::open(base, limits.join).await?;
    progress.say("asking the nodes nearest to the torrent");
    let mut tally = Tally { targets, several, limits, output, counts: vec![0; targets.len()] };
    let searches = (0..targets.len()).map(|index| Box::pin(search(&network, index, &targets[index], limits)));
    let mut steps = stream::iter(searches).flatten_unordered(AT_ONCE);
    while let Some(step) = steps.next().await {
        progress.aside(|| tally.take(&step))?;
        progress.say(format_args!("{} so far", counted(tally.total(), "peer")));
    }
    drop(steps);
    drop(progress);
    network.close().await?;
    Ok(if tally.total() > 0 { Exit::Done } else { Exit::Nothing })
}

/// What happens in the search for the peers of the torrent at `index`.
enum Step {
    Peer { index: usize, infohash: InfoHash, peer: SocketAddr },
    End { index: usize, timed_out: bool },
}

/// The peers of one torrent, each once, until there are enough of them; then its end.
fn search<'a>(network: &'a Network, index: usize, target: &'a Target, limits: Limits) -> impl Stream<Item = Step> + 'a {
    let mut seen = HashSet::new();
    let lookup = move |infohash: InfoHash| network.find(infohash).map(move |peer| (infohash, peer));
    let timed_out = Rc::new(Cell::new(false));
    let timeout = tokio::time::sleep(limits.timeout).map({
        let timed_out = Rc::clone(&timed_out);
        move |()| timed_out.set(true)
    });
    stream::select_all(target.infohashes().map(lookup))
        .filter(move |(_, peer)| std::future::ready(seen.insert(*peer)))
        .take(limits.want)
        .take_until(timeout)
        .map(move |(infohash, peer)| Step::Peer { index, infohash, peer })
        .chain(stream::once(async move { Step::End { index, timed_out: timed_out.get() } }))
}

/// What was found so far, and where it is told.
struct Tally<'a> {
    targets: &'a [Target],
    /// Whether more than one was named, be it that others were left out.
    several: bool,
    limits: Limits,
    output: Printer,
    /// Number of peers of each torrent.
    counts: Vec<usize>,
}

impl Tally<'_> {
    fn total(&self) -> usize {
        self.counts.iter().sum()
    }

    fn take(&mut self, step: &Step) -> Result<(), Failure> {
        match *step {
            Step::Peer { index, infohash, peer } => {
                self.counts[index] += 1;
                let found = Found { infohash, peer };
                self.output.result(found.line(self.several), &found)
            }
            Step::End { index, timed_out } => self.conclude(index, timed_out),
        }
    }

    /// Says what came of one torrent. A program that asked for one torrent sees it by the end of the results.
    fn conclude(&self, index: usize, timed_out: bool) -> Result<(), Failure> {
        let (target, count) = (&self.targets[index], self.counts[index]);
        if self.output.is_json() && self.several {
            return self.output.result("", &Concluded::new(target, count, self.ended(count, timed_out)));
        }
        let within = if timed_out { format!(" within {} s", self.limits.timeout.as_secs()) } else { String::new() };
        match count {
            0 => eprintln_quietly(format_args!("no peer of {target} was found{within}")),
            _ if self.several => eprintln_quietly(format_args!("{} of {target}{within}", counted(count, "peer"))),
            _ => {}
        }
        Ok(())
    }

    fn ended(&self, count: usize, timed_out: bool) -> Ended {
        match timed_out {
            true => Ended::Timeout,
            false if count >= self.limits.want => Ended::Enough,
            false => Ended::Complete,
        }
    }
}

/// One peer of one torrent.
#[derive(Serialize)]
struct Found {
    #[serde(serialize_with = "super::output::as_text")]
    infohash: InfoHash,
    peer: SocketAddr,
}

impl Found {
    /// The peer; where several torrents are asked for, also whose peer it is.
    fn line(&self, several: bool) -> String {
        if several { format!("{}\t{}", self.peer, self.infohash) } else { self.peer.to_string() }
    }
}

/// Why a search came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Ended {
    /// Every node that could know a peer was asked.
    Complete,
    /// There are as many peers as were wanted.
    Enough,
    /// The time was over.
    Timeout,
}

/// What came of one of several torrents.
#[derive(Serialize)]
struct Concluded {
    target: String,
    name: Option<String>,
    infohashes: Vec<String>,
    peers: usize,
    ended: Ended,
}

impl Concluded {
    fn new(target: &Target, peers: usize, ended: Ended) -> Self {
        Self {
            target: target.given.clone(),
            name: target.torrent.name.clone(),
            infohashes: target.infohashes().map(|infohash| infohash.to_string()).collect(),
            peers,
            ended,
        }
    }
}
