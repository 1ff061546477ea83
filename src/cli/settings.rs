//! The settings as flags: made from the registry, so that whatever the file may say a flag may say too.
//!
//! They are many, so `--help` leaves them out and `--help-settings` shows nothing else.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::daemon::config::{FILE_VARIABLE, REPLACED, Replaced, SETTINGS, Scope, Setting, Shape, Sources};

/// The flags of a command: `--config`, and the settings that matter to it; with `DAEMON` all settings.
#[derive(Clone, Debug, Default)]
pub struct SettingFlags<const DAEMON: bool> {
    file: Option<PathBuf>,
    given: Vec<(&'static Setting, Vec<String>)>,
    replaced: Vec<&'static Replaced>,
}

impl<const DAEMON: bool> SettingFlags<DAEMON> {
    /// These flags and the environment, ready to be laid over each other.
    pub(super) fn into_sources(self, environment: &[(String, String)]) -> Sources {
        let Self { file, given, replaced } = self;
        Sources { file, environment: environment.to_vec(), flags: given, replaced_flags: replaced }
    }

    fn settings() -> impl Iterator<Item = &'static Setting> {
        SETTINGS.iter().filter(|setting| DAEMON || setting.scope == Scope::Every)
    }
}

impl<const DAEMON: bool> clap::Args for SettingFlags<DAEMON> {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config").long("config").value_name("FILE").help_heading(HEADING).hide_short_help(true);
        let config = config.value_parser(clap::value_parser!(PathBuf));
        let help = format!("Configuration file, instead of the one in the usual place [variable: {FILE_VARIABLE}]");
        let command =
            Self::settings().fold(command.arg(config.help(help)), |command, setting| command.arg(arg(setting)));
        command.args(REPLACED.iter().map(replaced_arg)).arg(help_settings())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const DAEMON: bool> clap::FromArgMatches for SettingFlags<DAEMON> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let texts = |setting: &Setting| Some(matches.get_many::<String>(setting.key)?.cloned().collect());
        let given = Self::settings().filter_map(|setting| Some((setting, texts(setting)?))).collect();
        let replaced = REPLACED.iter().filter(|replaced| matches.contains_id(replaced.key)).collect();
        Ok(Self { file: matches.get_one("config").cloned(), given, replaced })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

const HEADING: &str = "Settings (also in the configuration file, see `trackerless config`)";

fn arg(setting: &'static Setting) -> Arg {
    let default = setting.default_text();
    let long = format!("{} [variable: {}] [default: {default}]", setting.meaning, setting.variable());
    let short = setting.meaning.split_once(". ").map_or(setting.meaning, |(first, _)| first);
    let arg = Arg::new(setting.key)
        .long(setting.flag())
        .value_name(setting.form.value_name)
        .help_heading(HEADING)
        .hide_short_help(true)
        .help(short.trim_end_matches('.').to_owned())
        .long_help(long);
    match setting.form.shape {
        // `--lan` alone means yes; `--lan=no` overrides a file that says yes.
        Shape::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        Shape::List => arg.action(ArgAction::Append),
        Shape::Folder | Shape::Text | Shape::Number => arg,
    }
}

/// A flag that is only accepted to be refused with the name of the new one.
fn replaced_arg(replaced: &'static Replaced) -> Arg {
    let arg = Arg::new(replaced.key).long(replaced.key.replace('_', "-")).hide(true);
    arg.num_args(0..=1).require_equals(true).default_missing_value("true")
}

fn help_settings() -> Arg {
    let arg = Arg::new("help-settings").long("help-settings").action(ArgAction::HelpLong);
    arg.help("Print the settings, which are flags too")
}
