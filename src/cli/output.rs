//! Results on standard output: text for people, or one JSON object a line for programs.
//!
//! Logs and progress go to standard error, so that results can be piped anywhere. A reader that stops reading
//! (`| head -1`) has what it wanted: the program ends quietly, it does not panic.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

use super::failure::Failure;

/// The writer of results.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
}

impl Output {
    /// Text, or JSON lines.
    #[must_use]
    pub const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether programs read this.
    #[must_use]
    pub const fn is_json(self) -> bool {
        self.json
    }

    /// Writes one result: `text` for people, `record` for programs.
    pub(super) fn result(self, text: impl Display, record: &impl Serialize) -> Result<(), Failure> {
        match self.json {
            true => write_line(serde_json::to_string(record).expect("results are plain records")),
            false => write_line(text),
        }
    }

    /// Writes a line that only people need.
    pub(super) fn note(self, text: impl Display) -> Result<(), Failure> {
        if self.json { Ok(()) } else { write_line(text) }
    }
}

/// A number of things, for people.
pub(super) fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// Writes bytes as they are: scripts and manual pages.
pub(super) fn write_raw(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(Failure::from_stdout)
}

fn write_line(text: impl Display) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(Failure::from_stdout)
}

/// Serialises a value as its text: infohashes and ids.
pub(super) fn as_text<S: serde::Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
