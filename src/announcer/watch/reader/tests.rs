use super::*;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// A torrent file.
fn torrent(name: &str, more: &str) -> String {
    let info = format!("d6:lengthi1e4:name{}:{name}12:piece lengthi16384e6:pieces20:01234567890123456789", name.len());
    format!("d4:info{info}{more}ee")
}

fn reader(target: &Path, recursive: bool) -> Reader {
    let target = target.to_str().unwrap().to_owned();
    Reader::new(Watched { target, port: Some(7), recursive, seed: true, paused: false })
}

fn names(listing: &Listing) -> Vec<String> {
    listing.torrents.as_ref().unwrap().iter().filter_map(|listed| Some(listed.name.as_ref()?.to_string())).collect()
}

#[test]
fn a_folder_lists_its_torrents_and_names_what_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("a.torrent", &torrent("a", ""));
    write("p.TORRENT", &torrent("p", "7:privatei1e"));
    write("broken.torrent", "d4:info");
    write("page.torrent", "<!DOCTYPE html>");
    write("m.magnet", &format!("magnet:?xt=urn:btih:{B}&dn=m"));
    write("readme.txt", A);
    fs::create_dir(folder.path().join("sub")).unwrap();
    write("sub/c.torrent", &torrent("c", ""));
    let listing = reader(folder.path(), false).read();
    assert_eq!((names(&listing), listing.trouble.clone()), (vec!["a".to_owned(), "m".into(), "p".into()], None));
    let torrents = listing.torrents.unwrap();
    assert_eq!((torrents[0].state, torrents[0].port, torrents[0].complete), (ListedState::Active, Some(7), true));
    assert_eq!(torrents[2].state, ListedState::Private);
    let left_out: Vec<&str> = listing.left_out.iter().map(|left| left.entry.as_str()).collect();
    assert_eq!(left_out, ["broken.torrent", "page.torrent"]);
    assert!(listing.left_out[1].reason.contains("web page"), "{:?}", listing.left_out);
    assert_eq!(names(&reader(folder.path(), true).read()), ["a", "m", "p", "c"]);
}

#[test]
fn a_change_is_read_and_a_folder_that_is_gone_keeps_its_list() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("torrents");
    let mut reader = reader(&folder, false);
    let before = reader.read();
    assert_eq!(before.torrents, None, "what an earlier run knew goes on");
    assert!(before.trouble.unwrap().contains("torrents"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a.torrent"), torrent("a", "")).unwrap();
    let place = reader.place().unwrap();
    assert_eq!(names(&reader.read()), ["a"]);
    fs::write(folder.join("a.torrent"), torrent("another", "")).unwrap();
    fs::write(folder.join("b.torrent"), torrent("b", "")).unwrap();
    assert_eq!(names(&reader.read()), ["another", "b"]);
    fs::remove_file(folder.join("a.torrent")).unwrap();
    assert_eq!(names(&reader.read()), ["b"]);
    fs::rename(&folder, parent.path().join("elsewhere")).unwrap();
    let gone = reader.read();
    assert_eq!(gone.torrents, None, "what it listed last goes on");
    assert!(gone.trouble.unwrap().contains("goes on"));
    fs::create_dir(&folder).unwrap();
    #[cfg(unix)]
    assert_ne!(reader.place().unwrap(), place, "another folder of the same name");
    let back = reader.read();
    assert_eq!((names(&back).len(), back.trouble), (0, None));
}

#[test]
fn a_list_has_one_a_line_and_names_the_lines_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.txt");
    fs::write(&list, format!("\u{feff}# mine\r\n{A}\r\n\r\nmagnet:?xt=urn:btih:{B}&dn=b\n{}\n", &A[1..])).unwrap();
    let listing = reader(&list, false).read();
    assert_eq!(listing.torrents.unwrap().len(), 2);
    assert_eq!(listing.left_out[0].entry, "line 5");
    fs::write(folder.path().join("one.torrent"), torrent("one", "")).unwrap();
    assert_eq!(names(&reader(&folder.path().join("one.torrent"), false).read()), ["one"]);
}

#[test]
fn a_list_is_read_in_all_forms_that_lists_have() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("list.txt");
    let text = format!("\u{feff}\"{A}\"\r\n\u{200b}urn:btih:{B}\r\n");
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [text.clone().into_bytes(), utf16, format!("{A}\0{B}\0").into_bytes()] {
        fs::write(&path, &bytes).unwrap();
        let listing = reader(&path, false).read();
        assert_eq!((listing.torrents.unwrap().len(), listing.left_out), (2, vec![]), "{bytes:?}");
    }
    for (bytes, what) in [(&b"\x1f\x8b\x08\0"[..], "compressed by gzip"), (b"<!DOCTYPE html>\n<p>", "a web page")] {
        fs::write(&path, bytes).unwrap();
        let left_out = reader(&path, false).read().left_out;
        assert!(left_out.len() == 1 && left_out[0].reason.contains(what), "{left_out:?}");
    }
}

#[test]
fn of_a_file_that_is_no_list_a_few_lines_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.log");
    fs::write(&path, format!("GET / 200\n{A}\n").repeat(1000)).unwrap();
    let listing = reader(&path, false).read();
    assert_eq!((listing.torrents.unwrap().len(), listing.left_out.len()), (1000, MAX_LINES_NAMED + 1));
    assert_eq!(listing.left_out[MAX_LINES_NAMED].entry, "980 more lines");
}

#[test]
fn what_is_named_outright_never_changes() {
    let magnet = format!("magnet:?xt=urn:btih:{A}&dn=x");
    let mut named = Reader::new(Watched::new(&magnet).unwrap());
    assert!(named.is_fixed() && named.place().is_none());
    assert_eq!(names(&named.read()), ["x"]);
}

#[test]
fn a_file_that_is_too_large_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let large = File::create(folder.path().join("large.torrent")).unwrap();
    // It has a hole in place of its bytes.
    large.set_len(MAX_FILE_BYTES + 1).unwrap();
    fs::write(folder.path().join("a.torrent"), torrent("a", "")).unwrap();
    let listing = reader(folder.path(), false).read();
    assert_eq!(names(&listing), ["a"]);
    assert!(listing.left_out[0].reason.contains("larger than 128 MiB"), "{:?}", listing.left_out);
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_named_and_another_file_in_the_place_of_one_is_read() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (path, aside) = (folder.path().join("a.torrent"), folder.path().join("aside"));
    fs::write(&path, torrent("a", "")).unwrap();
    fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"\xff\xfe.torrent")), torrent("c", "")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe.torrent")).status().unwrap();
    assert!(made.success());
    std::os::unix::fs::symlink("nowhere", folder.path().join("dead.torrent")).unwrap();
    let mut reader = reader(folder.path(), false);
    let listing = reader.read();
    assert_eq!(names(&listing).len(), 2, "{listing:?}");
    let left_out: Vec<&str> = listing.left_out.iter().map(|left| left.reason.as_str()).collect();
    assert!(left_out.len() == 2 && left_out.contains(&NO_FILE), "{left_out:?}");

    // Of the same size and time of change, as programs that copy with times make them.
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&aside, torrent("b", "")).unwrap();
    File::options().write(true).open(&aside).unwrap().set_modified(time).unwrap();
    fs::rename(&aside, &path).unwrap();
    assert!(names(&reader.read()).contains(&"b".to_owned()));
}

#[test]
fn links_to_folders_do_not_lead_in_a_circle() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("itself")).unwrap();
    fs::write(folder.path().join("a.torrent"), torrent("a", "")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("a.torrent"), folder.path().join("link.torrent")).unwrap();
    assert_eq!(names(&reader(folder.path(), true).read()), ["a", "a"]);
}
