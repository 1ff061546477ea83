//! What every store does, whatever is behind it: each behaviour runs on SQLite and on PostgreSQL.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tempfile::TempDir;

use super::*;
use crate::index::entry::Source;
use crate::index::query::What;
use crate::index::words::{has_phrase, words};

/// Opens one place, again and again.
pub(super) type Opener = Box<dyn Fn(Options) -> Box<dyn Store>>;
/// An empty place each time.
pub(super) type Fresh<'a> = &'a dyn Fn() -> Opener;

macro_rules! behaviours {
    ($($name:ident)+) => {
        /// All of them, for the store behind which a server must be started.
        pub(super) const BEHAVIOURS: &[(&str, fn(Fresh<'_>))] = &[$((stringify!($name), $name)),+];

        mod of_sqlite {
            $(#[test] fn $name() { super::$name(&super::folder); })+
        }
    };
}

behaviours! {
    what_was_added_is_found_by_its_words_best_seeded_first
    words_of_files_are_found_where_they_are_kept_and_that_stays_with_the_file
    a_count_moves_a_torrent_and_keeps_its_time
    counts_are_kept_over_time_of_swarms_that_somebody_was_in
    what_is_forgotten_does_not_come_back_and_leaves_no_name
    a_checked_name_takes_the_place_of_an_imported_one
    what_was_stored_is_there_after_the_program_was_killed
    what_one_source_brought_can_be_dropped_whole
    what_another_program_wrote_counts
    a_torrent_twice_in_a_batch_is_one
    numbers_and_names_at_their_bounds_come_back
    pages_follow_each_other_in_every_order
    it_finds_what_a_naive_search_finds
}

/// A folder that lives as long as what opens it.
fn folder() -> Opener {
    let folder = TempDir::new().expect("a temporary folder");
    Box::new(move |options| Box::new(Sqlite::open(folder.path(), options).expect("a store")))
}

pub(super) const NOW: UnixSeconds = 1_800_000_000;

pub(in crate::index) fn infohash(number: u32) -> InfoHash {
    let mut bytes = [0x5a; 20];
    bytes[..4].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_be_bytes());
    bytes[16..].copy_from_slice(&number.to_be_bytes());
    InfoHash::new(bytes)
}

pub(super) fn entry(number: u32, name: &str, seeds: Option<u32>) -> Entry {
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

pub(super) fn names(store: &mut dyn Store, query: &str) -> Vec<String> {
    let found = store.search(&Query::parse(query).unwrap(), Page { skip: 0, most: 100, now: NOW }).unwrap();
    found.entries.into_iter().map(|entry| entry.name).collect()
}

fn what_was_added_is_found_by_its_words_best_seeded_first(fresh: Fresh<'_>) {
    let open = fresh();
    let mut store = open(Options::default());
    let batch = [
        entry(1, "Big Buck Bunny 1080p", Some(3)),
        entry(2, "Big.Buck.Bunny.2160p", Some(500)),
        entry(3, "The Big Sleep", None),
        entry(4, "Bunny hops", Some(0)),
        entry(5, "The Boys", Some(20)),
    ];
    assert_eq!(store.add(&batch).unwrap(), Added { new: 5, ..Added::default() });
    assert_eq!(names(&mut *store, "big buck"), ["Big.Buck.Bunny.2160p", "Big Buck Bunny 1080p"]);
    assert_eq!(names(&mut *store, "bunny -buck"), ["Bunny hops"]);
    assert_eq!(names(&mut *store, "bun* 1080"), ["Big Buck Bunny 1080p"]);
    assert_eq!(names(&mut *store, "\"buck bunny\" seeds>=5"), ["Big.Buck.Bunny.2160p"]);
    assert_eq!(names(&mut *store, "\"bunny buck\""), Vec::<String>::new());
    assert_eq!(names(&mut *store, "boy"), Vec::<String>::new(), "whole words only");
    assert_eq!(names(&mut *store, "big seeds=0"), Vec::<String>::new(), "unknown is not 0");
    assert_eq!(names(&mut *store, "bunny size>3MiB sort:size"), ["Bunny hops"]);
    assert_eq!(names(&mut *store, "size>3MiB -boys"), ["Bunny hops"]);
    assert_eq!(names(&mut *store, &infohash(5).to_string()), ["The Boys"]);
    assert_eq!(
        names(&mut *store, "big files:mkv sort:name"),
        ["Big Buck Bunny 1080p", "Big.Buck.Bunny.2160p", "The Big Sleep"]
    );
    assert_eq!(names(&mut *store, "big files:notes"), Vec::<String>::new(), "words of files are not kept by default");
    assert_eq!(store.files(infohash(3)).unwrap(), batch[2].files);
}

fn words_of_files_are_found_where_they_are_kept_and_that_stays_with_the_file(fresh: Fresh<'_>) {
    let open = fresh();
    let options = Options { file_words: true, ..Options::default() };
    let mut store = open(options);
    store.add(&[entry(1, "A film", Some(1))]).unwrap();
    assert_eq!(names(&mut *store, "files:notes"), ["A film"]);
    drop(store);
    let mut store = open(Options::default());
    store.forget(&[infohash(1)], Mark::Forgotten, NOW).unwrap();
    assert_eq!(names(&mut *store, "files:notes"), Vec::<String>::new());
}

fn a_count_moves_a_torrent_and_keeps_its_time(fresh: Fresh<'_>) {
    let open = fresh();
    let mut store = open(Options::default());
    store.add(&[entry(1, "one word", None), entry(2, "other word", Some(5))]).unwrap();
    assert_eq!(names(&mut *store, "word"), ["other word", "one word"]);
    let late = Swarm { seeds: 150, peers: 2, at: NOW };
    store.count(&[(infohash(1), late), (infohash(99), late)]).unwrap();
    assert_eq!(names(&mut *store, "word"), ["one word", "other word"]);
    store.count(&[(infohash(1), Swarm { seeds: 0, peers: 0, at: NOW - 10 })]).unwrap();
    assert_eq!(store.known(&[infohash(1), infohash(3)]).unwrap(), [Known::Yes(Some(late)), Known::No]);
    assert_eq!(names(&mut *store, "one"), ["one word"], "an old count changes nothing");
}

fn counts_are_kept_over_time_of_swarms_that_somebody_was_in(fresh: Fresh<'_>) {
    let mut store = fresh()(Options::default());
    store.add(&[entry(1, "one", Some(7)), entry(2, "two", None), entry(3, "three", Some(1))]).unwrap();
    let first = Swarm { seeds: 7, peers: 1, at: NOW - 500 };
    let days = |day: u64| NOW - 500 + day * 86_400 - (NOW - 500) % 60;
    let count = |day, seeds| Swarm { seeds, peers: 0, at: days(day) };
    assert_eq!(store.history(infohash(1)).unwrap(), [first], "one count is there from the start");
    store.count(&[(infohash(1), count(1, 9)), (infohash(2), count(1, 0)), (infohash(9), count(1, 3))]).unwrap();
    store.count(&[(infohash(1), count(2, 4)), (infohash(2), count(2, 0))]).unwrap();
    store.add(&[Entry { swarm: Some(count(3, 5)), ..entry(1, "one", None) }]).unwrap();
    store.count(&[(infohash(1), count(2, 800))]).unwrap();
    let kept = store.history(infohash(1)).unwrap();
    assert_eq!(kept.iter().map(|swarm| swarm.seeds).collect::<Vec<_>>(), [7, 9, 4, 5], "an older count comes too late");
    assert_eq!(kept[3], count(3, 5));
    assert_eq!(store.history(infohash(2)).unwrap(), [count(2, 0)], "nobody was ever there: the last one alone");
    assert_eq!(store.history(infohash(9)).unwrap(), [], "it is not in the store");
}

fn what_is_forgotten_does_not_come_back_and_leaves_no_name(fresh: Fresh<'_>) {
    let open = fresh();
    let mut store = open(Options::default());
    store.add(&[entry(1, "secret thing", Some(1)), entry(2, "other thing", None)]).unwrap();
    assert_eq!(store.forget(&[infohash(1), infohash(7)], Mark::Private, NOW).unwrap(), 1);
    assert_eq!(names(&mut *store, "thing"), ["other thing"]);
    let again = store.add(&[entry(1, "secret thing", Some(1)), entry(7, "seven", None)]).unwrap();
    assert_eq!(again, Added { marked: 2, ..Added::default() });
    assert_eq!(store.mark(infohash(7)).unwrap(), Some(Mark::Private));
    assert_eq!((store.totals().unwrap().torrents, store.totals().unwrap().marks), (1, 2));
}

fn a_checked_name_takes_the_place_of_an_imported_one(fresh: Fresh<'_>) {
    let open = fresh();
    let mut store = open(Options::default());
    store.add(&[Entry { source: Source::Import(0), ..entry(1, "a lie", Some(1)) }]).unwrap();
    store.add(&[entry(1, "the truth", None)]).unwrap();
    store.add(&[Entry { source: Source::Import(0), ..entry(1, "a lie again", None) }]).unwrap();
    assert_eq!((names(&mut *store, "lie").len(), names(&mut *store, "truth").len()), (0, 1));
    assert_eq!(store.totals().unwrap().torrents, 1);
}

fn what_was_stored_is_there_after_the_program_was_killed(fresh: Fresh<'_>) {
    let open = fresh();
    let mut store = open(Options::default());
    store.add(&[entry(1, "one thing", Some(2))]).unwrap();
    store.save("sweep", b"here").unwrap();
    // Nothing is closed.
    std::mem::forget(store);
    let mut store = open(Options::default());
    assert_eq!(names(&mut *store, "thing"), ["one thing"]);
    assert_eq!(store.load("sweep").unwrap().as_deref(), Some(&b"here"[..]));
    assert_eq!(store.load("nothing").unwrap(), None);
    let (place, listed) = store.list(0, 10).unwrap().remove(0);
    assert_eq!(listed, entry(1, "one thing", Some(2)));
    assert!(store.list(place, 10).unwrap().is_empty());
}

fn what_one_source_brought_can_be_dropped_whole(fresh: Fresh<'_>) {
    let mut store = fresh()(Options::default());
    let of = |number, source| Entry { source: Source::Import(source), ..entry(number, "a thing", None) };
    store.add(&[of(1, 7), of(2, 7), of(3, 8), of(4, 7)]).unwrap();
    store.add(&[entry(4, "a thing", None)]).unwrap();
    let listed = store.list(0, 10).unwrap();
    let third = listed.iter().find(|(_, entry)| entry.infohash == infohash(3)).unwrap();
    assert_eq!((listed.len(), third.1.source), (4, Source::Import(8)));
    assert_eq!((1..4).map(|_| store.drop_source(Source::Import(7), 1).unwrap()).collect::<Vec<_>>(), [1, 1, 0]);
    assert_eq!(
        (names(&mut *store, "thing").len(), store.totals().unwrap().torrents),
        (2, 2),
        "4 was checked meanwhile"
    );
    assert_eq!(store.known(&[infohash(1)]).unwrap(), [Known::No], "no mark");
}

fn what_another_program_wrote_counts(fresh: Fresh<'_>) {
    let open = fresh();
    let (mut one, mut other) = (open(Options::default()), open(Options::default()));
    let imported = Entry { source: Source::Import(4), ..entry(3, "three", Some(7)) };
    one.add(&[entry(1, "one", None), entry(2, "two", None)]).unwrap();
    other.add(&[entry(2, "two", None), imported]).unwrap();
    assert_eq!((one.totals().unwrap().torrents, other.totals().unwrap().torrents), (3, 3));
    other.forget(&[infohash(1), infohash(9)], Mark::Forgotten, NOW).unwrap();
    assert_eq!(one.totals().unwrap().torrents, 2);
    one.drop_source(Source::Import(4), 10).unwrap();
    assert_eq!(other.totals().unwrap().torrents, 1);
}

fn a_torrent_twice_in_a_batch_is_one(fresh: Fresh<'_>) {
    let mut store = fresh()(Options::default());
    let count = |seeds, at| Some(Swarm { seeds, peers: 0, at });
    let batch = [
        Entry { source: Source::Import(0), seen: NOW - 50, ..entry(1, "a lie", None) },
        Entry { swarm: count(5, NOW - 20), ..entry(1, "the truth", None) },
        Entry { swarm: count(70, NOW - 30), ..entry(1, "the truth", None) },
    ];
    assert_eq!(store.add(&batch).unwrap(), Added { new: 1, renewed: 2, ..Added::default() });
    assert_eq!(store.add(&batch[1..]).unwrap(), Added { renewed: 2, ..Added::default() });
    let (_, listed) = store.list(0, 10).unwrap().remove(0);
    assert_eq!((&listed.name[..], listed.seen, listed.swarm), ("the truth", NOW - 1, batch[1].swarm));
    assert_eq!((names(&mut *store, "truth").len(), names(&mut *store, "lie").len()), (1, 0));
    assert_eq!(store.totals().unwrap().torrents, 1);
    store
        .count(&[
            (infohash(1), Swarm { seeds: 9, peers: 1, at: NOW }),
            (infohash(1), Swarm { seeds: 200, peers: 1, at: NOW - 1 }),
        ])
        .unwrap();
    assert_eq!(store.known(&[infohash(1)]).unwrap(), [Known::Yes(Some(Swarm { seeds: 9, peers: 1, at: NOW }))]);
}

fn numbers_and_names_at_their_bounds_come_back(fresh: Fresh<'_>) {
    let mut store = fresh()(Options::default());
    let large = Entry {
        size_bytes: u64::MAX,
        file_count: 0,
        files: Vec::new(),
        swarm: Some(Swarm { seeds: u32::MAX, peers: 0, at: NOW }),
        ..entry(1, &"It's \\ a: <-> 'name' & | ! ()".repeat(200), None)
    };
    store.add(&[large.clone(), Entry { name: "東京 \u{e000}x %_".to_owned(), ..entry(2, "", None) }]).unwrap();
    let all = store.list(0, 10).unwrap();
    let (_, listed) = all.into_iter().find(|(_, entry)| entry.infohash == large.infohash).unwrap();
    assert_eq!(listed, Entry { size_bytes: i64::MAX as u64, ..large });
    assert_eq!(names(&mut *store, "name").len(), 1);
    assert_eq!(names(&mut *store, "\"a name\" its").len(), 1);
    assert_eq!(names(&mut *store, "東京").len(), 1);
    assert_eq!((store.add(&[]).unwrap(), store.known(&[]).unwrap()), (Added::default(), vec![]));
    store.count(&[]).unwrap();
    assert_eq!(store.forget(&[], Mark::Refused, NOW).unwrap(), 0);
}

fn pages_follow_each_other_in_every_order(fresh: Fresh<'_>) {
    let mut store = fresh()(Options::default());
    let entries: Vec<Entry> =
        (0..90).map(|number| entry(number, &format!("thing {number:02}"), Some(number * 3 % 250))).collect();
    store.add(&entries).unwrap();
    for sort in ["seeds", "size", "seen", "found", "name"] {
        let query = Query::parse(&format!("thing sort:{sort}")).unwrap();
        let mut page = |skip, most| store.search(&query, Page { skip, most, now: NOW }).unwrap();
        let all = page(0, 100);
        assert_eq!((all.entries.len(), all.more), (90, false));
        let pages: Vec<Found> = (0..9).map(|number| page(number * 10, 10)).collect();
        assert!(pages[..8].iter().all(|page| page.more) && !pages[8].more);
        let seeds =
            |found: &Found| found.entries.iter().map(|entry| entry.swarm.map(|swarm| swarm.seeds)).collect::<Vec<_>>();
        let together: Vec<_> = pages.iter().flat_map(seeds).collect();
        let key: fn(&Entry) -> (u64, String) = match sort {
            "size" => |entry| (u64::MAX - entry.size_bytes, String::new()),
            "seen" => |entry| (u64::MAX - entry.seen, String::new()),
            "name" => |entry| (0, entry.name.clone()),
            "found" => |entry| (u64::MAX - entry.found, String::new()),
            _ => |entry| (u64::MAX - u64::from(entry.swarm.unwrap().seeds), String::new()),
        };
        assert!(all.entries.is_sorted_by_key(key), "{sort}");
        let mut listed: Vec<InfoHash> =
            pages.iter().flat_map(|page| page.entries.iter().map(|entry| entry.infohash)).collect();
        assert_eq!(together.len(), 90);
        listed.sort_unstable();
        listed.dedup();
        assert_eq!(listed.len(), 90, "each once: {sort}");
        assert_eq!(page(95, 10), Found::default());
    }
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

/// Names with seeds, recounts, what is forgotten, and queries.
type Story = (Vec<(String, Option<u32>)>, Vec<(u32, u32)>, Vec<u32>, Vec<String>);

fn stories() -> impl Strategy<Value = Story> {
    (
        prop::collection::vec(("[a-c]{1,2}( [a-cäS0-1東京]{1,3}){0,4}", prop::option::of(0u32..200)), 1..30),
        prop::collection::vec((0u32..30, 0u32..200), 0..20),
        prop::collection::vec(0u32..30, 0..5),
        prop::collection::vec("(-?([a-c]{1,2}\\*?|\"[a-c] [a-c]{1,2}\"|東京) ){1,3}", 1..6),
    )
}

fn it_finds_what_a_naive_search_finds(fresh: Fresh<'_>) {
    let mut runner = TestRunner::new(ProptestConfig::with_cases(25));
    let run = runner.run(&stories(), |story| told(&mut *fresh()(Options::default()), story));
    run.unwrap_or_else(|failed| panic!("{failed}"));
}

fn told(store: &mut dyn Store, (made, recounted, forgotten, queries): Story) -> Result<(), TestCaseError> {
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
        let mut found = names(store, &text);
        found.sort_unstable();
        prop_assert_eq!(found, naive(&entries, &query), "{}", text);
    }
    Ok(())
}

/// Fills a store with torrents of which every tenth is seeded, far beyond its bound; how many were thrown away. `look` sees it
/// after each batch.
pub(super) fn fill(store: &mut dyn Store, mut look: impl FnMut(&mut dyn Store)) -> usize {
    let mut evicted = 0;
    for batch in 0..40u32 {
        let entries: Vec<Entry> = (0..500)
            .map(|index| batch * 500 + index)
            .map(|number| entry(number, &format!("name {number} of a thing"), (number % 10 == 0).then_some(7)))
            .collect();
        evicted += store.add(&entries).unwrap().evicted;
        look(store);
    }
    evicted
}

/// What [`fill`] must leave.
pub(super) fn assert_the_seeded_and_the_newest_are_left(store: &mut dyn Store) {
    let known = store.known(&(0..20_000).step_by(10).map(infohash).collect::<Vec<_>>()).unwrap();
    assert!(known.iter().all(|known| *known != Known::No), "what is seeded is still there");
    assert_eq!(names(store, "19999"), ["name 19999 of a thing"], "the newest");
}
