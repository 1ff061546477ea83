//! What happens in a file when there is no room, no file or another program's file.

use tempfile::TempDir;

use super::write::LEAST_VALUABLE;
use super::*;
use crate::index::store::behaviour_tests::{
    NOW, assert_the_seeded_and_the_newest_are_left, entry, fill, infohash, names,
};

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

fn open(folder: &TempDir) -> Sqlite {
    Sqlite::open(folder.path(), Options::default()).expect("a store")
}

#[test]
fn a_store_keeps_its_bound_and_throws_away_what_nobody_seeds_first() {
    let folder = folder();
    let most_bytes = 2 << 20;
    let mut store = Sqlite::open(folder.path(), Options { most_bytes, ..Options::default() }).unwrap();
    let evicted = fill(&mut store, |store| {
        let file = std::fs::metadata(folder.path().join(FILE_NAME)).unwrap().len();
        assert!(file <= most_bytes, "{file}");
        assert!(names(store, "thing").len() == 100, "search goes on");
    });
    assert!(evicted > 5_000, "{evicted}");
    assert_the_seeded_and_the_newest_are_left(&mut store);
}

#[test]
fn a_store_in_which_all_is_seeded_throws_away_what_has_the_fewest_seeds() {
    let folder = folder();
    let mut store = Sqlite::open(folder.path(), Options { most_bytes: 512 << 10, ..Options::default() }).unwrap();
    for batch in 0..20u32 {
        let entries: Vec<Entry> =
            (batch * 300..batch * 300 + 300).map(|number| entry(number, "a thing", Some(number + 1))).collect();
        store.add(&entries).unwrap();
    }
    let known = store.known(&[infohash(0), infohash(5_999)]).unwrap();
    assert_eq!(known[0], Known::No);
    assert!(matches!(known[1], Known::Yes(_)));
}

#[test]
fn what_is_thrown_away_is_found_without_reading_the_table() {
    let store = open(&folder());
    let imported = "WHERE source = 7 AND source >= 3";
    for which in LEAST_VALUABLE.iter().chain([&imported]) {
        let sql = format!("EXPLAIN QUERY PLAN SELECT * FROM torrent {which} LIMIT 10");
        let mut statement = store.connection.prepare(&sql).unwrap();
        let plan: Vec<String> = statement.query_map([], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
        assert!(matches!(&plan[..], [only] if only.contains("USING INDEX torrent_")), "{which}: {plan:?}");
    }
}

#[test]
fn a_file_of_the_first_schema_is_brought_up_to_date_and_loses_nothing() {
    let folder = folder();
    let old = Connection::open(folder.path().join(FILE_NAME)).unwrap();
    old.execute_batch(&format!("{FIRST} PRAGMA user_version = 1")).unwrap();
    let row = format!("INSERT INTO torrent VALUES(1, x'{}', 'a thing', 1, 1, 1, 1, 5, 1, 1, 2)", infohash(1));
    old.execute_batch(&format!("{row}; INSERT INTO words2(rowid, w) VALUES(1, 'a thing')")).unwrap();
    drop(old);
    let later = Swarm { seeds: 9, peers: 0, at: NOW };
    for _ in 0..2 {
        let mut store = open(&folder);
        assert_eq!(store.totals().unwrap().torrents, 1);
        assert_eq!(names(&mut store, "thing"), ["a thing"]);
    }
    let mut store = open(&folder);
    store.count(&[(infohash(1), later)]).unwrap();
    assert_eq!(store.history(infohash(1)).unwrap().len(), 2);
    drop(store);
    assert_eq!(open(&folder).history(infohash(1)).unwrap()[1], later);
}

#[test]
fn files_that_are_no_index_or_come_from_the_future_are_left_alone() {
    let folder = folder();
    assert!(matches!(Sqlite::open_existing(folder.path(), Options::default()), Err(StoreError::Missing(_))));
    let path = folder.path().join(FILE_NAME);
    std::fs::write(&path, "no database at all, but long enough to be one by its length".repeat(20)).unwrap();
    let error = Sqlite::open(folder.path(), Options::default()).unwrap_err();
    assert!(matches!(error, StoreError::NotAnIndex { .. }), "{error}");
    std::fs::remove_file(&path).unwrap();
    open(&folder).connection.pragma_update(None, "user_version", 99).unwrap();
    let error = Sqlite::open(folder.path(), Options::default()).unwrap_err();
    assert!(error.to_string().contains("has schema 99"), "{error}");
    std::fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE other(x)").unwrap();
    let error = Sqlite::open(folder.path(), Options::default()).unwrap_err();
    assert!(error.to_string().contains("other tables"), "{error}");
}
