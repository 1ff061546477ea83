//! The commands for the index: `search` and `index`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Setup;
use super::number::whole;

/// `trackerless search`
#[derive(Args, Debug)]
pub struct SearchArgs {
    /// Words, "a phrase", -not, size>1GiB, files:mkv, seeds>=5, sort:size.
    #[arg(value_name = "WORDS", required = true)]
    pub words: Vec<String>,
    /// Most results.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = whole(1..=1000u32))]
    pub limit: u32,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub setup: Setup,
}

/// `trackerless index`
#[derive(Args, Debug)]
pub struct IndexArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: IndexCommand,
}

/// The commands on the index itself.
#[derive(Debug, Subcommand)]
pub enum IndexCommand {
    /// How much it holds.
    Status(IndexSetup),
    /// Forget torrents for good: an infohash, or what a search finds.
    Forget(ForgetArgs),
    /// Write all of it, one JSON object a line.
    Export(CarryArgs),
    /// Take in what another index has exported; nothing of it is believed checked.
    Import(ImportArgs),
}

/// `trackerless index status`
#[derive(Args, Debug)]
pub struct IndexSetup {
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub setup: Setup,
}

/// `trackerless index forget`
#[derive(Args, Debug)]
pub struct ForgetArgs {
    /// An infohash, or words as in a search.
    #[arg(value_name = "WORDS", required = true)]
    pub words: Vec<String>,
    /// Forget what was found; without it the torrents are shown only.
    #[arg(long)]
    pub yes: bool,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub setup: Setup,
}

/// `trackerless index export`
#[derive(Args, Debug)]
pub struct CarryArgs {
    /// The file; without it standard output, or standard input.
    #[arg(value_name = "FILE.jsonl")]
    pub file: Option<PathBuf>,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub setup: Setup,
}

/// `trackerless index import`
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// Name under which it is remembered where these torrents came from; without it the name of the file.
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub carry: CarryArgs,
}
