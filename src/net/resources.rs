//! What this process may have of the host: memory, open files, threads.

use std::fs::File;
use std::io;
use std::sync::mpsc::channel;

/// Descriptors without which nothing works: those of the runtime, of a socket for each family, of the data folder.
const FEWEST: usize = 16;
/// Threads besides one for each core: for look-ups of names and for saving.
const MORE_THREADS: usize = 3;
/// Memory without which nothing works, in bytes: the stacks of the threads, the buffers of the sockets, and some for the rest.
const LEAST_BYTES: usize = 24 << 20;
/// The piece in which it is asked for: just large enough for glibc to map each piece for itself, so that it goes back to the system
/// whole. Whoever frees a larger piece tells that allocator that such pieces come and go: from then on it keeps what is freed up to twice
/// that size (mallopt(3), `M_MMAP_THRESHOLD`).
const PIECE_BYTES: usize = 132 << 10;

/// Whether there is memory to begin with. An allocation that fails later ends the process, which is no way to say it; so
/// this is asked before anything else.
///
/// # Errors
/// The system gives no more: a limit of the process or of the host is reached.
pub fn require_memory() -> io::Result<()> {
    let piece = || -> io::Result<Vec<u8>> {
        let mut piece = Vec::new();
        piece.try_reserve_exact(PIECE_BYTES).map(|()| piece).map_err(io::Error::other)
    };
    let pieces: io::Result<Vec<Vec<u8>>> = (0..LEAST_BYTES / PIECE_BYTES).map(|_| piece()).collect();
    pieces.map(drop)
}

/// Memory that the program takes of the host now, its own text among it, in bytes. `None` where the system does not say.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

/// Whether this process can have the descriptors and threads that it needs. The runtime panics without them, which is no way
/// to say it.
///
/// # Errors
/// The system gives no more: a limit of the process or of the host is reached.
pub fn require() -> io::Result<()> {
    let any = if cfg!(windows) { "NUL" } else { "/dev/null" };
    let files: io::Result<Vec<File>> = (0..FEWEST).map(|_| File::open(any)).collect();
    drop(files?);
    let mut threads = Vec::new();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    for _ in 0..cores + MORE_THREADS {
        // Each lives until its sender is dropped: all of them at once.
        let (sender, ended) = channel::<()>();
        let thread = std::thread::Builder::new().spawn(move || ended.recv().is_err())?;
        threads.push((sender, thread));
    }
    for (sender, thread) in threads {
        drop(sender);
        let _ = thread.join();
    }
    Ok(())
}

/// Raises the limit of open files to what the system allows without being asked for more (setrlimit(2), `RLIMIT_NOFILE`): the
/// usual 1,024 is for programs that wait with select(2), and a gateway with many clients needs more. Where the system refuses,
/// it stays.
#[cfg(unix)]
pub fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!(%error, ?limit, "the limit of open files stays");
    }
}

/// There is no such limit here.
#[cfg(not(unix))]
pub const fn raise_limit() {}
