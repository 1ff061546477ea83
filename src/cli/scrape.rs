//! `trackerless scrape`: how many seeds and peers swarms have.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::args::ScrapeArgs;
use super::failure::{Exit, Failure};
use super::network::{self, Base, Network};
use super::output::{Printer, counted};
use super::progress::Progress;
use super::session::{self, AT_ONCE};
use super::target::{Subject, Target};
use super::words::about;
use crate::dht::Scraped;
use crate::engine::id::InfoHash;

pub(super) fn run(args: ScrapeArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let selection = session::targets(&args.swarms)?;
    let limits =
        Limits { torrent: Duration::from_secs(args.timeout.into()), join: args.joining.patience_within(args.timeout) };
    let (base, output) = network::begin(args.setup, environment)?;
    let counted = session::block_on(scrape(&base, &selection.targets, limits, output))?;
    Ok(selection.exit(counted))
}

/// Longest times that the command waits.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// For the count of a torrent.
    torrent: Duration,
    /// For joining the DHT.
    join: Duration,
}

async fn scrape(base: &Base, targets: &[Target], limits: Limits, output: Printer) -> Result<Exit, Failure> {
    let progress = Progress::new("joining the DHT");
    let network = Network::open(base, limits.join).await?;
    progress.say("counting");
    let swarms = targets.iter().flat_map(|target| target.infohashes().map(move |infohash| (target, infohash)));
    let scrapes = stream::iter(swarms).map(async |(target, infohash)| {
        let scraped = tokio::time::timeout(limits.torrent, network.scrape(infohash)).await;
        Ok::<_, Failure>(Count::new(target, infohash, scraped.ok().transpose()?.as_ref()))
    });
    let mut counts = scrapes.buffer_unordered(AT_ONCE);
    let mut exit = Exit::Nothing;
    while let Some(count) = counts.next().await {
        let count = count?;
        exit = if count.is_empty() { exit } else { Exit::Done };
        progress.aside(|| output.result(count.text(), &count))?;
    }
    drop(counts);
    network.close().await?;
    Ok(exit)
}

/// How large one swarm is.
#[derive(Serialize)]
struct Count {
    #[serde(flatten)]
    subject: Subject,
    seeds: u64,
    seeds_spread: u64,
    peers: u64,
    peers_spread: u64,
    /// Whether the filters are full: there are at least this many.
    at_least: bool,
    /// Whether the time was over before the nodes had answered.
    timed_out: bool,
    reported: usize,
    answered: usize,
    asked: usize,
}

impl Count {
    fn new(target: &Target, infohash: InfoHash, scraped: Option<&Scraped>) -> Self {
        let Scraped { seeds, peers, reported, answered, asked, .. } = scraped.copied().unwrap_or_default();
        let whole = |number: f64| number.round() as u64;
        Self {
            subject: Subject::new(target, infohash),
            timed_out: scraped.is_none(),
            seeds: whole(seeds.count),
            seeds_spread: whole(seeds.spread),
            peers: whole(peers.count),
            peers_spread: whole(peers.spread),
            at_least: seeds.saturated || peers.saturated,
            reported,
            answered,
            asked,
        }
    }

    const fn is_empty(&self) -> bool {
        self.seeds + self.peers == 0
    }

    fn text(&self) -> String {
        let Self { subject, seeds, seeds_spread, peers, peers_spread, reported, answered, .. } = self;
        if self.timed_out {
            return format!("{subject}  not counted: the time was over; give more with --timeout");
        }
        let at_least = if self.at_least { "  (at least)" } else { "" };
        format!(
            "{subject}  seeds {}  peers {}{at_least}  counted by {reported} of {}",
            about(*seeds, *seeds_spread),
            about(*peers, *peers_spread),
            counted(*answered, "node"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::bloom::Estimate;

    #[test]
    fn text_names_the_spread_where_there_is_one() {
        let seeds = Estimate { count: 1.000_2, spread: 0.01, saturated: false };
        let peers = Estimate { count: 999.7, spread: 18.6, saturated: false };
        let scraped = Scraped { seeds, peers, reported: 7, answered: 9, asked: 12, ..Scraped::default() };
        let target = Target::of_key("a name");
        let text = |scraped| Count::new(&target, InfoHash::new([0xab; 20]), scraped).text();
        let expected = format!("{}  a name  seeds 1  peers 1000 ± 19  counted by 7 of 9 nodes", "ab".repeat(20));
        assert_eq!(text(Some(&scraped)), expected);
        assert!(text(None).contains("a name  not counted"), "{}", text(None));
    }
}
