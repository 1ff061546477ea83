//! Values of settings: the types there are, and how each is read from text and written as text.

use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use toml::de::DeValue;
use tracing_subscriber::EnvFilter;

use crate::announcer::clients::{AddressError as ClientError, ClientAddress};
use crate::announcer::store::Watched;
use crate::engine::compliance::Compliance;
use crate::engine::contact::{canonical, is_sendable};
use crate::engine::id::InfoHash;
use crate::engine::lookup::Effort;
use crate::engine::node::Serve;
use crate::index::service::Mode;
use crate::index::store::postgres::{Address, AddressError};
use crate::net::nearness::Range;
use crate::tracker::broker::Policy;
use crate::tracker::server::HostName;
use crate::tracker::upstream::Source;

/// A type that the value of a setting may have.
pub trait Value: Sized {
    /// How values are written, and what to say of wrong ones.
    const FORM: Form;

    /// Reads a value from the texts given for it. The error says what is wrong.
    ///
    /// # Errors
    /// The texts do not have this form.
    fn read(texts: &[String]) -> Result<Self, String>;

    /// The texts that [`Value::read`] makes this value from.
    fn texts(&self) -> Vec<String>;
}

/// How the values of a type are written.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// Their type in the file.
    pub shape: Shape,
    /// The name of a value in `--help-settings`.
    pub value_name: &'static str,
    /// What a right value looks like.
    pub cure: fn() -> String,
}

/// The type of a value in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A string that is the path of a folder.
    Folder,
    /// A string.
    Text,
    /// `true` or `false`.
    Switch,
    /// A whole number.
    Number,
    /// A string or an array of them; as a variable or a flag separated by commas.
    List,
}

impl Shape {
    /// The texts of a TOML value, if it has this type. The error says what it is instead.
    pub(super) fn texts_of(self, value: &DeValue<'_>) -> Result<Vec<String>, String> {
        match (self, value) {
            (Self::Switch, DeValue::Boolean(on)) => Ok(vec![on.to_string()]),
            (Self::Number, DeValue::Integer(number)) => Ok(vec![number.to_string().replace('_', "")]),
            (Self::Folder | Self::Text | Self::List, DeValue::String(text)) => Ok(vec![text.to_string()]),
            (Self::List, DeValue::Array(items)) => {
                let text = |item: &DeValue<'_>| item.as_str().map(str::to_owned);
                let texts: Option<_> = items.iter().map(|item| text(item.get_ref())).collect();
                texts.ok_or_else(|| "not all of its items are strings".to_owned())
            }
            (_, other) => Err(format!("it is of type {}", other.type_str())),
        }
    }

    /// The TOML value of these texts. A text that does not have this type stays a string.
    pub(super) fn to_toml(self, texts: Vec<String>) -> toml::Value {
        let single = texts.concat();
        match self {
            Self::Switch => single.parse::<bool>().map_or(single.into(), Into::into),
            Self::Number => single.parse::<i64>().map_or(single.into(), Into::into),
            Self::Folder | Self::Text => single.into(),
            Self::List => texts.into(),
        }
    }
}

/// The last of the texts: a flag that is given twice counts as it was given last.
fn single(texts: &[String]) -> &str {
    texts.last().map(|text| text.trim()).unwrap_or_default()
}

impl Value for PathBuf {
    const FORM: Form =
        Form { shape: Shape::Folder, value_name: "DIR", cure: || "give the path of a folder".to_owned() };

    fn read(texts: &[String]) -> Result<Self, String> {
        if single(texts).is_empty() { Err("it is empty".to_owned()) } else { Ok(single(texts).into()) }
    }

    fn texts(&self) -> Vec<String> {
        vec![self.display().to_string()]
    }
}

impl Value for bool {
    const FORM: Form = Form { shape: Shape::Switch, value_name: "yes|no", cure: || "give true or false".to_owned() };

    fn read(texts: &[String]) -> Result<Self, String> {
        let text = single(texts);
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err(format!("{text:?} is neither true nor false")),
        }
    }

    fn texts(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

/// A whole number within bounds, both of them allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count<const LEAST: u32, const MOST: u32>(u32);

impl<const LEAST: u32, const MOST: u32> Count<LEAST, MOST> {
    /// `number`, brought within the bounds.
    #[must_use]
    pub fn new(number: u32) -> Self {
        Self(number.clamp(LEAST, MOST))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl<const LEAST: u32, const MOST: u32> Value for Count<LEAST, MOST> {
    const FORM: Form =
        Form { shape: Shape::Number, value_name: "N", cure: || format!("give a whole number from {LEAST} to {MOST}") };

    fn read(texts: &[String]) -> Result<Self, String> {
        let text = single(texts);
        match text.parse::<u64>().map(u32::try_from) {
            Ok(Ok(number)) if (LEAST..=MOST).contains(&number) => Ok(Self(number)),
            Ok(_) => Err(format!("{text} is not from {LEAST} to {MOST}")),
            Err(_) => Err(format!("{text:?} is not a whole number")),
        }
    }

    fn texts(&self) -> Vec<String> {
        vec![self.0.to_string()]
    }
}

/// A number of bytes within bounds, which are numbers of MiB, both of them allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size<const LEAST_MIB: u64, const MOST_MIB: u64>(u64);

/// The units of a [`Size`], the largest first.
const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];

impl<const LEAST_MIB: u64, const MOST_MIB: u64> Size<LEAST_MIB, MOST_MIB> {
    /// This number of MiB, brought within the bounds.
    #[must_use]
    pub fn mib(number: u64) -> Self {
        Self(number.clamp(LEAST_MIB, MOST_MIB) << 20)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl<const LEAST_MIB: u64, const MOST_MIB: u64> Value for Size<LEAST_MIB, MOST_MIB> {
    const FORM: Form = Form {
        shape: Shape::Text,
        value_name: "SIZE",
        cure: || format!("give a whole number and KiB, MiB, GiB or TiB, from {LEAST_MIB} MiB to {MOST_MIB} MiB"),
    };

    fn read(texts: &[String]) -> Result<Self, String> {
        let text = single(texts);
        let not_a_size = || format!("{text:?} is not a size");
        let unit = |&(name, shift): &(&str, u32)| Some((text.strip_suffix(name)?.trim_end(), shift));
        let (number, shift) = UNITS.iter().find_map(unit).ok_or_else(not_a_size)?;
        let number: u64 = number.parse().map_err(|_| not_a_size())?;
        let bytes = number.checked_mul(1 << shift).filter(|bytes| (LEAST_MIB << 20..=MOST_MIB << 20).contains(bytes));
        bytes.map(Self).ok_or_else(|| format!("{text:?} is not from {LEAST_MIB} MiB to {MOST_MIB} MiB"))
    }

    fn texts(&self) -> Vec<String> {
        let whole = |(_, shift): &&(&str, u32)| self.0.is_multiple_of(1 << shift);
        // Bounds and units are multiples of one KiB.
        let (name, shift) = UNITS.iter().find(whole).unwrap_or(&UNITS[3]);
        vec![format!("{} {name}", self.0 >> shift)]
    }
}

/// An address to serve at, or `off`.
impl Value for Option<SocketAddr> {
    const FORM: Form = Form {
        shape: Shape::Text,
        value_name: "off|ADDR:PORT",
        cure: || "give off, or an IP address and a port, as in 127.0.0.1:6969".to_owned(),
    };

    fn read(texts: &[String]) -> Result<Self, String> {
        if single(texts) == "off" { Ok(None) } else { SocketAddr::parse(single(texts)).map(Some) }
    }

    fn texts(&self) -> Vec<String> {
        vec![self.map_or_else(|| "off".to_owned(), |addr| addr.to_string())]
    }
}

/// A path below which a service is shown: empty, or one with a slash at its head and none at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BasePath(String);

impl BasePath {
    /// The path as text; empty for none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for BasePath {
    const FORM: Form =
        Form { shape: Shape::Text, value_name: "PATH", cure: || "give a path as in /dht, or nothing".to_owned() };

    fn read(texts: &[String]) -> Result<Self, String> {
        let path = single(texts).trim_end_matches('/');
        let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
        match path.is_empty() || path.starts_with('/') && !path.contains("//") && path.bytes().all(is_fine) {
            true => Ok(Self(path.to_owned())),
            false => Err(format!("{path:?} is not such a path")),
        }
    }

    fn texts(&self) -> Vec<String> {
        vec![self.0.clone()]
    }
}

/// The path of a file, or none.
impl Value for Option<PathBuf> {
    const FORM: Form = Form {
        shape: Shape::Text,
        value_name: "FILE",
        cure: || "give the path of a file, or \"\" for none".to_owned(),
    };

    fn read(texts: &[String]) -> Result<Self, String> {
        Ok(Some(single(texts)).filter(|text| !text.is_empty()).map(PathBuf::from))
    }

    fn texts(&self) -> Vec<String> {
        vec![self.as_ref().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()]
    }
}

/// The address of a database, or none.
impl Value for Option<Address> {
    const FORM: Form = Form {
        shape: Shape::Text,
        value_name: "URL",
        cure: || "give a URL as in postgres://user:password@host/name, or \"\" for none (docs/INDEX.md)".to_owned(),
    };

    fn read(texts: &[String]) -> Result<Self, String> {
        match single(texts) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|error: AddressError| error.to_string()),
        }
    }

    fn texts(&self) -> Vec<String> {
        vec![self.as_ref().map(ToString::to_string).unwrap_or_default()]
    }
}

/// A filter of log lines, valid for [`EnvFilter`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(std::borrow::Cow<'static, str>);

impl LogFilter {
    /// Everything that a person should hear of.
    pub const INFO: Self = Self(std::borrow::Cow::Borrowed("info"));

    /// The filter as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for LogFilter {
    const FORM: Form = Form {
        shape: Shape::Text,
        value_name: "FILTER",
        cure: || "give error, warn, info, debug, trace, or a list as in info,trackerless::net=debug".to_owned(),
    };

    fn read(texts: &[String]) -> Result<Self, String> {
        let text = single(texts);
        match EnvFilter::try_new(text) {
            Ok(_) if !text.is_empty() => Ok(Self(text.to_owned().into())),
            _ => Err(format!("{text:?} is not a log filter")),
        }
    }

    fn texts(&self) -> Vec<String> {
        vec![self.as_str().to_owned()]
    }
}

/// A type whose values are words.
pub trait Words: Copy + PartialEq + 'static {
    /// Each word with its value.
    const WORDS: &'static [(&'static str, Self)];
}

impl Words for Compliance {
    const WORDS: &'static [(&'static str, Self)] =
        &[("prefer", Self::Prefer), ("off", Self::Off), ("enforce", Self::Enforce)];
}

impl Words for Effort {
    const WORDS: &'static [(&'static str, Self)] =
        &[("gentle", Self::GENTLE), ("normal", Self::NORMAL), ("fast", Self::FAST)];
}

impl Words for Serve {
    const WORDS: &'static [(&'static str, Self)] =
        &[("always", Self::Always), ("once-reached", Self::OnceReached), ("never", Self::Never)];
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Words for LogFormat {
    const WORDS: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

/// Whether ports are opened at the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortMapping {
    /// Where there is a router.
    Auto,
    /// Never.
    Off,
}

impl Words for PortMapping {
    const WORDS: &'static [(&'static str, Self)] = &[("auto", Self::Auto), ("off", Self::Off)];
}

impl Words for Policy {
    const WORDS: &'static [(&'static str, Self)] =
        &[("verified-public", Self::VerifiedPublic), ("never", Self::Never), ("always", Self::Always)];
}

impl Words for Mode {
    const WORDS: &'static [(&'static str, Self)] =
        &[named(Self::Off), named(Self::Mine), named(Self::Passive), named(Self::Survey)];
}

const fn named(mode: Mode) -> (&'static str, Mode) {
    (mode.name(), mode)
}

impl<T: Words> Value for T {
    const FORM: Form = Form {
        shape: Shape::Text,
        value_name: "WORD",
        cure: || format!("give {}", T::WORDS.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" or ")),
    };

    fn read(texts: &[String]) -> Result<Self, String> {
        let text = single(texts);
        let found = T::WORDS.iter().find(|(word, _)| *word == text);
        found.map(|(_, value)| *value).ok_or_else(|| format!("{text:?} is none of the words"))
    }

    fn texts(&self) -> Vec<String> {
        let word = T::WORDS.iter().find(|(_, value)| value == self).map(|(word, _)| (*word).to_owned());
        word.into_iter().collect()
    }
}

/// A type that settings have lists of.
pub trait Item: Display + Sized {
    /// The name of an item in `--help-settings`.
    const NAME: &'static str;
    /// What a right item looks like.
    const CURE: &'static str;
    /// What is wrong with an empty list; nothing where that makes sense.
    const EMPTY: Result<(), &'static str> = Ok(());

    /// Reads an item. The error says what is wrong.
    ///
    /// # Errors
    /// The text is no item.
    fn parse(text: &str) -> Result<Self, String>;

    /// The text that it is printed as.
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Item for SocketAddr {
    const NAME: &'static str = "ADDR:PORT";
    const CURE: &'static str = "give an IP address and a port, as in 0.0.0.0:6880 or [::]:6880";
    const EMPTY: Result<(), &'static str> = Err("it names no address");

    fn parse(text: &str) -> Result<Self, String> {
        let addr: Self = text.parse().map_err(|_| format!("{text:?} is not an IP address and a port"))?;
        let ip = addr.ip().to_canonical();
        let can_be_ours = ip.is_unspecified() || is_sendable(&Self::new(ip, u16::MAX));
        match can_be_ours {
            // With the interface of a link-local address.
            true => Ok(canonical(addr)),
            false => Err(format!("{text:?} is an address that no host can have")),
        }
    }
}

impl Item for HostPort {
    const NAME: &'static str = "HOST:PORT";
    const CURE: &'static str = "give a host and a port, as in dht.libtorrent.org:25401";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
    }
}

impl Item for Range {
    const NAME: &'static str = "NETWORK";
    const CURE: &'static str = "give an address and the length of its prefix, as in 192.168.0.0/16";

    fn parse(text: &str) -> Result<Self, String> {
        parsed(text)
    }
}

impl Item for HostName {
    const NAME: &'static str = "HOST";
    const CURE: &'static str = "give names or addresses without a port, as in tracker.example";

    fn parse(text: &str) -> Result<Self, String> {
        parsed(text)
    }
}

impl Item for Watched {
    const NAME: &'static str = "TARGET";
    const CURE: &'static str =
        "give paths of folders, lists and torrent files, infohashes or magnet URIs; no commas in them";

    fn parse(text: &str) -> Result<Self, String> {
        parsed(text)
    }
}

impl Item for InfoHash {
    const NAME: &'static str = "INFOHASH";
    const CURE: &'static str = "give infohashes of 40 hexadecimal digits";

    fn parse(text: &str) -> Result<Self, String> {
        parsed(text)
    }
}

impl Item for ClientAddress {
    const NAME: &'static str = "CLIENT";
    const CURE: &'static str = "give addresses as in qbittorrent+http://user:password@127.0.0.1:8080 (docs/CLIENTS.md)";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: ClientError| error.to_string())
    }

    fn shown(&self) -> String {
        self.text()
    }
}

impl Item for Source {
    const NAME: &'static str = "URL";
    const CURE: &'static str = "give URLs as in udp://tracker.example:6969/announce or http://tracker.example/announce";

    fn parse(text: &str) -> Result<Self, String> {
        parsed(text)
    }
}

/// The path of a list in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListFile(pub PathBuf);

impl Display for ListFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

impl Item for ListFile {
    const NAME: &'static str = "FILE";
    const CURE: &'static str = "give paths of files";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(text.into()))
    }
}

fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}

/// Items that were given one by one or separated by commas.
impl<T: Item> Value for Vec<T> {
    const FORM: Form = Form { shape: Shape::List, value_name: T::NAME, cure: || T::CURE.to_owned() };

    fn read(texts: &[String]) -> Result<Self, String> {
        let parts = texts.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|part| !part.is_empty());
        let items = parts.map(T::parse).collect::<Result<Self, _>>()?;
        if items.is_empty() { T::EMPTY.map(|()| items).map_err(str::to_owned) } else { Ok(items) }
    }

    fn texts(&self) -> Vec<String> {
        self.iter().map(T::shown).collect()
    }
}

/// A host, by name or address, and a port. Names are resolved when they are needed, not before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// A name or an IP address, without brackets.
    pub host: String,
    /// Never 0.
    pub port: u16,
}

impl HostPort {
    /// `host` and `port` as one.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port }
    }
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = text.rsplit_once(':').ok_or_else(|| format!("{text:?} has no port"))?;
        let port = port.parse().ok().filter(|&port| port != 0);
        let port = port.ok_or_else(|| format!("the port of {text:?} is not a number from 1 to 65535"))?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match bracketed.unwrap_or(host) {
            "" => Err(format!("{text:?} has no host")),
            host if host.contains(':') && bracketed.is_none() => {
                Err(format!("{text:?} is ambiguous: an IPv6 address stands in brackets"))
            }
            host if host.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '@' | '[' | ']')) => {
                Err(format!("{text:?} is not a host and a port"))
            }
            host => Ok(Self::new(host, port)),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Value>(text: &str) -> Result<Vec<String>, String> {
        T::read(&[text.to_owned()]).map(|value| value.texts())
    }

    fn host(text: &str) -> Result<String, String> {
        text.parse::<HostPort>().map(|host| host.to_string())
    }

    #[test]
    fn hosts_with_ports_read_back() {
        for text in ["dht.example:25401", "127.0.0.1:1", "[::1]:6881", "localhost:65535"] {
            assert_eq!(host(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn wrong_hosts_say_why() {
        for (text, why) in [
            ("dht.example", "has no port"),
            ("dht.example:0", "not a number from 1"),
            ("dht.example:65536", "not a number from 1"),
            (":6881", "has no host"),
            ("::1:6881", "in brackets"),
            ("http://dht.example:80", "brackets"),
            ("a b:80", "not a host"),
        ] {
            let error = host(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_service_is_off_or_has_an_address() {
        assert_eq!(read::<Option<SocketAddr>>("off").unwrap(), ["off"]);
        assert_eq!(read::<Option<SocketAddr>>("[::1]:7").unwrap(), ["[::1]:7"]);
        for wrong in ["on", "6969", ""] {
            assert!(read::<Option<SocketAddr>>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_base_path_begins_with_a_slash_and_ends_without() {
        for (text, path) in [("", ""), ("/", ""), ("/dht/", "/dht"), ("/a/b-c", "/a/b-c")] {
            assert_eq!(read::<BasePath>(text).unwrap(), [path]);
        }
        for wrong in ["dht", "//dht", "/a?b", "/a b", "/a\"b"] {
            assert!(read::<BasePath>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_word_reads_back() {
        fn check<T: Words + fmt::Debug>() {
            for (word, value) in T::WORDS {
                assert_eq!(T::read(&[(*word).to_owned()]), Ok(*value));
                assert_eq!(value.texts(), [*word]);
            }
            assert!(read::<T>("sometimes").unwrap_err().contains("none of the words"));
        }
        check::<Compliance>();
        check::<Effort>();
        check::<Policy>();
        check::<PortMapping>();
        check::<LogFormat>();
        check::<Serve>();
    }

    #[test]
    fn numbers_keep_their_bounds() {
        assert_eq!(read::<Count<1, 10>>("10").unwrap(), ["10"]);
        assert_eq!(read::<Count<1, 10>>("11").unwrap_err(), "11 is not from 1 to 10");
        assert_eq!(read::<Count<1, 10>>("5000000000").unwrap_err(), "5000000000 is not from 1 to 10");
        assert_eq!(read::<Count<1, 10>>("-1").unwrap_err(), "\"-1\" is not a whole number");
    }

    #[test]
    fn sizes_have_units_and_bounds() {
        for (text, told) in [("128 MiB", "128 MiB"), ("1024MiB", "1 GiB"), ("16384 KiB", "16 MiB"), ("1 TiB", "1 TiB")]
        {
            assert_eq!(read::<Size<16, { 1 << 20 }>>(text).unwrap(), [told]);
        }
        for wrong in ["128", "MiB", "", "128 MB", "-1 MiB", "1.5 GiB", "lots"] {
            assert_eq!(read::<Size<16, { 1 << 20 }>>(wrong).unwrap_err(), format!("{wrong:?} is not a size"));
        }
        for wrong in ["15 MiB", "2 TiB", "18446744073709551615 TiB"] {
            assert!(read::<Size<16, { 1 << 20 }>>(wrong).unwrap_err().contains("is not from 16 MiB to"), "{wrong}");
        }
    }

    #[test]
    fn lists_may_be_separated_by_commas_and_be_empty_where_that_makes_sense() {
        assert_eq!(read::<Vec<SocketAddr>>("0.0.0.0:1, [::]:2").unwrap(), ["0.0.0.0:1", "[::]:2"]);
        assert_eq!(
            read::<Vec<SocketAddr>>("[::ffff:127.0.0.1]:1, [fe80::1%7]:2").unwrap(),
            ["127.0.0.1:1", "[fe80::1%7]:2"]
        );
        for nobodys in ["224.0.0.1:1", "255.255.255.255:1", "0.1.2.3:1", "[ff02::1]:1"] {
            assert!(read::<Vec<SocketAddr>>(nobodys).unwrap_err().contains("no host can have"), "{nobodys}");
        }
        assert_eq!(read::<Vec<HostPort>>("").unwrap(), [""; 0]);
        assert!(read::<Vec<SocketAddr>>("").unwrap_err().contains("no address"));
        assert_eq!(read::<Vec<Range>>("10.0.0.0/8,fd00::/8").unwrap(), ["10.0.0.0/8", "fd00::/8"]);
        assert!(read::<Vec<Range>>("10.0.0.0/99").unwrap_err().contains("10.0.0.0/99"));
        assert_eq!(read::<Vec<InfoHash>>(&"0f".repeat(20)).unwrap(), ["0f".repeat(20)]);
        let trackers = ["udp://t.example:1/announce", "http://u.example/x?key=1"];
        assert_eq!(read::<Vec<Source>>(&trackers.join(",")).unwrap(), trackers);
        assert!(read::<Vec<Source>>("wss://t.example/announce").unwrap_err().contains("begins with none of"));
    }
}
