//! TARGET: whatever a person has at hand that names a torrent.
//!
//! An infohash in hexadecimal or base32, a magnet URI, a `.torrent` file by its path or its `file://` URL, or `-` for a
//! list of them on standard input. One that cannot be used is left out, and the others are not held up by it.

mod file;
mod list;
mod selection;

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::output::as_text;
use crate::engine::id::InfoHash;
use crate::torrent::list::unquoted;
use crate::torrent::{InfohashError, MetainfoError, ParseError, PrivateTorrent, Torrent, printable};

pub use file::UrlError;
pub use selection::Selection;

/// A torrent, and the words that named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What was named.
    pub torrent: Torrent,
    /// The TARGET as it was given, safe to print.
    pub given: String,
    /// Whether it is the path of a file.
    is_file: bool,
}

impl Target {
    /// Reads one TARGET that is not `-`.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(given: &OsStr) -> Result<Self, TargetError> {
        let read = if given == "-" { Err(Fault::OnlyOne) } else { read(given) };
        read.map_err(|fault| TargetError { given: shown(given), place: Place::Argument, fault })
    }

    /// The same for a command that takes one alone, and no list.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse_only(given: &OsStr) -> Result<Self, TargetError> {
        Self::parse(given).map_err(|error| TargetError { place: Place::Only, ..error })
    }

    /// The swarm of those who serve `text`.
    #[must_use]
    pub fn of_key(text: &str) -> Self {
        Self { torrent: Torrent::of_key(text), given: printable(text.as_bytes()), is_file: false }
    }

    /// The infohashes of its swarms.
    pub fn infohashes(&self) -> impl Iterator<Item = InfoHash> + '_ {
        self.torrent.infohashes.iter().copied()
    }

    /// What a person calls it, besides its infohash: its name, and the file that told it. Empty for a bare infohash.
    #[must_use]
    pub fn label(&self) -> String {
        let file = Path::new(&self.given).file_name().filter(|_| self.is_file).map(OsStr::to_string_lossy);
        match (&self.torrent.name, file) {
            (Some(name), Some(file)) if *file == *format!("{name}.torrent") => file.into_owned(),
            (Some(name), Some(file)) => format!("{name} ({file})"),
            (Some(name), None) => name.clone(),
            (None, Some(file)) => file.into_owned(),
            (None, None) => String::new(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.label() {
            label if label.is_empty() => self.torrent.fmt(f),
            label => f.write_str(&label),
        }
    }
}

/// The swarm that a result is about: as every record begins, and every line.
#[derive(Debug, Serialize)]
pub(super) struct Subject {
    #[serde(serialize_with = "as_text")]
    infohash: InfoHash,
    target: String,
    name: Option<String>,
    #[serde(skip)]
    label: String,
}

impl Subject {
    /// The swarm of `infohash`, one of those of `target`.
    pub(super) fn new(target: &Target, infohash: InfoHash) -> Self {
        let (name, label) = (target.torrent.name.clone(), target.label());
        Self { infohash, target: target.given.clone(), name, label }
    }
}

/// The infohash, and its label if it has one.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.label.as_str() {
            "" => self.infohash.fmt(f),
            label => write!(f, "{}  {label}", self.infohash),
        }
    }
}

/// A TARGET that cannot be used.
#[derive(Debug, thiserror::Error)]
pub struct TargetError {
    given: String,
    place: Place,
    #[source]
    fault: Fault,
}

/// Where a TARGET was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// On the command line.
    Argument,
    /// There, and nowhere else.
    Only,
    /// This line of the list on standard input, counted from 1.
    Line(usize),
    /// All of standard input.
    Input,
}

/// What is wrong with a TARGET.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Neither an infohash nor a file.
    #[error("there is no file of that name, and it is not an infohash (40 hexadecimal digits or 32 of base32)")]
    Unknown,
    /// `-` in a list.
    #[error("a list on standard input cannot contain itself")]
    NestedList,
    /// `-` where only one torrent fits.
    #[error("a list on standard input fits only where many torrents do")]
    OnlyOne,
    /// Standard input failed.
    #[error("it cannot be read: {0}")]
    Input(#[from] std::io::Error),
    /// A folder.
    #[error("it is a folder")]
    Folder,
    /// A URL that is not that of a file here.
    #[error(transparent)]
    Url(#[from] UrlError),
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
            Fault::File(MetainfoError::Unreadable(_)) => "name a file that exists and that you may read",
            Fault::File(_) => "give a file that a torrent client accepts, or the infohash itself",
            Fault::Folder => "name the torrent files in it: FOLDER/*.torrent",
            Fault::Url(UrlError::Remote) => "download the torrent file first, and give its path",
            Fault::Url(_) => "give the path of the file itself",
            Fault::Name(ParseError::Infohash(InfohashError::WholeV2)) => {
                "give the first 40 digits, or a magnet URI with xt=urn:btmh:1220 before the 64 digits"
            }
            Fault::Input(_) => "give one TARGET a line",
            Fault::OnlyOne => "give the infohash, the magnet URI or the .torrent file itself",
            _ if self.place == Place::Only => "give a 40-digit infohash, a magnet URI or a .torrent file",
            _ => "give a 40-digit infohash, a magnet URI, a .torrent file, or - for a list on standard input",
        }
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Line(line) => write!(f, "line {line} of standard input, {:?}: {}", self.given, self.fault),
            Place::Argument | Place::Only => write!(f, "TARGET {:?}: {}", self.given, self.fault),
            Place::Input => write!(f, "standard input: {}", self.fault),
        }
    }
}

/// Reads a TARGET: what it names as it stands, or else what is left of it without the quotes around it.
fn read(given: &OsStr) -> Result<Target, Fault> {
    if given == "-" {
        return Err(Fault::NestedList);
    }
    let bare = file::to_os_string(unquoted(given.as_encoded_bytes()).to_vec());
    // A name that is no text can only be that of a file.
    let named = Torrent::parse(bare.to_str().unwrap_or("?"));
    if let Ok(torrent) = named {
        // Also where a folder is named by the infohash, as those of downloads are.
        return Ok(Target { torrent, given: shown(&bare), is_file: false });
    }
    if file::is_there(given) {
        return read_file(given);
    }
    if let Some(path) = file::of_url(&bare)? {
        return read_file(&path);
    }
    match named {
        Err(ParseError::Infohash(_)) if file::is_named(&bare) => read_file(&bare),
        Err(ParseError::Infohash(InfohashError::SomethingElse)) => Err(Fault::Unknown),
        named => Ok(Target { torrent: named?, given: shown(&bare), is_file: false }),
    }
}

fn read_file(path: &OsStr) -> Result<Target, Fault> {
    let torrent = Torrent::of_metainfo(&file::read(path)?)?;
    Ok(Target { torrent, given: printable(path.as_encoded_bytes()), is_file: true })
}

/// What was given, safe to print and short enough for a message.
fn shown(given: &OsStr) -> String {
    const LONGEST: usize = 80;
    let text = printable(given.as_encoded_bytes());
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEX: &str = "08ada5a7a6183aae1e09d831df6748d566095a10";

    fn parse(text: &str) -> Result<Target, TargetError> {
        Target::parse(OsStr::new(text))
    }

    fn error(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn no_list_is_offered_where_one_target_alone_is_taken() {
        for wrong in ["zzz", "", "aaaa"] {
            let only = Target::parse_only(OsStr::new(wrong)).unwrap_err();
            assert!(!only.cure().contains("list") && only.to_string() == error(wrong), "{wrong}");
            assert!(parse(wrong).unwrap_err().cure().contains("list"), "{wrong}");
        }
    }

    #[test]
    fn an_infohash_may_stand_between_blanks_and_quotes() {
        let expected = Torrent::of_infohash(HEX.parse().unwrap());
        for (before, after) in [
            ("", ""),
            (" ", "\n"),
            ("\"", "\""),
            ("'", "'"),
            (" \u{201c}", "\u{201d} "),
            ("<", ">"),
            ("\u{feff}", "\u{200b}"),
            ("\u{a0}\u{200e}", "\u{ad}\u{2060}"),
            ("urn:btih:", ""),
            (" URN:BTIH:", " "),
        ] {
            assert_eq!(parse(&format!("{before}{HEX}{after}")).unwrap().torrent, expected, "{before}");
        }
        assert!(parse(&format!("\"{HEX}")).is_err());
    }

    #[test]
    fn a_wrong_target_says_what_is_wrong() {
        assert!(error(&HEX[1..]).ends_with("39 digits, an infohash has 40"));
        assert!(error("").ends_with("it is empty"));
        assert!(error("no-such-thing").contains("there is no file of that name"));
        assert!(error("missing.torrent").contains("cannot be read"), "{}", error("missing.torrent"));
        assert!(error("/").ends_with("it is a folder"), "{}", error("/"));
        assert!(error("https://example.org/a.torrent").contains("on the web"));
        assert!(error("-").contains("where many torrents do"));
    }

    #[test]
    fn long_nonsense_is_shortened_in_the_message_and_controls_nothing() {
        assert!(error(&"x".repeat(10_000)).len() < 300);
        assert!(!error("\u{1b}[31m").contains('\u{1b}'));
    }

    #[test]
    fn a_label_names_the_torrent_and_the_file() {
        let torrent = Torrent { name: Some("a".to_owned()), ..Torrent::of_infohash(InfoHash::new([7; 20])) };
        let label =
            |given: &str, is_file| Target { torrent: torrent.clone(), given: given.to_owned(), is_file }.label();
        assert_eq!(label("b/a.torrent", true), "a.torrent");
        assert_eq!(label("b/c.torrent", true), "a (c.torrent)");
        assert_eq!(label("magnet:?", false), "a");
        assert_eq!(parse(HEX).unwrap().to_string(), HEX);
    }

    proptest! {
        #[test]
        fn nothing_makes_the_reader_panic(text in ".{0,90}") {
            let _ = parse(&text);
        }
    }
}
