//! Logs: on standard error, with colours only on a terminal. A line that cannot be written is never an error.

use std::io::{self, IsTerminal, Write, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{self, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::lines;
use super::printable::{printable_json, printable_line};
use super::restraint::Restraint;
use crate::daemon::config::{Config, LogFormat};

/// What commands that only print results log, unless a flag or a variable says otherwise.
const QUIET: &str = "warn";

/// Starts the logs of a command that prints results.
pub(super) fn start_quiet(config: &Config) {
    let origin = &config.origins.log;
    let filter = if origin.is_flag() || origin.is_variable() { config.log.as_str() } else { QUIET };
    start(filter, config.log_format, quiet_writer);
}

/// Starts the logs of the node that stays: it must not wait for them either.
pub(super) fn start_talkative(config: &Config) {
    start(config.log.as_str(), config.log_format, lines::stderr);
}

fn start<W: Write + 'static>(filter: &str, format: LogFormat, writer: impl Fn() -> W + Clone + Send + Sync + 'static) {
    let colours = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // It calls every certificate that it refuses an error: what a remote shows is none of ours, and is told by whoever asked.
    let verifier = "rustls_platform_verifier=off".parse().expect("a directive");
    let filter = EnvFilter::try_new(filter).expect("checked when the configuration was read").add_directive(verifier);
    let notices = writer.clone();
    let restraint = Restraint::new(move |what: &str| {
        let line = match format {
            LogFormat::Text => format!("  WARN {what}\n"),
            LogFormat::Json => {
                format!("{}\n", serde_json::json!({ "level": "WARN", "target": "trackerless", "message": what }))
            }
        };
        // As every line: one that cannot be written is no error.
        let _ = notices().write_all(line.as_bytes());
    });
    let all = tracing_subscriber::registry().with(filter).with(restraint);
    // By default tracing-subscriber reports a failed write by `eprintln!`, which panics where standard error is gone.
    let lines = tracing_subscriber::fmt::layer().with_ansi(colours).log_internal_errors(false);
    // A second start, as in a test that calls two commands, keeps the first.
    let _ = match format {
        LogFormat::Text => all.with(lines.with_writer(writer).with_target(false).fmt_fields(fields())).try_init(),
        LogFormat::Json => all.with(lines.with_writer(move || Records(writer())).json().flatten_event(true)).try_init(),
    };
}

/// The message and the fields of a line, without the control characters of strangers, whose line feeds would begin lines of
/// theirs.
fn fields() -> impl for<'writer> FormatFields<'writer> + Send + Sync + 'static {
    format::debug_fn(|writer, field, value| {
        let text = format!("{value:?}");
        match field.name() {
            "message" => write!(writer, "{}", printable_line(&text)),
            name => write!(writer, "{name}={}", printable_line(&text)),
        }
    })
    .delimited(" ")
}

/// A stream of JSON records, one a line and one a write, without the control characters that JSON leaves alone.
struct Records<W>(W);

impl<W: Write> Write for Records<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let record = text.strip_suffix('\n').unwrap_or(&text);
        self.0.write_all(format!("{}\n", printable_json(record)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Standard error; as a queue in a command that stays, which must not wait for it.
fn quiet_writer() -> Box<dyn Write> {
    match lines::stderr_if_queued() {
        Some(lines) => Box::new(lines),
        None => Box::new(Forgiving(stderr())),
    }
}

/// A stream to which every write succeeds, whatever becomes of it.
struct Forgiving<W>(W);

impl<W: Write> Write for Forgiving<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::{Arc, Mutex};

    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn control_characters_of_strangers_are_escaped_in_logs() {
        let log = Arc::<Mutex<Vec<u8>>>::default();
        let shared = log.clone();
        let writer = move || Shared(shared.clone());
        let (text, json) = (writer.clone(), move || Records(writer()));
        let text = tracing_subscriber::fmt().with_writer(text).with_ansi(false).fmt_fields(fields()).finish();
        let json = tracing_subscriber::fmt().with_writer(json).json().flatten_event(true).finish();
        let name = "\u{1b}]0;title\u{7}\u{9b}31m\u{202e}\n1970-01-01 ERROR another line";
        let say = || tracing::error!(%name, debug = ?name, "said {name}");
        tracing::subscriber::with_default(text, say);
        tracing::subscriber::with_default(json, say);
        let log = String::from_utf8(log.lock().unwrap().clone()).unwrap();
        assert_eq!(log.lines().count(), 2, "{log}");
        assert!(log.matches("title").count() == 6, "{log}");
        assert!(!log.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']), "{log:?}");
        let record: serde_json::Value = serde_json::from_str(log.lines().nth(1).unwrap()).unwrap();
        assert_eq!(record["name"], name);
    }
}
