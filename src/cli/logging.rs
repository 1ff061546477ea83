//! Logs: on standard error, with colours only on a terminal.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use crate::daemon::config::Config;

/// What is logged by commands that only print results, unless somebody asks for more.
const QUIET: &str = "warn";

/// Starts the logs of a command that prints results.
pub(super) fn start_quiet(config: &Config) {
    start(if config.is_flag("log") || config.is_variable("log") { &config.log } else { QUIET });
}

/// Starts the logs of the node that stays.
pub(super) fn start_talkative(config: &Config) {
    start(&config.log);
}

fn start(filter: &str) {
    let colours = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let filter = EnvFilter::try_new(filter).expect("checked when the configuration was read");
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(colours);
    // A second start, as in a test that calls two commands, keeps the first.
    let _ = subscriber.with_target(false).try_init();
}
