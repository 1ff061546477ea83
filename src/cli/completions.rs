//! `trackerless completions`: what a shell needs to complete our command line.

use super::args::{self, CompletionsArgs};
use super::failure::{Exit, Failure};
use super::output::write_raw;

pub(super) fn run(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::command(), "trackerless", &mut script);
    write_raw(&script)?;
    Ok(Exit::Done)
}
