//! Values of settings: the kinds there are, and how each is read from text and written as TOML.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use toml::de::DeValue;
use tracing_subscriber::EnvFilter;

use crate::engine::id::Id;
use crate::tracker::nearness::Range;
use crate::tracker::upstream::Upstream;

/// What the value of a setting may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// IP addresses with ports, at least one.
    Addresses,
    /// Hosts with ports, possibly none.
    Hosts,
    /// On or off.
    Switch,
    /// A whole number within bounds.
    Count {
        /// The smallest.
        least: u64,
        /// The largest.
        most: u64,
    },
    /// A log filter.
    Filter,
    /// An IP address with a port to serve at, or `off`.
    Service,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Ranges of IP addresses, possibly none.
    Networks,
    /// Infohashes, possibly none.
    Infohashes,
    /// URLs of trackers, possibly none.
    Trackers,
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are those of Kind")]
pub enum Value {
    Folder(PathBuf),
    Addresses(Vec<SocketAddr>),
    Hosts(Vec<HostPort>),
    Switch(bool),
    Count(u64),
    Filter(String),
    Service(Option<SocketAddr>),
    Choice(&'static str),
    Networks(Vec<Range>),
    Infohashes(Vec<Id>),
    Trackers(Vec<Upstream>),
}

impl Kind {
    /// Whether several values may be given.
    #[must_use]
    pub const fn is_list(self) -> bool {
        matches!(self, Self::Addresses | Self::Hosts | Self::Networks | Self::Infohashes | Self::Trackers)
    }

    /// The name of a value in `--help`.
    #[must_use]
    pub const fn value_name(self) -> &'static str {
        match self {
            Self::Folder => "DIR",
            Self::Addresses => "ADDR:PORT",
            Self::Hosts => "HOST:PORT",
            Self::Switch => "yes|no",
            Self::Count { .. } => "N",
            Self::Filter => "FILTER",
            Self::Service => "off|ADDR:PORT",
            Self::Choice(_) => "WORD",
            Self::Networks => "NETWORK",
            Self::Infohashes => "INFOHASH",
            Self::Trackers => "URL",
        }
    }

    /// What a right value looks like.
    #[must_use]
    pub fn cure(self) -> String {
        match self {
            Self::Folder => "give the path of a folder".to_owned(),
            Self::Addresses => "give an IP address and a port, as in 0.0.0.0:6880 or [::]:6880".to_owned(),
            Self::Hosts => "give a host and a port, as in dht.libtorrent.org:25401".to_owned(),
            Self::Switch => "give true or false".to_owned(),
            Self::Count { least, most } => format!("give a whole number from {least} to {most}"),
            Self::Filter => {
                "give error, warn, info, debug, trace, or a list as in info,trackerless::net=debug".to_owned()
            }
            Self::Service => "give off, or an IP address and a port, as in 127.0.0.1:6969".to_owned(),
            Self::Choice(words) => format!("give {}", words.join(" or ")),
            Self::Networks => "give an address and the length of its prefix, as in 192.168.0.0/16".to_owned(),
            Self::Infohashes => "give infohashes of 40 hexadecimal digits".to_owned(),
            Self::Trackers => {
                "give URLs as in udp://tracker.example:6969/announce or http://tracker.example/announce".to_owned()
            }
        }
    }

    /// Reads a value from the texts given for it; lists may also be separated by commas. The error says what is
    /// wrong.
    ///
    /// # Errors
    /// The text does not have this kind.
    pub fn read(self, texts: &[String]) -> Result<Value, String> {
        let single = || texts.last().map(|text| text.trim()).unwrap_or_default();
        let parts = || texts.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|part| !part.is_empty());
        match self {
            Self::Folder if single().is_empty() => Err("it is empty".to_owned()),
            Self::Folder => Ok(Value::Folder(single().into())),
            Self::Addresses => at_least_one(parts().map(address).collect::<Result<_, _>>()?).map(Value::Addresses),
            Self::Hosts => parts().map(str::parse).collect::<Result<_, _>>().map(Value::Hosts),
            Self::Switch => switch(single()).map(Value::Switch),
            Self::Count { least, most } => count(single(), least, most).map(Value::Count),
            Self::Filter => filter(single()).map(Value::Filter),
            Self::Service if single() == "off" => Ok(Value::Service(None)),
            Self::Service => address(single()).map(|addr| Value::Service(Some(addr))),
            Self::Choice(words) => choice(single(), words).map(Value::Choice),
            Self::Networks => parts().map(parsed).collect::<Result<_, _>>().map(Value::Networks),
            Self::Infohashes => parts().map(parsed).collect::<Result<_, _>>().map(Value::Infohashes),
            Self::Trackers => parts().map(parsed).collect::<Result<_, _>>().map(Value::Trackers),
        }
    }

    /// The texts of a TOML value, if it has the type that this kind is written in. The error says what it is instead.
    pub(super) fn texts_of(self, value: &DeValue<'_>) -> Result<Vec<String>, String> {
        match (self, value) {
            (Self::Switch, DeValue::Boolean(on)) => Ok(vec![on.to_string()]),
            (Self::Count { .. }, DeValue::Integer(number)) => Ok(vec![number.to_string().replace('_', "")]),
            (Self::Switch | Self::Count { .. }, other) => Err(format!("it is of type {}", other.type_str())),
            (_, DeValue::String(text)) => Ok(vec![text.to_string()]),
            (kind, DeValue::Array(items)) if kind.is_list() => {
                let text = |item: &DeValue<'_>| item.as_str().map(str::to_owned);
                let texts: Option<_> = items.iter().map(|item| text(item.get_ref())).collect();
                texts.ok_or_else(|| "not all of its items are strings".to_owned())
            }
            (_, other) => Err(format!("it is of type {}", other.type_str())),
        }
    }
}

impl Value {
    /// The texts that [`Kind::read`] makes this value from.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        match self {
            Self::Folder(path) => vec![path.display().to_string()],
            Self::Addresses(addrs) => addrs.iter().map(ToString::to_string).collect(),
            Self::Hosts(hosts) => hosts.iter().map(ToString::to_string).collect(),
            Self::Switch(on) => vec![on.to_string()],
            Self::Count(number) => vec![number.to_string()],
            Self::Filter(filter) => vec![filter.clone()],
            Self::Service(addr) => vec![addr.map_or_else(|| "off".to_owned(), |addr| addr.to_string())],
            Self::Choice(word) => vec![(*word).to_owned()],
            Self::Networks(networks) => networks.iter().map(ToString::to_string).collect(),
            Self::Infohashes(ids) => ids.iter().map(ToString::to_string).collect(),
            Self::Trackers(trackers) => trackers.iter().map(ToString::to_string).collect(),
        }
    }

    /// The value as TOML.
    #[must_use]
    pub fn to_toml(&self) -> toml::Value {
        match self {
            Self::Switch(on) => (*on).into(),
            Self::Count(number) => i64::try_from(*number).expect("counts are bounded by their kind").into(),
            Self::Folder(_) | Self::Filter(_) | Self::Service(_) | Self::Choice(_) => self.texts().concat().into(),
            Self::Addresses(_) | Self::Hosts(_) | Self::Networks(_) | Self::Infohashes(_) | Self::Trackers(_) => {
                self.texts().into()
            }
        }
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

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is not an IP address and a port"))
}

fn at_least_one(addrs: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, String> {
    if addrs.is_empty() { Err("it names no address".to_owned()) } else { Ok(addrs) }
}

fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

fn count(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let number: u64 = text.parse().map_err(|_| format!("{text:?} is not a whole number"))?;
    let within = (least..=most).contains(&number);
    within.then_some(number).ok_or_else(|| format!("{number} is not from {least} to {most}"))
}

fn choice(text: &str, words: &[&'static str]) -> Result<&'static str, String> {
    words.iter().find(|word| **word == text).copied().ok_or_else(|| format!("{text:?} is none of the words"))
}

fn parsed<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}

fn filter(text: &str) -> Result<String, String> {
    match EnvFilter::try_new(text) {
        Ok(_) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(format!("{text:?} is not a log filter")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let read = |text: &str| Kind::Service.read(&[text.to_owned()]);
        assert_eq!(read("off"), Ok(Value::Service(None)));
        assert_eq!(read("[::1]:7").unwrap().texts(), ["[::1]:7"]);
        assert!(read("on").is_err() && read("6969").is_err() && read("").is_err());
        assert_eq!(Kind::Choice(&["a", "b"]).read(&["b".to_owned()]), Ok(Value::Choice("b")));
        assert!(Kind::Choice(&["a", "b"]).read(&["c".to_owned()]).is_err());
    }

    #[test]
    fn lists_may_be_separated_by_commas_and_be_empty_where_that_makes_sense() {
        let read = |kind: Kind, text: &str| kind.read(&[text.to_owned()]).map(|value| value.texts());
        assert_eq!(read(Kind::Addresses, "0.0.0.0:1, [::]:2").unwrap(), ["0.0.0.0:1", "[::]:2"]);
        assert_eq!(read(Kind::Hosts, "").unwrap(), [""; 0]);
        assert!(read(Kind::Addresses, "").unwrap_err().contains("no address"));
        assert_eq!(read(Kind::Networks, "10.0.0.0/8,fd00::/8").unwrap(), ["10.0.0.0/8", "fd00::/8"]);
        assert!(read(Kind::Networks, "10.0.0.0/99").unwrap_err().contains("10.0.0.0/99"));
        assert_eq!(read(Kind::Infohashes, &"0f".repeat(20)).unwrap(), ["0f".repeat(20)]);
        let trackers = ["udp://t.example:1/announce", "http://u.example/x?key=1"];
        assert_eq!(read(Kind::Trackers, &trackers.join(",")).unwrap(), trackers);
        assert!(read(Kind::Trackers, "https://t.example/announce").unwrap_err().contains("https is not spoken"));
    }
}
