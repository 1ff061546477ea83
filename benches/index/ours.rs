//! Our stores: the file, and the database of several nodes.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use trackerless::index::entry::Entry;
use trackerless::index::query::Query;
use trackerless::index::store::{self, Open, Options, Page, Place, Store};

use crate::law::NOW;
use crate::measured::{Measured, WANTED, bytes_of, forget_pages};
use crate::postgres::Postgres;

/// A store of ours.
pub struct Ours {
    kept: Options,
    place: Place,
    server: Option<Postgres>,
    store: Option<Box<dyn Store>>,
}

impl Ours {
    pub fn in_folder(folder: PathBuf, keep_files: bool) -> Self {
        Self::at(Place::Folder(folder), None, keep_files)
    }

    pub fn in_database(keep_files: bool) -> Self {
        let server = Postgres::start();
        let address = server.url().parse().expect("an address");
        Self::at(Place::Database(address), Some(server), keep_files)
    }

    fn at(place: Place, server: Option<Postgres>, keep_files: bool) -> Self {
        let kept = Options { most_bytes: 1 << 40, keep_files, file_words: false };
        Self { kept, place, server, store: None }
    }

    fn opened(&mut self) -> &mut dyn Store {
        let open = || store::open(&self.place, self.kept, Open::OrMake).expect("a store");
        &mut **self.store.get_or_insert_with(open)
    }
}

impl Measured for Ours {
    fn name(&self) -> String {
        match self.place {
            Place::Folder(_) => "trackerless, index.sqlite".to_owned(),
            Place::Database(_) => "trackerless, PostgreSQL".to_owned(),
        }
    }

    fn torrents(&mut self) -> u64 {
        self.opened().totals().expect("totals").torrents
    }

    fn add(&mut self, batch: &[Entry]) -> Duration {
        let store = self.opened();
        let began = Instant::now();
        store.add(batch).expect("room");
        began.elapsed()
    }

    fn bytes(&mut self) -> u64 {
        match &self.place {
            Place::Folder(folder) => {
                // What is in the log goes into the file when it is closed.
                self.store = None;
                bytes_of(folder)
            }
            Place::Database(_) => self.opened().totals().expect("totals").used_bytes,
        }
    }

    fn close(&mut self) {
        self.store = None;
        match (&self.place, &mut self.server) {
            (Place::Folder(folder), _) => forget_pages(folder),
            (_, Some(server)) => server.restart(),
            _ => {}
        }
    }

    fn search(&mut self, query: &Query) -> (Duration, usize) {
        let began = Instant::now();
        let found = self.opened().search(query, Page { skip: 0, most: WANTED, now: NOW }).expect("a search");
        (began.elapsed(), found.entries.len())
    }

    fn folder(&self) -> &Path {
        match (&self.place, &self.server) {
            (Place::Database(_), Some(server)) => server.folder(),
            (Place::Folder(folder), _) => folder,
            _ => Path::new(""),
        }
    }

    fn processes(&self) -> Vec<u32> {
        self.server.as_ref().map_or_else(|| vec![std::process::id()], Postgres::processes)
    }
}
