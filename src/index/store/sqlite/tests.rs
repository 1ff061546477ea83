//! The store against a naive twin, and what happens when there is no room, no file or another program's file.

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::index::entry::Source;
use crate::index::query::What;
use crate::index::words::{has_phrase, words};

const NOW: UnixSeconds = 1_800_000_000;

fn folder() -> TempDir {
    TempDir::new().expect("a temporary folder")
}

fn open(folder: &TempDir) -> Sqlite {
    Sqlite::open(folder.path(), Options::default()).expect("a store")
}

fn infohash(number: u32) -> InfoHash {
    let mut bytes = [0x5a; 20];
    bytes[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_be_bytes());
    bytes[16..].copy_from_slice(&number.to_be_bytes());
    InfoHash::new(bytes)
}

fn entry(number: u32, name: &str, seeds: Option<u32>) -> Entry {
    Entry {
        infohash: infohash(number),
        name: name.to_owned(),
        size_bytes: u64::from(number) << 20,
        file_count: 2,
        files: vec![
            TorrentFile { path: format!("{name}/film.mkv"), size_bytes: 1000 },
            TorrentFile { path: format!("{name}/Notes about it.txt"), size_bytes: 10 },
        ],
        found: NOW - 1000,
        seen: NOW - u64::from(number % 100),
        swarm: seeds.map(|seeds| Swarm { seeds, peers: 1, at: NOW - 500 }),
        source: Source::Survey,
    }
}

fn names(store: &mut Sqlite, query: &str) -> Vec<String> {
    let found = store.search(&Query::parse(query).unwrap(), Page { skip: 0, most: 100, now: NOW }).unwrap();
    found.entries.into_iter().map(|entry| entry.name).collect()
}

#[test]
fn what_was_added_is_found_by_its_words_best_seeded_first() {
    let folder = folder();
    let mut store = open(&folder);
    let batch = [
        entry(1, "Big Buck Bunny 1080p", Some(3)),
        entry(2, "Big.Buck.Bunny.2160p", Some(500)),
        entry(3, "The Big Sleep", None),
        entry(4, "Bunny hops", Some(0)),
        entry(5, "The Boys", Some(20)),
    ];
    assert_eq!(store.add(&batch).unwrap(), Added { new: 5, ..Added::default() });
    assert_eq!(names(&mut store, "big buck"), ["Big.Buck.Bunny.2160p", "Big Buck Bunny 1080p"]);
    assert_eq!(names(&mut store, "bunny -buck"), ["Bunny hops"]);
    assert_eq!(names(&mut store, "bun* 1080"), ["Big Buck Bunny 1080p"]);
    assert_eq!(names(&mut store, "\"buck bunny\" seeds>=5"), ["Big.Buck.Bunny.2160p"]);
    assert_eq!(names(&mut store, "\"bunny buck\""), Vec::<String>::new());
    assert_eq!(names(&mut store, "boy"), Vec::<String>::new(), "whole words only");
    assert_eq!(names(&mut store, "big seeds=0"), Vec::<String>::new(), "unknown is not 0");
    assert_eq!(names(&mut store, "bunny size>3MiB sort:size"), ["Bunny hops"]);
    assert_eq!(names(&mut store, "size>3MiB -boys"), ["Bunny hops"]);
    assert_eq!(names(&mut store, &infohash(5).to_string()), ["The Boys"]);
    assert_eq!(
        names(&mut store, "big files:mkv sort:name"),
        ["Big Buck Bunny 1080p", "Big.Buck.Bunny.2160p", "The Big Sleep"]
    );
    assert_eq!(names(&mut store, "big files:notes"), Vec::<String>::new(), "words of files are not kept by default");
    assert_eq!(store.files(infohash(3)).unwrap(), batch[2].files);
}

#[test]
fn words_of_files_are_found_where_they_are_kept_and_that_stays_with_the_file() {
    let folder = folder();
    let options = Options { file_words: true, ..Options::default() };
    let mut store = Sqlite::open(folder.path(), options).unwrap();
    store.add(&[entry(1, "A film", Some(1))]).unwrap();
    assert_eq!(names(&mut store, "files:notes"), ["A film"]);
    drop(store);
    let mut store = open(&folder);
    store.forget(&[infohash(1)], Mark::Forgotten, NOW).unwrap();
    assert_eq!(names(&mut store, "files:notes"), Vec::<String>::new());
}

#[test]
fn a_count_moves_a_torrent_and_keeps_its_time() {
    let folder = folder();
    let mut store = open(&folder);
    store.add(&[entry(1, "one word", None), entry(2, "other word", Some(5))]).unwrap();
    assert_eq!(names(&mut store, "word"), ["other word", "one word"]);
    let late = Swarm { seeds: 150, peers: 2, at: NOW };
    store.count(&[(infohash(1), late), (infohash(99), late)]).unwrap();
    assert_eq!(names(&mut store, "word"), ["one word", "other word"]);
    store.count(&[(infohash(1), Swarm { seeds: 0, peers: 0, at: NOW - 10 })]).unwrap();
    assert_eq!(store.known(&[infohash(1), infohash(3)]).unwrap(), [Known::Yes(Some(late)), Known::No]);
    assert_eq!(names(&mut store, "one"), ["one word"], "an old count changes nothing");
}

#[test]
fn what_is_forgotten_does_not_come_back_and_leaves_no_name() {
    let folder = folder();
    let mut store = open(&folder);
    store.add(&[entry(1, "secret thing", Some(1)), entry(2, "other thing", None)]).unwrap();
    assert_eq!(store.forget(&[infohash(1), infohash(7)], Mark::Private, NOW).unwrap(), 1);
    assert_eq!(names(&mut store, "thing"), ["other thing"]);
    let again = store.add(&[entry(1, "secret thing", Some(1)), entry(7, "seven", None)]).unwrap();
    assert_eq!(again, Added { marked: 2, ..Added::default() });
    assert_eq!(store.mark(infohash(7)).unwrap(), Some(Mark::Private));
    assert_eq!((store.totals().unwrap().torrents, store.totals().unwrap().marks), (1, 2));
}

#[test]
fn a_store_keeps_its_bound_and_throws_away_what_nobody_seeds_first() {
    let folder = folder();
    let most_bytes = 2 << 20;
    let mut store = Sqlite::open(folder.path(), Options { most_bytes, ..Options::default() }).unwrap();
    let mut evicted = 0;
    for batch in 0..40u32 {
        let entries: Vec<Entry> = (0..500)
            .map(|index| batch * 500 + index)
            .map(|number| entry(number, &format!("name {number} of a thing"), (number % 10 == 0).then_some(7)))
            .collect();
        evicted += store.add(&entries).unwrap().evicted;
        let file = std::fs::metadata(folder.path().join(FILE_NAME)).unwrap().len();
        assert!(file <= most_bytes, "{file}");
        assert!(names(&mut store, "thing").len() == 100, "search goes on");
    }
    assert!(evicted > 5_000, "{evicted}");
    let known = store.known(&(0..20_000).step_by(10).map(infohash).collect::<Vec<_>>()).unwrap();
    assert!(known.iter().all(|known| *known != Known::No), "what is seeded is still there");
    assert_eq!(names(&mut store, "19999"), ["name 19999 of a thing"], "the newest");
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
fn a_checked_name_takes_the_place_of_an_imported_one() {
    let folder = folder();
    let mut store = open(&folder);
    store.add(&[Entry { source: Source::Import, ..entry(1, "a lie", Some(1)) }]).unwrap();
    store.add(&[entry(1, "the truth", None)]).unwrap();
    store.add(&[Entry { source: Source::Import, ..entry(1, "a lie again", None) }]).unwrap();
    assert_eq!((names(&mut store, "lie").len(), names(&mut store, "truth").len()), (0, 1));
    assert_eq!(store.totals().unwrap().torrents, 1);
}

#[test]
fn what_was_stored_is_there_after_the_program_was_killed() {
    let folder = folder();
    let mut store = open(&folder);
    store.add(&[entry(1, "one thing", Some(2))]).unwrap();
    store.save("sweep", b"here").unwrap();
    // Nothing is closed.
    std::mem::forget(store);
    let mut store = open(&folder);
    assert_eq!(names(&mut store, "thing"), ["one thing"]);
    assert_eq!(store.load("sweep").unwrap().as_deref(), Some(&b"here"[..]));
    assert_eq!(store.load("nothing").unwrap(), None);
    let (place, listed) = store.list(0, 10).unwrap().remove(0);
    assert_eq!(listed, entry(1, "one thing", Some(2)));
    assert!(store.list(place, 10).unwrap().is_empty());
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

/// What a search must find, looked for in the plainest way.
fn naive<'a>(entries: &'a [Entry], query: &Query) -> Vec<&'a str> {
    let fits = |entry: &Entry| {
        query.terms.iter().all(|term| {
            let has = match &term.what {
                What::Word(word) => words(&entry.name).contains(word),
                What::Prefix(beginning) => words(&entry.name).iter().any(|word| word.starts_with(beginning)),
                What::Phrase(phrase) => has_phrase(&entry.name, phrase),
                What::Files(_) => true,
            };
            has != term.not
        })
    };
    let mut names: Vec<&str> = entries.iter().filter(|entry| fits(entry)).map(|entry| &entry.name[..]).collect();
    names.sort_unstable();
    names
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn it_finds_what_a_naive_search_finds(
        made in prop::collection::vec(("[a-c]{1,2}( [a-cäS0-1東京]{1,3}){0,4}", prop::option::of(0u32..200)), 1..30),
        recounted in prop::collection::vec((0u32..30, 0u32..200), 0..20),
        forgotten in prop::collection::vec(0u32..30, 0..5),
        queries in prop::collection::vec("(-?([a-c]{1,2}\\*?|\"[a-c] [a-c]{1,2}\"|東京) ){1,3}", 1..6),
    ) {
        let folder = folder();
        let mut store = open(&folder);
        let mut entries: Vec<Entry> =
            made.iter().zip(0..).map(|((name, seeds), number)| entry(number, name, *seeds)).collect();
        store.add(&entries).unwrap();
        for (number, seeds) in recounted {
            store.count(&[(infohash(number), Swarm { seeds, peers: 0, at: NOW })]).unwrap();
        }
        let gone: Vec<InfoHash> = forgotten.into_iter().map(infohash).collect();
        store.forget(&gone, Mark::Forgotten, NOW).unwrap();
        entries.retain(|entry| !gone.contains(&entry.infohash));
        for text in queries {
            let Ok(query) = Query::parse(&text) else { continue };
            let mut found = names(&mut store, &text);
            found.sort_unstable();
            prop_assert_eq!(found, naive(&entries, &query), "{}", text);
        }
    }
}
