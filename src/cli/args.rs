//! The command line as it is typed. Parsing it has no effect and checks no meaning: each command turns its part into
//! ready objects when it starts.

mod groups;
mod index;
mod items;
mod number;
mod swarms;
mod watch;

use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

pub use self::groups::{Joining, Setup, Swarms};
pub use self::index::{CarryArgs, ForgetArgs, ImportArgs, IndexArgs, IndexCommand, IndexSetup, SearchArgs};
pub use self::items::{GetArgs, KeyArgs, KeyCommand, PublishArgs, PutArgs, ResolveArgs, SampleArgs, ScrapeArgs};
use self::number::whole;
pub use self::swarms::{CheckArgs, InfoArgs};
pub use self::watch::{WatchAddArgs, WatchArgs, WatchCommand, WatchListArgs, WatchRemoveArgs};
use super::failure::EXIT_CODES;
use super::settings::SettingFlags;
use crate::daemon::config::HostPort;
use crate::lab::Experiment;
use crate::lab::experiment::UnknownExperiment;
use crate::lab::systems::System;

/// A BitTorrent mainline-DHT node that replaces a tracker: keeps swarms, finds peers, announces infohashes.
#[derive(Debug, Parser)]
#[command(name = "trackerless", version, disable_help_subcommand = true)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the node: join the DHT, serve others, keep its state, until it is stopped.
    Run(RunArgs),
    /// Find the peers of torrents, and print them as they arrive.
    Find(FindArgs),
    /// Show what a torrent is and how many have it: name, files, size, seeds, peers.
    Info(InfoArgs),
    /// Check from outside what others can see of a torrent, step by step.
    Check(CheckArgs),
    /// Search the index for torrents by their names.
    Search(SearchArgs),
    /// The index of torrents: status, forget, export, import.
    Index(IndexArgs),
    /// Announce that this host has torrents, and check that others can see it.
    Announce(AnnounceArgs),
    /// Keep torrents announced by the node that runs, and show that they are.
    Watch(WatchArgs),
    /// Count the seeds and peers of torrents, without joining their swarms.
    Scrape(ScrapeArgs),
    /// Ask one node for some of the infohashes that it stores.
    Sample(SampleArgs),
    /// Store a small value in the DHT itself, or a file as many of them.
    Put(PutArgs),
    /// Get a value or a file that was put.
    Get(GetArgs),
    /// Publish a torrent under a name that stays when the torrent changes.
    PublishTorrent(PublishArgs),
    /// Find the torrent that is published under such a name.
    Resolve(ResolveArgs),
    /// Make and show the keys of values that can be changed.
    Key(KeyArgs),
    /// Ask one node whether it is there, who it is and how it sees us.
    Ping(PingArgs),
    /// Test whether a node, of whatever make, keeps the rules of the DHT.
    Conform(ConformArgs),
    /// List the nodes that the saved state knows.
    Nodes(StateArgs),
    /// Sum up the saved state: ids, age, how many nodes and peers.
    Status(StateArgs),
    /// Say whether the node works on this host, and if not, the cause and the cure.
    Doctor(DoctorArgs),
    /// Print the effective configuration, and where each value comes from.
    Config(ConfigArgs),
    /// Show the DHT at work on this machine alone: 50 nodes, one announce, one search.
    Demo(DemoArgs),
    /// Run an experiment on simulated networks; check and draw the result.
    Lab(LabArgs),
    /// Print the completion script for a shell.
    Completions(CompletionsArgs),
    /// Write the manual pages into a folder.
    Man(ManArgs),
}

impl Command {
    /// Whether it goes on until it is stopped.
    pub(super) const fn stays(&self) -> bool {
        match self {
            Self::Run(_) => true,
            Self::Announce(args) => args.keep,
            Self::Put(args) => args.keep,
            Self::PublishTorrent(args) => args.keep,
            _ => false,
        }
    }
}

/// `trackerless run`
#[derive(Args, Debug)]
pub struct RunArgs {
    /// One JSON object per event on standard output.
    #[arg(long)]
    pub json: bool,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub settings: SettingFlags<true>,
}

/// `trackerless find`
#[derive(Args, Debug)]
pub struct FindArgs {
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub swarms: Swarms,
    /// Stop after this many peers of each torrent.
    #[arg(long, value_name = "N", value_parser = whole(1..=u32::MAX))]
    pub want: Option<u32>,
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

/// `trackerless announce`
#[derive(Args, Debug)]
pub struct AnnounceArgs {
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub swarms: Swarms,
    /// The port on which the client of this host listens.
    #[arg(long, value_name = "PORT", value_parser = whole(1..=u16::MAX))]
    pub port: u16,
    /// Say that this host has the whole torrent (BEP 33).
    #[arg(long)]
    pub seed: bool,
    /// Stay, keep it announced and look for it until stopped.
    #[arg(long)]
    pub keep: bool,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub joining: Joining,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub setup: Setup,
}

/// `trackerless ping`
#[derive(Args, Debug)]
pub struct PingArgs {
    /// The node.
    #[arg(value_name = "HOST:PORT")]
    pub node: HostPort,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub setup: Setup,
}

/// `trackerless conform`
#[derive(Args, Debug)]
pub struct ConformArgs {
    /// The node: on this machine or in a private network.
    #[arg(value_name = "HOST:PORT")]
    pub node: HostPort,
    /// Run this group of checks only; may be repeated.
    #[arg(long, value_name = "GROUP", value_parser = clap::builder::PossibleValuesParser::new(crate::conform::GROUPS))]
    pub only: Vec<String>,
    /// The node may be on the Internet; its owner agrees.
    #[arg(long)]
    pub public: bool,
    /// The node runs with --lan: the second default below.
    #[arg(long, conflicts_with = "public")]
    pub lan: bool,
    /// Ask from all addresses of its /15, local to this host.
    #[arg(long, value_name = "ADDRESS")]
    pub sources: Option<std::net::Ipv4Addr>,
    /// Milliseconds between datagrams of a source [250, 0].
    #[arg(long, value_name = "MS")]
    pub pace: Option<u16>,
    /// Milliseconds that an answer may take [1000, 250].
    #[arg(long, value_name = "MS", value_parser = whole(10..=u16::MAX))]
    pub patience: Option<u16>,
    /// One JSON object per check, one a line, and a summary.
    #[arg(long)]
    pub json: bool,
}

/// `trackerless nodes` and `trackerless status`
#[derive(Args, Debug)]
pub struct StateArgs {
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub setup: Setup,
}

/// `trackerless demo`
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// How many nodes the network has.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = whole(3..=500u16))]
    pub nodes: u16,
    /// One JSON object per step, one a line.
    #[arg(long)]
    pub json: bool,
}

/// `trackerless lab`
#[derive(Args, Debug)]
pub struct LabArgs {
    /// hops, failures, geometry, churn, announcer, survey, latency, eclipse, clusters, hotkey, all.
    #[arg(value_name = "EXPERIMENT")]
    pub experiment: Experiments,
    /// The seed: the same gives the same files.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Sizes of the network.
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = whole(20..=100_000u32))]
    pub nodes: Option<Vec<u32>>,
    /// Of chord, chord6, kademlia, kademlia5, bep5, pastry,
    /// tapestry, can2, can4, viceroy.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub systems: Option<Vec<System>>,
    /// Repetitions with other ids, keys and deaths.
    #[arg(long, value_name = "N", value_parser = whole(1..=u32::MAX))]
    pub trials: Option<u32>,
    /// Folder for the table (CSV) and the picture (SVG) of each experiment.
    #[arg(long, value_name = "DIR", default_value = "lab")]
    pub out: PathBuf,
    /// Small sizes, few trials: within a minute.
    #[arg(long)]
    pub quick: bool,
    /// One JSON object per verdict, one a line.
    #[arg(long)]
    pub json: bool,
}

/// One experiment, or all.
#[derive(Clone, Debug)]
pub struct Experiments(pub Vec<Experiment>);

impl std::str::FromStr for Experiments {
    type Err = UnknownExperiment;
    fn from_str(name: &str) -> Result<Self, UnknownExperiment> {
        if name == "all" { Ok(Self(Experiment::ALL.to_vec())) } else { Ok(Self(vec![name.parse()?])) }
    }
}

/// `trackerless doctor`
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// Say also what is well.
    #[arg(short, long)]
    pub verbose: bool,
    /// The report as one JSON object.
    #[arg(long)]
    pub json: bool,
    /// Write an archive (tar) for those who help: addresses of others are replaced, tokens left out.
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub settings: SettingFlags<true>,
}

/// `trackerless config`
#[derive(Args, Debug)]
pub struct ConfigArgs {
    /// One JSON object per setting, one a line.
    #[arg(long)]
    pub json: bool,
    #[expect(missing_docs, reason = "clap would take a comment here for the help of the command")]
    #[command(flatten)]
    pub settings: SettingFlags<true>,
}

/// `trackerless completions`
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// `trackerless man`
#[derive(Args, Debug)]
pub struct ManArgs {
    /// The folder; it is created where it is missing.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// Reads the command line.
///
/// # Errors
/// What clap has to say: help, version, or what was typed wrong.
pub fn parse(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<CommandLine, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(args)?;
    CommandLine::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// The command line as clap knows it, with examples and exit codes in the help of every command.
#[must_use]
pub fn command() -> clap::Command {
    let command = short_help(CommandLine::command().after_help(help_tail("trackerless")));
    command.mut_subcommands(|command| {
        let name = command.get_name().to_owned();
        with_help(command, name)
    })
}

/// The help of the command that this name calls, and of those below it.
fn with_help(command: clap::Command, name: String) -> clap::Command {
    let tail = help_tail(&name);
    let settings = |arg: &clap::Arg| arg.is_hide_short_help_set();
    // `--help-settings` prints the long help, which is for settings alone.
    let command = command.mut_args(|arg| if settings(&arg) { arg } else { arg.hide_long_help(true) });
    let command = short_help(command.after_help(tail).after_long_help(SETTINGS_TAIL));
    command.mut_subcommands(move |below| {
        let name = format!("{name} {}", below.get_name());
        with_help(below, name)
    })
}

/// `--help` in its short form, as `-h`: a line for each argument, so that it fits a screen.
fn short_help(command: clap::Command) -> clap::Command {
    let help = clap::Arg::new("help").short('h').long("help").action(clap::ArgAction::HelpShort).help("Print help");
    let command = command.disable_help_flag(true).arg(help.hide_long_help(true));
    command.max_term_width(HELP_WIDTH).help_template(HELP_TEMPLATE)
}

/// Columns of the narrowest screen that `--help` is made for.
const HELP_WIDTH: usize = 80;

/// As clap has it, without blank lines around the usage.
const HELP_TEMPLATE: &str = "{about}\n{usage-heading} {usage}\n{all-args}{after-help}";

const SETTINGS_TAIL: &str = "Each is also a key of the configuration file: see `trackerless config`.";

fn help_tail(name: &str) -> String {
    let examples = EXAMPLES.iter().find(|(command, _)| *command == name).map_or("", |(_, examples)| examples);
    format!("Examples:\n{examples}\n{EXIT_CODES}")
}

/// Examples for the help of each command.
const EXAMPLES: &[(&str, &str)] = &[
    (
        "trackerless",
        "  trackerless demo                         the whole idea, without Internet
  trackerless run                          the node, until Ctrl-C
  trackerless find some.torrent            who has it?
  trackerless announce some.torrent --port 6881 --keep",
    ),
    (
        "run",
        "  trackerless run                          UDP port 6880, IPv4 and IPv6
  trackerless run --bind 192.0.2.7:6881 --data-dir /var/lib/trackerless
  trackerless run --lan --bind 10.0.0.1:6880 --bootstrap 10.0.0.2:6880",
    ),
    (
        "find",
        "  trackerless find 08ada5a7a6183aae1e09d831df6748d566095a10
  trackerless find 'magnet:?xt=urn:btih:BCW2LJ5GDA5K4HQJ3AY56Z2I2VTASWQQ'
  trackerless find --key https://example.org/big.iso
  trackerless find --json - < infohashes.txt",
    ),
    (
        "info",
        "  trackerless info 08ada5a7a6183aae1e09d831df6748d566095a10
  trackerless info 'magnet:?xt=urn:btih:BCW2LJ5GDA5K4HQJ3AY56Z2I2VTASWQQ' -o it.torrent",
    ),
    (
        "check",
        "  trackerless check some.torrent
  trackerless check --json 08ada5a7a6183aae1e09d831df6748d566095a10",
    ),
    (
        "doctor",
        "  trackerless doctor                       with the settings that `run` would use
  trackerless doctor --verbose             also what is well
  trackerless doctor --json --bind 10.8.0.2:6880",
    ),
    (
        "search",
        "  trackerless search debian 12
  trackerless search 'big buck bunny' 'size>1GiB' files:mkv 'seeds>=5' sort:size
  trackerless search --json '\"the phrase\" -not seen<7d'     in one pair of quotes",
    ),
    (
        "index",
        "  trackerless index status
  trackerless index forget some words --yes
  trackerless index export | zstd > index.jsonl.zst",
    ),
    (
        "announce",
        "  trackerless announce debian.torrent --port 6881
  trackerless announce debian.torrent --port 6881 --seed --keep
  trackerless announce --key https://example.org/big.iso --port 8080 --keep
  ls *.torrent | trackerless announce - --port 6881 --json
  find . -name '*.torrent' -print0 | trackerless announce - --port 6881",
    ),
    (
        "watch",
        "  trackerless watch add ~/torrents --port 6881
  trackerless watch list --not-visible",
    ),
    (
        "watch add",
        "  trackerless watch add ~/torrents --recursive --port 6881 --seed
  trackerless watch add 'magnet:?xt=urn:btih:BCW2LJ5GDA5K4HQJ3AY56Z2I2VTASWQQ'",
    ),
    (
        "watch list",
        "  trackerless watch list
  trackerless watch list --not-visible --json",
    ),
    ("watch remove", "  trackerless watch remove ~/torrents"),
    ("index status", "  trackerless index status"),
    (
        "index forget",
        "  trackerless index forget some words         shows what it would forget
  trackerless index forget --yes some words",
    ),
    ("index export", "  trackerless index export all.jsonl"),
    ("index import", "  trackerless index import --source friend all.jsonl"),
    ("key new", "  trackerless key new my.key                  prints the public key"),
    ("key show", "  trackerless key show my.key"),
    (
        "scrape",
        "  trackerless scrape debian.torrent
  trackerless scrape --json - < infohashes.txt",
    ),
    (
        "sample",
        "  trackerless sample dht.libtorrent.org:25401
  trackerless sample --lan 127.0.0.1:6880 | trackerless scrape -",
    ),
    (
        "put",
        "  trackerless put 'Hello World!'
  trackerless put --mutable --key me.key --salt motd 'The server moves tomorrow'",
    ),
    (
        "get",
        "  trackerless get e5f96f6f38320f0f33959cb4d3d656452117aadb
  trackerless get --public-key \"$KEY\" --salt motd    its 64 digits
  trackerless get --file 2c1d9c1fb5f3d65ba51bae3ff3d8a2d5b1a5bd0c -o notes.txt",
    ),
    (
        "publish-torrent",
        "  trackerless publish-torrent today.torrent --key me.key
  trackerless publish-torrent nightly.torrent --key me.key --salt nightly --keep",
    ),
    (
        "resolve",
        "  trackerless resolve \"magnet:?xs=urn:btpk:$KEY\"    its 64 digits
  trackerless find \"$(trackerless resolve $KEY)\"",
    ),
    (
        "key",
        "  trackerless key new me.key
  trackerless key show me.key",
    ),
    (
        "ping",
        "  trackerless ping dht.libtorrent.org:25401
  trackerless ping --lan 127.0.0.1:6880",
    ),
    (
        "conform",
        "  trackerless conform 127.0.0.1:6880
  trackerless conform 192.168.1.7:6881 --only krpc --only tokens
  trackerless conform --lan 127.0.0.1:6880",
    ),
    (
        "nodes",
        "  trackerless nodes
  trackerless nodes --json --data-dir /var/lib/trackerless",
    ),
    (
        "status",
        "  trackerless status
  trackerless status --json --data-dir /var/lib/trackerless",
    ),
    (
        "demo",
        "  trackerless demo
  trackerless demo --nodes 200",
    ),
    (
        "config",
        "  trackerless config                         what is in force, and why
  trackerless config > trackerless.toml      a file to start from
  trackerless config --json --lan            for programs",
    ),
    (
        "lab",
        "  trackerless lab failures --quick     half a minute; lab/failures.csv and .svg
  trackerless lab all --out results    the full size: 17 minutes on two cores
  trackerless lab all --quick --json   verdicts for programs",
    ),
    (
        "completions",
        "  trackerless completions bash > /etc/bash_completion.d/trackerless
  trackerless completions fish > ~/.config/fish/completions/trackerless.fish",
    ),
    ("man", "  trackerless man /usr/local/share/man/man1"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::config::{SETTINGS, Scope};

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        for command in command().get_subcommands() {
            assert!(EXAMPLES.iter().any(|(name, _)| *name == command.get_name()), "{}", command.get_name());
        }
    }

    #[test]
    fn every_setting_is_a_flag_of_the_commands_that_it_matters_to() {
        for command in command().get_subcommands() {
            let has = |flag: &str| command.get_arguments().any(|arg| arg.get_long() == Some(flag));
            if has("config") {
                let daemon = matches!(command.get_name(), "run" | "config" | "doctor");
                for setting in &SETTINGS {
                    let expected = daemon || setting.scope == Scope::Every;
                    assert_eq!(has(&setting.flag()), expected, "{} --{}", command.get_name(), setting.flag());
                }
            }
        }
    }
}
