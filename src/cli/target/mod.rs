//! TARGET: whatever a person has at hand that names a torrent.
//!
//! An infohash in hexadecimal or base32, a magnet URI, a `.torrent` file, or `-` for a list of them on standard
//! input.

mod list;

use std::fmt;
use std::fs::File;
use std::path::Path;

use crate::torrent::{InfohashError, Metainfo, MetainfoError, ParseError, PrivateTorrent, Torrent};

pub use list::read_all;

/// Reads one TARGET that is not `-`.
///
/// # Errors
/// What was wrong, and where.
pub fn parse(text: &str) -> Result<Torrent, TargetError> {
    let wrong = |fault| TargetError { given: shorten(text), line: None, fault };
    read(text.trim()).map_err(wrong)
}

/// A TARGET that cannot be read.
#[derive(Debug, thiserror::Error)]
pub struct TargetError {
    given: String,
    line: Option<usize>,
    #[source]
    fault: Fault,
}

/// What is wrong with a TARGET.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Neither an infohash nor a file.
    #[error("there is no file of that name, and it is not an infohash (40 hexadecimal digits or 32 of base32)")]
    Unknown,
    /// `-` where only one torrent fits.
    #[error("a list on standard input cannot contain itself")]
    NestedList,
    /// Standard input failed or is no text.
    #[error("standard input cannot be read: {0}")]
    Input(#[from] std::io::Error),
    /// An infohash or a magnet URI that cannot be used.
    #[error(transparent)]
    Name(#[from] ParseError),
    /// A torrent file that cannot be used.
    #[error(transparent)]
    File(#[from] MetainfoError),
    /// A torrent that the DHT must not hear of.
    #[error(transparent)]
    Private(#[from] PrivateTorrent),
}

impl TargetError {
    /// What the user can do about it.
    #[must_use]
    pub fn cure(&self) -> &'static str {
        match &self.fault {
            Fault::Private(_) => "use the trackers of this torrent; the DHT must never hear of it",
            Fault::File(_) => "give a file that a torrent client accepts, or the infohash itself",
            Fault::Name(ParseError::Infohash(InfohashError::WholeV2)) => {
                "give the first 40 digits, or a magnet URI with xt=urn:btmh:1220 before the 64 digits"
            }
            Fault::Input(_) => "give one TARGET a line, as UTF-8 text",
            _ => "give a 40-digit infohash, a magnet URI, a .torrent file, or - for a list on standard input",
        }
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line} of standard input, {:?}: {}", self.given, self.fault),
            None => write!(f, "TARGET {:?}: {}", self.given, self.fault),
        }
    }
}

fn read(text: &str) -> Result<Torrent, Fault> {
    if text == "-" {
        return Err(Fault::NestedList);
    }
    match Torrent::parse(text) {
        Err(ParseError::Infohash(_)) if names_a_file(text) => read_file(Path::new(text)),
        Err(ParseError::Infohash(InfohashError::SomethingElse)) => Err(Fault::Unknown),
        read => Ok(read?),
    }
}

fn read_file(path: &Path) -> Result<Torrent, Fault> {
    let file = File::open(path).map_err(MetainfoError::Unreadable)?;
    Ok(Torrent::of_metainfo(&Metainfo::read(file)?)?)
}

/// Whether `text` is meant as a path: what exists is one, and so is what looks like one.
fn names_a_file(text: &str) -> bool {
    let path = Path::new(text);
    path.exists() || path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("torrent"))
}

/// What was given, short enough for an error message.
fn shorten(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEX: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";

    fn error(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn an_infohash_may_stand_between_blanks() {
        assert_eq!(parse(&format!(" {HEX}\n")).unwrap(), Torrent::of_infohash(HEX.parse().unwrap()));
    }

    #[test]
    fn a_wrong_target_says_what_is_wrong() {
        assert!(error(&HEX[1..]).ends_with("39 digits, an infohash has 40"));
        assert!(error("").ends_with("it is empty"));
        assert!(error("no-such-thing").contains("there is no file of that name"));
        assert!(error("missing.torrent").contains("cannot be read"), "{}", error("missing.torrent"));
    }

    #[test]
    fn long_nonsense_is_shortened_in_the_message() {
        assert!(error(&"x".repeat(10_000)).len() < 300);
    }

    proptest! {
        #[test]
        fn nothing_makes_the_reader_panic(text in ".{0,90}") {
            let _ = parse(&text);
        }
    }
}
