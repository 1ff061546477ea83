//! `trackerless announce`: tells the DHT that this host has torrents, then asks, as a stranger would, whether it shows.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::args::AnnounceArgs;
use super::failure::{Exit, Failure, eprintln_quietly};
use super::keep;
use super::output::{Output, counted};
use super::progress::Progress;
use super::session::{self, AT_ONCE, Session};
use crate::daemon::config::Config;
use crate::engine::id::Id;
use crate::engine::node::Summary;
use crate::torrent::Torrent;

/// Nodes forget a peer after 30 to 45 minutes; twice as often survives the loss of one announce.
const AGAIN_AFTER: Duration = Duration::from_secs(15 * 60);

/// How long a node may take to join before the command gives up.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn run(args: AnnounceArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let targets = session::targets(&args.swarms)?;
    let (config, output) = session::begin(args.setup, environment)?;
    let plan = Plan { targets, port: args.port, seed: args.seed, output: output.staying(args.keep) };
    plan.warn_of_private();
    session::block_on(async {
        if args.keep {
            return keep::until_stopped(plan.keep(&config)).await;
        }
        let session = Session::open(&config, PATIENCE).await?;
        plan.once(&config, &session).await
    })
}

/// What to announce, and where to say how it went.
struct Plan {
    targets: Vec<Torrent>,
    port: u16,
    seed: bool,
    output: Output,
}

impl Plan {
    /// Announces everything once, and asks whether it shows.
    async fn once(&self, config: &Config, session: &Session) -> Result<Exit, Failure> {
        let progress = Progress::new("announcing");
        // A node that has heard nothing of the announce: what it finds, strangers find.
        let witness = Session::open_beside(config, PATIENCE).await?;
        let announces = stream::iter(self.infohashes()).map(|infohash| self.announce(session, &witness, infohash));
        let mut reports = announces.buffer_unordered(AT_ONCE);
        let mut exit = Exit::Done;
        while let Some(report) = reports.next().await {
            exit = if report.is_stored() { exit } else { Exit::Nothing };
            progress.aside(|| self.output.result(report.text(), &report))?;
        }
        drop(reports);
        witness.close().await;
        Ok(exit)
    }

    /// Announces everything again and again until somebody stops it.
    async fn keep(&self, config: &Config) -> Result<Exit, Failure> {
        let session = Session::open(config, Duration::MAX).await?;
        let first = self.infohashes().next().unwrap_or_default();
        keep::again_and_again(AGAIN_AFTER, first, async || self.once(config, &session).await).await
    }

    async fn announce(&self, session: &Session, witness: &Session, infohash: Id) -> Report {
        let announced = session.announce(infohash, self.port, self.seed).await;
        let visible = witness.sees(infohash, self.port, &session.external_ips().await).await;
        let total = |of: fn(&Summary) -> usize| announced.summaries.iter().map(of).sum();
        Report {
            infohash,
            port: self.port,
            asked: total(|summary| summary.asked),
            stored_at: announced.stored_at.len(),
            verified_at: total(|summary| summary.verified_at),
            verified: total(|summary| summary.verified),
            visible,
        }
    }

    fn infohashes(&self) -> impl Iterator<Item = Id> + '_ {
        self.targets.iter().flat_map(|target| target.infohashes.iter().copied())
    }

    /// BEP 27: a private torrent stays out of the DHT, and neither an infohash nor a magnet URI shows that it is one.
    fn warn_of_private(&self) {
        let unseen = self.targets.iter().filter(|target| !target.known_public).count();
        if unseen > 0 {
            let note = "an infohash does not show whether its torrent is private; private ones must not be announced";
            eprintln_quietly(format_args!("note: {note}"));
        }
    }
}

/// How one announce went.
#[derive(Serialize)]
struct Report {
    #[serde(serialize_with = "super::output::as_text")]
    infohash: Id,
    port: u16,
    asked: usize,
    stored_at: usize,
    /// Of those, the ones that another query of ours asked for it, and of those the ones that named us.
    verified_at: usize,
    verified: usize,
    /// Whether another node of ours has found it.
    visible: bool,
}

impl Report {
    fn is_stored(&self) -> bool {
        self.stored_at > 0
    }

    fn text(&self) -> String {
        let Self { infohash, port, stored_at, .. } = self;
        let nodes = counted(*stored_at, "node");
        match (self.is_stored(), self.visible) {
            (true, true) => format!("{infohash}  port {port}  stored at {nodes}, visible"),
            (true, false) => format!("{infohash}  port {port}  stored at {nodes}, not visible yet"),
            (false, _) => format!("{infohash}  port {port}  not stored: no node took it"),
        }
    }
}
