//! `trackerless info`: what a torrent is, from its peers, and how many have it. Needs no index and stores nothing.

use std::path::Path;
use std::time::Duration;

use super::args::InfoArgs;
use super::failure::{Exit, Failure, eprintln_quietly};
use super::output::{Printer, counted};
use super::progress::Progress;
use super::session::{self, Session};
use super::target::Target;
use super::words::{about, size};
use crate::daemon::config::Config;
use crate::daemon::control::record::{InfoRecord, named};
use crate::dht::Scraped;
use crate::engine::id::InfoHash;
use crate::engine::random::Random;
use crate::index::resolve::{Metadata, Resolved, WHERE_NOBODY_IS, resolve};
use crate::net::entropy;
use crate::net::peers::Limits;
use crate::peer::handshake::own_name;

/// Files that are printed unless all are wanted.
const FILES_SHOWN: usize = 20;

pub(super) fn run(args: InfoArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let target = Target::parse_only(&args.target)?;
    let wish = Wish { out: args.out, all_files: args.files, timeout: Duration::from_secs(args.timeout.into()) };
    let join = args.joining.patience_within(args.timeout);
    let (config, output) = session::begin(args.setup, environment)?;
    session::block_on(info(&config, &target, &wish, join, output))
}

/// What the user wants to have.
#[derive(Debug)]
struct Wish {
    out: Option<std::path::PathBuf>,
    all_files: bool,
    timeout: Duration,
}

/// Our name among the peers of a torrent.
pub(super) fn our_name() -> Result<[u8; 20], Failure> {
    let seed = entropy::seed().map_err(|error| Failure::no_network(error, "try again"))?;
    Ok(own_name(Random::new(seed).wire_id().0))
}

async fn info(config: &Config, target: &Target, wish: &Wish, join: Duration, output: Printer) -> Result<Exit, Failure> {
    let progress = Progress::new("joining the DHT");
    let session = Session::open(config, join).await?;
    progress.say("asking the peers of the torrent");
    let infohashes: Vec<InfoHash> = target.infohashes().collect();
    let asked = resolve(session.dht(), &infohashes, our_name()?, Limits::default());
    let resolved = tokio::time::timeout(wish.timeout, asked).await.ok();
    drop(progress);
    session.close().await;
    let Some(resolved) = resolved else { return Err(timed_out(target, wish.timeout)) };
    let Some(metadata) = &resolved.metadata else { return Err(nothing(target, &resolved)) };
    if let Some(out) = &wish.out {
        write(metadata, out)?;
    }
    let report = Report { infohashes: &infohashes, metadata, resolved: &resolved, wish };
    output.result(report.text(), &report.record())?;
    Ok(Exit::Done)
}

fn timed_out(target: &Target, timeout: Duration) -> Failure {
    let what = format_args!("no metadata of {target} came within {} s", timeout.as_secs()).to_string();
    Failure::nothing(what, format_args!("give more with --timeout, or ask why: trackerless check {}", target.given))
}

/// No peer gave the metadata: how far they came.
fn nothing(target: &Target, resolved: &Resolved) -> Failure {
    let what = resolved.peers.trouble(&target.to_string());
    match resolved.peers.found {
        0 => Failure::nothing(what, WHERE_NOBODY_IS),
        _ => Failure::nothing(what, format_args!("see what is wrong with each: trackerless check {}", target.given)),
    }
}

fn write(metadata: &Metadata, out: &Path) -> Result<(), Failure> {
    if metadata.info.private {
        return Err(Failure::refused(
            "the torrent is private (BEP 27): only its own trackers may know its peers, so no file is written",
            "get the torrent file from its tracker",
        ));
    }
    if metadata.info.is_v2() {
        let what = "a file without the piece layers of its v2 part (BEP 52), which peers do not give with the metadata";
        eprintln_quietly(format_args!("note: {} is {what}; some clients take the magnet URI only", out.display()));
    }
    std::fs::write(out, metadata.torrent_file()).map_err(|error| {
        Failure::usage(format_args!("{} cannot be written: {error}", out.display()), "name a file that can be written")
    })
}

/// What is printed.
struct Report<'a> {
    infohashes: &'a [InfoHash],
    metadata: &'a Metadata,
    resolved: &'a Resolved,
    wish: &'a Wish,
}

impl Report<'_> {
    fn text(&self) -> String {
        let info = &self.metadata.info;
        let mut lines = vec![
            format!("name      {}", info.name.as_deref().unwrap_or("(none)")),
            format!("infohash  {}", named(self.infohashes, &self.metadata.info).join("  ")),
            format!("size      {}", size(info.size_bytes)),
        ];
        if let Some(scraped) = &self.resolved.scraped {
            lines.push(format!("seeds     {}", about_swarm(scraped)));
        } else {
            lines.push("seeds     unknown: the count took too long".to_owned());
        }
        if info.private {
            lines.push("private   yes (BEP 27): only its own trackers may know its peers".to_owned());
        }
        if let Some(out) = &self.wish.out {
            lines.push(format!("file      {}", out.display()));
        }
        let peers = &self.resolved.peers;
        lines.push(format!(
            "peers     {} found, {} asked in {:.1} s",
            peers.found,
            peers.greeted,
            self.resolved.after.as_secs_f64()
        ));
        lines.extend(self.files());
        lines.join("\n")
    }

    fn files(&self) -> Vec<String> {
        let files = &self.metadata.files;
        let shown = if self.wish.all_files { files.len() } else { FILES_SHOWN };
        let total = usize::try_from(self.metadata.info.files).unwrap_or(usize::MAX);
        let mut lines = vec![format!("files     {total}")];
        lines.extend(files.iter().take(shown).map(|file| format!("  {:>10}  {}", size(file.size_bytes), file.path)));
        if files.len() > shown {
            lines.push(format!("  {} more; all of them with --files", counted(files.len() - shown, "file")));
        }
        lines
    }

    fn record(&self) -> InfoRecord {
        InfoRecord { out: self.wish.out.clone(), ..InfoRecord::new(self.infohashes, self.metadata, self.resolved) }
    }
}

/// Seeds and peers of a count, for people.
pub(super) fn about_swarm(scraped: &Scraped) -> String {
    let whole = |number: f64| number.round() as u64;
    let number = |estimate: crate::engine::bloom::Estimate| about(whole(estimate.count), whole(estimate.spread));
    let at_least = if scraped.seeds.saturated || scraped.peers.saturated { " (at least)" } else { "" };
    format!(
        "{}, and {} without all of it{at_least}, counted by {} of {}",
        number(scraped.seeds),
        number(scraped.peers),
        scraped.reported,
        counted(scraped.answered, "node")
    )
}
