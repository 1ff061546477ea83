//! The commands that look at swarms from outside, and those for items.

use clap::Args;

use super::SettingFlags;
use crate::daemon::config::HostPort;

/// `trackerless scrape`
#[derive(Args, Debug)]
pub struct ScrapeArgs {
    /// Infohash, magnet URI, .torrent file, or - for a list on standard input.
    #[arg(value_name = "TARGET", required = true)]
    pub targets: Vec<String>,
    /// Give up on joining the DHT after this many seconds.
    #[arg(long, value_name = "SECS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub timeout: u32,
    /// One JSON object per infohash, one a line.
    #[arg(long)]
    pub json: bool,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub settings: SettingFlags<false>,
}

/// `trackerless sample`
#[derive(Args, Debug)]
pub struct SampleArgs {
    /// The node.
    #[arg(value_name = "HOST:PORT")]
    pub node: HostPort,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub settings: SettingFlags<false>,
}
