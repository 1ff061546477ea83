//! What was found and is not written yet: for as long as the store cannot be reached, or its disk is full.
//!
//! Bounded: [`MOST_BYTES`] and [`MOST_MARKS`]. Where there is more, what was found first goes: it is found again.

use std::collections::VecDeque;

use crate::engine::id::InfoHash;
use crate::index::entry::{Entry, UnixSeconds};
use crate::index::store::{Mark, Store, StoreError};

/// Most bytes of torrents that wait.
const MOST_BYTES: usize = 16 << 20;
/// Most marks that wait.
const MOST_MARKS: usize = 100_000;
/// Torrents or marks that are written at a time.
const BATCH: usize = 500;
/// What a torrent takes besides its texts, and a file besides its path.
const ENTRY_BYTES: usize = 200;
const FILE_BYTES: usize = 32;

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    entries: VecDeque<Entry>,
    bytes: usize,
    marks: VecDeque<(InfoHash, Mark)>,
}

/// What is written at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Batch {
    Entries(Vec<Entry>),
    /// All of one kind.
    Marks(Vec<InfoHash>, Mark),
}

impl Batch {
    pub(super) fn write(&self, store: &mut dyn Store, now: UnixSeconds) -> Result<(), StoreError> {
        match self {
            Self::Entries(entries) => store.add(entries).map(drop),
            Self::Marks(infohashes, mark) => store.forget(infohashes, *mark, now).map(drop),
        }
    }
}

impl Backlog {
    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.marks.is_empty()
    }

    pub(super) fn add(&mut self, entries: Vec<Entry>) {
        self.bytes += entries.iter().map(size).sum::<usize>();
        self.entries.extend(entries);
        self.shrink();
    }

    pub(super) fn mark(&mut self, infohash: InfoHash, mark: Mark) {
        self.marks.push_back((infohash, mark));
        self.shrink();
    }

    /// Takes what is written next: marks first, so that nothing comes in that must not.
    pub(super) fn next(&mut self) -> Option<Batch> {
        if let Some(&(_, mark)) = self.marks.front() {
            let same = self.marks.iter().take(BATCH).take_while(|(_, other)| *other == mark).count();
            return Some(Batch::Marks(self.marks.drain(..same).map(|(infohash, _)| infohash).collect(), mark));
        }
        let batch: Vec<Entry> = self.entries.drain(..BATCH.min(self.entries.len())).collect();
        self.bytes -= batch.iter().map(size).sum::<usize>();
        (!batch.is_empty()).then_some(Batch::Entries(batch))
    }

    /// What could not be written is the first again.
    pub(super) fn put_back(&mut self, batch: Batch) {
        match batch {
            Batch::Entries(entries) => {
                self.bytes += entries.iter().map(size).sum::<usize>();
                entries.into_iter().rev().for_each(|entry| self.entries.push_front(entry));
            }
            Batch::Marks(infohashes, mark) => {
                infohashes.into_iter().rev().for_each(|infohash| self.marks.push_front((infohash, mark)));
            }
        }
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.bytes > MOST_BYTES
            && let Some(oldest) = self.entries.pop_front()
        {
            self.bytes -= size(&oldest);
        }
        self.marks.drain(..self.marks.len().saturating_sub(MOST_MARKS));
    }
}

fn size(entry: &Entry) -> usize {
    let files = entry.files.iter().map(|file| file.path.len() + FILE_BYTES).sum::<usize>();
    ENTRY_BYTES + entry.name.len() + files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::entry::Source;

    fn entry(number: u32, name: &str) -> Entry {
        let mut bytes = [0; 20];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        Entry {
            infohash: InfoHash::new(bytes),
            name: name.to_owned(),
            size_bytes: 1,
            file_count: 1,
            files: Vec::new(),
            found: 1,
            seen: 1,
            swarm: None,
            source: Source::Survey,
        }
    }

    #[test]
    fn what_was_put_back_comes_first_again_and_marks_come_before_torrents() {
        let mut backlog = Backlog::default();
        backlog.add((0..700).map(|number| entry(number, "name")).collect());
        let first = backlog.next().unwrap();
        assert!(matches!(&first, Batch::Entries(entries) if entries.len() == BATCH));
        backlog.put_back(first.clone());
        backlog.mark(InfoHash::new([1; 20]), Mark::Private);
        backlog.mark(InfoHash::new([2; 20]), Mark::Refused);
        assert_eq!(backlog.next(), Some(Batch::Marks(vec![InfoHash::new([1; 20])], Mark::Private)));
        assert_eq!(backlog.next(), Some(Batch::Marks(vec![InfoHash::new([2; 20])], Mark::Refused)));
        assert_eq!(backlog.next(), Some(first));
        assert!(matches!(backlog.next(), Some(Batch::Entries(entries)) if entries.len() == 200));
        assert!(backlog.next().is_none() && backlog.is_empty() && backlog.bytes == 0);
    }

    #[test]
    fn it_is_bounded_and_what_was_found_first_goes_first() {
        let mut backlog = Backlog::default();
        let name = "x".repeat(1_000);
        for number in 0..40 {
            backlog.add((0..1_000).map(|index| entry(number * 1_000 + index, &name)).collect());
            assert!(backlog.bytes <= MOST_BYTES);
        }
        assert_eq!(backlog.entries.back().unwrap().infohash, entry(39_999, "").infohash);
        (0..MOST_MARKS + 5).for_each(|_| backlog.mark(InfoHash::new([1; 20]), Mark::Private));
        assert_eq!(backlog.marks.len(), MOST_MARKS);
    }
}
