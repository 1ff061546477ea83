//! The commands that look at swarms from outside, and those for items.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use super::number::whole;
use super::{Joining, Setup, Swarms};
use crate::daemon::config::HostPort;

/// Files are kept by strangers: larger ones want a torrent.
const MAX_FILE: u64 = 1 << 20;

/// `trackerless scrape`
#[derive(Args, Debug)]
pub struct ScrapeArgs {
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub swarms: Swarms,
    /// Give up on a torrent after this many seconds.
    #[arg(long, value_name = "SECS", default_value_t = 60, value_parser = whole(1..=u32::MAX))]
    pub timeout: u32,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub joining: Joining,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub setup: Setup,
}

/// `trackerless sample`
#[derive(Args, Debug)]
pub struct SampleArgs {
    /// The node.
    #[arg(value_name = "HOST:PORT")]
    pub node: HostPort,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub setup: Setup,
}

/// `trackerless put`
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("what").args(["value", "file"]).required(true))]
pub struct PutArgs {
    /// The value: a text, or - for standard input.
    #[arg(value_name = "VALUE")]
    pub value: Option<String>,
    /// VALUE is bencode; otherwise it is stored as a string.
    #[arg(long)]
    pub bencode: bool,
    /// Store an item that can be changed later; needs --key.
    #[arg(long, requires = "key")]
    pub mutable: bool,
    /// The owner's key pair, from `trackerless key new`.
    #[arg(long, value_name = "FILE", requires = "mutable")]
    pub key: Option<PathBuf>,
    /// Tells apart the items of one owner.
    #[arg(long, value_name = "TEXT", requires = "mutable")]
    pub salt: Option<String>,
    /// The number of this value, instead of the next one.
    #[arg(long, value_name = "N", requires = "mutable", value_parser = whole(0..=i64::MAX))]
    pub seq: Option<i64>,
    /// Store it only where the present value has this number.
    #[arg(long, value_name = "N", requires = "mutable", value_parser = whole(0..=i64::MAX))]
    pub cas: Option<i64>,
    /// Store a file as a tree of items; prints its root.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["mutable", "bencode"])]
    pub file: Option<PathBuf>,
    /// Stay, and store it again every hour until stopped.
    #[arg(long)]
    pub keep: bool,
    /// Leave alone the parts that the network has.
    #[arg(long, requires = "file")]
    pub resume: bool,
    /// The largest file that is stored.
    #[arg(long, value_name = "BYTES", requires = "file", default_value_t = MAX_FILE)]
    pub max_size: u64,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub joining: Joining,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub setup: Setup,
}

/// `trackerless get`
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("what").args(["target", "public_key", "file"]).required(true))]
pub struct GetArgs {
    /// The target that `trackerless put` printed, 40 hexadecimal digits.
    #[arg(value_name = "TARGET")]
    pub target: Option<String>,
    /// The public key of the owner, instead of TARGET.
    #[arg(long, value_name = "KEY")]
    pub public_key: Option<String>,
    /// The salt of a mutable item.
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    pub salt: Option<String>,
    /// Get the file whose tree has this root.
    #[arg(long, value_name = "ROOT")]
    pub file: Option<String>,
    /// Write it to this file, rather than to standard output.
    #[arg(short, long, value_name = "OUT")]
    pub out: Option<PathBuf>,
    /// The largest file that is fetched.
    #[arg(long, value_name = "BYTES", requires = "file", default_value_t = MAX_FILE)]
    pub max_size: u64,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub joining: Joining,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub setup: Setup,
}

/// `trackerless key`
#[derive(Args, Debug)]
pub struct KeyArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: KeyCommand,
}

/// The commands of `trackerless key`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key pair, keep its secret in a file, and print its public key.
    New {
        /// The file; it must not exist.
        file: PathBuf,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Print the public key of a key pair.
    Show {
        /// The file.
        file: PathBuf,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// `trackerless publish-torrent`
#[derive(Args, Debug)]
pub struct PublishArgs {
    /// The torrent: infohash, magnet URI or .torrent file.
    #[arg(value_name = "TARGET")]
    pub target: OsString,
    /// The key pair of its name, from `trackerless key new`.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Tells apart what one owner publishes.
    #[arg(long, value_name = "TEXT")]
    pub salt: Option<String>,
    /// The number of this torrent, instead of the next one.
    #[arg(long, value_name = "N", value_parser = whole(0..=i64::MAX))]
    pub seq: Option<i64>,
    /// Publish only where the present one has this number.
    #[arg(long, value_name = "N", value_parser = whole(0..=i64::MAX))]
    pub cas: Option<i64>,
    /// Stay, and publish it again every hour until stopped.
    #[arg(long)]
    pub keep: bool,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub joining: Joining,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub setup: Setup,
}

/// `trackerless resolve`
#[derive(Args, Debug)]
pub struct ResolveArgs {
    /// A magnet URI with xs=urn:btpk:, or a public key.
    #[arg(value_name = "MAGNET|KEY")]
    pub feed: String,
    /// The salt as text, instead of the magnet's.
    #[arg(long, value_name = "TEXT")]
    pub salt: Option<String>,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub joining: Joining,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub setup: Setup,
}
