//! The command line: one file per command, results on standard output, everything else on standard error.
//!
//! [`args`] says what may be typed; each command turns that into ready objects, does its work, and ends with an
//! [`Exit`] or a [`Failure`] that says what is wrong and what to do about it.
#![forbid(unsafe_code)]

mod announce;
pub mod args;
mod check;
mod completions;
mod config;
mod conform;
mod demo;
mod doctor;
mod failure;
mod find;
mod index;
mod info;
mod items;
mod keep;
mod lab;
mod lines;
mod logging;
mod man;
mod network;
pub mod output;
mod ping;
mod printable;
mod progress;
mod restraint;
mod run;
mod sample;
mod scrape;
mod search;
mod session;
mod settings;
mod state;
pub mod target;
mod watch;
mod words;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

#[cfg(unix)]
use crate::daemon::signals;
use crate::net::resources;
use args::Command;
pub use failure::{EXIT_CODES, Exit, Failure};

/// What is said where there is no memory to begin with.
const NO_MEMORY: &str = "error: no room to begin: the system gives no more memory\n\
    cure: raise the limit of memory (ulimit -v), or end another program\n";

/// Runs the program: reads the command line and the environment, does what they say, and gives the exit code. Both are read
/// only once there is memory for them.
pub fn main<A: IntoIterator<Item = OsString>, E: IntoIterator<Item = (OsString, OsString)>>(
    args: impl FnOnce() -> A,
    environment: impl FnOnce() -> E,
) -> ExitCode {
    if resources::require_memory().is_err() {
        // Not by `Failure`: words put together need memory.
        let _ = std::io::stderr().write_all(NO_MEMORY.as_bytes());
        return ExitCode::from(Exit::NoNetwork as u8);
    }
    let exit = match args::parse(args()) {
        Ok(line) => dispatch(line.command, &readable(environment())).unwrap_or_else(|failure| failure.report()),
        Err(error) => print_clap(&error).unwrap_or_else(|failure| failure.report()),
    };
    lines::flush();
    ExitCode::from(exit as u8)
}

fn dispatch(command: Command, environment: &[(String, String)]) -> Result<Exit, Failure> {
    if command.stays() {
        // Before anything is said: a terminal that is stopped must not hold up what stays.
        lines::stderr();
        #[cfg(unix)]
        signals::outlive_outputs().map_err(session::no_signals)?;
    }
    match command {
        Command::Run(args) => run::run(args, environment),
        Command::Nodes(args) => state::nodes(args, environment),
        Command::Status(args) => state::status(args, environment),
        Command::Find(args) => find::run(args, environment),
        Command::Info(args) => info::run(args, environment),
        Command::Check(args) => check::run(args, environment),
        Command::Search(args) => search::run(args, environment),
        Command::Index(args) => index::run(args, environment),
        Command::Announce(args) => announce::run(args, environment),
        Command::Watch(args) => watch::run(args, environment),
        Command::Scrape(args) => scrape::run(args, environment),
        Command::Sample(args) => sample::run(args, environment),
        Command::Put(args) => items::put::run(args, environment),
        Command::Get(args) => items::get::run(args, environment),
        Command::PublishTorrent(args) => items::feed::publish(args, environment),
        Command::Resolve(args) => items::feed::resolve(args, environment),
        Command::Key(args) => items::key::run(&args),
        Command::Ping(args) => ping::run(args, environment),
        Command::Conform(args) => conform::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Doctor(args) => doctor::run(args, environment),
        Command::Config(args) => config::run(args, environment),
        Command::Lab(args) => lab::run(args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}

/// Help and version are results; anything else that clap says is a usage error.
fn print_clap(error: &clap::Error) -> Result<Exit, Failure> {
    let printed = error.print().and_then(|()| std::io::stdout().flush());
    match error.use_stderr() {
        true => Ok(Exit::Usage),
        false => printed.map(|()| Exit::Done).map_err(Failure::from_stdout),
    }
}

/// The environment as text. A name that is no text is not ours; a value that is none is shown as well as it can be.
fn readable(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<(String, String)> {
    let text =
        |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned()));
    environment.into_iter().filter_map(text).collect()
}
