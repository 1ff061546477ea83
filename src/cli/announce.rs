//! `trackerless announce`: tells the DHT that this host has torrents, then asks, as another node, whether it shows.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;

use super::args::AnnounceArgs;
use super::failure::{Exit, Failure, eprintln_quietly};
use super::keep;
use super::network::{self, Base, Network};
use super::output::{Printer, counted};
use super::progress::Progress;
use super::session::{self, AT_ONCE, Session};
use super::target::{Selection, Subject, Target};
use crate::announcer::store::MemoryStore;
use crate::announcer::view::{Announcement, State};
use crate::announcer::{Announcer, News, Settings};
use crate::daemon::config::Config;
use crate::daemon::control::announcements::{AnnouncementRecord, HeldEvent, HoldRequest};
use crate::daemon::control::client::{Client, ClientError};
use crate::engine::id::InfoHash;
use crate::engine::node::Summary;
use crate::engine::time::Instant;

/// Time until a running node that has ended is looked for again.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Infohashes that a request names: a body has 64 KiB at the most.
const HELD_AT_ONCE: usize = 1000;

pub(super) fn run(args: AnnounceArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let selection = session::targets(&args.swarms)?;
    let patience = args.joining.patience();
    let (base, output) = network::begin(args.setup, environment)?;
    let output = output.staying(args.keep);
    let plan = Plan { selection, port: args.port, seed: args.seed, patience, output };
    plan.warn_of_private();
    let announced = session::block_on(async {
        if args.keep { keep::until_stopped(plan.keep(&base)).await } else { plan.just_once(&base).await }
    })?;
    Ok(plan.selection.exit(announced))
}

/// What to announce, and where to say how it went.
struct Plan {
    selection: Selection,
    port: u16,
    seed: bool,
    /// Longest time for joining the DHT.
    patience: Duration,
    output: Printer,
}

impl Plan {
    async fn just_once(&self, base: &Base) -> Result<Exit, Failure> {
        let progress = Progress::new("joining the DHT");
        let network = Network::open(base, self.patience).await?;
        let announced = self.round(base, &network, progress).await?;
        network.close().await?;
        Ok(announced)
    }

    /// Announces everything until it is stopped: through the running node again and again, or else as an announcer does.
    async fn keep(&self, base: &Base) -> Result<Exit, Failure> {
        let progress = Progress::new("joining the DHT");
        match Network::open_whenever(base, self.patience, &progress).await? {
            Network::Own(session) => self.keep_alone(base, &session, progress).await,
            Network::Running(running) => {
                drop(progress);
                self.keep_through(running.client()).await
            }
        }
    }

    /// Has the running node keep everything announced as long as this command runs, and says what it tells. A node that ends
    /// is waited for.
    async fn keep_through(&self, client: &Client) -> Result<Exit, Failure> {
        let mut is_told = false;
        loop {
            match self.hold(client).await {
                Err(Failure::Told { exit: Exit::NoNetwork, .. }) if is_told => {}
                Err(failure @ Failure::Told { exit: Exit::NoNetwork, .. }) => {
                    is_told = true;
                    let _ = failure.report();
                }
                Err(failure) => return Err(failure),
                Ok(()) => is_told = false,
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    /// Holds everything until the node ends.
    async fn hold(&self, client: &Client) -> Result<(), Failure> {
        let targets = self.targets();
        let infohashes: Vec<String> = targets.keys().map(InfoHash::to_string).collect();
        let mut parts = Vec::new();
        for part in infohashes.chunks(HELD_AT_ONCE) {
            let request = HoldRequest { infohashes: part.to_vec(), port: self.port, seed: self.seed };
            parts.push(Box::pin(client.hold(&request).await?.into_stream()));
        }
        let mut events = stream::select_all(parts);
        while let Some(event) = events.next().await {
            let record = match event {
                Ok(HeldEvent::Announcement(record)) => record,
                Ok(HeldEvent::Held { .. }) => continue,
                Err(ClientError::Gone(_)) => break,
                Err(error) => return Err(error.into()),
            };
            if let Some((infohash, target)) = record.infohash.parse().ok().and_then(|key| targets.get_key_value(&key)) {
                let report = Kept::new(*infohash, &record, target, self.port);
                self.output.result(report.text(), &report)?;
            }
        }
        let cure = "it is waited for: start it again, or stop this command";
        Err(Failure::no_network("the running node has ended", cure))
    }

    fn targets(&self) -> BTreeMap<InfoHash, &Target> {
        self.swarms().map(|(target, infohash)| (infohash, target)).collect()
    }

    /// Keeps everything announced until it is stopped, and says each time that it was looked for what came of it.
    async fn keep_alone(&self, config: &Config, session: &Session, progress: Progress) -> Result<Exit, Failure> {
        progress.say("joining the DHT once more, as the node that looks for what is announced");
        let witness = Session::open_beside(config, self.patience).await?;
        drop(progress);
        let targets = self.targets();
        let settings = Settings {
            port: Some(self.port),
            max: targets.len(),
            new_destinations_per_second: if config.no_limits {
                u32::MAX
            } else {
                config.new_destinations_per_second.get()
            },
            ..Settings::default()
        };
        let announcer = Announcer::start(session.dht().clone(), MemoryStore::default(), settings).await;
        let announcer = announcer.map_err(|error| Failure::no_network(error, "try again"))?;
        announcer.set_witness(witness.dht().clone());
        let mut news = announcer.subscribe();
        for (infohash, target) in &targets {
            let added = announcer.add(*infohash, target.torrent.name.as_deref(), None, self.seed);
            added.expect("there is room for each");
        }
        loop {
            let infohash = match news.recv().await {
                Ok(News::Looked(infohash) | News::Announced(infohash)) => infohash,
                Ok(_) | Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return Ok(Exit::Done),
            };
            let known = announcer.announcement(infohash).filter(|known| is_worth_telling(known, announcer.now()));
            if let (Some(known), Some(target)) = (known, targets.get(&infohash)) {
                let record = AnnouncementRecord::new(&known, announcer.now());
                let report = Kept::new(infohash, &record, target, self.port);
                self.output.result(report.text(), &report)?;
            }
        }
    }

    /// Announces everything once, and asks whether it shows.
    async fn round(&self, base: &Base, network: &Network, progress: Progress) -> Result<Exit, Failure> {
        progress.say("joining the DHT once more, as the node that looks for what is announced");
        // A node that has heard nothing of the announce: what it finds, others find.
        let witness = network.witness(base, self.patience).await?;
        progress.say("announcing");
        let announces = stream::iter(self.swarms())
            .map(|(target, infohash)| self.announce(network, witness.as_ref(), target, infohash));
        let mut reports = announces.buffer_unordered(AT_ONCE);
        let mut exit = Exit::Done;
        while let Some(report) = reports.next().await {
            let report = report?;
            exit = if report.is_stored() { exit } else { Exit::Nothing };
            progress.aside(|| self.output.result(report.text(), &report))?;
        }
        drop(reports);
        if let Some(witness) = witness {
            witness.close().await;
        }
        Ok(exit)
    }

    async fn announce(
        &self,
        network: &Network,
        witness: Option<&Session>,
        target: &Target,
        infohash: InfoHash,
    ) -> Result<Report, Failure> {
        let announced = network.announce(infohash, self.port, self.seed).await?;
        let visible_as = network.sees(witness, infohash, self.port).await?;
        let total = |of: fn(&Summary) -> usize| announced.summaries.iter().map(of).sum();
        Ok(Report {
            subject: Subject::new(target, infohash),
            port: self.port,
            asked: total(|summary| summary.asked),
            stored_at: announced.stored_at.len(),
            verified_at: total(|summary| summary.verified_at),
            verified: total(|summary| summary.verified),
            visible: visible_as.is_some(),
            visible_as,
        })
    }

    fn swarms(&self) -> impl Iterator<Item = (&Target, InfoHash)> {
        self.selection.targets.iter().flat_map(|target| target.infohashes().map(move |infohash| (target, infohash)))
    }

    /// BEP 27: a private torrent stays out of the DHT, and neither an infohash nor a magnet URI shows that it is one.
    fn warn_of_private(&self) {
        if self.selection.targets.iter().any(|target| !target.torrent.known_public) {
            let note = "an infohash does not show whether its torrent is private; private ones must not be announced";
            eprintln_quietly(format_args!("note: {note}"));
        }
    }
}

/// How one announce went.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    subject: Subject,
    port: u16,
    /// Number of queries sent.
    asked: usize,
    /// Number of nodes that took it.
    stored_at: usize,
    /// Number of those that another query of ours asked for it.
    verified_at: usize,
    /// Number of those that named us.
    verified: usize,
    /// Whether another node of ours has found it.
    visible: bool,
    /// The address under which it did.
    visible_as: Option<SocketAddr>,
}

impl Report {
    fn is_stored(&self) -> bool {
        self.stored_at > 0
    }

    fn text(&self) -> String {
        outcome(&self.subject, self.port, self.stored_at, self.visible_as)
    }
}

/// Whether something was learned just now: it was looked for, or no node stored it.
fn is_worth_telling(known: &Announcement, now: Instant) -> bool {
    known.state == State::Failing || known.looked.is_some_and(|looked| now.since(looked) < Duration::from_secs(1))
}

/// What is known of a torrent that is kept announced.
#[derive(Serialize)]
struct Kept {
    #[serde(flatten)]
    subject: Subject,
    port: u16,
    /// Number of nodes that hold it.
    stored_at: usize,
    /// Whether another node of ours has found it.
    visible: bool,
    /// The address under which it did.
    visible_as: Option<SocketAddr>,
    /// Seeds and other peers of its swarm.
    seeds: Option<u32>,
    peers: Option<u32>,
}

impl Kept {
    fn new(infohash: InfoHash, known: &AnnouncementRecord, target: &Target, port: u16) -> Self {
        Self {
            subject: Subject::new(target, infohash),
            port,
            stored_at: known.stored_at,
            visible: known.visible_as.is_some(),
            visible_as: known.visible_as,
            seeds: known.seeds,
            peers: known.peers,
        }
    }

    fn text(&self) -> String {
        outcome(&self.subject, self.port, self.stored_at, self.visible_as)
    }
}

/// What came of an announce, in one line.
fn outcome(subject: &Subject, port: u16, stored_at: usize, visible_as: Option<SocketAddr>) -> String {
    let outcome = match visible_as {
        _ if stored_at == 0 => "not stored: no node took it".to_owned(),
        Some(addr) => format!("stored at {}, visible as {addr} from another node", counted(stored_at, "node")),
        None => format!("stored at {}, not visible yet", counted(stored_at, "node")),
    };
    format!("{subject}  port {port}  {outcome}")
}
