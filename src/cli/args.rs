//! The command line as it is typed. Parsing it has no effect and checks no meaning: each command turns its part into
//! ready objects when it starts.

use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::failure::EXIT_CODES;
use super::settings::SettingFlags;

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
    /// Print the effective configuration, and where each value comes from.
    Config(ConfigArgs),
    /// Print the completion script for a shell.
    Completions(CompletionsArgs),
    /// Write the manual pages into a folder.
    Man(ManArgs),
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
    let command = CommandLine::command().after_help(help_tail("trackerless"));
    command.mut_subcommands(|command| {
        let tail = help_tail(command.get_name());
        command.after_help(tail)
    })
}

fn help_tail(name: &str) -> String {
    let examples = EXAMPLES.iter().find(|(command, _)| *command == name).map_or("", |(_, examples)| examples);
    format!("Examples:\n{examples}\n\n{EXIT_CODES}")
}

/// Examples for the help of each command.
const EXAMPLES: &[(&str, &str)] = &[
    (
        "trackerless",
        "  trackerless config --lan
  trackerless completions bash > /etc/bash_completion.d/trackerless",
    ),
    (
        "config",
        "  trackerless config                         what is in force, and why
  trackerless config > trackerless.toml      a file to start from
  trackerless config --json --lan            for programs",
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
                let daemon = matches!(command.get_name(), "run" | "config");
                for setting in &SETTINGS {
                    let expected = daemon || setting.scope == Scope::Every;
                    assert_eq!(has(&setting.flag()), expected, "{} --{}", command.get_name(), setting.flag());
                }
            }
        }
    }
}
