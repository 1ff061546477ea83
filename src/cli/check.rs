//! `trackerless check`: what others can see of a torrent, step by step, and what each failure means.

use std::time::Duration;

use serde_json::{Value, json};

use super::args::CheckArgs;
use super::failure::{Exit, Failure, eprintln_quietly};
use super::info::{about_swarm, our_name};
use super::output::{Printer, counted};
use super::progress::Progress;
use super::session::{self, Session};
use super::target::Target;
use super::words::size;
use crate::daemon::config::Config;
use crate::engine::id::InfoHash;
use crate::index::check::{Check, Finding, Has, Path, PeerReport, Stored};
use crate::net::peers::{Limits, Nothing, Trouble};

pub(super) fn run(args: CheckArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let target = Target::parse_only(&args.target)?;
    let timeout = Duration::from_secs(args.timeout.into());
    let join = args.joining.patience_within(args.timeout);
    let (config, output) = session::begin(args.setup, environment)?;
    session::block_on(check(&config, &target, timeout, join, output))
}

async fn check(
    config: &Config,
    target: &Target,
    timeout: Duration,
    join: Duration,
    output: Printer,
) -> Result<Exit, Failure> {
    let progress = Progress::new("joining the DHT");
    let first = Session::open(config, join).await?;
    let second = Session::open_beside(config, join).await?;
    progress.say("looking at the torrent from outside");
    let our_peer_id = our_name()?;
    let mut exit = Exit::Done;
    for infohash in target.infohashes() {
        let mut tally = Tally::new(infohash, output);
        let mut failed = None;
        let check = Check {
            first: first.dht(),
            second: Some(second.dht()),
            infohash,
            our_peer_id,
            limits: Limits { each: Duration::from_secs(10), ..Limits::default() },
        };
        let run = check.run(|finding| {
            if let Err(failure) = progress.aside(|| tally.take(&finding)) {
                failed = Some(failure);
            }
        });
        let in_time = tokio::time::timeout(timeout, run).await.is_ok();
        if let Some(failure) = failed {
            return Err(failure);
        }
        if !in_time {
            eprintln_quietly(format_args!(
                "not all of it was known within {} s; give more with --timeout",
                timeout.as_secs()
            ));
        }
        progress.aside(|| tally.conclude())?;
        exit = if tally.works() { exit } else { Exit::Nothing };
    }
    drop(progress);
    tokio::join!(first.close(), second.close());
    Ok(exit)
}

/// What is known so far of one infohash, and where it is told.
#[derive(Debug)]
struct Tally {
    infohash: InfoHash,
    output: Printer,
    found: bool,
    peers: usize,
    working: usize,
}

impl Tally {
    const fn new(infohash: InfoHash, output: Printer) -> Self {
        Self { infohash, output, found: false, peers: 0, working: 0 }
    }

    const fn works(&self) -> bool {
        self.found && self.working > 0
    }

    fn take(&mut self, finding: &Finding) -> Result<(), Failure> {
        let (text, meaning, record) = match finding {
            Finding::Stored(stored) => {
                self.found |= stored.peers > 0;
                (stored_text(stored), stored.meaning(), self.stored_record(stored))
            }
            Finding::Peer(report) => {
                self.peers += 1;
                self.working += usize::from(report.works());
                (peer_text(report), report.meaning(), self.peer_record(report))
            }
            Finding::Metadata(metadata) => {
                let info = &metadata.info;
                let name = info.name.as_deref().unwrap_or("(no name)");
                let files = counted(usize::try_from(info.files).unwrap_or(usize::MAX), "file");
                let private = info
                    .private
                    .then(|| "the torrent is private (BEP 27): it should not be in the DHT at all".to_owned());
                let record =
                    json!({ "name": info.name, "size": info.size_bytes, "files": info.files, "private": info.private });
                (
                    format!("metadata   {name}, {} in {files}", size(info.size_bytes)),
                    private,
                    self.record("metadata", record),
                )
            }
            Finding::Counted(scraped) => {
                let record = json!({
                    "seeds": scraped.seeds.count.round() as u64,
                    "peers": scraped.peers.count.round() as u64,
                    "reported": scraped.reported,
                });
                (format!("seeds      {}", about_swarm(scraped)), None, self.record("count", record))
            }
        };
        let told = meaning.as_ref().map_or(text.clone(), |meaning| format!("{text}\n           {meaning}"));
        let mut record = record;
        record["meaning"] = meaning.into();
        self.output.result(told, &record)
    }

    fn conclude(&self) -> Result<(), Failure> {
        let text = match (self.found, self.working) {
            (false, _) => "not found: no peer is announced in the DHT".to_owned(),
            (true, 0) => format!("found, but of {} no one can be used from here", counted(self.peers, "peer")),
            (true, working) => format!("works: {working} of {} can be used", counted(self.peers, "peer")),
        };
        let record = json!({ "works": self.works(), "peers": self.peers, "working": self.working });
        self.output.result(format!("verdict    {text}"), &self.record("verdict", record))
    }

    /// A record of this step.
    fn record(&self, step: &str, mut record: Value) -> Value {
        record["step"] = step.into();
        record["infohash"] = self.infohash.to_string().into();
        record
    }

    fn stored_record(&self, stored: &Stored) -> Value {
        let record = json!({
            "path": if stored.path == Path::First { 1 } else { 2 },
            "closest": stored.closest,
            "holders": stored.holders,
            "peers": stored.peers,
            "answered": stored.answered,
        });
        self.record("stored", record)
    }

    fn peer_record(&self, report: &PeerReport) -> Value {
        let trouble = report.trouble.as_ref().map(trouble_name);
        let record = json!({
            "peer": report.peer.to_string(),
            "connects": report.connects,
            "demands_encryption": report.demands_encryption,
            "speaks": report.speaks,
            "program": report.program,
            "metadata": has_name(report.metadata),
            "works": report.works(),
            "trouble": trouble.filter(|_| !report.works()),
        });
        self.record("peer", record)
    }
}

fn stored_text(stored: &Stored) -> String {
    let path = if stored.path == Path::First { "first" } else { "second" };
    format!(
        "DHT        {}, at {} of the {} closest nodes ({path} path, {} answered)",
        counted(stored.peers, "peer"),
        stored.holders,
        stored.closest,
        counted(stored.answered, "node")
    )
}

fn peer_text(report: &PeerReport) -> String {
    let mark = |ok: bool, yes: &str, no: &str| if ok { yes.to_owned() } else { no.to_owned() };
    let program = report.program.as_ref().map(|program| format!(" ({program})")).unwrap_or_default();
    let connects = mark(report.connects, "connects", "no connection");
    if !report.connects {
        return format!("peer       {}  {connects}", report.peer);
    }
    let encrypted = mark(report.demands_encryption, ", demands encryption", "");
    let speaks = mark(report.speaks, ", speaks BitTorrent for this torrent", ", does not take part");
    let metadata = match report.metadata {
        Has::Given | Has::Offered => ", has the metadata",
        Has::No(_) => ", gives no metadata",
        Has::Unknown => "",
    };
    format!("peer       {}  {connects}{encrypted}{speaks}{program}{metadata}", report.peer)
}

const fn has_name(has: Has) -> &'static str {
    match has {
        Has::Unknown => "unknown",
        Has::Offered => "offered",
        Has::Given => "given",
        Has::No(Nothing::NoneYet) => "none-yet",
        Has::No(Nothing::NotOffered) => "not-offered",
        Has::No(Nothing::Rejected) => "rejected",
    }
}

const fn trouble_name(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::Avoided(_) => "avoided",
        Trouble::Unreachable(_) => "unreachable",
        Trouble::Unanswered => "unanswered",
        Trouble::Silent => "silent",
        Trouble::ClosedAtOnce => "closed-at-once",
        Trouble::ClosedEncrypted => "closed-encrypted",
        Trouble::Closed => "closed",
        Trouble::Wire(_) => "wire",
    }
}
