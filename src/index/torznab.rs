//! Torznab: how programs that manage collections ask an index. Pure: the text of a query in, XML out.
//!
//! Torznab is Newznab for torrents; what is here is what Prowlarr, Sonarr, Radarr and Jackett read (`t=caps`, `search`,
//! `tvsearch`, `movie`, `music`, `book`). What a torrent holds is guessed from the words of its name: an index of names
//! knows no more.

use std::fmt::Write as _;

use super::entry::{Entry, UnixSeconds};
use super::query::{Bound, Number, Query, Sort, Term, What};
use super::words::query_words;
use crate::torrent::parse_infohash;

/// Most results of one answer.
pub const MOST_RESULTS: usize = 100;
/// Last result that can be asked for.
const LAST_RESULT: usize = 10_000;
/// Longest text that is searched for, in bytes.
const LONGEST_TEXT: usize = 500;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// What the index can do.
    Caps,
    /// Torrents.
    Search(Search),
}

/// A search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// What for.
    pub query: Query,
    /// The kinds that are wanted; all where there are none.
    pub categories: Vec<u32>,
    /// How many results come before.
    pub offset: usize,
    /// Most results.
    pub limit: usize,
}

/// Why a request is not served: the codes are Newznab's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct TorznabError {
    /// The code.
    pub code: u16,
    /// What is wrong.
    pub text: String,
}

/// The categories that are told apart.
const CATEGORIES: [(u32, &str); 7] = [
    (1000, "Console"),
    (2000, "Movies"),
    (3000, "Audio"),
    (4000, "PC"),
    (5000, "TV"),
    (7000, "Books"),
    (8000, "Other"),
];

impl Request {
    /// Reads the query of a URL, behind its question mark.
    ///
    /// # Errors
    /// It asks for nothing that there is.
    pub fn parse(query: &str) -> Result<Self, TorznabError> {
        let parameters: Vec<(String, String)> = query.split('&').map(pair).collect();
        let get = |name: &str| {
            let found = parameters.iter().find(|(key, value)| key == name && !value.is_empty());
            found.map(|(_, value)| value.as_str())
        };
        let names: &[&str] = match get("t").ok_or_else(|| missing("t"))? {
            "caps" => return Ok(Self::Caps),
            "search" => &["q"],
            "tvsearch" | "movie" => &["q", "year"],
            "music" => &["q", "artist", "album", "year"],
            "book" => &["q", "author", "title", "year"],
            other => return Err(TorznabError { code: 202, text: format!("no such function: {other}") }),
        };
        let mut text: Vec<String> = names.iter().filter_map(|name| get(name)).map(str::to_owned).collect();
        text.extend(episode(get("season"), get("ep")));
        let number = |name: &str, otherwise: usize| get(name).map_or(Ok(otherwise), |text| parse(name, text));
        Ok(Self::Search(Search {
            query: wanted(&text.join(" "))?,
            categories: get("cat")
                .map(|list| list.split(',').filter_map(|one| one.parse().ok()).collect())
                .unwrap_or_default(),
            offset: number("offset", 0)?.min(LAST_RESULT),
            limit: number("limit", MOST_RESULTS)?.min(MOST_RESULTS),
        }))
    }
}

impl Search {
    /// Whether a torrent is of a kind that is wanted.
    #[must_use]
    pub fn wants(&self, entry: &Entry) -> bool {
        let category = category(&entry.name);
        self.categories.is_empty() || self.categories.iter().any(|wanted| wanted / 1000 == category / 1000)
    }
}

fn missing(name: &str) -> TorznabError {
    TorznabError { code: 200, text: format!("the parameter {name} is missing") }
}

fn parse(name: &str, text: &str) -> Result<usize, TorznabError> {
    text.parse().map_err(|_| TorznabError { code: 201, text: format!("{name} is no number: {text:?}") })
}

/// `S01E02` of its numbers; a season alone is `S01`, and a date as an episode stands for itself.
fn episode(season: Option<&str>, episode: Option<&str>) -> Option<String> {
    let number = |text: &str| text.trim_start_matches(['S', 's', 'E', 'e']).parse::<u32>().ok();
    match (season.and_then(number), episode) {
        (Some(season), Some(episode)) => match number(episode) {
            Some(episode) => Some(format!("S{season:02}E{episode:02}")),
            None => Some(format!("{season} {}", episode.replace('/', " "))),
        },
        (Some(season), None) => Some(format!("S{season:02}")),
        (None, _) => None,
    }
}

/// The query for a text. Without one it is the newest torrents, which programs ask for again and again.
fn wanted(text: &str) -> Result<Query, TorznabError> {
    if text.len() > LONGEST_TEXT {
        return Err(TorznabError { code: 201, text: format!("a text of more than {LONGEST_TEXT} bytes") });
    }
    if let Ok(infohash) = parse_infohash(text.trim()) {
        return Ok(Query { infohashes: vec![infohash], ..Query::default() });
    }
    let word = |word: String| Term { not: false, what: What::Word(word) };
    let terms: Vec<Term> = query_words(text).into_iter().map(word).collect();
    match terms.is_empty() {
        true => {
            let any = Bound { number: Number::Size, least: 0, most: u64::MAX };
            Ok(Query { bounds: vec![any], sort: Sort::Found, ..Query::default() })
        }
        false => Ok(Query { terms, ..Query::default() }),
    }
}

fn pair(text: &str) -> (String, String) {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    (key.to_lowercase(), decoded(value))
}

/// A value of a URL; a percent sign without two digits stands for itself.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let digits = tail.first_chunk::<2>().filter(|_| *byte == b'%');
        let mut one = [0];
        match digits.map(|digits| hex::decode_to_slice(digits, &mut one)) {
            Some(Ok(())) => (bytes, rest) = ([&bytes[..], &one].concat(), &tail[2..]),
            _ => {
                bytes.push(if *byte == b'+' { b' ' } else { *byte });
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a torrent holds, guessed from the words of its name.
#[must_use]
pub fn category(name: &str) -> u32 {
    let words = query_words(name);
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    let is_episode = |word: &String| {
        let rest = word.strip_prefix('s').map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        rest.is_some_and(|rest| {
            word.len() > 2 && (rest.is_empty() && word[1..].parse::<u32>().is_ok() || rest.starts_with('e'))
        })
    };
    match () {
        () if words.iter().any(is_episode) || has(&["hdtv", "season", "episode"]) => 5000,
        () if has(&[
            "1080p", "720p", "2160p", "480p", "bluray", "bdrip", "dvdrip", "webrip", "x264", "x265", "h264", "hevc",
            "xvid",
        ]) =>
        {
            2000
        }
        () if has(&["flac", "mp3", "discography", "vinyl", "aac", "320kbps", "lossless"]) => 3000,
        () if has(&["epub", "pdf", "mobi", "azw3", "cbr", "cbz", "ebook", "djvu"]) => 7000,
        () if has(&["iso", "linux", "windows", "macos", "amd64", "x64", "x86", "setup", "portable"]) => 4000,
        () if has(&["ps4", "ps5", "xbox", "nsw", "wii", "switch"]) => 1000,
        () => 8000,
    }
}

/// What the index can do.
#[must_use]
pub fn caps() -> String {
    let categories: String =
        CATEGORIES.iter().map(|(id, name)| format!("<category id=\"{id}\" name=\"{name}\"/>")).collect();
    let search = |kind: &str, parameters: &str| format!("<{kind} available=\"yes\" supportedParams=\"{parameters}\"/>");
    let searching = [
        search("search", "q"),
        search("tv-search", "q,season,ep"),
        search("movie-search", "q"),
        search("music-search", "q,artist,album"),
        search("audio-search", "q,artist,album"),
        search("book-search", "q,author,title"),
    ]
    .concat();
    format!(
        "{HEAD}<caps><server title=\"trackerless\"/><limits max=\"{MOST_RESULTS}\" default=\"{MOST_RESULTS}\"/>\
         <searching>{searching}</searching><categories>{categories}</categories></caps>"
    )
}

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// Torrents as RSS.
#[must_use]
pub fn results(base: &str, entries: &[Entry], offset: usize) -> String {
    let items: String = entries.iter().map(item).collect();
    let total = offset + entries.len();
    format!(
        "{HEAD}<rss version=\"2.0\" xmlns:atom=\"http://www.w3.org/2005/Atom\" \
         xmlns:newznab=\"http://www.newznab.com/DTD/2010/feeds/attributes/\" \
         xmlns:torznab=\"http://torznab.com/schemas/2015/feed\"><channel><title>trackerless</title>\
         <description>torrents of the index of this node</description><link>{base}/</link>\
         <atom:link href=\"{base}/torznab/api\" rel=\"self\" type=\"application/rss+xml\"/>\
         <newznab:response offset=\"{offset}\" total=\"{total}\"/>{items}</channel></rss>",
        base = escaped(base)
    )
}

fn item(entry: &Entry) -> String {
    let magnet = escaped(&magnet(entry));
    let mut attributes = attribute("category", &category(&entry.name).to_string());
    attributes += &attribute("infohash", &entry.infohash.to_string());
    attributes += &attribute("magneturl", &self::magnet(entry));
    attributes += &attribute("size", &entry.size_bytes.to_string());
    attributes += &attribute("files", &entry.file_count.to_string());
    if let Some(swarm) = entry.swarm {
        attributes += &attribute("seeders", &swarm.seeds.to_string());
        attributes += &attribute("peers", &(u64::from(swarm.seeds) + u64::from(swarm.peers)).to_string());
    }
    attributes += &attribute("downloadvolumefactor", "0");
    attributes += &attribute("uploadvolumefactor", "1");
    format!(
        "<item><title>{title}</title><guid isPermaLink=\"false\">{infohash}</guid><link>{magnet}</link>\
         <pubDate>{date}</pubDate><size>{size}</size><category>{category}</category>\
         <enclosure url=\"{magnet}\" length=\"{size}\" type=\"application/x-bittorrent;x-scheme-handler/magnet\"/>\
         {attributes}</item>",
        title = escaped(&entry.name),
        infohash = entry.infohash,
        date = date(entry.found),
        size = entry.size_bytes,
        category = category(&entry.name),
    )
}

fn attribute(name: &str, value: &str) -> String {
    format!("<torznab:attr name=\"{name}\" value=\"{}\"/>", escaped(value))
}

/// The magnet URI of a torrent.
#[must_use]
pub fn magnet(entry: &Entry) -> String {
    let mut uri = format!("magnet:?xt=urn:btih:{}&dn=", entry.infohash);
    for byte in entry.name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(byte)),
            _ => write!(uri, "%{byte:02X}").expect("a string takes all"),
        }
    }
    uri
}

/// An error as programs read it.
#[must_use]
pub fn error(error: &TorznabError) -> String {
    format!("{HEAD}<error code=\"{}\" description=\"{}\"/>", error.code, escaped(&error.text))
}

/// How a browser searches here (OpenSearch).
#[must_use]
pub fn opensearch(base: &str) -> String {
    let base = escaped(base);
    format!(
        "{HEAD}<OpenSearchDescription xmlns=\"http://a9.com/-/spec/opensearch/1.1/\"><ShortName>trackerless</ShortName>\
         <Description>Torrents in the index of this node</Description><InputEncoding>UTF-8</InputEncoding>\
         <Url type=\"application/rss+xml\" template=\"{base}/torznab/api?t=search&amp;q={{searchTerms}}\"/>\
         <Url type=\"application/json\" template=\"{base}/api/v1/search?q={{searchTerms}}\"/></OpenSearchDescription>"
    )
}

/// The search plug-in for qBittorrent (its nova3 engine) that asks the node at `base`.
#[must_use]
pub fn qbittorrent_plugin(base: &str) -> String {
    include_str!("qbittorrent_plugin.py").replace("BASE_URL", &python_text(base))
}

/// A text inside of quotation marks of Python.
fn python_text(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\')).collect()
}

/// For XML, also between quotation marks. Characters that XML does not allow are left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            c => out.push(c),
        }
    }
    out
}

/// A time as RSS has it (RFC 822), in UTC.
#[must_use]
pub fn date(time: UnixSeconds) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    // A year beyond 9999 is none that RSS has.
    let days = (time / 86_400).min(2_932_896);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (time / 3_600 % 24, time / 60 % 60, time % 60);
    let (name, month) = (DAYS[(days % 7) as usize], MONTHS[month as usize - 1]);
    format!("{name}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} +0000")
}

/// Year, month and day of a number of days since 1970 (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::index::entry::{Source, Swarm};

    fn search(query: &str) -> Search {
        match Request::parse(query).unwrap() {
            Request::Search(search) => search,
            Request::Caps => panic!("a search"),
        }
    }

    fn words(query: &str) -> Vec<String> {
        let word = |term: Term| if let What::Word(word) = term.what { word } else { panic!("a word") };
        search(query).query.terms.into_iter().map(word).collect()
    }

    #[test]
    fn each_kind_of_search_is_read() {
        assert_eq!(Request::parse("t=caps"), Ok(Request::Caps));
        assert_eq!(words("t=search&q=big%20buck+bunny"), ["big", "buck", "bunny"]);
        assert_eq!(words("t=tvsearch&q=the+show&season=1&ep=2&cat=5030,5040"), ["the", "show", "s01e02"]);
        assert_eq!(words("t=tvsearch&q=the+show&season=12"), ["the", "show", "s12"]);
        assert_eq!(words("t=tvsearch&q=news&season=2024&ep=05/17"), ["news", "2024", "05", "17"]);
        assert_eq!(words("t=music&artist=Some+One&album=It"), ["some", "one", "it"]);
        assert_eq!(words("t=book&author=A&title=B%2"), ["a", "b", "2"]);
        assert_eq!(search("t=search&limit=7&offset=3&q=x").limit, 7);
        assert_eq!(search("t=search").query.sort, Sort::Found, "the newest");
        assert_eq!(search("t=search&q=08ada5a7a6183aae1e09d831df6748d566095a10").query.infohashes.len(), 1);
    }

    #[test]
    fn what_makes_no_sense_has_its_code() {
        for (query, code) in [("q=x", 200), ("t=dance", 202), ("t=search&limit=x", 201), ("t=search&q=08ada5", 0)] {
            assert_eq!(Request::parse(query).map_or_else(|error| error.code, |_| 0), code, "{query}");
        }
        assert_eq!(Request::parse(&format!("t=search&q={}", "x".repeat(600))).unwrap_err().code, 201);
    }

    #[test]
    fn kinds_are_guessed_from_names() {
        for (name, expected) in [
            ("The.Show.S01E02.1080p.WEB", 5000),
            ("The Show Season 2", 5000),
            ("Some.Film.2010.1080p.BluRay.x264", 2000),
            ("Artist - Album (2001) FLAC", 3000),
            ("A book.epub", 7000),
            ("debian-12-amd64.iso", 4000),
            ("something", 8000),
            ("s1", 8000),
        ] {
            assert_eq!(category(name), expected, "{name}");
        }
    }

    #[test]
    fn results_are_well_formed_and_unknown_counts_are_absent() {
        let entry = Entry {
            infohash: "08ada5a7a6183aae1e09d831df6748d566095a10".parse().unwrap(),
            name: "A <b> & \"c\" \u{1}é".to_owned(),
            size_bytes: 7,
            file_count: 1,
            files: Vec::new(),
            found: 1_700_000_000,
            seen: 0,
            swarm: Some(Swarm { seeds: 3, peers: 2, at: 0 }),
            source: Source::Survey,
        };
        let xml = results("http://127.0.0.1:6880", std::slice::from_ref(&entry), 0);
        assert!(xml.contains("<title>A &lt;b&gt; &amp; &quot;c&quot; é</title>"), "{xml}");
        assert!(xml.contains("name=\"seeders\" value=\"3\"") && xml.contains("name=\"peers\" value=\"5\""), "{xml}");
        assert!(xml.contains("<pubDate>Tue, 14 Nov 2023 22:13:20 +0000</pubDate>"), "{xml}");
        assert!(xml.contains("dn=A%20%3Cb%3E%20%26"), "{xml}");
        let unknown = results("", &[Entry { swarm: None, ..entry }], 0);
        assert!(!unknown.contains("seeders"), "{unknown}");
        assert!(qbittorrent_plugin("http://x:1/\"\n").contains("\"http://x:1/\""));
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (days, expected) in
            [(0, (1970, 1, 1)), (59, (1970, 3, 1)), (11_016, (2000, 2, 29)), (19_782, (2024, 2, 29))]
        {
            assert_eq!(civil(days), expected, "{days}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(query in "(t=(search|tvsearch|book)&)?[a-z0-9=&%+,]{0,80}", time: u64) {
            if let Ok(Request::Search(search)) = Request::parse(&query) {
                prop_assert!(search.limit <= MOST_RESULTS && search.offset <= LAST_RESULT);
            }
            let _ = date(time);
        }
    }
}
