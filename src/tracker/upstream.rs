//! Other trackers, which the gateway asks on behalf of a client: the request out, the answer in (BEP 3, 7, 15, 23).
//!
//! Pure. Answers are read as liberally as datagrams of the DHT are: trackers write all sorts of bencoding.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use hyper::Uri;
use reqwest::Url;

use super::Phase;
use crate::engine::bencode::scan::{Kind, Malformed, Scanner};
use crate::engine::contact::{Family, canonical, decode_addr};
use crate::engine::id::InfoHash;
use crate::torrent::printable;

/// Peers to ask for.
const WANTED: u32 = 100;
/// What is named as missing where that is unknown: libtorrent does the same for a magnet link.
const SOME: u64 = 16_384;
/// The option of a UDP announce that holds a part of the URL (BEP 41).
const URL_DATA: u8 = 2;

/// How a tracker is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Udp,
    Http,
    Https,
}

impl Scheme {
    const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// The URL of a tracker: `http://`, `https://` or `udp://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    uri: Uri,
    scheme: Scheme,
}

impl Upstream {
    /// Whether it is asked by UDP, else by HTTP.
    #[must_use]
    pub const fn is_udp(&self) -> bool {
        matches!(self.scheme, Scheme::Udp)
    }

    /// What logs call it: without name, password, path and query, any of which may be a secret.
    #[must_use]
    pub fn label(&self) -> String {
        self.at("")
    }

    /// The URL of `target` (path and query) there, without name and password.
    #[must_use]
    pub fn at(&self, target: &str) -> String {
        format!("{}://{}{target}", self.scheme.name(), self.authority())
    }

    /// Its name or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
    }

    /// Its port. 80 where an HTTP URL names none, 443 with TLS.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(if self.scheme == Scheme::Https { 443 } else { 80 })
    }

    /// Its name or address, and its port where the URL names one: without the name and password that the URL may hold.
    #[must_use]
    pub fn authority(&self) -> &str {
        let whole = self.uri.authority().map_or("", |authority| authority.as_str());
        whole.rsplit_once('@').map_or(whole, |(_, host)| host)
    }

    /// The value of the `Authorization` header, if the URL holds a name and a password (RFC 7617).
    #[must_use]
    pub fn authorization(&self) -> Option<String> {
        let (user, _) = self.uri.authority()?.as_str().rsplit_once('@')?;
        let user = if user.contains(':') { user.to_owned() } else { format!("{user}:") };
        Some(format!("Basic {}", base64(&super::http::decode_percent(user.as_bytes()))))
    }

    /// The URL to which this tracker sends its clients by `location`, absolute or not (RFC 3986, 5.2); `None` if it cannot be
    /// asked there. What was asked over TLS is asked over nothing less. Name and password go along to the same host and port.
    #[must_use]
    pub fn redirected(&self, location: &str) -> Option<Self> {
        let here = Url::parse(&self.uri.to_string()).ok()?;
        let mut there = here.join(Some(location).filter(|location| !location.is_empty())?).ok()?;
        if there.origin() == here.origin() && there.username().is_empty() && there.password().is_none() {
            there.set_username(here.username()).ok()?;
            there.set_password(here.password()).ok()?;
        }
        there.set_fragment(None);
        let other: Self = there.as_str().parse().ok()?;
        let is_less = self.scheme == Scheme::Https && other.scheme != Scheme::Https;
        (!other.is_udp() && !is_less).then_some(other)
    }

    /// Path and query as they stand in the URL.
    #[must_use]
    pub fn path(&self) -> &str {
        self.uri.path_and_query().map_or("/", |path| path.as_str())
    }

    /// Path and query of an announce by HTTP. What the URL has as a query already stays: it may be a key.
    #[must_use]
    pub fn target(&self, relay: &Relay) -> String {
        let path = self.path();
        let joint = if path.contains('?') { '&' } else { '?' };
        let (info_hash, peer_id) = (escape(relay.info_hash.as_bytes()), escape(&relay.peer_id));
        let (port, left) = (relay.port, relay.left());
        let event = match relay.phase {
            Phase::Started => "&event=started",
            Phase::Stopped => "&event=stopped",
            Phase::Completed | Phase::Update => "",
        };
        format!(
            "{path}{joint}info_hash={info_hash}&peer_id={peer_id}&port={port}&uploaded=0&downloaded=0&left={left}\
             &compact=1&numwant={WANTED}{event}"
        )
    }
}

impl fmt::Display for Upstream {
    /// As it was written: the configuration is shown by it. For logs see [`Upstream::label`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}

/// The text is not the URL of a tracker that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseUpstreamError {
    /// No URL at all.
    #[error("it is not a URL")]
    Malformed,
    /// Another protocol.
    #[error("it begins with none of udp://, http:// and https://")]
    Scheme,
    /// A list that is asked by UDP.
    #[error("a list of trackers is fetched by http:// or https://")]
    List,
    /// A UDP URL without a port.
    #[error("a udp:// URL names a port")]
    Port,
}

impl FromStr for Upstream {
    type Err = ParseUpstreamError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: Uri = text.parse().map_err(|_| ParseUpstreamError::Malformed)?;
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            Some("udp") => Scheme::Udp,
            _ => return Err(ParseUpstreamError::Scheme),
        };
        if scheme == Scheme::Udp && uri.port_u16().is_none() {
            return Err(ParseUpstreamError::Port);
        }
        if uri.port_u16() == Some(0) { Err(ParseUpstreamError::Malformed) } else { Ok(Self { uri, scheme }) }
    }
}

/// What the user names: a tracker, or a list of trackers (one URL a line) that is fetched. A URL is that of a list if its
/// path ends in `.txt`, or if `list+` stands before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A tracker.
    Tracker(Upstream),
    /// A list, and how it was written.
    List(Upstream, String),
}

/// What stands before the URL of a list whose name does not tell.
const LIST: &str = "list+";

impl FromStr for Source {
    type Err = ParseUpstreamError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (url, named): (Upstream, bool) = match text.strip_prefix(LIST) {
            Some(url) => (url.parse()?, true),
            None => (text.parse()?, false),
        };
        match named || url.uri.path().ends_with(".txt") {
            true if url.is_udp() => Err(ParseUpstreamError::List),
            true => Ok(Self::List(url, text.to_owned())),
            false => Ok(Self::Tracker(url)),
        }
    }
}

impl fmt::Display for Source {
    /// As it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tracker(url) => url.fmt(f),
            Self::List(_, text) => f.write_str(text),
        }
    }
}

/// What a tracker is told of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// Which swarm.
    pub info_hash: InfoHash,
    /// The client's name.
    pub peer_id: [u8; 20],
    /// The client, as it announced here: the tracker is asked over this family only, so that it sees an address which
    /// client and gateway share.
    pub client: SocketAddr,
    /// Where the client accepts connections.
    pub port: u16,
    /// Whether it has everything.
    pub seed: bool,
    /// Why it announces.
    pub phase: Phase,
}

impl Relay {
    /// The family over which the client is reached.
    #[must_use]
    pub fn family(&self) -> Family {
        Family::of(&self.client)
    }

    const fn left(&self) -> u64 {
        if self.seed { 0 } else { SOME }
    }
}

/// What a tracker answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Peers of both families.
    pub peers: Vec<SocketAddr>,
    /// When it wants to hear of the client again.
    pub interval: Duration,
}

/// An answer of a tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It took the announce.
    Told(Told),
    /// It refused it, for this reason: safe to print, and not longer than a line.
    Refused(String),
}

impl Said {
    /// What it told, if it took the announce.
    #[must_use]
    pub fn told(self) -> Option<Told> {
        match self {
            Self::Told(told) => Some(told),
            Self::Refused(_) => None,
        }
    }
}

/// Reads the body of an answer by HTTP; `None` if it is none, as the page of a server that is no tracker.
#[must_use]
pub fn parse_body(body: &[u8]) -> Option<Said> {
    let (mut told, mut refused) = (Told::default(), None);
    let read = Scanner::new(body).dict(|scanner, key| {
        match key {
            b"failure reason" => refused = Some(printable(scanner.string_if_any()?.unwrap_or_default())),
            b"interval" => told.interval = seconds(scanner.integer_if_any()?),
            b"peers" if scanner.kind()? == Kind::List => read_list(scanner, &mut told.peers)?,
            b"peers" | b"peers6" => {
                let compact = scanner.string_if_any()?.unwrap_or_default();
                let length = if key == b"peers" { 6 } else { 18 };
                told.peers.extend(compact.chunks_exact(length).filter_map(decode_addr));
            }
            _ => {}
        }
        Ok(())
    });
    // IPv4 addresses in the form of IPv6, as dual-stack trackers write them.
    told.peers.iter_mut().for_each(|peer| *peer = canonical(*peer));
    read.is_ok().then(|| refused.map_or(Said::Told(told), Said::Refused))
}

/// The form of BEP 3: a dictionary for each peer.
fn read_list(scanner: &mut Scanner<'_>, peers: &mut Vec<SocketAddr>) -> Result<(), Malformed> {
    scanner.list(|scanner| {
        let (mut ip, mut port) = (None, None);
        scanner.dict(|scanner, key| {
            match key {
                b"ip" => {
                    ip = scanner.string_if_any()?.and_then(|text| str::from_utf8(text).ok()?.parse::<IpAddr>().ok())
                }
                b"port" => port = scanner.integer_if_any()?.and_then(|port| u16::try_from(port).ok()),
                _ => {}
            }
            Ok(())
        })?;
        peers.extend(ip.zip(port).map(SocketAddr::from));
        Ok(())
    })
}

fn seconds(number: Option<i64>) -> Duration {
    Duration::from_secs(number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0))
}

/// The base64 form (RFC 4648) of a name and a password.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * index) & 63) as usize];
            text.push(if index <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

fn escape(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02x}")).collect()
}

/// The datagram that asks for a connection id (BEP 15).
#[must_use]
pub fn connect_request(transaction: u32) -> Vec<u8> {
    [&super::udp::PROTOCOL.to_be_bytes()[..], &0u32.to_be_bytes(), &transaction.to_be_bytes()].concat()
}

/// The connection id that answers it.
#[must_use]
pub fn parse_connected(datagram: &[u8], transaction: u32) -> Option<u64> {
    let id = body_of(datagram, 0, transaction)?.first_chunk()?;
    Some(u64::from_be_bytes(*id))
}

/// The datagram that announces to a tracker whose URL has this path and query (BEP 15, BEP 41): they may hold a key.
#[must_use]
pub fn announce_request(connection: u64, transaction: u32, relay: &Relay, path: &str) -> Vec<u8> {
    let event: u32 = match relay.phase {
        Phase::Update => 0,
        Phase::Completed => 1,
        Phase::Started => 2,
        Phase::Stopped => 3,
    };
    let mut datagram = [&connection.to_be_bytes()[..], &1u32.to_be_bytes(), &transaction.to_be_bytes()].concat();
    datagram.extend([&relay.info_hash.as_bytes()[..], &relay.peer_id].concat());
    datagram.extend([0, relay.left(), 0].map(u64::to_be_bytes).concat());
    // Its address is the one that it sends from; its key may be any number, and the same each time.
    datagram.extend([event, 0, u32::from(relay.port), WANTED].map(u32::to_be_bytes).concat());
    datagram.extend(relay.port.to_be_bytes());
    if path != "/" {
        for part in path.as_bytes().chunks(u8::MAX.into()) {
            datagram.extend([URL_DATA, part.len() as u8]);
            datagram.extend(part);
        }
    }
    datagram
}

/// The answer to that, from a tracker of `family`.
#[must_use]
pub fn parse_announced(datagram: &[u8], transaction: u32, family: Family) -> Option<Said> {
    if let Some(refused) = parse_refused(datagram, transaction) {
        return Some(refused);
    }
    let (interval, rest) = body_of(datagram, 1, transaction)?.split_first_chunk::<4>()?;
    let peers = rest.get(8..)?.chunks_exact(family.peer_len()).filter_map(decode_addr).map(canonical).collect();
    Some(Said::Told(Told { peers, interval: Duration::from_secs(u32::from_be_bytes(*interval).into()) }))
}

/// The error that a tracker gave instead of an answer (BEP 15).
#[must_use]
pub fn parse_refused(datagram: &[u8], transaction: u32) -> Option<Said> {
    body_of(datagram, 3, transaction).map(|reason| Said::Refused(printable(reason)))
}

/// Whether the datagram answers `transaction` at all, be it with an error.
#[must_use]
pub fn is_answer(datagram: &[u8], transaction: u32) -> bool {
    datagram.get(4..8) == Some(&transaction.to_be_bytes())
}

fn body_of(datagram: &[u8], action: u32, transaction: u32) -> Option<&[u8]> {
    let head = [action.to_be_bytes(), transaction.to_be_bytes()].concat();
    datagram.strip_prefix(&head[..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::{Reply, http, udp};
    use proptest::prelude::*;

    fn relay(phase: Phase) -> Relay {
        let client = "127.0.0.1:9".parse().unwrap();
        Relay {
            info_hash: InfoHash::new([0xfe; 20]),
            peer_id: *b"-XX0000-abcdefghijk&",
            client,
            port: 6881,
            seed: true,
            phase,
        }
    }

    fn reply() -> Reply {
        let peers = ["198.18.0.1:5", "[2001:db8::1]:6"].map(|peer| peer.parse().unwrap()).to_vec();
        Reply { interval: Duration::from_secs(900), peers, ..Reply::default() }
    }

    #[test]
    fn our_own_gateway_understands_the_request() {
        let upstream: Upstream = "http://tracker.example/x/announce?key=7".parse().unwrap();
        for event in [Phase::Started, Phase::Update, Phase::Stopped] {
            let target = upstream.target(&relay(event));
            let query = target.strip_prefix("/x/announce?").unwrap();
            assert!(query.starts_with("key=7&"));
            let (announce, form) = http::parse_announce(query.as_bytes()).unwrap();
            assert_eq!((announce.info_hash, announce.peer_id), (InfoHash::new([0xfe; 20]), relay(event).peer_id));
            assert_eq!((announce.port, announce.left, announce.phase), (6881, Some(0), event));
            assert_eq!(form, http::Form::Compact);
            let request = udp::parse(&announce_request(5, 6, &relay(event), upstream.path())).unwrap();
            assert_eq!((request.connection, request.transaction), (Some(5), 6));
            let udp::Action::Announce(by_udp) = request.action else { panic!("no announce") };
            assert_eq!((by_udp.info_hash, by_udp.port, by_udp.phase), (announce.info_hash, 6881, event));
        }
        assert_eq!(udp::parse(&connect_request(6)).unwrap().action, udp::Action::Connect);
    }

    #[test]
    fn answers_are_read_back() {
        for form in [http::Form::Compact, http::Form::Dictionaries] {
            let said = parse_body(&http::render_answer(&Ok(reply()), form)).unwrap();
            let told = Told { peers: reply().peers, interval: reply().interval };
            assert_eq!(said, Said::Told(told), "{form:?}");
        }
        for family in [Family::V4, Family::V6] {
            let mut datagram = Vec::new();
            udp::render_announce(6, &reply(), family, &mut datagram);
            let said = parse_announced(&datagram, 6, family).unwrap();
            let peers: Vec<_> = reply().peers.into_iter().filter(|peer| Family::of(peer) == family).collect();
            assert_eq!(said, Said::Told(Told { peers, interval: reply().interval }));
        }
        assert_eq!(parse_connected(&udp::render_connect(6, 99), 6), Some(99));
        assert_eq!(parse_connected(&udp::render_connect(7, 99), 6), None);
    }

    #[test]
    fn refusals_have_a_reason_and_rubbish_is_no_answer() {
        let refused = Some(Said::Refused("no".to_owned()));
        let failure = crate::tracker::Failure::malformed("no");
        assert_eq!(parse_body(&http::render_failure(&failure)), refused);
        assert_eq!(parse_announced(&udp::render_failure(6, &failure), 6, Family::V4), refused);
        assert_eq!(parse_refused(&udp::render_failure(6, &failure), 6), refused);
        assert_eq!(parse_refused(&udp::render_failure(6, &failure), 7), None);
        let controls = parse_body(b"d14:failure reason5:\x1b[31me");
        assert_eq!(controls, Some(Said::Refused("\u{fffd}[31m".to_owned())));
        assert!(is_answer(&udp::render_failure(6, &failure), 6) && !is_answer(b"short", 6));
        for rubbish in [&b"<html>"[..], b"", b"le", b"d8:intervali9e"] {
            assert_eq!(parse_body(rubbish), None, "{rubbish:?}");
        }
        assert_eq!(parse_announced(&udp::render_connect(6, 99), 6, Family::V4), None);
    }

    #[test]
    fn urls_are_read_and_wrong_ones_say_why() {
        let url = |text: &str| text.parse::<Upstream>();
        let plain = url("http://tracker.example").unwrap();
        assert_eq!((plain.host(), plain.port(), plain.is_udp()), ("tracker.example", 80, false));
        let tls = url("https://tracker.example/announce").unwrap();
        assert_eq!((tls.host(), tls.port(), tls.is_udp()), ("tracker.example", 443, false));
        assert_eq!(tls.at("/x?y"), "https://tracker.example/x?y");
        let v6 = url("udp://[2001:db8::1]:6969/announce").unwrap();
        assert_eq!((v6.host(), v6.port(), v6.is_udp()), ("2001:db8::1", 6969, true));
        assert_eq!(v6.to_string(), "udp://[2001:db8::1]:6969/announce");
        for (text, error) in [
            ("udp://tracker.example/announce", ParseUpstreamError::Port),
            ("wss://tracker.example:1/", ParseUpstreamError::Scheme),
            ("http://tracker.example:0/", ParseUpstreamError::Malformed),
            ("tracker.example:80", ParseUpstreamError::Scheme),
            ("", ParseUpstreamError::Malformed),
        ] {
            assert_eq!(url(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_name_and_a_password_are_sent_apart_from_the_host() {
        for (url, host, authorization) in [
            ("http://tracker.example:8080/announce", "tracker.example:8080", None),
            ("http://user:pass@tracker.example/announce", "tracker.example", Some("Basic dXNlcjpwYXNz")),
            (
                "http://Aladdin:open%20sesame@[2001:db8::1]:80/",
                "[2001:db8::1]:80",
                Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ),
            ("http://token@tracker.example/announce", "tracker.example", Some("Basic dG9rZW46")),
        ] {
            let upstream: Upstream = url.parse().unwrap();
            assert_eq!((upstream.authority(), upstream.authorization().as_deref()), (host, authorization), "{url}");
            assert!(!upstream.label().contains('@') && !upstream.target(&relay(Phase::Update)).contains('@'), "{url}");
        }
    }

    #[test]
    fn trackers_that_move_are_followed_within_http_and_never_out_of_tls() {
        let upstream: Upstream = "http://user:pass@tracker.example:8080/announce".parse().unwrap();
        let to = |location: &str| upstream.redirected(location).map(|other| other.to_string());
        assert_eq!(to("http://other.example/a?b=c").as_deref(), Some("http://other.example/a?b=c"));
        assert_eq!(to("/moved?x=1").as_deref(), Some("http://user:pass@tracker.example:8080/moved?x=1"));
        assert_eq!((to("udp://other.example:1/"), to("ftp://x/"), to("")), (None, None, None));
        // As a browser resolves it (RFC 3986, 5.4).
        assert_eq!(to("//other.example:81/b").as_deref(), Some("http://other.example:81/b"));
        assert_eq!(to("b/c").as_deref(), Some("http://user:pass@tracker.example:8080/b/c"));
        assert_eq!(to("?moved=1").as_deref(), Some("http://user:pass@tracker.example:8080/announce?moved=1"));
        assert_eq!(to("/b#part").as_deref(), Some("http://user:pass@tracker.example:8080/b"));
        // Name and password are for this host and port.
        let at_home = to("http://tracker.example:8080/b");
        assert_eq!(at_home.as_deref(), Some("http://user:pass@tracker.example:8080/b"));
        assert_eq!(to("http://tracker.example:81/b").as_deref(), Some("http://tracker.example:81/b"));
        assert_eq!(to("https://other.example/a").as_deref(), Some("https://other.example/a"));
        let upstream: Upstream = "https://tracker.example/announce".parse().unwrap();
        let to = |location: &str| upstream.redirected(location).map(|other| other.to_string());
        assert_eq!(to("/moved").as_deref(), Some("https://tracker.example/moved"));
        assert_eq!(to("http://tracker.example/announce"), None, "not without TLS");
    }

    #[test]
    fn a_list_is_told_from_a_tracker() {
        for (text, is_list) in [
            ("http://tracker.example/announce", false),
            ("https://lists.example/best.txt", true),
            ("list+https://lists.example/api/stable", true),
            ("http://tracker.example/announce?x=a.txt", false),
        ] {
            let source: Source = text.parse().unwrap();
            assert_eq!((matches!(source, Source::List(..)), source.to_string().as_str()), (is_list, text));
        }
        assert_eq!("list+udp://x.example:1/".parse::<Source>(), Err(ParseUpstreamError::List));
    }

    #[test]
    fn ipv4_peers_in_the_form_of_ipv6_are_peers() {
        let peers = |body: &[u8]| match parse_body(body) {
            Some(Said::Told(told)) => told.peers,
            said => panic!("{said:?}"),
        };
        let mapped = [&[0; 10][..], &[0xff, 0xff, 198, 18, 0, 9], &[0x1a, 0xe1]].concat();
        let body = [b"d8:intervali9e6:peers618:", &mapped[..], b"e"].concat();
        assert_eq!(peers(&body), ["198.18.0.9:6881".parse().unwrap()]);
        let listed = b"d5:peersld2:ip17:::ffff:198.18.0.94:porti6881eeee";
        assert_eq!(peers(listed), ["198.18.0.9:6881".parse().unwrap()]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,40}") {
            let _ = parse_body(&bytes);
            let _ = parse_connected(&bytes, 0);
            let _ = parse_announced(&bytes, 0, Family::V6);
            let _ = text.parse::<Upstream>();
        }
    }
}
