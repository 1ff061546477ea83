//! Announces and scrapes over UDP: datagrams in, datagrams out (BEP 15).
//!
//! Pure. What follows an announce are options (BEP 41), of which only the URL is defined. Every path of this gateway serves
//! the same swarms, so of the URL only a query counts that says where the client is. Other bytes that follow are skipped.
//!
//! Invariant: no reply is longer than its request, except to a source that sent a valid [`ConnectionIds`] id and has thus
//! shown that it receives what is sent to it.

use std::hash::Hasher as _;
use std::net::IpAddr;
use std::time::Duration;

use siphasher::sip::SipHasher24;

use super::{Announce, Counts, Failure, MAX_SCRAPED, Phase, Reply};
use crate::engine::contact::{CompactAddr, Family};
use crate::engine::id::InfoHash;
use crate::engine::time::Instant;

/// What a connect request carries instead of a connection id.
pub(super) const PROTOCOL: u64 = 0x0417_2710_1980;
/// Peers that fit in a datagram that no network splits: 1452 bytes of UDP over IPv6, less the head, by 18.
const MAX_PEERS_V6: usize = 74;

/// A datagram of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What the answer must carry so that the client knows it.
    pub transaction: u32,
    /// The id that proves the source address; `None` asks for one.
    pub connection: Option<u64>,
    /// What is asked.
    pub action: Action,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A connection id.
    Connect,
    /// Peers.
    Announce(Announce),
    /// The sizes of swarms.
    Scrape(Vec<InfoHash>),
}

/// Reads a datagram; `None` for everything that is no request and deserves no answer.
#[must_use]
pub fn parse(datagram: &[u8]) -> Option<Request> {
    let mut reader = Reader(datagram);
    let (connection, action, transaction) = (reader.u64()?, reader.u32()?, reader.u32()?);
    let action = match action {
        0 if connection == PROTOCOL => return Some(Request { transaction, connection: None, action: Action::Connect }),
        1 => Action::Announce(parse_announce(reader)?),
        2 => Action::Scrape(parse_scrape(reader)?),
        _ => return None,
    };
    Some(Request { transaction, connection: Some(connection), action })
}

fn parse_announce(mut reader: Reader<'_>) -> Option<Announce> {
    let (info_hash, peer_id) = (InfoHash::new(reader.bytes()?), reader.bytes()?);
    let (downloaded, left, _uploaded) = (reader.u64()?, reader.u64()?, reader.u64()?);
    // The address (BEP 15: "IP address, default: 0") is not even claimed: most clients fill it with anything.
    let (event, _address, _key) = (reader.u32()?, reader.u32()?, reader.u32()?);
    let (wanted, port) = (reader.u32()?.cast_signed(), u16::from_be_bytes(reader.bytes()?));
    let url = read_url(reader);
    let query = url.iter().position(|&byte| byte == b'?').map_or(&[][..], |at| &url[at + 1..]);
    let (claimed_v4, claimed_v6) = super::http::parse_claims(query);
    Some(Announce {
        info_hash,
        peer_id,
        port,
        // -1 is how clients write "unknown".
        left: Some(left).filter(|&left| left != u64::MAX),
        downloaded,
        phase: parse_phase(event),
        wanted: usize::try_from(wanted).ok(),
        cursor: None,
        claimed_v4,
        claimed_v6,
    })
}

/// Path and query of the URL that the client was given, in pieces of at most 255 bytes (BEP 41).
fn read_url(mut reader: Reader<'_>) -> Vec<u8> {
    let mut url = Vec::new();
    while let Some([option]) = reader.bytes() {
        match option {
            1 => {}
            // Options may be invented, but all have this form.
            2.. => {
                let Some(piece) = reader.piece() else { break };
                url.extend_from_slice(if option == 2 { piece } else { &[] });
            }
            0 => break,
        }
    }
    url
}

/// libtorrent sends 4 for `paused` (BEP 21), which is an ordinary announce.
const fn parse_phase(event: u32) -> Phase {
    match event {
        1 => Phase::Completed,
        2 => Phase::Started,
        3 => Phase::Stopped,
        _ => Phase::Update,
    }
}

fn parse_scrape(mut reader: Reader<'_>) -> Option<Vec<InfoHash>> {
    let hashes: Vec<InfoHash> = std::iter::from_fn(|| reader.bytes().map(InfoHash::new)).take(MAX_SCRAPED).collect();
    (!hashes.is_empty()).then_some(hashes)
}

/// Takes big-endian numbers off the front of a datagram.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// As many bytes as the first one says.
    fn piece(&mut self) -> Option<&'a [u8]> {
        let [length] = self.bytes()?;
        let (head, tail) = self.0.split_at_checked(length.into())?;
        self.0 = tail;
        Some(head)
    }

    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(*head)
    }

    fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_be_bytes)
    }
}

/// The answer to a connect request.
#[must_use]
pub fn render_connect(transaction: u32, connection: u64) -> Vec<u8> {
    [&head(0, transaction)[..], &connection.to_be_bytes()].concat()
}

/// Appends the answer to an announce to `datagrams`. Its peers have the family of the datagram (BEP 15, IPv6).
pub fn render_announce(transaction: u32, reply: &Reply, family: Family, datagrams: &mut Vec<u8>) {
    let interval = u32::try_from(reply.interval.as_secs()).unwrap_or(u32::MAX);
    datagrams.extend(head(1, transaction));
    for number in [interval, reply.counts.incomplete, reply.counts.complete] {
        datagrams.extend(number.to_be_bytes());
    }
    let peers = reply.peers.iter().filter(|peer| Family::of(peer) == family);
    for peer in peers.take(max_peers(family)) {
        datagrams.extend_from_slice(CompactAddr::new(peer).as_bytes());
    }
}

/// Most peers that an answer over UDP holds.
#[must_use]
pub const fn max_peers(family: Family) -> usize {
    match family {
        Family::V4 => super::MAX_WANTED,
        Family::V6 => MAX_PEERS_V6,
    }
}

/// The answer to a scrape, in the order asked. The form has no word for "unknown", so it ends before the first swarm of
/// which nothing is known, as an answer of a tracker that was asked for too many does.
#[must_use]
pub fn render_scrape(transaction: u32, files: &[(InfoHash, Option<Counts>)]) -> Vec<u8> {
    if let [(_, None), ..] = files {
        let reason = "nothing is known of this swarm yet".into();
        return render_failure(transaction, &Failure { reason, interval: Duration::from_secs(60) });
    }
    let mut datagram = head(2, transaction).to_vec();
    for counts in files.iter().map_while(|(_, counts)| *counts) {
        for number in [counts.complete, counts.downloaded, counts.incomplete] {
            datagram.extend(number.to_be_bytes());
        }
    }
    datagram
}

/// The answer that refuses a request.
#[must_use]
pub fn render_failure(transaction: u32, failure: &Failure) -> Vec<u8> {
    [&head(3, transaction)[..], failure.reason.as_bytes()].concat()
}

fn head(action: u32, transaction: u32) -> [u8; 8] {
    let head = (u64::from(action) << 32) | u64::from(transaction);
    head.to_be_bytes()
}

/// Connection ids without a table: a keyed hash over the client's address and a slot of time (BEP 15, UDP connections).
///
/// An id is bound to the address alone: home routers move ports, and libtorrent uses one id for all ports of a host. It is
/// good for ten to fifteen minutes, where the BEP says two: clients of the uTorrent line reuse theirs for five and more.
pub struct ConnectionIds {
    key: [u8; 16],
    /// Seconds that are added to the time, so that it goes on where another run ended.
    offset: u64,
}

impl ConnectionIds {
    const SLOT: Duration = Duration::from_secs(300);
    const SLOTS_ACCEPTED: u64 = 3;

    /// Ids made with `key`, which must stay secret.
    #[must_use]
    pub const fn new(key: [u8; 16]) -> Self {
        Self { key, offset: 0 }
    }

    /// The same, where the time that it is told began at this second since 1970: ids of an earlier run with this key are as good.
    #[must_use]
    pub const fn begun_at(self, unix_seconds: u64) -> Self {
        Self { offset: unix_seconds, ..self }
    }

    /// The key, to be kept for the next run.
    #[must_use]
    pub const fn key(&self) -> [u8; 16] {
        self.key
    }

    /// The id for a client at `ip`, never 0: rTorrent takes that for an error.
    #[must_use]
    pub fn issue(&self, now: Instant, ip: IpAddr) -> u64 {
        self.at_slot(self.slot(now), ip)
    }

    /// Whether `id` was issued to `ip` lately.
    #[must_use]
    pub fn accepts(&self, now: Instant, ip: IpAddr, id: u64) -> bool {
        let newest = self.slot(now);
        let oldest = newest.saturating_sub(Self::SLOTS_ACCEPTED - 1);
        (oldest..=newest).any(|slot| self.at_slot(slot, ip) == id)
    }

    const fn slot(&self, now: Instant) -> u64 {
        now.as_secs().saturating_add(self.offset) / Self::SLOT.as_secs()
    }

    fn at_slot(&self, slot: u64, ip: IpAddr) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(&slot.to_be_bytes());
        match ip {
            IpAddr::V4(ip) => hasher.write(&ip.octets()),
            IpAddr::V6(ip) => hasher.write(&ip.octets()),
        }
        hasher.finish().max(1)
    }
}

impl std::fmt::Debug for ConnectionIds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConnectionIds")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::SocketAddr;

    /// An announce in the words of BEP 15.
    fn announce(event: u32, wanted: i32, left: u64, tail: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(7u64.to_be_bytes());
        bytes.extend([1u32, 9].map(u32::to_be_bytes).concat());
        bytes.extend([b'h'; 20]);
        bytes.extend(*b"-LT20B0-abcdefghijkl");
        bytes.extend([100, left, 5].map(u64::to_be_bytes).concat());
        bytes.extend([event, 0x0102_0304, 0xaabb_ccdd].map(u32::to_be_bytes).concat());
        bytes.extend(wanted.to_be_bytes());
        bytes.extend(6881u16.to_be_bytes());
        assert_eq!(bytes.len(), 98);
        bytes.extend(tail);
        bytes
    }

    fn parse_announce_of(datagram: &[u8]) -> Announce {
        match parse(datagram) {
            Some(Request { transaction: 9, connection: Some(7), action: Action::Announce(announce) }) => announce,
            other => panic!("{other:?}"),
        }
    }

    fn announced(reply: &Reply, family: Family) -> Vec<u8> {
        let mut datagram = Vec::new();
        render_announce(9, reply, family, &mut datagram);
        datagram
    }

    #[test]
    fn an_announce_is_read_field_by_field() {
        let request = parse_announce_of(&announce(2, -1, 42, b""));
        assert_eq!((request.info_hash, request.port, request.left), (InfoHash::new([b'h'; 20]), 6881, Some(42)));
        assert_eq!((request.phase, request.downloaded, request.wanted), (Phase::Started, 100, None));
        assert_eq!((request.claimed_v4, &request.peer_id[..3]), (None, &b"-LT"[..]));
    }

    #[test]
    fn deployed_clients_are_understood() {
        let event = |event| parse_announce_of(&announce(event, 0, 0, b"")).phase;
        // libtorrent sends 4 for a partial seed.
        assert_eq!([0, 1, 3, 4].map(event), [Phase::Update, Phase::Completed, Phase::Stopped, Phase::Update]);
        assert_eq!(parse_announce_of(&announce(0, 0, u64::MAX, b"")).left, None);
        assert_eq!(parse_announce_of(&announce(0, i32::MAX, 0, b"")).wanted(), super::super::MAX_WANTED);
        // libtorrent appends the path (BEP 41); others may append anything.
        for tail in [&b"\x02\x09/announce"[..], b"\x02\xff/cut", b"\x00", b"\xff\xff\xff"] {
            assert_eq!(parse_announce_of(&announce(0, 0, 1, tail)), parse_announce_of(&announce(0, 0, 1, b"")));
        }
    }

    #[test]
    fn the_url_may_say_where_the_client_is() {
        for tail in [
            &b"\x02\x1f/announce-token?ip=203.0.113.77"[..],
            b"\x01\x02\x10/announce?x=1&ip\x01\x02\x0e=203.0.113.77&",
            b"\x09\x03new\x02\x1e/announce?ipv4=203.0.113.77:80\x00\x02\x01&",
        ] {
            let claimed = parse_announce_of(&announce(0, 0, 1, tail)).claimed_v4;
            assert_eq!(claimed, Some([203, 0, 113, 77].into()), "{}", tail.escape_ascii());
        }
    }

    #[test]
    fn connects_and_scrapes_are_read() {
        let connect = hex::decode("00000417271019800000000012345678").unwrap();
        let request = Request { transaction: 0x1234_5678, connection: None, action: Action::Connect };
        assert_eq!(parse(&connect), Some(request));
        let mut scrape = hex::decode("00000000000000070000000200000009").unwrap();
        assert_eq!(parse(&scrape), None);
        scrape.extend([1; 20]);
        scrape.extend([2; 25]);
        let action = Action::Scrape(vec![InfoHash::new([1; 20]), InfoHash::new([2; 20])]);
        assert_eq!(parse(&scrape), Some(Request { transaction: 9, connection: Some(7), action }));
    }

    #[test]
    fn what_is_no_request_gets_no_answer() {
        let mut other_protocol = hex::decode("00000417271019800000000012345678").unwrap();
        other_protocol[0] = 1;
        let cut = &announce(0, 0, 0, b"")[..97];
        for datagram in [&other_protocol[..], cut, b"", b"d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:t2:aa1:y1:qe"] {
            assert_eq!(parse(datagram), None);
        }
    }

    #[test]
    fn answers_have_the_form_of_the_standard() {
        let counts = Counts { complete: 1, incomplete: 2, downloaded: 3 };
        let peers = ["1.2.3.4:5", "[2001:db8::1]:6"].map(|peer| peer.parse().unwrap()).to_vec();
        let reply = Reply { interval: Duration::from_secs(900), counts, peers, ..Reply::default() };
        let v4 = hex::encode(announced(&reply, Family::V4));
        assert_eq!(v4, "0000000100000009000003840000000200000001010203040005");
        let v6 = hex::encode(announced(&reply, Family::V6));
        assert_eq!(v6, "000000010000000900000384000000020000000120010db80000000000000000000000010006");
        let scrape = hex::encode(render_scrape(
            9,
            &[
                (InfoHash::new([0; 20]), Some(counts)),
                (InfoHash::new([0; 20]), None),
                (InfoHash::new([0; 20]), Some(counts)),
            ],
        ));
        assert_eq!(scrape, "0000000200000009000000010000000300000002");
        assert!(render_scrape(9, &[(InfoHash::new([0; 20]), None)]).starts_with(b"\0\0\0\x03\0\0\0\x09nothing"));
        assert_eq!(hex::encode(render_connect(9, 7)), "00000000000000090000000000000007");
        assert_eq!(render_failure(9, &Failure::malformed("no")), b"\0\0\0\x03\0\0\0\x09no");
    }

    #[test]
    fn no_answer_is_split_on_its_way() {
        for (addr, family, payload) in [("1.2.3.4:5", Family::V4, 1472), ("[2001:db8::1]:6", Family::V6, 1452)] {
            let peers = vec![addr.parse::<SocketAddr>().unwrap(); 1000];
            assert!(announced(&Reply { peers, ..Reply::default() }, family).len() <= payload);
        }
        assert!(render_scrape(1, &[(InfoHash::new([0; 20]), Some(Counts::default())); MAX_SCRAPED]).len() <= 1452);
    }

    #[test]
    fn a_connection_id_of_an_earlier_run_with_this_key_holds_as_long_as_one_of_this_run() {
        let here: IpAddr = "203.0.113.7".parse().unwrap();
        let earlier = ConnectionIds::new([3; 16]).begun_at(1_700_000_000);
        let id = earlier.issue(Instant::from_secs(3_000), here);
        let accepted =
            |key, begun_at| ConnectionIds::new(key).begun_at(begun_at).accepts(Instant::from_secs(5), here, id);
        assert!(accepted(earlier.key(), 1_700_003_001));
        assert!(accepted(earlier.key(), 1_700_003_500));
        assert!(!accepted(earlier.key(), 1_700_003_900), "it grows old while nobody runs");
        assert!(!accepted([4; 16], 1_700_003_001), "with another key it is none");
    }

    #[test]
    fn a_connection_id_holds_for_one_address_and_ten_minutes() {
        let ids = ConnectionIds::new([3; 16]);
        let [here, there]: [IpAddr; 2] = ["10.1.2.3", "10.1.2.4"].map(|ip| ip.parse().unwrap());
        let (issued, minute) = (Instant::from_secs(10_000), Duration::from_secs(60));
        let id = ids.issue(issued, here);
        for age in [0, 2, 10] {
            assert!(ids.accepts(issued + age * minute, here, id), "after {age} minutes");
        }
        assert!(!ids.accepts(issued + 15 * minute, here, id));
        // Nor one from the future, or a lucky guess would hold for ever.
        assert!(!ids.accepts(issued - 5 * minute, here, id));
        assert!(!ids.accepts(issued, there, id));
        assert!(!ConnectionIds::new([4; 16]).accepts(issued, here, id));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300), action in 0u8..4) {
            let _ = parse(&bytes);
            if let Some(head) = bytes.get_mut(..12) {
                head.copy_from_slice(&[0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, action]);
                let _ = parse(&bytes);
            }
        }

        #[test]
        fn connection_ids_are_never_zero_and_always_accepted(key in any::<[u8; 16]>(), ip in any::<IpAddr>(), secs in 0u64..1 << 40) {
            let (ids, now) = (ConnectionIds::new(key), Instant::from_secs(secs));
            prop_assert_ne!(ids.issue(now, ip), 0);
            prop_assert!(ids.accepts(now, ip, ids.issue(now, ip)));
        }
    }
}
