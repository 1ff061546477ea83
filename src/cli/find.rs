//! `trackerless find`: the peers of torrents, printed as they arrive.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::args::FindArgs;
use super::failure::{Exit, Failure, eprintln_quietly};
use super::output::{Output, counted};
use super::progress::Progress;
use super::session::{self, AT_ONCE, Session};
use crate::daemon::config::Config;
use crate::engine::id::Id;
use crate::torrent::Torrent;

pub(super) fn run(args: FindArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let targets = session::targets(&args.swarms)?;
    let (config, output) = session::begin(args.setup, environment)?;
    let limits =
        Limits { want: args.want.map(|want| want as usize), timeout: Duration::from_secs(args.timeout.into()) };
    session::block_on(find(&config, &targets, limits, output))
}

/// When a search has enough.
#[derive(Clone, Copy, Debug)]
struct Limits {
    want: Option<usize>,
    timeout: Duration,
}

async fn find(config: &Config, targets: &[Torrent], limits: Limits, output: Output) -> Result<Exit, Failure> {
    let progress = Progress::new("joining the DHT");
    let session = Session::open(config, limits.timeout).await?;
    progress.say("asking the nodes nearest to the torrent");
    let several = targets.len() > 1;
    let lookups = stream::iter(targets).map(|target| Box::pin(peers_of(&session, target, limits)));
    let mut peers = lookups.flatten_unordered(AT_ONCE);
    let mut count = 0;
    while let Some(found) = peers.next().await {
        count += 1;
        progress.aside(|| output.result(found.line(several), &found))?;
        progress.say(format_args!("{} so far", counted(count, "peer")));
    }
    drop(peers);
    drop(progress);
    session.close().await;
    Ok(conclude(count, targets))
}

/// The peers of one torrent, each once, until there are enough of them.
fn peers_of<'a>(session: &'a Session, target: &'a Torrent, limits: Limits) -> impl stream::Stream<Item = Found> + 'a {
    let mut seen = HashSet::new();
    let lookup = move |&infohash: &Id| {
        let peers = stream::once(session.find(infohash)).flatten();
        Box::pin(peers.map(move |peer| Found { infohash, peer }))
    };
    stream::select_all(target.infohashes.iter().map(lookup))
        .filter(move |found| std::future::ready(seen.insert(found.peer)))
        .take(limits.want.unwrap_or(usize::MAX))
        .take_until(tokio::time::sleep(limits.timeout))
}

fn conclude(count: usize, targets: &[Torrent]) -> Exit {
    if count > 0 {
        return Exit::Done;
    }
    match targets {
        [target] => eprintln_quietly(format_args!("no peer of {target} was found")),
        _ => eprintln_quietly(format_args!("no peer of any of {} torrents was found", targets.len())),
    }
    Exit::Nothing
}

/// One peer of one torrent.
#[derive(Serialize)]
struct Found {
    #[serde(serialize_with = "super::output::as_text")]
    infohash: Id,
    peer: SocketAddr,
}

impl Found {
    /// The peer; where several torrents are asked for, also whose peer it is.
    fn line(&self, several: bool) -> String {
        if several { format!("{}\t{}", self.peer, self.infohash) } else { self.peer.to_string() }
    }
}
