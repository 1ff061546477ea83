//! The arguments of `trackerless watch`.

use clap::{Args, Subcommand};

use super::Setup;

/// `trackerless watch`
#[derive(Args, Debug)]
pub struct WatchArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: WatchCommand,
}

/// What can be done with the list of what is watched.
#[derive(Debug, Subcommand)]
pub enum WatchCommand {
    /// Keep these announced from now on, also after a restart.
    Add(WatchAddArgs),
    /// Show what is kept announced, and what shows it.
    List(WatchListArgs),
    /// Keep these announced no longer.
    Remove(WatchRemoveArgs),
}

/// `trackerless watch add`
#[derive(Args, Debug)]
pub struct WatchAddArgs {
    /// Folder, list, .torrent file, infohash or magnet URI.
    #[arg(value_name = "TARGET", required = true)]
    pub targets: Vec<String>,
    /// The port on which their client listens.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Watch the folders in a folder too.
    #[arg(long)]
    pub recursive: bool,
    /// Say that this host has the whole torrents (BEP 33).
    #[arg(long)]
    pub seed: bool,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub setup: Setup,
}

/// `trackerless watch list`
#[derive(Args, Debug)]
pub struct WatchListArgs {
    /// Only those that should be visible and are not.
    #[arg(long)]
    pub not_visible: bool,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub setup: Setup,
}

/// `trackerless watch remove`
#[derive(Args, Debug)]
pub struct WatchRemoveArgs {
    /// What `watch add` was given.
    #[arg(value_name = "TARGET", required = true)]
    pub targets: Vec<String>,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub setup: Setup,
}
