//! The index as a user meets it: import, search, forget, export, and what is said of wrong input.

use trackerless::index::filter::Filter;

use super::harness::Home;

const SINTEL: &str = "08ada5a7a6183aae1e09d831df6748d566095a10";

const LINES: &str = r#"{"infohash":"08ada5a7a6183aae1e09d831df6748d566095a10","name":"Sintel.2010.1080p","size":700000000,"file_count":1,"files":[{"path":"Sintel.mkv","size":700000000}],"found":1700000000,"seen":1700000000,"seeds":120,"peers":3,"counted":1700000000}
{"infohash":"da39a3ee5e6b4b0d3255bfef95601890afd80709","name":"Big Buck Bunny","size":300000000,"file_count":2,"found":1700000000,"seen":1700000000}
{"infohash":"aa39a3ee5e6b4b0d3255bfef95601890afd80709","name":"The Boys","size":5,"file_count":1,"found":1700000000,"seen":1700000000,"seeds":0,"peers":0,"counted":1700000000}
"#;

fn imported() -> Home {
    let home = Home::new();
    let ended = home.run_with_input(&["index", "import", "--data-dir", "data", "--json"], LINES).expect_code(0);
    assert_eq!(ended.json()[0]["new"], 3);
    home
}

#[test]
fn what_was_imported_is_found_and_unknown_counts_are_no_zeros() {
    let home = imported();
    let records = home.run(&["search", "sintel", "files:mkv", "--data-dir", "data", "--json"]).expect_code(0).json();
    assert_eq!((records.len(), &records[0]["seeds"]), (1, &120.into()));
    let records = home.run(&["search", "\"big buck\"", "--data-dir", "data", "--json"]).expect_code(0).json();
    assert!(records[0].get("seeds").is_none(), "{records:?}");
    let table = home.run(&["search", "big", "--data-dir", "data"]).expect_code(0).stdout;
    assert!(table.contains("    ?     ?") && table.contains("286.1 MiB"), "{table}");
    home.run(&["search", "boy", "--data-dir", "data"]).expect_code(1);
    home.run(&["search", "bunny -buck", "--data-dir", "data"]).expect_code(1);
}

#[test]
fn what_is_forgotten_does_not_come_back() {
    let home = imported();
    let asked = home.run(&["index", "forget", "sintel", "--data-dir", "data"]).expect_code(0);
    assert!(asked.stdout.contains("Sintel.2010") && asked.stderr.contains("--yes"), "{asked:?}");
    home.run(&["search", "sintel", "--data-dir", "data"]).expect_code(0);
    home.run(&["index", "forget", "sintel", "--yes", "--data-dir", "data"]).expect_code(0);
    home.run(&["search", "sintel", "--data-dir", "data"]).expect_code(1);
    let log = std::fs::read_to_string(home.path().join("data/index.forgotten.log")).unwrap();
    assert!(log.starts_with("# 1 torrent forgotten: ") && log.lines().count() == 2, "{log}");
    let mut filter = Filter::default();
    filter.add_digests(&log).unwrap();
    let [sintel, other] = [SINTEL, "da39a3ee5e6b4b0d3255bfef95601890afd80709"].map(|hash| hash.parse().unwrap());
    assert!(filter.refuses_infohash(sintel) && !filter.refuses_infohash(other), "the log is a list for other nodes");
    assert!(!log.contains(SINTEL) && !log.contains("Sintel"), "and no catalogue: {log}");
    let again = home.run_with_input(&["index", "import", "--data-dir", "data", "--json"], LINES).expect_code(0);
    assert_eq!((&again.json()[0]["new"], &again.json()[0]["marked"]), (&0.into(), &1.into()));
    let exported = home.run(&["index", "export", "--data-dir", "data"]).expect_code(0).stdout;
    assert_eq!(exported.lines().count(), 2, "{exported}");
    let status = home.run(&["index", "status", "--data-dir", "data", "--json"]).expect_code(0).json().remove(0);
    assert_eq!((&status["torrents"], &status["marks"]), (&2.into(), &1.into()));
}

#[test]
fn wrong_input_is_named_with_its_place() {
    let home = imported();
    let ended = home.run(&["search", "a", "\"b", "--data-dir", "data"]).expect_code(2);
    assert!(ended.stderr.contains("at character 3: this quotation mark is not closed"), "{}", ended.stderr);
    let ended = home.run(&["search", "a", "--data-dir", "elsewhere"]).expect_code(1);
    assert!(ended.stderr.contains("there is no index"), "{}", ended.stderr);
    let ended = home.run_with_input(&["index", "import", "--data-dir", "data"], "{}\n").expect_code(2);
    assert!(ended.stderr.contains("line 1") && ended.stderr.contains("cure:"), "{}", ended.stderr);
    home.write(
        "data2/index.sqlite",
        "this is no database, and long enough that nothing takes it for an empty one".repeat(9),
    );
    let ended = home.run(&["search", "a", "--data-dir", "data2"]).expect_code(2);
    assert!(ended.stderr.contains("is no index of this program"), "{}", ended.stderr);
}
