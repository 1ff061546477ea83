//! The query language.
//!
//! | in a query | meaning |
//! |---|---|
//! | `word` | the name has this word; several words: all of them |
//! | `wor*` | a word that begins so |
//! | `"a phrase"` | these words one after the other |
//! | `-word`, `-"a phrase"` | the name does not have it |
//! | `size>1GiB` | also `<`, `>=`, `<=`; B, KiB, MiB, GiB, TiB, and kB, MB, GB, TB of thousands |
//! | `files:mkv` | it has a file of this kind; `files:word` where words of files are kept |
//! | `files>10` | number of files |
//! | `seeds>=5`, `peers>=5` | by the last count; unknown counts match nothing |
//! | `seen<7d` | seen less than that ago; `m`, `h`, `d`, `w` |
//! | `found<7d` | first found less than that ago |
//! | `sort:seeds` | order: `seeds`, `size`, `seen`, `found`, `name` |
//! | an infohash | that torrent |
//!
//! An error says what is wrong and where, counted in characters from 1.

use std::fmt;

use super::words::query_words;
use crate::engine::id::InfoHash;
use crate::torrent::parse_infohash;

/// Longest query, in characters.
pub const LONGEST_QUERY: usize = 1_000;
/// Most terms of a query.
pub const MOST_TERMS: usize = 32;

/// What is searched for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// What names must have, and must not have.
    pub terms: Vec<Term>,
    /// Bounds of numbers.
    pub bounds: Vec<Bound>,
    /// These torrents only.
    pub infohashes: Vec<InfoHash>,
    /// The order of what is found.
    pub sort: Sort,
}

/// A condition on names or files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// Whether it must not be so.
    pub not: bool,
    /// What.
    pub what: What,
}

/// What a name or a file has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A word.
    Word(String),
    /// A word that begins so.
    Prefix(String),
    /// Words one after the other.
    Phrase(Vec<String>),
    /// A file of this kind, or with this word in its name.
    Files(String),
}

/// A number of a torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// Bytes.
    Size,
    /// Number of files.
    Files,
    /// Seeds of the last count.
    Seeds,
    /// Peers of the last count.
    Peers,
    /// Seconds since it was last seen.
    SeenAgo,
    /// Seconds since it was found.
    FoundAgo,
}

/// A bound of a number, itself included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Of which number.
    pub number: Number,
    /// Least value.
    pub least: u64,
    /// Largest value.
    pub most: u64,
}

/// The order of what is found; largest, newest or first first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Swarms with most seeds.
    #[default]
    Seeds,
    /// Largest.
    Size,
    /// Seen most recently.
    Seen,
    /// Found most recently.
    Found,
    /// By name.
    Name,
}

/// What is wrong with a query, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct QueryError {
    /// The place in characters, from 1.
    pub at: usize,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at character {}: {}", self.at, self.what)
    }
}

impl Query {
    /// Reads a query.
    ///
    /// ```
    /// use trackerless::index::query::Query;
    ///
    /// let query = Query::parse("debian -netinst size<5GiB sort:seen")?;
    /// assert_eq!((query.terms.len(), query.bounds.len()), (2, 1));
    /// assert_eq!(Query::parse("debian \"12").unwrap_err().to_string(), "at character 8: this quotation mark is not closed");
    /// # Ok::<(), trackerless::index::query::QueryError>(())
    /// ```
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let characters: Vec<char> = text.chars().collect();
        if characters.len() > LONGEST_QUERY {
            return Err(wrong(LONGEST_QUERY, format!("a query has at most {LONGEST_QUERY} characters")));
        }
        let mut query = Self::default();
        for piece in pieces(&characters)? {
            query.take(&piece)?;
        }
        if query.terms.iter().all(|term| term.not) && query.bounds.is_empty() && query.infohashes.is_empty() {
            return Err(wrong(0, "a word to search for is missing".to_owned()));
        }
        Ok(query)
    }

    fn take(&mut self, piece: &Piece) -> Result<(), QueryError> {
        if self.terms.len() + self.bounds.len() + self.infohashes.len() >= MOST_TERMS {
            return Err(wrong(piece.at, format!("a query has at most {MOST_TERMS} terms")));
        }
        if piece.quoted {
            let words = query_words(&piece.text);
            return self.add(piece, if words.len() == 1 { word(&words) } else { What::Phrase(words) });
        }
        if !piece.not
            && let Ok(infohash) = parse_infohash(&piece.text)
        {
            self.infohashes.push(infohash);
            return Ok(());
        }
        if let Some((key, value)) = piece.text.split_once(':') {
            return self.take_key(piece, &key.to_lowercase(), value);
        }
        if let Some(at) = piece.text.find(['<', '>', '=']) {
            return self.take_bound(piece, at);
        }
        if let Some(beginning) = piece.text.strip_suffix('*') {
            return match &query_words(beginning)[..] {
                [word] => self.add(piece, What::Prefix(word.clone())),
                _ => Err(wrong(piece.at, "the beginning of one word is wanted before the star".to_owned())),
            };
        }
        let words = query_words(&piece.text);
        // `spider-man` is two words that stand together.
        self.add(piece, if words.len() == 1 { word(&words) } else { What::Phrase(words) })
    }

    fn add(&mut self, piece: &Piece, what: What) -> Result<(), QueryError> {
        if what == What::Phrase(Vec::new()) {
            return Err(wrong(piece.at, format!("{:?} has no letter and no digit", piece.text)));
        }
        self.terms.push(Term { not: piece.not, what });
        Ok(())
    }

    fn take_key(&mut self, piece: &Piece, key: &str, value: &str) -> Result<(), QueryError> {
        let at = piece.at + key.chars().count() + 1;
        match key {
            "files" => match &query_words(value)[..] {
                [word] => self.add(piece, What::Files(word.clone())),
                _ => Err(wrong(at, "one kind of file or one word is wanted, as in files:mkv".to_owned())),
            },
            "sort" if piece.not => Err(wrong(piece.at, "an order cannot be excluded".to_owned())),
            "sort" => {
                self.sort = match value.to_lowercase().as_str() {
                    "seeds" => Sort::Seeds,
                    "size" => Sort::Size,
                    "seen" => Sort::Seen,
                    "found" => Sort::Found,
                    "name" => Sort::Name,
                    _ => {
                        return Err(wrong(
                            at,
                            format!("{value:?} is no order; there are seeds, size, seen, found and name"),
                        ));
                    }
                };
                Ok(())
            }
            _ => Err(wrong(
                piece.at,
                format!("{key:?} is unknown before a colon; there are files: and sort: (quote text that has one)"),
            )),
        }
    }

    fn take_bound(&mut self, piece: &Piece, at: usize) -> Result<(), QueryError> {
        let (key, rest) = piece.text.split_at(at);
        let value = rest.trim_start_matches(['<', '>', '=']);
        let sign = &rest[..rest.len() - value.len()];
        let place = piece.at + key.chars().count();
        let number = match key.to_lowercase().as_str() {
            "size" => Number::Size,
            "files" => Number::Files,
            "seeds" => Number::Seeds,
            "peers" => Number::Peers,
            "seen" => Number::SeenAgo,
            "found" => Number::FoundAgo,
            _ => {
                let known = "size, files, seeds, peers, seen and found";
                return Err(wrong(piece.at, format!("{key:?} is no number of a torrent; there are {known}")));
            }
        };
        if piece.not {
            return Err(wrong(piece.at, "a bound cannot be excluded: turn its sign round".to_owned()));
        }
        let value = amount(number, value)
            .ok_or_else(|| wrong(place + sign.chars().count(), format!("{value:?} is not {}", wanted(number))))?;
        let (least, most) = match sign {
            ">" => (value.saturating_add(1), u64::MAX),
            ">=" => (value, u64::MAX),
            "<" => (0, value.saturating_sub(1)),
            "<=" => (0, value),
            "=" => (value, value),
            _ => return Err(wrong(place, format!("{sign:?} is no comparison; there are <, <=, =, >= and >"))),
        };
        self.bounds.push(Bound { number, least, most });
        Ok(())
    }
}

fn word(words: &[String]) -> What {
    What::Word(words[0].clone())
}

fn wrong(at: usize, what: String) -> QueryError {
    QueryError { at: at + 1, what }
}

/// A part of the query between blanks, or between quotation marks.
struct Piece {
    /// Its place, from 0.
    at: usize,
    not: bool,
    quoted: bool,
    text: String,
}

fn pieces(characters: &[char]) -> Result<Vec<Piece>, QueryError> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        if characters[at].is_whitespace() {
            at += 1;
            continue;
        }
        let begin = at;
        let not = characters[at] == '-' && characters.get(at + 1).is_some_and(|next| !next.is_whitespace());
        at += usize::from(not);
        let quoted = characters[at] == '"';
        let text: String = if quoted {
            let rest = &characters[at + 1..];
            let length = rest.iter().position(|c| *c == '"');
            let length = length.ok_or_else(|| wrong(at, "this quotation mark is not closed".to_owned()))?;
            at += length + 2;
            rest[..length].iter().collect()
        } else {
            let length = characters[at..].iter().take_while(|c| !c.is_whitespace()).count();
            at += length;
            characters[at - length..at].iter().collect()
        };
        if text == "-" || text.chars().all(|c| matches!(c, '&' | '|' | '+' | '.' | '_')) && !quoted {
            continue;
        }
        pieces.push(Piece { at: begin, not, quoted, text });
    }
    Ok(pieces)
}

fn wanted(number: Number) -> &'static str {
    match number {
        Number::Size => "a size, as 700MiB or 1.5GiB",
        Number::Files | Number::Seeds | Number::Peers => "a whole number",
        Number::SeenAgo | Number::FoundAgo => "a time, as 30m, 12h, 7d or 4w",
    }
}

fn amount(number: Number, text: &str) -> Option<u64> {
    const SIZES: [(&str, u64); 9] = [
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
        ("tib", 1 << 40),
        ("kb", 1_000),
        ("mb", 1_000_000),
        ("gb", 1_000_000_000),
        ("tb", 1_000_000_000_000),
        ("b", 1),
    ];
    const TIMES: [(&str, u64); 4] = [("m", 60), ("h", 3_600), ("d", 86_400), ("w", 604_800)];
    let text = text.to_lowercase();
    let scaled = |units: &[(&str, u64)]| {
        let unit = units.iter().find_map(|(name, scale)| Some((text.strip_suffix(name)?, *scale)));
        let (digits, scale) = unit?;
        let value: f64 = digits.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0)?;
        Some((value * scale as f64) as u64)
    };
    match number {
        Number::Size => scaled(&SIZES).or_else(|| text.parse().ok()),
        Number::SeenAgo | Number::FoundAgo => scaled(&TIMES),
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn terms(text: &str) -> Vec<(bool, What)> {
        Query::parse(text).unwrap().terms.into_iter().map(|term| (term.not, term.what)).collect()
    }

    fn error(text: &str) -> String {
        Query::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn words_phrases_and_what_is_excluded() {
        let word = |word: &str| What::Word(word.to_owned());
        let phrase = |text: &str| What::Phrase(query_words(text));
        assert_eq!(terms("Big Buck"), [(false, word("big")), (false, word("buck"))]);
        assert_eq!(terms("\"Big  Buck\" -x264"), [(false, phrase("big buck")), (true, word("x264"))]);
        assert_eq!(terms("spider-man"), [(false, phrase("spider man"))]);
        assert_eq!(terms("a -\"b c\""), [(false, word("a")), (true, phrase("b c"))]);
        assert_eq!(terms("deb*"), [(false, What::Prefix("deb".to_owned()))]);
        assert_eq!(terms("x files:MKV"), [(false, word("x")), (false, What::Files("mkv".to_owned()))]);
        assert_eq!(terms("rock & roll"), [(false, word("rock")), (false, word("roll"))]);
    }

    #[test]
    fn bounds_have_units() {
        let bound = |text: &str| Query::parse(text).unwrap().bounds[0];
        assert_eq!(bound("size>1GiB"), Bound { number: Number::Size, least: (1 << 30) + 1, most: u64::MAX });
        assert_eq!(bound("size<=1.5kB"), Bound { number: Number::Size, least: 0, most: 1500 });
        assert_eq!(bound("seeds>=5"), Bound { number: Number::Seeds, least: 5, most: u64::MAX });
        assert_eq!(bound("seen<7d"), Bound { number: Number::SeenAgo, least: 0, most: 7 * 86_400 - 1 });
        assert_eq!(bound("files=1"), Bound { number: Number::Files, least: 1, most: 1 });
    }

    #[test]
    fn infohashes_and_orders() {
        let query = Query::parse("08ada5a7a6183aae1e09d831df6748d566095a10 sort:size").unwrap();
        assert_eq!((query.infohashes.len(), query.terms.len(), query.sort), (1, 0, Sort::Size));
    }

    #[test]
    fn errors_point_at_the_place() {
        for (text, expected) in [
            ("", "at character 1: a word to search for is missing"),
            ("-a", "at character 1: a word to search for is missing"),
            ("a \"b", "at character 3: this quotation mark is not closed"),
            ("a size>big", "at character 8: \"big\" is not a size, as 700MiB or 1.5GiB"),
            ("größe sort:x", "at character 12: \"x\" is no order; there are seeds, size, seen, found and name"),
            ("a seeds><5", "at character 8: \"><\" is no comparison; there are <, <=, =, >= and >"),
            ("a !!!", "at character 3: \"!!!\" has no letter and no digit"),
            ("a -seeds>5", "at character 3: a bound cannot be excluded: turn its sign round"),
        ] {
            assert_eq!(error(text), expected, "{text}");
        }
        assert!(error("foo:bar").contains("unknown before a colon"));
        assert!(error("age>5").contains("is no number of a torrent"));
        assert!(error(&"a ".repeat(40)).contains("at most 32 terms"));
        assert!(error(&"a".repeat(2_000)).contains("at most 1000 characters"));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[a-z0-9\"*:<>=\\- äö東]{0,80}") {
            if let Err(error) = Query::parse(&text) {
                prop_assert!(error.at <= text.chars().count() + 1);
            }
        }
    }
}
