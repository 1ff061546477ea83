//! The settings as flags: made from the registry, so that whatever the file may say a flag may say too.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::daemon::config::{FILE_VARIABLE, Kind, SETTINGS, Scope, Setting, Sources};

/// The flags of a command: `--config`, and the settings that matter to it; with `DAEMON` all settings.
#[derive(Clone, Debug, Default)]
pub struct SettingFlags<const DAEMON: bool> {
    file: Option<PathBuf>,
    given: Vec<(&'static Setting, Vec<String>)>,
}

impl<const DAEMON: bool> SettingFlags<DAEMON> {
    /// These flags and the environment, ready to be laid over each other.
    pub(super) fn into_sources(self, environment: &[(String, String)]) -> Sources {
        Sources { file: self.file, environment: environment.to_vec(), flags: self.given }
    }

    fn settings() -> impl Iterator<Item = &'static Setting> {
        SETTINGS.iter().filter(|setting| DAEMON || setting.scope == Scope::Every)
    }
}

impl<const DAEMON: bool> clap::Args for SettingFlags<DAEMON> {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config").long("config").value_name("FILE").help_heading(HEADING);
        let config = config.value_parser(clap::value_parser!(PathBuf));
        let help = format!("Configuration file, instead of the one in the usual place [variable: {FILE_VARIABLE}]");
        Self::settings().fold(command.arg(config.help(help)), |command, setting| command.arg(arg(setting)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const DAEMON: bool> clap::FromArgMatches for SettingFlags<DAEMON> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let texts = |setting: &Setting| Some(matches.get_many::<String>(setting.key)?.cloned().collect());
        let given = Self::settings().filter_map(|setting| Some((setting, texts(setting)?))).collect();
        Ok(Self { file: matches.get_one("config").cloned(), given })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

const HEADING: &str = "Settings (also in the configuration file, see `trackerless config`)";

fn arg(setting: &'static Setting) -> Arg {
    let long = format!("{} [variable: {}] [default: {}]", setting.meaning, setting.variable(), default_text(setting));
    let short = setting.meaning.split_once(". ").map_or(setting.meaning, |(first, _)| first);
    let arg = Arg::new(setting.key)
        .long(setting.flag())
        .value_name(setting.kind.value_name())
        .help_heading(HEADING)
        .help(short.trim_end_matches('.').to_owned())
        .long_help(long);
    match setting.kind {
        // `--lan` alone means yes; `--lan=no` overrides a file that says yes.
        Kind::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        kind if kind.is_list() => arg.action(ArgAction::Append),
        _ => arg,
    }
}

/// The default for people. The data folder's depends on the machine, so manual pages name the rule instead.
fn default_text(setting: &Setting) -> String {
    match setting.kind {
        Kind::Folder => "where the platform keeps the data of programs".to_owned(),
        _ => (setting.default)().texts().join(", "),
    }
}
