//! `trackerless scrape`: how many seeds and peers swarms have.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::args::ScrapeArgs;
use super::failure::{Exit, Failure};
use super::output::{Output, counted};
use super::progress::Progress;
use super::session::{self, AT_ONCE, Session};
use crate::daemon::config::Config;
use crate::dht::Scraped;
use crate::engine::id::Id;
use crate::torrent::Torrent;

pub(super) fn run(args: ScrapeArgs, environment: &[(String, String)]) -> Result<Exit, Failure> {
    let targets = session::targets(&args.swarms)?;
    let (config, output) = session::begin(args.setup, environment)?;
    let patience = Duration::from_secs(args.timeout.into());
    session::block_on(scrape(&config, &targets, patience, output))
}

async fn scrape(config: &Config, targets: &[Torrent], patience: Duration, output: Output) -> Result<Exit, Failure> {
    let progress = Progress::new("joining the DHT");
    let session = Session::open(config, patience).await?;
    progress.say("counting");
    let infohashes = targets.iter().flat_map(|target| target.infohashes.iter().copied());
    let scrapes = stream::iter(infohashes).map(async |infohash| Count::new(infohash, &session.scrape(infohash).await));
    let mut counts = scrapes.buffer_unordered(AT_ONCE);
    let mut exit = Exit::Nothing;
    while let Some(count) = counts.next().await {
        exit = if count.is_empty() { exit } else { Exit::Done };
        progress.aside(|| output.result(count.text(), &count))?;
    }
    drop(counts);
    session.close().await;
    Ok(exit)
}

/// How large one swarm is.
#[derive(Serialize)]
struct Count {
    #[serde(serialize_with = "super::output::as_text")]
    infohash: Id,
    seeds: u64,
    seeds_spread: u64,
    peers: u64,
    peers_spread: u64,
    /// The filters are full: there are at least so many.
    at_least: bool,
    reported: usize,
    answered: usize,
    asked: usize,
}

impl Count {
    fn new(infohash: Id, scraped: &Scraped) -> Self {
        let Scraped { seeds, peers, reported, answered, asked, .. } = *scraped;
        let whole = |number: f64| number.round() as u64;
        Self {
            infohash,
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
        let Self { infohash, seeds, seeds_spread, peers, peers_spread, reported, answered, .. } = self;
        let at_least = if self.at_least { "  (at least)" } else { "" };
        format!(
            "{infohash}  seeds {}  peers {}{at_least}  counted by {reported} of {}",
            about(*seeds, *seeds_spread),
            about(*peers, *peers_spread),
            counted(*answered, "node"),
        )
    }
}

/// A number and how far off it may be; small ones are exact.
fn about(count: u64, spread: u64) -> String {
    if spread == 0 { count.to_string() } else { format!("{count} ± {spread}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::bloom::Estimate;

    #[test]
    fn text_names_the_spread_where_there_is_one() {
        let seeds = Estimate { count: 1.000_2, spread: 0.01, saturated: false };
        let peers = Estimate { count: 999.7, spread: 18.6, saturated: false };
        let count = Count::new(
            Id([0xab; 20]),
            &Scraped { seeds, peers, reported: 7, answered: 9, asked: 12, ..Scraped::default() },
        );
        let expected = format!("{}  seeds 1  peers 1000 ± 19  counted by 7 of 9 nodes", "ab".repeat(20));
        assert_eq!(count.text(), expected);
    }
}
