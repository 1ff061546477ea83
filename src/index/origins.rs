//! Where imported torrents came from, and what spot-checks found: a source that was caught lying is dropped whole.
//!
//! An import is taken at once and trusted by nobody. Its torrents remember their source; now and then the best-seeded of some
//! of them are fetched from their peers, whose answers fit their infohashes, and compared with what the source said. Bounded:
//! [`MOST_ORIGINS`].

use serde::{Deserialize, Serialize};

use super::entry::{Entry, Source};
use super::store::{Store, StoreError};
use super::words::query_words;

/// Most sources that are remembered.
pub const MOST_ORIGINS: usize = 1_000;
/// The name under which a store keeps them.
const SAVED: &str = "origins";
/// Difference in size that is no lie, as a share of the size: files that only fill pieces (BEP 47) are counted by some.
const SIZE_SHARE: u64 = 16;

/// A source of imported torrents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Its name: of the file, or as the user gave it.
    pub name: String,
    /// Torrents of it that were compared.
    pub checked: u64,
    /// Whether it was caught lying.
    pub dropped: bool,
}

/// All sources; the place of each is the number in [`Source::Import`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origins(Vec<Origin>);

/// Why nothing is imported from a source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// It was caught lying.
    #[error("{0:?} was caught lying about a torrent, and what it brought was dropped")]
    Dropped(String),
    /// There are too many.
    #[error("there are {MOST_ORIGINS} sources of imports already")]
    TooMany,
}

impl Origins {
    /// Those that a store knows.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn load(store: &mut dyn Store) -> Result<Self, StoreError> {
        let saved = store.load(SAVED)?.unwrap_or_default();
        Ok(serde_json::from_slice(&saved).unwrap_or_default())
    }

    /// Keeps them in a store.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn save(&self, store: &mut dyn Store) -> Result<(), StoreError> {
        store.save(SAVED, &serde_json::to_vec(self).unwrap_or_default())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that were caught lying.
    pub fn lied(&self) -> impl Iterator<Item = Source> {
        (0..).zip(&self.0).filter(|(_, origin)| origin.dropped).map(|(number, _)| Source::Import(number))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Origin> {
        self.0.iter()
    }

    /// What torrents of the source with this name remember.
    ///
    /// # Errors
    /// It was caught lying, or there are too many.
    pub fn source(&mut self, name: &str) -> Result<Source, OriginError> {
        if let Some((number, origin)) = (0..).zip(&self.0).find(|(_, origin)| origin.name == name) {
            return if origin.dropped {
                Err(OriginError::Dropped(name.to_owned()))
            } else {
                Ok(Source::Import(number))
            };
        }
        if self.0.len() >= MOST_ORIGINS {
            return Err(OriginError::TooMany);
        }
        let number = u32::try_from(self.0.len()).map_err(|_| OriginError::TooMany)?;
        self.0.push(Origin { name: name.to_owned(), ..Origin::default() });
        Ok(Source::Import(number))
    }

    /// A torrent was compared; the name of the source, if it is to be dropped now.
    pub fn compared(&mut self, source: Source, agrees: bool) -> Option<String> {
        let Source::Import(number) = source else { return None };
        let origin = self.0.get_mut(usize::try_from(number).ok()?)?;
        origin.checked = origin.checked.saturating_add(1);
        if agrees || origin.dropped {
            return None;
        }
        origin.dropped = true;
        Some(origin.name.clone())
    }
}

/// Whether what a source said of a torrent is so. Programs write names differently; their words are the same.
#[must_use]
pub fn agrees(said: &Entry, truth: &Entry) -> bool {
    let near = said.size_bytes.abs_diff(truth.size_bytes) <= truth.size_bytes / SIZE_SHARE;
    near && query_words(&said.name) == query_words(&truth.name)
}

/// Those of some torrents that are worth a check: imported, the best-seeded first.
#[must_use]
pub fn worth_a_check(torrents: Vec<Entry>, most: usize) -> Vec<Entry> {
    let mut imported: Vec<Entry> = torrents.into_iter().filter(|entry| !entry.source.is_checked()).collect();
    imported.sort_by_key(|entry| std::cmp::Reverse(entry.swarm.map(|swarm| (swarm.seeds, swarm.peers))));
    imported.truncate(most);
    imported
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::id::InfoHash;
    use crate::index::entry::Swarm;

    fn entry(name: &str, size_bytes: u64, source: Source, seeds: Option<u32>) -> Entry {
        Entry {
            infohash: InfoHash::new([1; 20]),
            name: name.to_owned(),
            size_bytes,
            file_count: 1,
            files: Vec::new(),
            found: 1,
            seen: 1,
            swarm: seeds.map(|seeds| Swarm { seeds, peers: 0, at: 1 }),
            source,
        }
    }

    #[test]
    fn names_are_compared_by_their_words_and_sizes_nearly() {
        let truth = entry("Big.Buck Bunny", 1_000, Source::Survey, None);
        for (name, size, right) in [
            ("big_buck bunny", 1_000, true),
            ("Big Buck Bunny", 1_060, true),
            ("Big Buck Bunny", 2_000, false),
            ("Big Buck Bunny free", 1_000, false),
            ("Bunny Buck Big", 1_000, false),
        ] {
            assert_eq!(agrees(&entry(name, size, Source::Import(0), None), &truth), right, "{name} {size}");
        }
    }

    #[test]
    fn a_source_keeps_its_number_and_is_dropped_once_when_it_lies() {
        let folder = tempfile::TempDir::new().unwrap();
        let mut store = crate::index::store::sqlite::Sqlite::open(folder.path(), Default::default()).unwrap();
        let mut origins = Origins::load(&mut store).unwrap();
        assert_eq!(origins.source("one"), Ok(Source::Import(0)));
        assert_eq!(origins.source("two"), Ok(Source::Import(1)));
        assert_eq!(origins.compared(Source::Import(1), true), None);
        assert_eq!(origins.compared(Source::Import(1), false), Some("two".to_owned()));
        assert_eq!(origins.compared(Source::Import(1), false), None, "dropped already");
        assert_eq!(origins.compared(Source::Survey, false), None);
        assert_eq!(origins.compared(Source::Import(9), false), None);
        origins.save(&mut store).unwrap();
        let mut again = Origins::load(&mut store).unwrap();
        assert_eq!(
            (again.source("one"), again.source("two")),
            (Ok(Source::Import(0)), Err(OriginError::Dropped("two".to_owned())))
        );
        assert_eq!(again.iter().map(|origin| origin.checked).collect::<Vec<_>>(), [0, 3]);
        for number in 2..MOST_ORIGINS {
            again.source(&number.to_string()).unwrap();
        }
        assert_eq!(again.source("more"), Err(OriginError::TooMany));
    }

    #[test]
    fn the_best_seeded_of_the_imported_are_worth_a_check() {
        let torrents = vec![
            entry("a", 1, Source::Import(0), Some(1)),
            entry("b", 1, Source::Survey, Some(900)),
            entry("c", 1, Source::Import(2), Some(70)),
            entry("d", 1, Source::Import(0), None),
        ];
        let names: Vec<String> = worth_a_check(torrents, 2).into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["c", "a"]);
    }
}
