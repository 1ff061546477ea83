//! The commands that look at one torrent from outside: `info` and `check`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::number::whole;
use super::{Joining, Setup};

/// `trackerless info`
#[derive(Args, Debug)]
pub struct InfoArgs {
    /// Infohash, magnet URI or .torrent file.
    #[arg(value_name = "TARGET")]
    pub target: OsString,
    /// Write it as a torrent file.
    #[arg(short, long, value_name = "FILE.torrent")]
    pub out: Option<PathBuf>,
    /// Print all files, not the first 20.
    #[arg(long)]
    pub files: bool,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECS", default_value_t = 30, value_parser = whole(1..=u32::MAX))]
    pub timeout: u32,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub joining: Joining,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub setup: Setup,
}

/// `trackerless check`
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// Infohash, magnet URI or .torrent file.
    #[arg(value_name = "TARGET")]
    pub target: OsString,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECS", default_value_t = 60, value_parser = whole(1..=u32::MAX))]
    pub timeout: u32,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub joining: Joining,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub setup: Setup,
}
