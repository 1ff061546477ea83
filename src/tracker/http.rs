//! Announces and scrapes over HTTP: the raw query in, the bencoded body out (BEP 3, 7, 23, 24, 48).
//!
//! Pure. An infohash is twenty arbitrary bytes, percent-encoded, so the query is read as bytes and never as text. Reading
//! is liberal: only a missing or short infohash is an error, everything else has a default. Unknown keys are skipped and of
//! a key given twice the first counts.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bendy::encoding::{AsString, Encoder, Error, SortedDictEncoder};

use super::{Announce, Answer, Counts, Failure, MAX_SCRAPED, Phase, Reply};
use crate::engine::contact::{CompactAddr, Family};
use crate::engine::id::InfoHash;

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Any path with an element that starts with `announce`: `/announce`, `/announce-token`, `/x/announce.php`.
    Announce,
    /// The same with `scrape`: clients make that path from the announce path (BEP 48).
    Scrape,
    /// `/`: what this is.
    Help,
    /// `/trackers.txt`: the URLs of this tracker, one to a line, as lists of trackers are written.
    Trackers,
    /// Something else.
    Other,
}

impl Route {
    /// The route of `path`, without its query.
    #[must_use]
    pub fn of(path: &str) -> Self {
        match path {
            "" | "/" => return Self::Help,
            "/trackers.txt" => return Self::Trackers,
            _ => {}
        }
        let mut elements = path.split('/').rev();
        elements
            .find_map(|element| match element {
                _ if element.starts_with("announce") => Some(Self::Announce),
                _ if element.starts_with("scrape") => Some(Self::Scrape),
                _ => None,
            })
            .unwrap_or(Self::Other)
    }
}

/// How the client wants its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Six or eighteen bytes each (BEP 23, BEP 7).
    Compact,
    /// A list of dictionaries (BEP 3).
    Dictionaries,
}

/// Reads the query of an announce.
///
/// # Errors
/// The infohash is missing or does not have 20 bytes.
pub fn parse_announce(query: &[u8]) -> Result<(Announce, Form), Failure> {
    let value = |key: &str| value(query, key);
    let number = |key: &str| value(key).and_then(|value| parse_number(&value));
    let text = |key: &str| value(key).and_then(|value| String::from_utf8(value.into_owned()).ok());
    let info_hash = value("info_hash").ok_or(Failure::malformed("info_hash is missing"))?;
    let (claimed_v4, claimed_v6) = parse_claims(query);
    let announce = Announce {
        info_hash: InfoHash::from_bytes(&info_hash).ok_or(Failure::malformed("info_hash must have 20 bytes"))?,
        peer_id: value("peer_id").and_then(|id| (*id).try_into().ok()).unwrap_or_default(),
        port: number("port").and_then(|port| port.try_into().ok()).unwrap_or(0),
        left: number("left"),
        downloaded: number("downloaded").unwrap_or(0),
        phase: value("event").map_or(Phase::Update, |event| parse_phase(&event)),
        wanted: number("numwant").map(|wanted| usize::try_from(wanted).unwrap_or(usize::MAX)),
        cursor: text("trackerid").and_then(|cursor| cursor.parse().ok()),
        claimed_v4,
        claimed_v6,
    };
    // BEP 23 lets a tracker prefer the compact form; a client that says nothing may predate it.
    let form = if value("compact").as_deref() == Some(b"1") { Form::Compact } else { Form::Dictionaries };
    Ok((announce, form))
}

/// The addresses that the client says it has (BEP 3 `ip`, BEP 7 `ipv4` and `ipv6`).
pub(super) fn parse_claims(query: &[u8]) -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
    let claim = |key| value(query, key).and_then(|claim| parse_claim(str::from_utf8(&claim).ok()?));
    let either = |key| claim(key).or_else(|| claim("ip"));
    (either("ipv4").and_then(v4), either("ipv6").and_then(v6))
}

/// Reads the query of a scrape: its infohashes, at most [`MAX_SCRAPED`] (BEP 48).
///
/// # Errors
/// There is no infohash: a full scrape is not served.
pub fn parse_scrape(query: &[u8]) -> Result<Vec<InfoHash>, Failure> {
    let hashes = values(query, "info_hash").filter_map(|value| InfoHash::from_bytes(&value));
    let hashes: Vec<InfoHash> = hashes.take(MAX_SCRAPED).collect();
    if hashes.is_empty() { Err(Failure::malformed("name the torrents to scrape by info_hash")) } else { Ok(hashes) }
}

/// Whether a query is one of an announce or a scrape.
#[must_use]
pub fn names_a_torrent(query: &[u8]) -> bool {
    value(query, "info_hash").is_some()
}

/// The first value of `key`, decoded.
fn value<'a>(query: &'a [u8], key: &str) -> Option<Cow<'a, [u8]>> {
    values(query, key).next()
}

fn values<'a>(query: &'a [u8], key: &str) -> impl Iterator<Item = Cow<'a, [u8]>> {
    let pairs = query.split(|&byte| byte == b'&');
    pairs.filter_map(move |pair| Some(decode_percent(pair.strip_prefix(key.as_bytes())?.strip_prefix(b"=")?)))
}

/// Percent decoding of bytes. `+` stays what it is: it is a legal byte of an infohash, not a space.
pub(super) fn decode_percent(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = tail.split_first_chunk::<2>().filter(|_| byte == b'%');
        let decoded = escaped.and_then(|(digits, tail)| Some((decode_hex(*digits)?, tail)));
        let (byte, tail) = decoded.unwrap_or((byte, tail));
        bytes.push(byte);
        rest = tail;
    }
    Cow::Owned(bytes)
}

fn decode_hex(digits: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()
}

/// A decimal number, the largest one if it is larger; `None` for anything else (-1, empty, "Infinity").
fn parse_number(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| text.iter().fold(0, |n: u64, byte| n.saturating_mul(10).saturating_add(u64::from(byte - b'0'))))
}

fn parse_phase(text: &[u8]) -> Phase {
    match text {
        b"started" => Phase::Started,
        b"completed" => Phase::Completed,
        b"stopped" => Phase::Stopped,
        _ => Phase::Update,
    }
}

/// An address, or an endpoint whose address counts (BEP 7 allows both forms).
fn parse_claim(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| text.parse().ok().map(|endpoint: SocketAddr| endpoint.ip()))
}

const fn v4(ip: IpAddr) -> Option<Ipv4Addr> {
    if let IpAddr::V4(ip) = ip { Some(ip) } else { None }
}

const fn v6(ip: IpAddr) -> Option<Ipv6Addr> {
    if let IpAddr::V6(ip) = ip { Some(ip) } else { None }
}

/// The body that answers an announce.
#[must_use]
pub fn render_answer(answer: &Answer, form: Form) -> Vec<u8> {
    match answer {
        Ok(reply) => render(|dict| render_reply(reply, form, dict)),
        Err(failure) => render_failure(failure),
    }
}

/// The body that refuses any request.
#[must_use]
pub fn render_failure(failure: &Failure) -> Vec<u8> {
    render(|dict| {
        dict.emit_pair(b"failure reason", &*failure.reason)?;
        dict.emit_pair(b"interval", failure.interval.as_secs())
    })
}

/// A swarm of a scrape: what is known of it, and when that was counted (in seconds since 1970) if it was not now.
pub type DatedFile = (InfoHash, Option<(Counts, Option<u64>)>);

/// The body that answers a scrape. A swarm of which nothing is known is left out (BEP 48). The time of an older count is in a
/// key of our own, `counted`, which clients pass over.
#[must_use]
pub fn render_scrape(files: &[DatedFile]) -> Vec<u8> {
    let known: std::collections::BTreeMap<InfoHash, (Counts, Option<u64>)> =
        files.iter().filter_map(|(id, counts)| Some((*id, (*counts)?))).collect();
    let render_counts = |(counts, at): &(Counts, Option<u64>), dict: &mut SortedDictEncoder<'_>| {
        dict.emit_pair(b"complete", counts.complete)?;
        if let Some(at) = at {
            dict.emit_pair(b"counted", at)?;
        }
        dict.emit_pair(b"downloaded", counts.downloaded)?;
        dict.emit_pair(b"incomplete", counts.incomplete)
    };
    render(|dict| {
        dict.emit_pair_with(b"files", |files| {
            files.emit_dict(|mut files| {
                known.iter().try_for_each(|(id, counts)| {
                    files.emit_pair_with(id.as_bytes(), |file| {
                        file.emit_dict(|mut dict| render_counts(counts, &mut dict))
                    })
                })
            })
        })
    })
}

fn render(content: impl FnOnce(&mut SortedDictEncoder<'_>) -> Result<(), Error>) -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.emit_dict(|mut dict| content(&mut dict)).expect("keys are written in order");
    encoder.get_output().expect("one dictionary was written")
}

/// Every key that one of the clients needs: rTorrent `peers` even if empty, BiglyBT `interval`, Transmission all three
/// counts (it scrapes otherwise).
fn render_reply(reply: &Reply, form: Form, dict: &mut SortedDictEncoder<'_>) -> Result<(), Error> {
    dict.emit_pair(b"complete", reply.counts.complete)?;
    dict.emit_pair(b"downloaded", reply.counts.downloaded)?;
    if let Some(ip) = reply.external_ip {
        dict.emit_pair(b"external ip", AsString(ip_bytes(ip)))?;
    }
    dict.emit_pair(b"incomplete", reply.counts.incomplete)?;
    dict.emit_pair(b"interval", reply.interval.as_secs())?;
    dict.emit_pair(b"min interval", reply.min_interval.as_secs())?;
    render_peers(&reply.peers, form, dict)?;
    dict.emit_pair(b"tracker id", reply.cursor.to_string())?;
    match &reply.warning {
        Some(warning) => dict.emit_pair(b"warning message", &**warning),
        None => Ok(()),
    }
}

fn render_peers(peers: &[SocketAddr], form: Form, dict: &mut SortedDictEncoder<'_>) -> Result<(), Error> {
    if form == Form::Dictionaries {
        return dict.emit_pair_with(b"peers", |list| {
            list.emit_list(|list| peers.iter().try_for_each(|peer| list.emit_with(|item| render_peer(peer, item))))
        });
    }
    dict.emit_pair(b"peers", AsString(compact(peers, Family::V4)))?;
    let peers6 = compact(peers, Family::V6);
    if peers6.is_empty() { Ok(()) } else { dict.emit_pair(b"peers6", AsString(peers6)) }
}

fn render_peer(peer: &SocketAddr, item: bendy::encoding::SingleItemEncoder<'_>) -> Result<(), Error> {
    item.emit_dict(|mut dict| {
        dict.emit_pair(b"ip", peer.ip().to_string())?;
        dict.emit_pair(b"port", peer.port())
    })
}

/// The compact form of those `peers` that belong to `family`.
fn compact(peers: &[SocketAddr], family: Family) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(peers.len() * family.peer_len());
    for peer in peers.iter().filter(|peer| Family::of(peer) == family) {
        bytes.extend_from_slice(CompactAddr::new(peer).as_bytes());
    }
    bytes
}

fn ip_bytes(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn parse(query: &str) -> (Announce, Form) {
        parse_announce(query.as_bytes()).unwrap()
    }

    #[test]
    fn a_client_is_where_it_says_and_where_it_sends_from() {
        for (claim, addresses) in [
            ("ip=203.0.113.8", "203.0.113.8 127.0.0.1"),
            ("ipv4=203.0.113.8:6881", "203.0.113.8 127.0.0.1"),
            ("ipv6=2001%3adb8%3a1%3a%3a8", "2001:db8:1::8 127.0.0.1"),
            ("ipv6=%5b2001%3adb8%3a%3a8%5d%3a6881", "2001:db8::8 127.0.0.1"),
            ("", "127.0.0.1"),
        ] {
            let (announce, _) = parse(&format!("info_hash=aaaaaaaaaaaaaaaaaaaa&{claim}"));
            let found = announce.addresses([127, 0, 0, 1].into()).map(|ip| ip.to_string()).collect::<Vec<_>>();
            assert_eq!(found.join(" "), addresses, "{claim}");
        }
    }

    /// One announce of each client, as its source builds it; the infohash holds every kind of byte.
    const GOLDEN: [(&str, &str); 7] = [
        (
            "libtorrent",
            "info_hash=%00%01%ff%7e~%26%3d%25%2bABCxyz%2f-._%80&peer_id=-LT20B0-abcdefghijkl&port=6881&uploaded=0&downloaded=0&left=16384&corrupt=0&key=0A1B2C3D&event=started&numwant=200&compact=1&no_peer_id=1&supportcrypto=1&redundant=0",
        ),
        (
            "Transmission",
            "info_hash=%00%01%FF%7E~%26%3D%25%2BABCxyz%2F-._%80&peer_id=-TR3000-abcdefghijkl&port=51413&uploaded=0&downloaded=0&left=9223372036854775807&numwant=80&key=5f4a3b2c&compact=1&supportcrypto=1&event=started&ipv6=2001%3adb8%3a%3a1",
        ),
        (
            "aria2",
            "info_hash=%00%01%FF%7E~%26%3D%25%2BABCxyz%2F-._%80&peer_id=A2-1-36-0-%A1%B2%C3%D4abcdef&uploaded=0&downloaded=0&left=0&compact=1&key=%A1%B2%C3%D4abcd&numwant=50&no_peer_id=1&port=6800&event=started&supportcrypto=1",
        ),
        (
            "rTorrent",
            "info_hash=%00%01%ff~~%26%3d%25%2bABCxyz%2f-._%80&peer_id=-lt0D80-abcdefghijkl&key=7f8e9d0c&compact=1&port=6890&uploaded=0&downloaded=0&left=4194304&event=started",
        ),
        (
            "BiglyBT",
            "info_hash=%00%01%FF~~%26%3D%25%2BABCxyz%2F-._%80&peer_id=-BI3400-abcdefghijkl&supportcrypto=1&port=41000&azudp=41000&uploaded=0&downloaded=0&left=5000&corrupt=0&event=started&numwant=100&no_peer_id=1&compact=1&key=AbCdEfGh&azver=3",
        ),
        (
            "webtorrent",
            "info_hash=%00%01%FF%7E~%26%3D%25%2BABCxyz%2F-._%80&peer_id=-WW0197-abcdefghijkl&port=6881&compact=1&numwant=50&uploaded=0&downloaded=0&left=&event=started",
        ),
        (
            "uTorrent",
            "info_hash=%00%01%ff~~%26%3d%25%2bABCxyz%2f-._%80&peer_id=-UT3550-abcdefghijkl&port=1&uploaded=0&downloaded=0&left=77&corrupt=0&key=12345678&event=paused&numwant=-1&compact=1&no_peer_id=1&ip=10.0.0.3",
        ),
    ];

    #[test]
    fn every_client_is_understood() {
        let tilde: [u8; 20] = *b"\x00\x01\xff~~&=%+ABCxyz/-._\x80";
        for (client, query) in GOLDEN {
            let (announce, form) = parse(query);
            assert_eq!(announce.info_hash, InfoHash::new(tilde), "{client}");
            assert_eq!(form, Form::Compact, "{client}");
            assert_ne!(announce.peer_id, [0; 20], "{client}");
        }
    }

    #[test]
    fn what_clients_mean_is_read_out_of_what_they_send() {
        let announce = |client: &str| parse(GOLDEN.iter().find(|(name, _)| *name == client).unwrap().1).0;
        let libtorrent = announce("libtorrent");
        assert_eq!((libtorrent.port, libtorrent.left, libtorrent.wanted()), (6881, Some(16384), 200));
        let aria2 = announce("aria2");
        assert!(aria2.is_seed() && !aria2.is_surely_seed(), "aria2 says of a magnet link that nothing is left");
        assert!(Announce { downloaded: 1, ..aria2 }.is_surely_seed());
        assert_eq!(announce("webtorrent").left, None);
        assert_eq!(announce("rTorrent").wanted(), 50);
        assert_eq!(announce("Transmission").claimed_v6, Some("2001:db8::1".parse().unwrap()));
        let utorrent = announce("uTorrent");
        assert_eq!((utorrent.phase, utorrent.is_reachable(), utorrent.wanted()), (Phase::Update, false, 50));
        assert_eq!(utorrent.claimed_v4, Some("10.0.0.3".parse().unwrap()));
    }

    #[test]
    fn odd_values_have_a_meaning() {
        let with = |rest: &str| parse(&format!("info_hash=aaaaaaaaaaaaaaaaaaaa&{rest}")).0;
        assert_eq!(with("numwant=0").wanted(), 0);
        assert_eq!(with("numwant=999999999999999999999999").wanted(), MAX_WANTED);
        assert_eq!(with("left=99999999999999999999999999").left, Some(u64::MAX));
        assert_eq!((with("left=-1").left, with("left=Infinity").left), (None, None));
        assert_eq!((with("port=70000").port, with("port=x").port), (0, 0));
        assert_eq!(with("left=5&left=0").left, Some(5));
        assert_eq!(with("xleft=5&left=7").left, Some(7));
        assert_eq!(with("trackerid=42").cursor, Some(42));
        assert_eq!(with("event=stopped&numwant=30").wanted(), 0);
        assert!(with("left=0").is_seed() && with("event=completed").is_seed() && !with("").is_seed());
        assert_eq!(parse("info_hash=aaaaaaaaaaaaaaaaaaaa").1, Form::Dictionaries);
    }

    use super::super::MAX_WANTED;

    #[test]
    fn only_an_infohash_is_demanded() {
        for query in ["", "info_hash", "info_hash=", "info_hash=short", "info_hash=%zz", "port=1"] {
            let failure = parse_announce(query.as_bytes()).unwrap_err();
            assert!(failure.reason.contains("info_hash"), "{query}");
        }
        assert!(parse_scrape(b"").is_err());
        assert_eq!(
            parse_scrape(b"info_hash=aaaaaaaaaaaaaaaaaaaa&info_hash=x").unwrap(),
            [InfoHash::new(*b"aaaaaaaaaaaaaaaaaaaa")]
        );
        assert_eq!(parse_scrape("info_hash=aaaaaaaaaaaaaaaaaaaa&".repeat(500).as_bytes()).unwrap().len(), MAX_SCRAPED);
    }

    #[test]
    fn paths_lead_to_a_tracker_wherever_it_is_mounted() {
        for path in ["/announce", "/announce-token", "/announce/x", "/x/announce", "/announce.php"] {
            assert_eq!(Route::of(path), Route::Announce, "{path}");
        }
        for path in ["/scrape", "/scrape-token", "/x/scrape", "/announce/scrape"] {
            assert_eq!(Route::of(path), Route::Scrape, "{path}");
        }
        for path in ["/x", "/Announce", "/favicon.ico", "//", "/trackers.txt/", "/x/trackers.txt"] {
            assert_eq!(Route::of(path), Route::Other, "{path}");
        }
        assert_eq!(["/", "", "/trackers.txt"].map(Route::of), [Route::Help, Route::Help, Route::Trackers]);
    }

    #[test]
    fn an_answer_has_every_key_that_a_client_needs() {
        let peers = ["127.0.0.1:258", "[2001:db8::1]:258"].map(|peer| peer.parse().unwrap());
        let reply = Reply {
            interval: Duration::from_secs(900),
            min_interval: Duration::from_secs(60),
            counts: Counts { complete: 1, incomplete: 2, downloaded: 3 },
            peers: peers.into(),
            cursor: 7,
            external_ip: Some("1.2.3.4".parse().unwrap()),
            warning: Some("w".into()),
        };
        let compact = b"d8:completei1e10:downloadedi3e11:external ip4:\x01\x02\x03\x0410:incompletei2e8:intervali900e12:min intervali60e5:peers6:\x7f\0\0\x01\x01\x026:peers618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x01\x0210:tracker id1:715:warning message1:we";
        assert_eq!(render_answer(&Ok(reply.clone()), Form::Compact), compact);
        let listed = render_answer(&Ok(reply), Form::Dictionaries);
        let listed = String::from_utf8_lossy(&listed);
        assert!(listed.contains("5:peersld2:ip9:127.0.0.14:porti258eed2:ip11:2001:db8::14:porti258eee"), "{listed}");
        // rTorrent calls an answer without `peers` a failure, even if there is none.
        let empty = render_answer(&Ok(Reply::default()), Form::Compact);
        assert!(String::from_utf8_lossy(&empty).contains("5:peers0:"));
    }

    #[test]
    fn a_refusal_says_why_and_until_when() {
        let failure = Failure { reason: "no".into(), interval: Duration::from_secs(60) };
        let body = b"d14:failure reason2:no8:intervali60ee";
        assert_eq!(render_answer(&Err(failure), Form::Compact), body);
    }

    #[test]
    fn a_scrape_leaves_out_what_is_unknown() {
        let (a, b) = (InfoHash::new([b'a'; 20]), InfoHash::new([b'b'; 20]));
        let counts = Counts { complete: 11, incomplete: 19, downloaded: 13772 };
        let body = b"d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei11e10:downloadedi13772e10:incompletei19eeee";
        assert_eq!(render_scrape(&[(b, None), (a, Some((counts, None))), (a, Some((counts, None)))]), body);
        assert_eq!(render_scrape(&[(b, None)]), b"d5:filesdee");
    }

    proptest! {
        #[test]
        fn any_infohash_survives_the_query(hash in any::<[u8; 20]>(), raw in any::<[bool; 20]>()) {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            let encode = |(byte, raw): (u8, bool)| match raw && plain(byte) {
                true => char::from(byte).to_string(),
                false => format!("%{byte:02x}"),
            };
            let text: String = hash.into_iter().zip(raw).map(encode).collect();
            prop_assert_eq!(parse(&format!("port=1&info_hash={text}&left=0")).0.info_hash, InfoHash::new(hash));
        }

        #[test]
        fn any_bytes_are_read_without_panic(query in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_announce(&query);
            let _ = parse_scrape(&query);
        }

        #[test]
        fn any_values_are_read_without_panic(values in prop::collection::vec("[-0-9a-z%.:\\[\\]]{0,24}", 10)) {
            let keys = ["peer_id", "port", "left", "event", "numwant", "trackerid", "ip", "ipv4", "ipv6", "compact"];
            let pairs: String = keys.iter().zip(values).map(|(key, value)| format!("&{key}={value}")).collect();
            let query = format!("info_hash=aaaaaaaaaaaaaaaaaaaa{pairs}");
            prop_assert!(parse(&query).0.wanted() <= MAX_WANTED);
        }
    }
}
