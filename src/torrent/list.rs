//! Lists of what names torrents, as people and programs write them.
//!
//! One a line, or one a NUL as `find -print0` writes them; UTF-8 or UTF-16, with or without a byte order mark. An entry need
//! not be text: it may be the name of a file.

use std::borrow::Cow;

/// What stands around an entry: "Copy as path", mail programs and shells put it there.
const QUOTES: [(&str, &str); 6] =
    [("\"", "\""), ("'", "'"), ("\u{201c}", "\u{201d}"), ("\u{2018}", "\u{2019}"), ("<", ">"), ("`", "`")];

/// Whether these bytes are one file and no list: a torrent, or something that is taken for one.
#[must_use]
pub fn is_a_file(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_start();
    match bytes {
        [b'd', rest @ ..] => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            digits > 0 && rest.get(digits) == Some(&b':')
        }
        _ => {
            const MAGIC: [&[u8]; 6] =
                [b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf\x27\x1c"];
            let head = text.get(..5).unwrap_or(text).to_ascii_lowercase();
            MAGIC.iter().any(|magic| bytes.starts_with(magic)) || head.starts_with(b"<!") || head == b"<html"
        }
    }
}

/// UTF-16 becomes UTF-8; everything else stays as it is, without a byte order mark. Windows PowerShell writes UTF-16.
#[must_use]
pub fn to_utf8(bytes: &[u8]) -> Cow<'_, [u8]> {
    let units = |from_bytes: fn([u8; 2]) -> u16, skip| {
        let units = bytes[skip..].chunks_exact(2).map(|pair| from_bytes([pair[0], pair[1]]));
        let text: String = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        Cow::Owned(text.into_bytes())
    };
    match bytes[..] {
        [0xff, 0xfe, ..] => units(u16::from_le_bytes, 2),
        [0xfe, 0xff, ..] => units(u16::from_be_bytes, 2),
        [1..=255, 0, 1..=255, 0, ..] => units(u16::from_le_bytes, 0),
        [0, 1..=255, 0, 1..=255, ..] => units(u16::from_be_bytes, 0),
        [0xef, 0xbb, 0xbf, ..] => Cow::Borrowed(&bytes[3..]),
        _ => Cow::Borrowed(bytes),
    }
}

/// The entries of a list in UTF-8, each with its line, counted from 1; blank lines too.
pub fn entries(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let separator = [0, b'\n', b'\r'].into_iter().find(|byte| bytes.contains(byte)).unwrap_or(b'\n');
    bytes.split(move |byte| *byte == separator).enumerate().map(|(index, entry)| (index + 1, trimmed(entry)))
}

/// `entry` without what editors and `cat` leave around it: carriage returns, and the byte order marks of joined files.
fn trimmed(entry: &[u8]) -> &[u8] {
    let entry = entry.strip_prefix(b"\xef\xbb\xbf").unwrap_or(entry);
    entry.strip_suffix(b"\r").unwrap_or(entry)
}

/// `entry` without quotes, and without blanks around it: invisible characters, as a zero-width space, are blanks too.
#[must_use]
pub fn unquoted(entry: &[u8]) -> &[u8] {
    // Byte by byte: a name need not be text.
    let bytes = match str::from_utf8(entry) {
        Ok(text) => text.trim_matches(is_blank).as_bytes(),
        Err(_) => entry.trim_ascii(),
    };
    let inside = |(open, close): (&str, &str)| bytes.strip_prefix(open.as_bytes())?.strip_suffix(close.as_bytes());
    QUOTES.into_iter().find_map(inside).unwrap_or(bytes)
}

/// Whether `c` shows nothing: what is copied from web pages and word processors begins and ends with such.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// A list in all forms in which programs write it: ends of lines, encodings, byte order marks.
#[cfg(test)]
pub fn in_all_forms(plain: &str) -> Vec<Vec<u8>> {
    let utf16 = |bytes: fn(u16) -> [u8; 2]| plain.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    vec![
        plain.into(),
        plain.replace('\n', "\r\n").into_bytes(),
        plain.replace('\n', "\r").into_bytes(),
        plain.replace('\n', "\0").into_bytes(),
        format!("\u{feff}{plain}").into_bytes(),
        utf16(u16::to_le_bytes),
        utf16(u16::to_be_bytes),
        [b"\xff\xfe".to_vec(), utf16(u16::to_le_bytes)].concat(),
        [b"\xfe\xff".to_vec(), utf16(u16::to_be_bytes)].concat(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn read(bytes: &[u8]) -> Vec<(usize, String)> {
        let utf8 = to_utf8(bytes);
        let text = |entry| String::from_utf8_lossy(unquoted(entry)).into_owned();
        entries(&utf8).map(|(line, entry)| (line, text(entry))).filter(|(_, entry)| !entry.is_empty()).collect()
    }

    #[test]
    fn lists_of_all_makers_are_read() {
        let joined = format!("{A}\n\n\u{feff}{B}").into_bytes();
        let copied = format!("\u{200b}{A}\u{a0}\n\n\u{201c}{B}\u{201d}\u{2060}").into_bytes();
        for input in [in_all_forms(&format!("{A}\n\n  '{B}' \n")), vec![joined, copied]].concat() {
            assert_eq!(read(&input), [(1, A.to_owned()), (3, B.to_owned())], "{}", String::from_utf8_lossy(&input));
        }
        assert_eq!(read(b""), []);
    }

    #[test]
    fn a_file_is_told_from_a_list() {
        for file in ["d8:announce", "\u{1f}\u{8b}", "<!DOCTYPE html>", " \n<HTML lang=en>", "PK\u{3}\u{4}"] {
            let bytes: Vec<u8> = file.chars().map(|c| c as u8).collect();
            assert!(is_a_file(&bytes), "{file}");
        }
        for list in ["", A, &format!("d{A}"), "# <html>", "magnet:?xt=urn:btih:"] {
            assert!(!is_a_file(list.as_bytes()), "{list}");
        }
    }
}
