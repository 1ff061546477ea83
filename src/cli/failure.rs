//! How a command ends: its exit code, and what it says when it fails.

use std::error::Error;
use std::fmt::Display;
use std::io;

use super::lines;
use super::printable::printable;
use crate::daemon::config::ConfigError;

/// The exit codes, documented in `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// The command did what it says.
    Done = 0,
    /// Nothing was found, nothing was stored, a TARGET was left out, a node breaks a rule, or an experiment is not as it must be.
    Nothing = 1,
    /// The command line, the settings or the data folder cannot be used as they are, or the results not be written.
    Usage = 2,
    /// No socket could be opened, or no other node answered.
    NoNetwork = 3,
    /// A part of the program has failed: a bug.
    Failed = 101,
}

/// The exit codes as `--help` tells them; docs/OPERATING.md says more.
pub const EXIT_CODES: &str = "Exit codes: 0 done, 1 nothing found or stored, 2 wrong usage, 3 no network";

/// Why a command ends early.
#[derive(Debug)]
pub enum Failure {
    /// Something is wrong that the user must hear of.
    Told {
        /// The exit code.
        exit: Exit,
        /// What is wrong.
        what: String,
        /// What to do about it.
        cure: String,
    },
    /// The reader of our results has closed the pipe.
    ReaderGone,
}

impl Failure {
    /// A wrong command line, setting or data folder.
    pub(super) fn usage(what: impl Display, cure: impl Display) -> Self {
        Self::Told { exit: Exit::Usage, what: what.to_string(), cure: cure.to_string() }
    }

    /// No network to work with.
    pub(super) fn no_network(what: impl Display, cure: impl Display) -> Self {
        Self::Told { exit: Exit::NoNetwork, what: what.to_string(), cure: cure.to_string() }
    }

    /// Something was not found, or not stored, for a reason that can be named.
    pub(super) fn nothing(what: impl Display, cure: impl Display) -> Self {
        Self::Told { exit: Exit::Nothing, what: what.to_string(), cure: cure.to_string() }
    }

    /// This program has a bug.
    pub(super) fn failed(what: impl Display, cure: impl Display) -> Self {
        Self::Told { exit: Exit::Failed, what: what.to_string(), cure: cure.to_string() }
    }

    /// Other nodes refused what we asked of them.
    pub(super) fn refused(what: impl Display, cure: impl Display) -> Self {
        Self::nothing(what, cure)
    }

    /// Standard output cannot be written.
    pub(super) fn from_stdout(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::usage(format_args!("standard output: {error}"), "redirect it to a place that can be written"),
        }
    }

    /// Says what went wrong on standard error, and gives the exit code.
    pub(super) fn report(&self) -> Exit {
        match self {
            Self::Told { exit, what, cure } => {
                eprintln_quietly(format_args!("error: {what}\ncure: {cure}"));
                *exit
            }
            Self::ReaderGone => Exit::Done,
        }
    }
}

/// What to do where the system has no room for one more file, socket or process of ours.
pub(super) const NO_ROOM: &str =
    "raise the limits of open files and of memory (ulimit -n, ulimit -v), or end another program";

/// `cure`, or what to do about too few open files where those are the reason.
pub(super) fn cure_of(error: &(dyn Error + 'static), cure: &'static str) -> &'static str {
    let mut causes = std::iter::successors(Some(error), |error| (*error).source());
    // EMFILE and ENFILE of errno(3), which have no kind of their own.
    let is_full = |error: &io::Error| matches!(error.raw_os_error(), Some(23 | 24));
    if causes.any(|error| error.downcast_ref::<io::Error>().is_some_and(is_full)) { NO_ROOM } else { cure }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(&error, error.cure())
    }
}

/// Writes a line to standard error; that it cannot be written is no reason to fail.
pub(super) fn eprintln_quietly(text: impl Display) {
    use std::io::Write;
    let text = text.to_string();
    let text = printable(&text);
    match lines::stderr_if_queued() {
        Some(lines) => lines.say(text),
        None => drop(writeln!(io::stderr().lock(), "{text}")),
    }
}
