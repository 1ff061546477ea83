//! Lines for a stream that may be full, stalled or closed, from a program that has to go on.
//!
//! A thread of its own writes them. So the node never waits for a terminal that is stopped (Ctrl-S), a pipe that is full
//! or a slow disk, and never fails because of a pipe without a reader or a full disk. A line that cannot be written is
//! lost; standard error says how many were, as soon as it can be written again.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Most bytes that wait for a stream. A line beyond them is lost.
const MAX_WAITING_BYTES: usize = 256 << 10;

/// Longest time that the program waits at its end for lines that are not written yet.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// Time before a stream that takes nothing at the moment is tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(10);

static STDERR: OnceLock<Lines> = OnceLock::new();
static STDOUT: OnceLock<Lines> = OnceLock::new();

/// Standard error, as a queue of lines from the first call on.
pub(super) fn stderr() -> &'static Lines {
    STDERR.get_or_init(|| Lines::before(io::stderr(), Losses::Told))
}

/// Standard error, if it is a queue of lines by now.
pub(super) fn stderr_if_queued() -> Option<&'static Lines> {
    STDERR.get().filter(|lines| lines.queue.is_some())
}

/// Standard output, as a queue of lines from the first call on.
pub(super) fn stdout() -> &'static Lines {
    STDOUT.get_or_init(|| Lines::before(io::stdout(), Losses::Silent))
}

/// Waits a moment for the lines that are not written yet.
pub(super) fn flush() {
    STDOUT.get().into_iter().chain(STDERR.get()).for_each(|lines| lines.flush(FLUSH_PATIENCE));
}

/// What a stream says of lines that it has lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Losses {
    /// How many there were.
    Told,
    /// Nothing: programs read this stream.
    Silent,
}

/// A queue of lines before a stream.
#[derive(Debug)]
pub(super) struct Lines {
    /// To the thread that writes; `None` where the system gave none, then every line is lost.
    queue: Option<Sender<Entry>>,
    state: Arc<State>,
}

/// What both ends of the queue count.
#[derive(Debug, Default)]
struct State {
    waiting_bytes: AtomicUsize,
    /// Lines lost since the last one that was written.
    lost: AtomicU64,
}

#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    /// Answered when everything before it has been tried.
    Flush(Sender<()>),
}

impl Lines {
    fn before(out: impl Write + Send + 'static, losses: Losses) -> Self {
        let (queue, entries) = channel();
        let state = Arc::<State>::default();
        let shared = state.clone();
        let thread = std::thread::Builder::new().name("lines".to_owned());
        let started = thread.spawn(move || write_entries(&entries, out, &shared, losses));
        Self { queue: started.is_ok().then_some(queue), state }
    }

    /// Adds a line; never waits, never fails.
    pub(super) fn say(&self, text: impl Display) {
        self.push(format!("{text}\n").into_bytes());
    }

    fn push(&self, line: Vec<u8>) {
        let size = line.len();
        let before = self.state.waiting_bytes.fetch_add(size, Relaxed);
        let room = before + size <= MAX_WAITING_BYTES;
        let queued = room && self.queue.as_ref().is_some_and(|queue| queue.send(Entry::Line(line)).is_ok());
        if !queued {
            self.state.waiting_bytes.fetch_sub(size, Relaxed);
            self.state.lost.fetch_add(1, Relaxed);
        }
    }

    fn flush(&self, patience: Duration) {
        let (done, wait) = channel();
        if self.queue.as_ref().is_some_and(|queue| queue.send(Entry::Flush(done)).is_ok()) {
            // A stream that takes nothing for this long will take nothing later either.
            let _ = wait.recv_timeout(patience);
        }
    }
}

/// Each buffer is one entry: the logs write a whole line at once.
impl Write for &Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_entries(entries: &Receiver<Entry>, mut out: impl Write, state: &State, losses: Losses) {
    for entry in entries {
        match entry {
            Entry::Line(line) => {
                write_line(&line, &mut out, state, losses);
                state.waiting_bytes.fetch_sub(line.len(), Relaxed);
            }
            Entry::Flush(done) => drop(done.send(())),
        }
    }
}

fn write_line(line: &[u8], out: &mut impl Write, state: &State, losses: Losses) {
    let lost = state.lost.swap(0, Relaxed);
    let notice = match losses {
        Losses::Told if lost > 0 => format!("({lost} lines lost: they could not be written)\n"),
        _ => String::new(),
    };
    if write_all(out, &[notice.as_bytes(), line].concat()).is_err() {
        state.lost.fetch_add(lost + 1, Relaxed);
    }
}

/// Writes all of `bytes` and flushes. Unlike [`Write::write_all`] it has patience with a stream in non-blocking mode, as
/// some programs leave a pipe that they share with us.
pub(super) fn write_all(out: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match patiently(|| out.write(bytes))? {
            0 => return Err(ErrorKind::WriteZero.into()),
            written => bytes = &bytes[written..],
        }
    }
    patiently(|| out.flush())
}

#[expect(clippy::disallowed_methods, reason = "the reader of a pipe sends no event that could be waited for")]
fn patiently<T>(mut write: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match write() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(TRY_AGAIN_AFTER),
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::sync::{Arc, Mutex};

    /// Longer than any step takes on a slow machine.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// A stream that takes what it has room for, and then refuses with an error.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(usize, Vec<u8>)>>);

    impl Disk {
        fn set_room(&self, bytes: usize) {
            self.0.lock().unwrap().0 = bytes;
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().1.clone()).unwrap()
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.lock().unwrap();
            match disk.0.min(bytes.len()) {
                0 => Err(io::ErrorKind::StorageFull.into()),
                taken => {
                    disk.0 -= taken;
                    disk.1.extend_from_slice(&bytes[..taken]);
                    Ok(taken)
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A stream that takes nothing until it is released.
    struct Stalled(Receiver<()>, Disk);

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_lost_on_a_full_disk_are_counted_when_there_is_room_again() {
        let disk = Disk::default();
        let lines = Lines::before(disk.clone(), Losses::Told);
        ["one", "two", "three"].iter().for_each(|line| lines.say(line));
        lines.flush(PATIENCE);
        disk.set_room(1000);
        ["four", "five"].iter().for_each(|line| lines.say(line));
        lines.flush(PATIENCE);
        assert_eq!(disk.text(), "(3 lines lost: they could not be written)\nfour\nfive\n");
    }

    #[test]
    fn a_stream_for_programs_says_nothing_of_lost_lines() {
        let disk = Disk::default();
        let lines = Lines::before(disk.clone(), Losses::Silent);
        lines.say("{}");
        lines.flush(PATIENCE);
        disk.set_room(1000);
        lines.say("[]");
        lines.flush(PATIENCE);
        assert_eq!(disk.text(), "[]\n");
    }

    #[test]
    fn a_stalled_stream_holds_up_nothing_and_takes_bounded_memory() {
        let (disk, (release, released)) = (Disk::default(), channel());
        disk.set_room(usize::MAX);
        let lines = Lines::before(Stalled(released, disk.clone()), Losses::Told);
        let line = "x".repeat(1023);
        (0..1000).for_each(|_| lines.say(&line));
        assert!(lines.state.waiting_bytes.load(Relaxed) <= MAX_WAITING_BYTES);
        lines.flush(Duration::from_millis(1)); // must come back although nothing was written
        drop(release);
        lines.flush(PATIENCE);
        lines.say("end");
        lines.flush(PATIENCE);
        let text = disk.text();
        let written = text.lines().filter(|written| *written == line).count();
        assert_eq!(written, MAX_WAITING_BYTES / 1024);
        // Told once, or twice where the thread that writes began late: then the first line tells of some.
        let lost =
            text.lines().filter_map(|line| line.strip_prefix('(')?.split_once(" lines lost")?.0.parse::<usize>().ok());
        assert_eq!(lost.sum::<usize>(), 1000 - written);
        assert!(text.ends_with("end\n"));
    }
}
