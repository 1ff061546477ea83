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
    let ended = home.run_with_input(&["find", "-", "--strict"], &list).expect_code(2);
    assert!(ended.stderr.starts_with("error: line 4 of standard input"), "{}", ended.stderr);
    assert!(ended.stderr.contains("41 digits, an infohash has 40"), "{}", ended.stderr);
    let ended = home.run_with_input(&["find", "-", "--lan"], &list).expect_code(3);
    assert!(ended.stderr.starts_with("left out: line 4 of standard input"), "{}", ended.stderr);
    let ended = home.run_with_input(&["find", "-"], "x\ny\n").expect_code(2);
    assert!(ended.stderr.contains("error: none of 2 TARGETs can be used\ncure: "), "{}", ended.stderr);
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

/// Where standard input names a torrent, what is wrong then is that there is no network.
#[test]
fn lists_and_files_on_standard_input_are_read_in_all_their_forms() {
    let home = Home::new();
    let cases = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/");
    let with_bom = std::fs::read(format!("{cases}list-with-bom.txt")).unwrap();
    let torrent = format!("d4:info{V1_INFO}e");
    let path = home.write("a b.torrent", &torrent);
    let lines = [format!("\"{path}\""), format!("file://{}", path.replace(' ', "%20")), "a b.torrent".to_owned()];
    let utf16: Vec<u8> = "\u{feff}a b.torrent\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for input in [with_bom, torrent.into_bytes(), lines.join("\r\n").into(), lines.join("\0").into(), utf16] {
        let ended = home.run_with_bytes(&["find", "-", "--lan"], &input).expect_code(3);
        assert!(ended.stderr.starts_with("error: no node is known"), "{}", ended.stderr);
    }
    for (input, what) in [(&b"\x1f\x8b\x08\0"[..], "compressed by gzip"), (b"<!DOCTYPE html>", "a web page")] {
        let ended = home.run_with_bytes(&["find", "-", "--lan"], input).expect_code(2);
        assert!(ended.stderr.starts_with("error: standard input: "), "{}", ended.stderr);
        assert!(ended.stderr.contains(what), "{}", ended.stderr);
    }
}

#[cfg(unix)]
#[test]
fn names_of_files_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt;
    let home = Home::new();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.torrent");
    std::fs::write(home.path().join(name), format!("d4:info{V1_INFO}e")).unwrap();
    let ended = home.run_with_bytes(&["find", "-", "--lan"], b"caf\xe9.torrent\n").expect_code(3);
    assert!(ended.stderr.starts_with("error: no node is known"), "{}", ended.stderr);
    let output = home.command(&["find", "--lan"]).arg(name).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_infohash_names_its_torrent_also_where_a_folder_has_that_name() {
    let home = Home::new();
    let infohash = "a".repeat(40);
    std::fs::create_dir(home.path().join(&infohash)).unwrap();
    let ended = home.run(&["find", &infohash, "--lan"]).expect_code(3);
    assert!(ended.stderr.starts_with("error: no node is known"), "{}", ended.stderr);
}
