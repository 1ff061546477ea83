//! A bound on how often one message is logged: the line of the program that writes it, whatever it says of whom. What strangers
//! can cause again and again fills no disk.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::callsite::Identifier;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Lines of one message that are written at once.
const BURST: u32 = 50;
/// Time after which one more is written.
const EVERY: Duration = Duration::from_secs(2);

/// The bound. Lines of `debug` and `trace` were asked for, and are all written.
pub(super) struct Restraint<W> {
    /// How much of its burst each message has. There are as many as lines of this program that log.
    messages: Mutex<HashMap<Identifier, Message>>,
    /// Writes that lines were left out.
    tell: W,
}

#[derive(Clone, Copy)]
struct Message {
    left: u32,
    since: Instant,
    left_out: u64,
}

impl<W: Fn(&str)> Restraint<W> {
    /// `tell` writes a line of the log.
    pub(super) fn new(tell: W) -> Self {
        Self { messages: Mutex::new(HashMap::new()), tell }
    }
}

impl Message {
    const fn new(now: Instant) -> Self {
        Self { left: BURST, since: now, left_out: 0 }
    }

    /// Whether it may be written at `now`; if so, how many were left out before.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.since);
        let more = u32::try_from(passed.as_millis() / EVERY.as_millis()).unwrap_or(u32::MAX);
        if more > 0 {
            self.left = self.left.saturating_add(more).min(BURST);
            self.since = now;
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Some(std::mem::take(&mut self.left_out))
            }
            None => {
                self.left_out += 1;
                None
            }
        }
    }
}

impl<S: Subscriber, W: Fn(&str) + 'static> Layer<S> for Restraint<W> {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO {
            return true;
        }
        let now = Instant::now();
        let taken = {
            let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
            messages.entry(metadata.callsite()).or_insert_with(|| Message::new(now)).take(now)
        };
        if let Some(left_out @ 1..) = taken {
            let place = format!("{}:{}", metadata.file().unwrap_or_default(), metadata.line().unwrap_or_default());
            (self.tell)(&format!("{left_out} lines like the next one were left out ({place})"));
        }
        taken.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_written_then_one_now_and_then_and_it_says_how_many_are_missing() {
        let began = Instant::now();
        let mut message = Message::new(began);
        let written = (0..1_000).filter(|_| message.take(began).is_some()).count();
        assert_eq!(written, BURST as usize);
        assert_eq!(message.take(began + EVERY), Some(1_000 - u64::from(BURST)));
        assert_eq!(message.take(began + EVERY), None);
        assert_eq!(message.take(began + EVERY * 1_000), Some(1));
        assert_eq!(message.left, BURST - 1);
    }
}
