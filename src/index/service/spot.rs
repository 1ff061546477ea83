//! Spot-checks of imported torrents: the best-seeded of some are fetched like any other, and compared with what their source
//! said. A source that was caught lying is dropped whole.

use std::time::Duration;

use arrayvec::ArrayVec;
use tokio::time::MissedTickBehavior;

use super::{Index, lock};
use crate::engine::id::InfoHash;
use crate::index::entry::{Entry, Source};
use crate::index::origins::{Origins, agrees, worth_a_check};
use crate::index::store::StoreError;

/// Time between two looks at a part of the store, of this many torrents, of which this many are compared.
const LOOK_EVERY: Duration = Duration::from_secs(60);
const LOOKED_AT: usize = 200;
const COMPARED: usize = 2;
/// Torrents that are being fetched to be compared, at most.
const MOST_COMPARED: usize = 50;
/// Torrents of a source that are dropped at a time.
const DROPPED_AT_ONCE: usize = 5_000;

impl Index {
    /// Walks through the store and checks some of what was imported; never ends.
    pub(super) async fn spot_check(&self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut after, mut dropped) = (0, 0);
        loop {
            ticks.tick().await;
            match self.look_for_imports(after).await {
                Ok(Part { torrents, last, lied }) => {
                    after = last;
                    self.check(torrents);
                    // What a stop of the program has left of a source that was dropped.
                    for source in lied.iter().skip(dropped) {
                        self.drop_whole(*source).await;
                    }
                    dropped = lied.len();
                }
                Err(error) => self.warn(&error, "imported torrents could not be read"),
            }
        }
    }

    async fn look_for_imports(&self, after: i64) -> Result<Part, StoreError> {
        self.with_store(move |store| {
            let origins = Origins::load(store)?;
            let lied = origins.lied().collect();
            let listed = if origins.is_empty() { Vec::new() } else { store.list(after, LOOKED_AT)? };
            // From the beginning again, behind the last one.
            let last = listed.last().map_or(0, |(place, _)| *place);
            Ok(Part { torrents: listed.into_iter().map(|(_, entry)| entry).collect(), last, lied })
        })
        .await
    }

    fn check(&self, torrents: Vec<Entry>) {
        for entry in worth_a_check(torrents, COMPARED) {
            self.want(entry.infohash, ArrayVec::new(), entry.swarm, false);
            let mut compared = lock(&self.compared);
            compared.retain(|other| other.infohash != entry.infohash);
            compared.push_back(entry);
            if compared.len() > MOST_COMPARED {
                compared.pop_front();
            }
        }
    }

    /// The metadata of a torrent came: where it was fetched to be compared, it is.
    pub(super) async fn compare(&self, infohash: InfoHash, truth: &Entry) {
        let said = {
            let mut compared = lock(&self.compared);
            let place = compared.iter().position(|entry| entry.infohash == infohash);
            place.and_then(|place| compared.remove(place))
        };
        let Some(said) = said else { return };
        let (source, right) = (said.source, agrees(&said, truth));
        let noted = self.with_store(move |store| {
            let mut origins = Origins::load(store)?;
            let caught = origins.compared(source, right);
            origins.save(store)?;
            Ok(caught)
        });
        match noted.await {
            Ok(Some(name)) => {
                let dropped = self.drop_whole(source).await;
                tracing::warn!(source = name, %infohash, dropped, "a source of imported torrents has lied: all of it is dropped");
            }
            Ok(None) => {}
            Err(error) => self.warn(&error, "what a check of an imported torrent found could not be stored"),
        }
    }

    async fn drop_whole(&self, source: Source) -> usize {
        let mut dropped = 0;
        loop {
            match self.with_store(move |store| store.drop_source(source, DROPPED_AT_ONCE)).await {
                Ok(0) => return dropped,
                Ok(more) => dropped += more,
                Err(error) => {
                    self.warn(&error, "a source that has lied could not be dropped");
                    return dropped;
                }
            }
        }
    }
}

/// A part of the store.
struct Part {
    torrents: Vec<Entry>,
    /// The place of the last of them.
    last: i64,
    /// All sources that were caught lying.
    lied: Vec<Source>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::query::Query;
    use crate::index::record::import;
    use crate::index::service::{Mode, Settings};
    use crate::index::store::{Options, Page, Place};

    fn settings() -> Settings {
        Settings {
            mode: Mode::Mine,
            options: Options::default(),
            refused_words: Vec::new(),
            refused_infohashes: Vec::new(),
            queries_per_second: 1,
            connections: 1,
            connections_per_second: 1,
            bytes_per_day: 1,
            our_peer_id: [0; 20],
            private_network: true,
        }
    }

    fn lines(first: u32, name: &str) -> String {
        let line = |number: u32| {
            format!(
                "{{\"infohash\":\"{number:040x}\",\"name\":\"{name} {number}\",\"size\":100,\"file_count\":1,\"found\":1,\"seen\":1,\"seeds\":{number},\"peers\":0,\"counted\":1}}\n"
            )
        };
        (first..first + 5).map(line).collect()
    }

    #[tokio::test]
    async fn a_source_that_lies_about_one_torrent_is_dropped_whole_and_others_stay() {
        let folder = tempfile::TempDir::new().unwrap();
        let index = Index::open(&Place::Folder(folder.path().to_owned()), settings()).unwrap();
        let sources = index.with_store(|store| {
            let mut origins = Origins::load(store)?;
            let sources = (origins.source("honest").unwrap(), origins.source("liar").unwrap());
            import(store, lines(1, "true").as_bytes(), 10, sources.0).unwrap();
            import(store, lines(11, "false").as_bytes(), 10, sources.1).unwrap();
            origins.save(store)?;
            Ok(sources)
        });
        let (honest, liar) = sources.await.unwrap();
        let part = index.look_for_imports(0).await.unwrap();
        assert_eq!((part.torrents.len(), part.lied.len()), (10, 0));
        index.check(part.torrents);
        // The best-seeded are wanted and will be compared.
        assert_eq!((lock(&index.compared).len(), lock(&index.wanted).len()), (2, 2));
        let said = lock(&index.compared).clone();
        let honest_one =
            Entry { infohash: InfoHash::new([9; 20]), name: "true 1".into(), source: honest, ..said[0].clone() };
        lock(&index.compared).push_back(honest_one.clone());
        let found = async || {
            let page = Page { skip: 0, most: 50, now: 10 };
            index.search(Query::parse("size>1B").unwrap(), page).await.unwrap().entries.len()
        };
        index.compare(honest_one.infohash, &Entry { source: Source::Survey, ..honest_one.clone() }).await;
        assert_eq!(found().await, 10, "it said the truth");
        let lie = said.iter().find(|entry| entry.source == liar).unwrap().clone();
        index.compare(lie.infohash, &Entry { name: "something else".into(), source: Source::Survey, ..lie }).await;
        assert_eq!(found().await, 5);
        let refused = index.with_store(|store| Ok(Origins::load(store)?.source("liar"))).await.unwrap();
        assert!(refused.unwrap_err().to_string().contains("was caught lying"));
        assert_eq!(index.look_for_imports(0).await.unwrap().lied, [liar]);
    }

    #[tokio::test]
    async fn what_somebody_looks_at_is_counted_again_and_unknown_is_no_zero() {
        let folder = tempfile::TempDir::new().unwrap();
        let index = Index::open(&Place::Folder(folder.path().to_owned()), settings()).unwrap();
        index
            .with_store(|store| Ok(import(store, lines(1, "name").as_bytes(), 10, Source::Import(0)).is_ok()))
            .await
            .unwrap();
        let asked = vec![InfoHash::new([7; 20]), format!("{:040x}", 3).parse().unwrap()];
        let told = index.counted(asked.clone()).await.unwrap();
        assert_eq!(told[0], None);
        assert_eq!(told[1].map(|swarm| (swarm.seeds, swarm.at)), Some((3, 1)));
        assert_eq!(lock(&index.recounts).next(1_800_000_000), Some(asked[1]), "the count is old");
        assert_eq!(lock(&index.recounts).next(1_800_000_000), None, "what is not there is not asked for");
    }
}
