//! Results on standard output: text for people, or one JSON object a line for programs.
//!
//! Logs and progress go to standard error, so that results can be piped anywhere. A reader that stops reading
//! (`| head -1`) has what it wanted: the command ends quietly. Any other result that cannot be written is an error. A
//! program that stays (`run`, `--keep`) goes on in both cases.

use std::fmt::Display;
use std::io::{self, IsTerminal};

use serde::Serialize;

use super::failure::Failure;
use super::lines;
use super::printable::{printable, printable_json};
pub(super) use super::words::counted;

/// The writer of results.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    json: bool,
    /// Whether the program goes on where a result cannot be written.
    stays: bool,
}

impl Printer {
    /// Text, or JSON lines.
    #[must_use]
    pub const fn new(json: bool) -> Self {
        Self { json, stays: false }
    }

    /// The same for a program that stays: it neither waits for the reader of its results nor ends without one.
    #[must_use]
    pub const fn staying(self, stays: bool) -> Self {
        Self { stays, ..self }
    }

    /// Whether programs read this.
    #[must_use]
    pub const fn is_json(self) -> bool {
        self.json
    }

    /// Writes one result: `text` for people, `record` for programs.
    pub(super) fn result(self, text: impl Display, record: &impl Serialize) -> Result<(), Failure> {
        match self.json {
            true => self.line(&printable_json(&serde_json::to_string(record).expect("results are plain records"))),
            false => self.line(&printable(&text.to_string())),
        }
    }

    /// Writes a line that only people need.
    pub(super) fn note(self, text: impl Display) -> Result<(), Failure> {
        if self.json { Ok(()) } else { self.line(&printable(&text.to_string())) }
    }

    /// Writes bytes of strangers: to a terminal as text that it does not obey, to anything else as they are.
    pub(super) fn bytes(self, bytes: &[u8]) -> Result<(), Failure> {
        match io::stdout().is_terminal() {
            true => self.line(&printable(&String::from_utf8_lossy(bytes))),
            false => write_raw(&[bytes, b"\n"].concat()),
        }
    }

    fn line(self, text: &str) -> Result<(), Failure> {
        if self.stays {
            lines::stdout().say(text);
            return Ok(());
        }
        write_raw(format!("{text}\n").as_bytes())
    }
}

/// Writes bytes as they are: scripts and manual pages.
pub(super) fn write_raw(bytes: &[u8]) -> Result<(), Failure> {
    lines::write_all(&mut io::stdout().lock(), bytes).map_err(Failure::from_stdout)
}

/// Serialises a value as its text: infohashes and ids.
pub(super) fn as_text<S: serde::Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
