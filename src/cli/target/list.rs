//! Lists of TARGETs on standard input: infohashes, magnet URIs, and names of files, which need not be text. A single torrent
//! file that is piped in stands for itself.

use std::ffi::OsString;
use std::io::{self, Read};

use super::file::{is_there, to_os_string};
use super::{Fault, Place, Target, TargetError, read, shown};
use crate::torrent::{MAX_FILE_BYTES, Metainfo, Torrent, list};

/// All that standard input names, line by line.
pub(super) fn read_list(input: impl Read) -> Vec<Result<Target, TargetError>> {
    let whole = |fault| TargetError { given: "-".to_owned(), place: Place::Input, fault };
    match read_bytes(input) {
        Err(error) => vec![Err(whole(Fault::Input(error)))],
        Ok(bytes) if list::is_a_file(&bytes) => vec![read_piped(&bytes).map_err(whole)],
        Ok(bytes) => read_entries(&list::to_utf8(&bytes)),
    }
}

fn read_bytes(input: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("more than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    Ok(bytes)
}

fn read_piped(bytes: &[u8]) -> Result<Target, Fault> {
    let torrent = Torrent::of_metainfo(&Metainfo::parse(bytes)?)?;
    Ok(Target { torrent, given: "-".to_owned(), is_file: false })
}

/// Reads the entries of a list one by one: only those that name something take memory.
fn read_entries(bytes: &[u8]) -> Vec<Result<Target, TargetError>> {
    let entries = list::entries(bytes).map(|(line, entry)| (line, to_os_string(entry.to_vec())));
    entries.filter_map(|(line, entry)| read_entry(line, &entry)).collect()
}

/// Reads an entry; `None` for a blank line and for a comment.
fn read_entry(line: usize, entry: &OsString) -> Option<Result<Target, TargetError>> {
    // Most of a file that is no list may be empty lines.
    if entry.is_empty() {
        return None;
    }
    let text = entry.to_string_lossy();
    if text.trim().is_empty() || text.starts_with('#') && !is_there(entry) {
        return None;
    }
    Some(read(entry).map_err(|fault| TargetError { given: shown(entry), place: Place::Line(line), fault }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    /// Infohashes, and messages for what is none.
    fn list(input: &[u8]) -> Vec<String> {
        let shown = |read: Result<Target, TargetError>| match read {
            Ok(target) => target.torrent.infohashes[0].to_string(),
            Err(error) => error.to_string(),
        };
        read_list(input).into_iter().map(shown).collect()
    }

    #[test]
    fn lists_of_all_makers_are_read() {
        let joined = format!("{A}\n\u{feff}{B}").into_bytes();
        let quoted = format!("\"{A}\"\n'{B}'").into_bytes();
        let plain = format!("# mine\n\n{A}\n  magnet:?xt=urn:btih:{B}\n");
        for input in [list::in_all_forms(&plain), vec![joined, quoted]].concat() {
            assert_eq!(list(&input), [A, B], "{}", String::from_utf8_lossy(&input));
        }
        assert_eq!(list(b""), [""; 0]);
    }

    #[test]
    fn a_wrong_line_names_its_number_and_leaves_the_others_alone() {
        let lines = list(format!("{A}\r\n\r\n{}\r\n-\n{B}", &A[1..]).as_bytes());
        assert_eq!((lines.len(), &*lines[0], &*lines[3]), (4, A, B));
        assert!(
            lines[1].starts_with("line 3 of standard input") && lines[1].ends_with("39 digits, an infohash has 40")
        );
        assert!(lines[2].starts_with("line 4 of standard input") && lines[2].contains("cannot contain itself"));
        let wrong = list(b"\xff\xfe\xfd\n");
        assert_eq!(wrong.len(), 1);
        assert!(list(b"caf\xe9.torrent\n")[0].contains("cannot be read"), "a name that is no text, of no file");
    }

    #[test]
    fn a_torrent_on_standard_input_stands_for_itself() {
        let info = "d6:lengthi1e4:name1:a12:piece lengthi16384e6:pieces20:01234567890123\n56789e";
        let read = read_list(format!("d4:info{info}e").as_bytes()).remove(0).unwrap();
        assert_eq!(read.torrent.name.as_deref(), Some("a"));
        let private = info.replace("6789e", "67897:privatei1ee");
        assert!(list(format!("d4:info{private}e").as_bytes())[0].starts_with("standard input: the torrent is private"));
        assert!(list(b"\x1f\x8b\x08\0\0\n\0")[0].contains("compressed by gzip"));
        for page in ["<!DOCTYPE html>\n<p>", "<html>\n<p>\n", "\n<HTML lang=en>\n"] {
            assert_eq!(list(page.as_bytes()).len(), 1, "{page}");
            assert!(list(page.as_bytes())[0].contains("web page"), "{page}");
        }
        assert!(list(b"\xfd7zXZ\0\0\n1\n2")[0].contains("compressed by xz"));
        assert_eq!(list(format!("d{}", &A[1..]).as_bytes()), [format!("d{}", &A[1..])]);
    }
}
