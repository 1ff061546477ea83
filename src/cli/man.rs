//! `trackerless man`: a manual page for the program and one for each command.

use std::io;
use std::path::Path;

use super::args::{self, ManArgs};
use super::failure::{Exit, Failure};

pub(super) fn run(args: &ManArgs) -> Result<Exit, Failure> {
    write_pages(&args.dir).map_err(|error| {
        let what = format!("the manual pages cannot be written to {}: {error}", args.dir.display());
        Failure::usage(what, "name a folder that you may write to")
    })?;
    Ok(Exit::Done)
}

fn write_pages(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(args::command(), dir)
}
