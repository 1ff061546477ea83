//! `lab`: the table, the verdicts, where the files are, and what a wrong name is answered with.

use super::harness::Home;

#[test]
fn an_experiment_prints_its_table_its_verdicts_and_where_its_files_are() {
    let home = Home::new();
    let ended = home.run(&["lab", "geometry", "--quick", "--trials", "1", "--out", "here"]);
    let csv = std::fs::read_to_string(home.path().join("here/geometry.csv")).expect("the table");
    let svg = std::fs::read_to_string(home.path().join("here/geometry.svg")).expect("the picture");
    assert!(svg.starts_with("<svg"), "{}", &svg[..40]);
    for row in csv.lines() {
        let cells: Vec<&str> = row.split(',').collect();
        let printed = ended.stdout.lines().any(|line| line.split_whitespace().eq(cells.iter().copied()));
        assert!(printed, "no line for {row} in {}", ended.stdout);
    }
    for text in
        ["geometry: holds tree", "the table is here/geometry.csv, the picture here/geometry.svg", "MISSED: outside"]
    {
        assert!(ended.stdout.contains(text), "no {text:?} in {}", ended.stdout);
    }
}

#[test]
fn programs_read_verdicts_and_files() {
    let home = Home::new();
    let records = home.run(&["lab", "geometry", "--quick", "--trials", "1", "--json"]).json();
    let (files, verdicts) = records.split_last().expect("records");
    assert_eq!((&files["table"], &files["picture"]), (&"lab/geometry.csv".into(), &"lab/geometry.svg".into()));
    assert!(!verdicts.is_empty() && verdicts.iter().all(|verdict| verdict["verdict"].is_string()), "{records:?}");
}

#[test]
fn a_wrong_name_is_answered_with_those_that_exist() {
    let home = Home::new();
    let ended = home.run(&["lab", "foo"]).expect_code(2);
    assert!(
        ended.stderr.contains(
            "there are hops, failures, geometry, churn, announcer, survey, latency, eclipse, clusters, hotkey, and `all` of them"
        ),
        "{}",
        ended.stderr
    );
    let ended = home.run(&["lab", "hops", "--systems", "foo"]).expect_code(2);
    assert!(ended.stderr.contains("there are chord, chord6, kademlia"), "{}", ended.stderr);
    assert!(!home.path().join("lab").exists());
}
