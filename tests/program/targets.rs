//! TARGETs that cannot be used: the exit code, what was wrong, where, and what to do.

use super::harness::Home;

const V1_INFO: &str = "d6:lengthi1e4:name1:a12:piece lengthi16384e6:pieces20:01234567890123456789e";

#[test]
fn a_wrong_target_ends_with_2_before_anything_is_sent() {
    let home = Home::new();
    home.write("page.torrent", "<html>");
    home.write("private.torrent", format!("d4:info{}7:privatei1eee", V1_INFO.strip_suffix('e').unwrap()));
    for (target, what) in [
        ("abcdefg7890123456789012345678901234567890"[..40].into(), "character 7 'g' is not hexadecimal"),
        ("0".repeat(39), "39 digits, an infohash has 40"),
        ("magnet:?xt=urn:btih:00".to_owned(), "in xt=urn:btih:: 2 digits, an infohash has 40"),
        ("magnet:?dn=name".to_owned(), "names no torrent"),
        ("missing.torrent".to_owned(), "cannot be read"),
        ("page.torrent".to_owned(), "a web page (HTML)"),
        ("private.torrent".to_owned(), "the torrent is private"),
        ("debian".to_owned(), "there is no file of that name"),
    ] {
        for command in [&["find"][..], &["announce", "--port", "1"]] {
            let ended = home.run(&[command, &[&target]].concat()).expect_code(2);
            assert!(ended.stderr.starts_with("error: TARGET "), "{}", ended.stderr);
            assert!(ended.stderr.contains(what), "{target}: {}", ended.stderr);
            assert!(ended.stderr.contains("\ncure: "), "{}", ended.stderr);
            assert!(ended.stdout.is_empty(), "{}", ended.stdout);
        }
    }
}

#[test]
fn a_wrong_line_of_the_list_names_its_number() {
    let home = Home::new();
    let list = format!("# a list\n{}\n\n{}\n", "a".repeat(40), "a".repeat(41));
    let ended = home.run_with_input(&["find", "-"], &list).expect_code(2);
    assert!(ended.stderr.starts_with("error: line 4 of standard input"), "{}", ended.stderr);
    assert!(ended.stderr.contains("41 digits, an infohash has 40"), "{}", ended.stderr);
}

#[test]
fn an_empty_list_names_no_torrent() {
    let ended = Home::new().run_with_input(&["find", "-"], "# nothing\n").expect_code(2);
    assert!(ended.stderr.contains("standard input names no torrent"), "{}", ended.stderr);
}

/// A file that clients open is opened here: what is wrong then is that there is no network.
#[test]
fn torrent_files_are_read_as_clients_read_them() {
    let home = Home::new();
    let cases = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/torrents/");
    for (name, code) in [("outer-keys-unsorted", 3), ("info-key-twice", 3), ("private-is-2", 2)] {
        let ended = home.run(&["find", &format!("{cases}{name}.torrent"), "--lan"]).expect_code(code);
        assert_eq!(ended.stderr.contains("the torrent is private"), code == 2, "{name}: {}", ended.stderr);
    }
}
