//! Several TARGETs: those of the command line, with `-` replaced by the lines of standard input.

use std::io::BufRead;

use super::{Fault, TargetError, parse, read, shorten};
use crate::torrent::Torrent;

/// Reads all of `given`; `-` stands for the lines of `input`, where blank lines and lines that begin with `#` are
/// passed over. A torrent that is named twice is kept once.
///
/// # Errors
/// The first TARGET that cannot be read; one from the list names its line.
pub fn read_all(given: &[String], mut input: impl BufRead) -> Result<Vec<Torrent>, TargetError> {
    let mut targets: Vec<Torrent> = Vec::new();
    for text in given {
        if text == "-" {
            targets.extend(read_list(&mut input)?);
        } else {
            targets.push(parse(text)?);
        }
    }
    let mut seen = std::collections::HashSet::new();
    targets.retain(|target| seen.insert(target.infohashes.clone()));
    Ok(targets)
}

fn read_list(input: &mut impl BufRead) -> Result<Vec<Torrent>, TargetError> {
    let mut targets = Vec::new();
    for (index, line) in input.lines().enumerate() {
        let number = index + 1;
        let line = line.map_err(|error| wrong_line("", number, error.into()))?;
        let text = line.trim();
        if !text.is_empty() && !text.starts_with('#') {
            targets.push(read(text).map_err(|fault| wrong_line(text, number, fault))?);
        }
    }
    Ok(targets)
}

fn wrong_line(text: &str, number: usize, fault: Fault) -> TargetError {
    TargetError { given: shorten(text), line: Some(number), fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn read(given: &[&str], input: &str) -> Result<Vec<String>, String> {
        let given: Vec<String> = given.iter().map(ToString::to_string).collect();
        let targets = read_all(&given, input.as_bytes()).map_err(|error| error.to_string())?;
        Ok(targets.iter().map(|target| target.infohashes[0].to_string()).collect())
    }

    #[test]
    fn a_list_is_read_line_by_line_and_each_torrent_once() {
        let list = format!("# mine\n\n{A}\r\n  magnet:?xt=urn:btih:{B}\n{A}\n");
        assert_eq!(read(&["-"], &list).unwrap(), [A, B]);
        assert_eq!(read(&[B, "-"], &list).unwrap(), [B, A]);
        assert_eq!(read(&["-"], "").unwrap(), [""; 0]);
    }

    #[test]
    fn a_wrong_line_names_its_number() {
        let error = read(&["-"], &format!("{A}\n\n{}\n", &A[1..])).unwrap_err();
        assert!(error.starts_with("line 3 of standard input"), "{error}");
        assert!(error.ends_with("39 digits, an infohash has 40"), "{error}");
        assert!(read(&["-"], "-").unwrap_err().contains("cannot contain itself"));
    }
}
