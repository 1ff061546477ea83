//! What a person sees while waiting: one line on standard error, only where that is a terminal.

use std::fmt::Display;
use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::printable::printable;

/// A line that says what is going on. It vanishes when it is dropped.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// A line that begins with `message`; nothing at all where that is no terminal.
    pub(super) fn new(message: impl Display) -> Self {
        if !stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}").expect("a valid template");
        let bar = ProgressBar::new_spinner().with_style(style).with_message(shown(message));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// Says something else.
    pub(super) fn say(&self, message: impl Display) {
        self.0.set_message(shown(message));
    }

    /// How long it has been there.
    pub(super) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// Lets `print` write results while the line is out of the way.
    pub(super) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.0.suspend(print)
    }
}

fn shown(message: impl Display) -> String {
    printable(&message.to_string()).into_owned()
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
