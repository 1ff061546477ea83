//! The behaviours of every store on a real server, and what only a database does.

use super::*;
use crate::index::store::behaviour_tests::{
    BEHAVIOURS, NOW, Opener, assert_the_seeded_and_the_newest_are_left, entry, fill, infohash, names,
};

#[expect(unreachable_pub, dead_code, reason = "the tests of the program have it too")]
#[path = "../../../../tests/program/postgres_server.rs"]
mod server;

use server::Server;

/// Settings of a server whose data nobody needs again.
const FAST: [&str; 2] = ["fsync=off", "full_page_writes=off"];

fn store(server: &Server, options: Options) -> Postgres {
    Postgres::new(server.url().parse().unwrap(), options, Open::OrMake)
}

/// An empty place on a server.
fn emptied(server: &Server) -> Opener {
    server.sql("SET client_min_messages = error; DROP SCHEMA IF EXISTS trackerless CASCADE");
    let url = server.url();
    Box::new(move |options| Box::new(Postgres::new(url.parse().unwrap(), options, Open::OrMake)))
}

#[test]
fn every_behaviour_of_a_store_is_that_of_this_one() {
    let Some(server) = Server::start(&FAST) else { return };
    for (name, behaviour) in BEHAVIOURS {
        println!("{name}");
        behaviour(&|| emptied(&server));
    }
}

#[test]
fn a_bound_is_kept_by_throwing_away_what_nobody_seeds() {
    let Some(server) = Server::start(&FAST) else { return };
    let most_bytes = 12 << 20;
    let mut store = store(&server, Options { most_bytes, ..Options::default() });
    let mut largest = 0;
    let evicted = fill(&mut store, |store| largest = largest.max(store.totals().unwrap().used_bytes));
    assert!(evicted > 1_000 && largest < most_bytes / 10 * 12, "{evicted} {largest}");
    let bytes: u64 = server
        .sql("SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('trackerless.torrent') WHERE isleaf")
        .parse()
        .unwrap();
    assert!(bytes < most_bytes / 10 * 14, "{bytes}");
    assert_the_seeded_and_the_newest_are_left(&mut store);
}

#[test]
fn what_is_thrown_away_is_found_without_reading_the_tables() {
    let Some(server) = Server::start(&FAST) else { return };
    store(&server, Options::default()).add(&[entry(1, "one", None)]).unwrap();
    let imported = "WHERE source = 7";
    for victims in write::LEAST_VALUABLE.iter().chain([&imported]) {
        let small = "SET search_path = trackerless; SET enable_seqscan = off; SET enable_sort = off";
        let plan = server.sql(&format!("{small}; EXPLAIN SELECT hash FROM torrent {victims} LIMIT 500"));
        assert!(plan.contains("Scan") && !plan.contains("Seq Scan") && !plan.contains("Sort  ("), "{victims}: {plan}");
    }
}

#[test]
fn a_schema_from_the_future_and_a_missing_index_are_named_and_left_alone() {
    let Some(server) = Server::start(&FAST) else { return };
    let mut reader = Postgres::new(server.url().parse().unwrap(), Options::default(), Open::Existing);
    assert!(matches!(reader.totals(), Err(StoreError::Missing(_))));
    store(&server, Options::default()).add(&[entry(1, "one", None)]).unwrap();
    assert_eq!(reader.totals().unwrap().torrents, 1);
    server.sql("UPDATE trackerless.schema SET version = 99");
    let error = store(&server, Options::default()).totals().unwrap_err().to_string();
    assert!(error.contains("has schema 99") && !error.contains("sesame"), "{error}");
    assert_eq!(server.sql("SELECT version FROM trackerless.schema"), "99");
}

#[test]
fn tables_of_versions_before_are_brought_up_to_date_and_lose_nothing() {
    let Some(server) = Server::start(&FAST) else { return };
    let third = "DROP INDEX trackerless.torrent_seeded";
    let second = format!("{third}; ALTER TABLE trackerless.torrent DROP COLUMN history");
    for (version, undo) in [(2, third), (1, &second)] {
        emptied(&server)(Options::default()).add(&[entry(1, "one", Some(7))]).unwrap();
        server.sql(&format!("{undo}; UPDATE trackerless.schema SET version = {version}"));
        let mut store = store(&server, Options::default());
        assert_eq!(names(&mut store, "one"), ["one"]);
        store.count(&[(infohash(1), Swarm { seeds: 9, peers: 0, at: NOW })]).unwrap();
        assert_eq!(store.history(infohash(1)).unwrap().len(), 2);
        let there = "SELECT version, to_regclass('trackerless.torrent_seeded') FROM trackerless.schema";
        assert_eq!(server.sql(there), "3|torrent_seeded", "from {version}");
    }
}

#[test]
fn a_database_that_is_down_is_an_error_at_once_and_found_again_when_it_is_back() {
    let Some(mut server) = Server::start(&FAST) else { return };
    let mut store = store(&server, Options::default());
    store.add(&[entry(1, "one", None)]).unwrap();
    server.kill();
    for _ in 0..50 {
        let error = store.known(&[infohash(1)]).unwrap_err();
        assert!(matches!(error, StoreError::Unreachable { .. }) && error.passes(), "{error}");
        assert!(!error.to_string().contains("sesame"), "{error}");
    }
    server.run();
    let found = std::iter::repeat_with(|| store.known(&[infohash(1)])).find_map(Result::ok).unwrap();
    assert_eq!(found, [Known::Yes(None)]);
    // A server that was restarted between two operations costs no error.
    server.kill();
    server.run();
    assert_eq!(names(&mut store, "one"), ["one"]);
}

#[test]
fn a_database_that_stands_still_blocks_nobody() {
    let Some(server) = Server::start(&FAST) else { return };
    let mut store = store(&server, Options::default());
    store.add(&[entry(1, "one", None)]).unwrap();
    store.session.within = Duration::from_millis(200);
    server.signal("STOP");
    let error = store.known(&[infohash(1)]).unwrap_err();
    server.signal("CONT");
    assert!(matches!(&error, StoreError::Unreachable { why, .. } if why.contains("no answer in")), "{error}");
    store.session.within = Duration::from_secs(30);
    let found = std::iter::repeat_with(|| store.known(&[infohash(1)])).find_map(Result::ok).unwrap();
    assert_eq!(found, [Known::Yes(None)]);
}

#[test]
fn a_wrong_password_is_said_and_not_shown() {
    let Some(server) = Server::start(&FAST) else { return };
    let url = server.url().replace("sesame", "barley");
    let error = Postgres::new(url.parse().unwrap(), Options::default(), Open::OrMake).totals().unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("password authentication failed"), "{error}");
    assert!(!format!("{error} {error:?}").contains("barley"), "{error:?}");
    let file = server.path().join("password");
    let url =
        format!("postgres://trackerless@/postgres?host={}&password_file={}", server.path().display(), file.display());
    assert_eq!(store_at(&url).totals().unwrap().torrents, 0);
}

fn store_at(url: &str) -> Postgres {
    Postgres::new(url.parse().unwrap(), Options::default(), Open::OrMake)
}

#[test]
fn shares_are_divided_and_those_of_a_dead_node_are_taken_over_by_the_clock_of_the_database() {
    let Some(server) = Server::start(&FAST) else { return };
    let (mut one, mut two) = (store(&server, Options::default()), store(&server, Options::default()));
    let minute = Duration::from_secs(60);
    assert_eq!(one.hold_shares("one", minute).unwrap().unwrap(), Shares::ALL);
    assert_eq!(two.hold_shares("two", minute).unwrap().unwrap(), Shares::NONE, "one has not heard of two");
    let first = one.hold_shares("one", minute).unwrap().unwrap();
    let second = two.hold_shares("two", minute).unwrap().unwrap();
    assert_eq!((first.count(), second, first.count() + second.count()), (32, Shares::ALL.without(first), 64));
    assert_eq!(one.hold_shares("one", minute).unwrap().unwrap(), first, "both live on");
    // Two dies; its time passes.
    server.sql("UPDATE trackerless.lease SET expires = now() - interval '1 s' WHERE node = 'two'");
    server.sql("UPDATE trackerless.node SET expires = now() - interval '1 s' WHERE name = 'two'");
    assert_eq!(one.hold_shares("one", minute).unwrap().unwrap(), Shares::ALL);
}

#[test]
fn programs_that_write_the_same_torrents_at_once_lose_nothing() {
    let Some(server) = Server::start(&FAST) else { return };
    let batch: Vec<Entry> = (0..300).map(|number| entry(number, &format!("thing {number}"), Some(number))).collect();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (mut store, mut batch) = (store(&server, Options::default()), batch.clone());
            batch.rotate_left(writer * 70);
            std::thread::spawn(move || {
                let counts: Vec<_> =
                    batch.iter().map(|entry| (entry.infohash, Swarm { seeds: 1, peers: 1, at: NOW })).collect();
                let added = store.add(&batch).unwrap();
                store.count(&counts).unwrap();
                added.new
            })
        })
        .collect();
    let new: usize = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
    assert_eq!(new, 300);
    let mut store = store(&server, Options::default());
    assert_eq!(store.totals().unwrap().torrents, 300);
    assert_eq!(names(&mut store, "thing seeds=1").len(), 100);
}
