//! What is measured: something that keeps torrents and finds them.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Advice, fadvise};
use trackerless::index::entry::Entry;
use trackerless::index::query::Query;

/// Results that a search asks for.
pub const WANTED: usize = 100;

/// A store of torrents, ours or another.
pub trait Measured {
    /// Its name in the report.
    fn name(&self) -> String;

    /// Another way in which the same store is searched; `false` when there is none left.
    fn vary(&mut self) -> bool {
        false
    }

    /// Torrents that it has already.
    fn torrents(&mut self) -> u64 {
        0
    }

    /// Writes torrents; the time that it took.
    fn add(&mut self, batch: &[Entry]) -> Duration;

    /// What is done once when all are written. It does not count as writing.
    fn settle(&mut self) {}

    /// Bytes on the disk.
    fn bytes(&mut self) -> u64;

    /// Closes the store. Neither a process nor the system has a page of it in memory then.
    fn close(&mut self);

    /// Searches; the time that it took, with that of opening a closed store, and the number of results.
    fn search(&mut self, query: &Query) -> (Duration, usize);

    /// The folder of its files.
    fn folder(&self) -> &Path;

    /// The processes that keep it.
    fn processes(&self) -> Vec<u32>;
}

/// Bytes of the files in a folder and the folders below.
pub fn bytes_of(folder: &Path) -> u64 {
    let mut bytes = 0;
    each_file(folder, &mut |path| bytes += path.metadata().map_or(0, |about| about.len()));
    bytes
}

/// Takes the pages of the files in a folder out of the memory of the system.
pub fn forget_pages(folder: &Path) {
    each_file(folder, &mut |path| {
        let Ok(file) = File::open(path) else { return };
        file.sync_all().expect("a disk");
        fadvise(&file, 0, None, Advice::DontNeed).expect("a file of this system");
    });
}

/// Reads the files in a folder once, so that the system has them in memory.
pub fn read_pages(folder: &Path) {
    each_file(folder, &mut |path| {
        let read = File::open(path).and_then(|mut file| std::io::copy(&mut file, &mut std::io::sink()));
        read.expect("a file");
    });
}

fn each_file(folder: &Path, visit: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => each_file(&entry.path(), visit),
            Ok(kind) if kind.is_file() => visit(&entry.path()),
            // A socket of a server.
            _ => {}
        }
    }
}

/// Resident bytes of processes, and how many of them are not pages of files. What processes share counts once.
pub fn resident(processes: &[u32]) -> (u64, u64) {
    let of = |id: u32| {
        let rollup = std::fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
        let field = |name: &str| {
            let line = rollup.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) << 10
        };
        (field("Pss:"), field("Pss:") - field("Pss_File:"))
    };
    processes.iter().map(|id| of(*id)).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}
