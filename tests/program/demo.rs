//! `trackerless demo`: the main job, with no Internet.

use super::harness::Home;

#[test]
fn the_peer_is_found() {
    let ended = Home::new().run(&["demo"]).expect_code(0);
    for word in ["announce", "hop", "found"] {
        assert!(ended.stdout.contains(word), "{word}:\n{}", ended.stdout);
    }
    assert_eq!(ended.stderr, "");
}

#[test]
fn programs_can_read_it_too() {
    let records = Home::new().run(&["demo", "--json", "--nodes", "12"]).expect_code(0).json();
    assert_eq!(records[0]["step"], "start");
    assert_eq!(records[0]["nodes"], 12);
    assert!(records.iter().any(|record| record["step"] == "hop"));
    let last = records.last().unwrap();
    assert_eq!((&last["step"], &last["found"]), (&"found".into(), &true.into()), "{last}");
}
