//! Datagrams to messages, in one pass.

use std::net::SocketAddr;

use super::{
    FILTER_LEN, Fault, Filters, ItemFields, Kind, MAX_SAMPLE_INTERVAL, MAX_TOKEN, MAX_TRANSACTION, Message, Method,
    Put, Query, Response, Samples, Values, Want,
};
use crate::engine::bencode::scan::{self, Malformed, Scanner};
use crate::engine::contact::{canonical, decode_addr};
use crate::engine::id::{Id, InfoHash, NodeId, Target};

/// Why a datagram is no message. It is counted and never answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAMessage {
    /// Not one bencoded dict.
    #[error("not bencode: {0}")]
    Malformed(#[from] Malformed),
    /// `t` is missing, empty or longer than [`MAX_TRANSACTION`].
    #[error("no usable transaction id")]
    Transaction,
    /// `y` is none of `q`, `r`, `e`.
    #[error("neither query nor response nor error")]
    Kind,
    /// A response without a 20-byte id.
    #[error("a response without an id")]
    ResponseId,
}

/// Everything that the top level of any message may hold.
#[derive(Default)]
struct Envelope<'a> {
    transaction: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
    method: Option<&'a [u8]>,
    external: Option<&'a [u8]>,
    read_only: Option<i64>,
    code: Option<i64>,
    arguments: Option<Fields<'a>>,
    results: Option<Fields<'a>>,
}

/// Everything that `a` or `r` of any message may hold. `a` comes before `q`, so what is needed is known only later.
#[derive(Default)]
struct Fields<'a> {
    id: Option<&'a [u8]>,
    target: Option<&'a [u8]>,
    info_hash: Option<&'a [u8]>,
    token: Option<&'a [u8]>,
    nodes: Option<&'a [u8]>,
    nodes6: Option<&'a [u8]>,
    values: Option<&'a [u8]>,
    want: Option<Want>,
    port: Option<i64>,
    implied_port: Option<i64>,
    seed: Option<i64>,
    noseed: Option<i64>,
    scrape: Option<i64>,
    filter_seeds: Option<&'a [u8]>,
    filter_peers: Option<&'a [u8]>,
    samples: Option<&'a [u8]>,
    num: Option<i64>,
    interval: Option<i64>,
    value: Option<&'a [u8]>,
    key: Option<&'a [u8]>,
    salt: Option<&'a [u8]>,
    seq: Option<i64>,
    signature: Option<&'a [u8]>,
    /// There, and an integer or not.
    cas: Option<Option<i64>>,
    /// Keys out of order or twice.
    irregular: bool,
}

impl<'a> Message<'a> {
    /// Reads one datagram.
    ///
    /// # Errors
    /// When it is no message that may be answered or believed.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, NotAMessage> {
        let mut scanner = Scanner::new(datagram);
        let mut envelope = Envelope::default();
        envelope.read(&mut scanner)?;
        let irregular = scanner.irregular() || !scanner.rest().is_empty();
        let transaction = envelope.transaction.ok_or(NotAMessage::Transaction)?;
        if transaction.is_empty() || transaction.len() > MAX_TRANSACTION {
            return Err(NotAMessage::Transaction);
        }
        let kind = match envelope.kind {
            Some(b"q") => query(&envelope).map_or_else(Kind::Refused, Kind::Query),
            Some(b"r") => Kind::Response(response(&envelope).ok_or(NotAMessage::ResponseId)?),
            Some(b"e") => Kind::Error(envelope.code.unwrap_or(201)),
            _ => return Err(NotAMessage::Kind),
        };
        let external = envelope.external.and_then(external);
        Ok(Self { transaction, version: envelope.version, external, kind, irregular })
    }
}

impl<'a> Envelope<'a> {
    fn read(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Malformed> {
        scanner.dict(|scanner, key| match key {
            b"t" => first(&mut self.transaction, scanner, Scanner::string_if_any),
            b"y" => first(&mut self.kind, scanner, Scanner::string_if_any),
            b"v" => first(&mut self.version, scanner, Scanner::string_if_any),
            b"q" => first(&mut self.method, scanner, Scanner::string_if_any),
            b"ip" => first(&mut self.external, scanner, Scanner::string_if_any),
            b"ro" => first(&mut self.read_only, scanner, Scanner::integer_if_any),
            b"a" => Fields::read_first(&mut self.arguments, scanner),
            b"r" => Fields::read_first(&mut self.results, scanner),
            b"e" => first(&mut self.code, scanner, error_code),
            _ => Ok(()),
        })
    }
}

/// Reads a value into `slot` unless an earlier duplicate of the key has filled it: the first one counts.
fn first<'a, T>(
    slot: &mut Option<T>,
    scanner: &mut Scanner<'a>,
    read: impl FnOnce(&mut Scanner<'a>) -> Result<Option<T>, Malformed>,
) -> Result<(), Malformed> {
    if slot.is_none() {
        *slot = read(scanner)?;
    }
    Ok(())
}

impl<'a> Fields<'a> {
    /// Like [`first`], but in place: the fields are many.
    fn read_first(slot: &mut Option<Self>, scanner: &mut Scanner<'a>) -> Result<(), Malformed> {
        if slot.is_some() || scanner.kind()? != scan::Kind::Dict {
            return Ok(());
        }
        let irregular_before = scanner.take_irregular();
        let fields = slot.insert(Self::default());
        fields.read(scanner)?;
        fields.irregular = scanner.irregular();
        scanner.note_irregular(irregular_before);
        Ok(())
    }

    fn read(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Malformed> {
        scanner.dict(|scanner, key| match key {
            b"id" => first(&mut self.id, scanner, Scanner::string_if_any),
            b"target" => first(&mut self.target, scanner, Scanner::string_if_any),
            b"info_hash" => first(&mut self.info_hash, scanner, Scanner::string_if_any),
            b"token" => first(&mut self.token, scanner, Scanner::string_if_any),
            b"nodes" => first(&mut self.nodes, scanner, Scanner::string_if_any),
            b"nodes6" => first(&mut self.nodes6, scanner, Scanner::string_if_any),
            b"values" => first(&mut self.values, scanner, list_body),
            b"want" => first(&mut self.want, scanner, want),
            b"port" => first(&mut self.port, scanner, Scanner::integer_if_any),
            b"implied_port" => first(&mut self.implied_port, scanner, Scanner::integer_if_any),
            b"seed" => first(&mut self.seed, scanner, Scanner::integer_if_any),
            b"noseed" => first(&mut self.noseed, scanner, Scanner::integer_if_any),
            b"scrape" => first(&mut self.scrape, scanner, Scanner::integer_if_any),
            // BEP 33 says BFsd; mldht, which its author wrote, sends and reads BFse.
            b"BFsd" | b"BFse" => first(&mut self.filter_seeds, scanner, Scanner::string_if_any),
            b"BFpe" => first(&mut self.filter_peers, scanner, Scanner::string_if_any),
            b"samples" => first(&mut self.samples, scanner, Scanner::string_if_any),
            b"num" => first(&mut self.num, scanner, Scanner::integer_if_any),
            b"interval" => first(&mut self.interval, scanner, Scanner::integer_if_any),
            b"v" => first(&mut self.value, scanner, |scanner| scanner.skip().map(Some)),
            b"k" => first(&mut self.key, scanner, Scanner::string_if_any),
            b"salt" => first(&mut self.salt, scanner, Scanner::string_if_any),
            b"seq" => first(&mut self.seq, scanner, Scanner::integer_if_any),
            b"sig" => first(&mut self.signature, scanner, Scanner::string_if_any),
            b"cas" => first(&mut self.cas, scanner, |scanner| scanner.integer_if_any().map(Some)),
            _ => Ok(()),
        })
    }
}

/// The bytes between `l` and `e`.
fn list_body<'a>(scanner: &mut Scanner<'a>) -> Result<Option<&'a [u8]>, Malformed> {
    let kind = scanner.kind()?;
    let raw = scanner.skip()?;
    Ok((kind == scan::Kind::List).then(|| &raw[1..raw.len() - 1]))
}

fn want(scanner: &mut Scanner<'_>) -> Result<Option<Want>, Malformed> {
    if scanner.kind()? != scan::Kind::List {
        return scanner.skip().map(|_| None);
    }
    let mut want = Want::default();
    scanner.list(|scanner| {
        match scanner.string_if_any()? {
            Some(b"n4") => want.v4 = true,
            Some(b"n6") => want.v6 = true,
            _ => {}
        }
        Ok(())
    })?;
    Ok(Some(want))
}

/// `[code, text]`; mldht also sends a bare string.
fn error_code(scanner: &mut Scanner<'_>) -> Result<Option<i64>, Malformed> {
    if scanner.kind()? != scan::Kind::List {
        return scanner.skip().map(|_| None);
    }
    let mut code = None;
    scanner.list(|scanner| first(&mut code, scanner, Scanner::integer_if_any))?;
    Ok(code)
}

/// 6 or 18 bytes; some nodes leave the port out (protocol practice, not BEP 42).
fn external(bytes: &[u8]) -> Option<SocketAddr> {
    let mut with_port = [0; 18];
    let addr = match bytes.len() {
        length @ (4 | 16) => {
            with_port[..length].copy_from_slice(bytes);
            decode_addr(&with_port[..length + 2])
        }
        _ => decode_addr(bytes),
    };
    addr.map(canonical)
}

fn query<'a>(envelope: &Envelope<'a>) -> Result<Query<'a>, Fault> {
    let name = envelope.method.ok_or(Fault::Argument("q is missing"))?;
    let arguments = envelope.arguments.as_ref().ok_or(Fault::Argument("a is missing"))?;
    let id = NodeId(key(arguments.id, "a.id must be a string of 20 bytes")?);
    Ok(Query { id, read_only: envelope.read_only == Some(1), method: method(name, arguments)? })
}

fn method<'a>(name: &[u8], arguments: &Fields<'a>) -> Result<Method<'a>, Fault> {
    let want = arguments.want.unwrap_or_default();
    let target = || key(arguments.target, "a.target must be a string of 20 bytes").map(Target);
    let info_hash = || key(arguments.info_hash, "a.info_hash must be a string of 20 bytes").map(InfoHash);
    Ok(match name {
        b"ping" => Method::Ping,
        b"find_node" => Method::FindNode { target: target()?, want },
        b"get_peers" => Method::GetPeers {
            info_hash: info_hash()?,
            want,
            noseed: arguments.noseed.unwrap_or(0) != 0,
            scrape: arguments.scrape.unwrap_or(0) != 0,
        },
        b"get" => Method::Get { target: target()?, seq: arguments.seq, want },
        b"put" => Method::Put(put(arguments)?),
        b"sample_infohashes" => Method::SampleInfohashes { target: target()?, want },
        b"announce_peer" => Method::AnnouncePeer {
            info_hash: info_hash()?,
            port: announced_port(arguments)?,
            seed: arguments.seed == Some(1),
            token: arguments.token.ok_or(Fault::Argument("a.token is missing"))?,
        },
        // BEP 5 says 204 for unknown methods; with a target, routing it on is more useful and is what is deployed.
        _ => match arguments.target.or(arguments.info_hash).and_then(Id::from_bytes) {
            Some(target) => Method::FindNode { target: Target(target), want },
            None => return Err(Fault::UnknownMethod),
        },
    })
}

/// BEP 44: what is stored for others must be in the only form that hashes to its target, hence so strict.
fn put<'a>(arguments: &Fields<'a>) -> Result<Put<'a>, Fault> {
    if arguments.irregular {
        return Err(Fault::Argument("a has keys out of order or twice"));
    }
    Ok(Put {
        token: arguments.token.ok_or(Fault::Argument("a.token is missing"))?,
        value: arguments.value.ok_or(Fault::Argument("a.v is missing"))?,
        key: arguments.key,
        salt: arguments.salt.unwrap_or_default(),
        seq: arguments.seq,
        signature: arguments.signature,
        // Were it read as absent, it would protect nothing.
        cas: arguments.cas.map(|cas| cas.ok_or(Fault::Argument("a.cas must be an integer"))).transpose()?,
    })
}

/// BEP 5, announce_peer: with `implied_port` other than 0 the port argument is ignored.
fn announced_port(arguments: &Fields<'_>) -> Result<Option<u16>, Fault> {
    if arguments.implied_port.unwrap_or(0) != 0 {
        return Ok(None);
    }
    match arguments.port.map(u16::try_from) {
        Some(Ok(port @ 1..)) => Ok(Some(port)),
        _ => Err(Fault::Argument("a.port must be 1 to 65535")),
    }
}

fn key(bytes: Option<&[u8]>, fault: &'static str) -> Result<Id, Fault> {
    bytes.and_then(Id::from_bytes).ok_or(Fault::Argument(fault))
}

fn response<'a>(envelope: &Envelope<'a>) -> Option<Response<'a>> {
    let results = envelope.results.as_ref()?;
    Some(Response {
        id: results.id.and_then(NodeId::from_bytes)?,
        token: results.token.filter(|token| (1..=MAX_TOKEN).contains(&token.len())),
        nodes: results.nodes.unwrap_or_default(),
        nodes6: results.nodes6.unwrap_or_default(),
        values: Values { list: results.values.unwrap_or_default() },
        filters: Filters { seeds: filter(results.filter_seeds), peers: filter(results.filter_peers) },
        samples: samples(results),
        item: ItemFields { value: results.value, key: results.key, seq: results.seq, signature: results.signature },
    })
}

fn filter(bytes: Option<&[u8]>) -> Option<&[u8; FILTER_LEN]> {
    bytes?.try_into().ok()
}

/// BEP 51: that `samples` is there, even empty, is how a node shows that it knows the query.
fn samples<'a>(results: &Fields<'a>) -> Option<Samples<'a>> {
    let infohashes = results.samples?;
    let interval = results.interval.unwrap_or(0).clamp(0, i64::from(MAX_SAMPLE_INTERVAL)) as u32;
    let total = results.num.and_then(|num| u64::try_from(num).ok()).unwrap_or(0);
    Some(Samples { infohashes, total, interval })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const QUERIER: NodeId = NodeId::new(*b"abcdefghij0123456789");
    const TARGET: Id = Id(*b"mnopqrstuvwxyz123456");

    fn kind(bytes: &[u8]) -> Kind<'_> {
        Message::decode(bytes).expect("a message").kind
    }

    #[test]
    fn reads_the_examples_of_bep_5() {
        let query = |method| Kind::Query(Query { id: QUERIER, read_only: false, method });
        let want = Want::default();
        assert_eq!(kind(b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"), query(Method::Ping));
        assert_eq!(
            kind(b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:aa1:y1:qe"),
            query(Method::FindNode { target: Target(TARGET), want })
        );
        assert_eq!(
            kind(b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe"),
            query(Method::GetPeers { info_hash: InfoHash(TARGET), want, noseed: false, scrape: false })
        );
        assert_eq!(
            kind(
                b"d1:ad2:id20:abcdefghij012345678912:implied_porti1e9:info_hash20:mnopqrstuvwxyz1234564:porti6881e\
                  5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe"
            ),
            query(Method::AnnouncePeer { info_hash: InfoHash(TARGET), port: None, seed: false, token: b"aoeusnth" })
        );
        assert_eq!(kind(b"d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee"), Kind::Error(201));
        let Kind::Response(response) =
            kind(b"d1:rd2:id20:abcdefghij01234567895:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re")
        else {
            panic!("a response")
        };
        assert_eq!((response.id, response.token), (QUERIER, Some(&b"aoeusnth"[..])));
        let peers: Vec<_> = response.values.iter().map(|peer| peer.to_string()).collect();
        assert_eq!(peers, ["97.120.106.101:11893", "105.100.104.116:28269"]);
    }

    #[test]
    fn order_of_keys_does_not_matter_and_is_noted() {
        let message = Message::decode(b"d1:y1:q1:t2:aa1:q4:ping1:ad2:id20:abcdefghij0123456789ee").expect("a message");
        assert_eq!(message.kind, kind(b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"));
        assert!(message.irregular);
    }

    #[test]
    fn the_first_of_two_equal_keys_counts() {
        let message = Message::decode(b"d1:ad2:id20:abcdefghij01234567892:id1:xe1:q4:ping1:t2:aa1:t2:bb1:y1:qe");
        assert_eq!(message.map(|message| (message.transaction, message.irregular)), Ok((&b"aa"[..], true)));
    }

    #[test]
    fn trailing_bytes_are_accepted_and_noted() {
        let message = Message::decode(b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe\r\n");
        assert!(message.is_ok_and(|message| message.irregular));
    }

    #[test]
    fn what_is_no_message_is_named() {
        let id = "2:id20:abcdefghij0123456789";
        for (bytes, error) in [
            (format!("d1:ad{id}e1:q4:ping1:y1:qe"), NotAMessage::Transaction),
            (format!("d1:ad{id}e1:q4:ping1:t0:1:y1:qe"), NotAMessage::Transaction),
            (format!("d1:ad{id}e1:q4:ping1:t21:{}1:y1:qe", "x".repeat(21)), NotAMessage::Transaction),
            (format!("d1:ad{id}e1:q4:ping1:t2:aa1:y1:xe"), NotAMessage::Kind),
            (format!("d1:ad{id}e1:q4:ping1:t2:aae"), NotAMessage::Kind),
            ("d1:rd2:id3:abce1:t2:aa1:y1:re".into(), NotAMessage::ResponseId),
            ("d1:t2:aa1:y1:re".into(), NotAMessage::ResponseId),
            ("le".into(), NotAMessage::Malformed(Malformed::Unexpected)),
            ("d1:t2:aa".into(), NotAMessage::Malformed(Malformed::Truncated)),
        ] {
            assert_eq!(Message::decode(bytes.as_bytes()), Err(error), "{bytes}");
        }
    }

    #[test]
    fn wrong_arguments_are_refused_with_the_right_code() {
        let id = "2:id20:abcdefghij0123456789";
        let hash = "9:info_hash20:mnopqrstuvwxyz123456";
        for (bytes, code) in [
            (format!("d1:ad{id}e1:t2:aa1:y1:qe"), 203),
            ("d1:q4:ping1:t2:aa1:y1:qe".into(), 203),
            ("d1:ad2:id3:abce1:q4:ping1:t2:aa1:y1:qe".into(), 203),
            (format!("d1:ad{id}e1:q9:find_node1:t2:aa1:y1:qe"), 203),
            (format!("d1:ad{id}9:info_hash3:abce1:q9:get_peers1:t2:aa1:y1:qe"), 203),
            (format!("d1:ad{id}{hash}4:porti0e5:token1:xe1:q13:announce_peer1:t2:aa1:y1:qe"), 203),
            (format!("d1:ad{id}{hash}4:porti65536e5:token1:xe1:q13:announce_peer1:t2:aa1:y1:qe"), 203),
            (format!("d1:ad{id}{hash}4:porti-1e5:token1:xe1:q13:announce_peer1:t2:aa1:y1:qe"), 203),
            (format!("d1:ad{id}{hash}5:token1:xe1:q13:announce_peer1:t2:aa1:y1:qe"), 203),
            (format!("d1:ad{id}{hash}4:porti1ee1:q13:announce_peer1:t2:aa1:y1:qe"), 203),
            (format!("d1:ad{id}e1:q5:dance1:t2:aa1:y1:qe"), 204),
        ] {
            let Kind::Refused(fault) = kind(bytes.as_bytes()) else { panic!("{bytes} is served") };
            assert_eq!(fault.code(), code, "{bytes}");
        }
    }

    #[test]
    fn unknown_methods_with_a_target_are_find_node() {
        for argument in ["6:target", "9:info_hash"] {
            let bytes =
                format!("d1:ad2:id20:abcdefghij0123456789{argument}20:mnopqrstuvwxyz123456e1:q5:dance1:t2:aa1:y1:qe");
            let Kind::Query(query) = kind(bytes.as_bytes()) else { panic!("refused") };
            assert_eq!(query.method, Method::FindNode { target: Target(TARGET), want: Want::default() });
        }
    }

    #[test]
    fn want_chooses_families_and_ignores_what_it_does_not_know() {
        for (want, v4, v6) in [
            ("", true, false),
            ("4:wantl2:n4e", true, false),
            ("4:wantl2:n6e", false, true),
            ("4:wantl2:n62:n42:n9i3ee", true, true),
            ("4:wantle", true, false),
            ("4:wantl2:n9e", true, false),
            ("4:want2:n6", true, false),
        ] {
            let bytes = format!(
                "d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456{want}e1:q9:find_node1:t2:aa1:y1:qe"
            );
            let Kind::Query(Query { method: Method::FindNode { want, .. }, .. }) = kind(bytes.as_bytes()) else {
                panic!("refused: {bytes}")
            };
            let includes = |family| want.includes(family, crate::engine::contact::Family::V4);
            use crate::engine::contact::Family::{V4, V6};
            assert_eq!((includes(V4), includes(V6)), (v4, v6), "{bytes}");
        }
    }

    #[test]
    fn values_may_be_mixed_packed_or_wrong() {
        let values = |body: &str| {
            let bytes = format!("d1:rd2:id20:abcdefghij01234567896:valuesl{body}ee1:t2:aa1:y1:re");
            let Kind::Response(response) = kind(bytes.as_bytes()) else { panic!("no response") };
            response.values.iter().map(|peer| peer.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(values("6:aaaaa\u{1}6:bbbbb\u{1}"), ["97.97.97.97:24833", "98.98.98.98:25089"]);
        assert_eq!(values("12:aaaaa\u{1}bbbbb\u{1}"), ["97.97.97.97:24833", "98.98.98.98:25089"]);
        assert_eq!(values("5:aaaaai7ele6:aaaaa\u{1}0:").len(), 1);
        assert_eq!(values("18:aaaaaaaaaaaaaaaa\u{1}\u{1}"), ["[6161:6161:6161:6161:6161:6161:6161:6161]:257"]);
    }

    #[test]
    fn filters_are_read_under_both_names_and_only_at_their_length() {
        let filters = |keys: &str| {
            let bytes = format!("d1:rd{keys}2:id20:abcdefghij0123456789e1:t2:aa1:y1:re");
            let Kind::Response(response) = kind(bytes.as_bytes()) else { panic!("a response") };
            (response.filters.seeds.map(|filter| filter[0]), response.filters.peers.map(|filter| filter[0]))
        };
        let (a, b) = ("a".repeat(256), "b".repeat(256));
        assert_eq!(filters(&format!("4:BFpe256:{a}4:BFsd256:{b}")), (Some(b'b'), Some(b'a')));
        assert_eq!(filters(&format!("4:BFpe256:{a}4:BFse256:{b}")), (Some(b'b'), Some(b'a')));
        assert_eq!(filters(&format!("4:BFpe255:{}4:BFsdi1e", &a[1..])), (None, None));
    }

    #[test]
    fn samples_are_read_and_their_interval_is_bounded() {
        let samples = |keys: &str| {
            let bytes = format!("d1:rd2:id20:abcdefghij0123456789{keys}e1:t2:aa1:y1:re");
            let Kind::Response(response) = kind(bytes.as_bytes()) else { panic!("a response") };
            let owned = |samples: Samples<'_>| (samples.iter().collect::<Vec<_>>(), samples.total, samples.interval);
            response.samples.map(owned)
        };
        let two = "aaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbb";
        let expected = (vec![InfoHash::from([b'a'; 20]), InfoHash::from([b'b'; 20])], 7, 300);
        assert_eq!(samples(&format!("8:intervali300e3:numi7e7:samples40:{two}")), Some(expected));
        assert_eq!(samples("8:intervali99999999e3:numi-1e7:samples0:"), Some((Vec::new(), 0, MAX_SAMPLE_INTERVAL)));
        assert_eq!(samples("3:numi7e"), None);
    }

    #[test]
    fn items_are_read_as_they_came_and_a_put_must_be_in_order() {
        let put = |arguments: &str| {
            let bytes = format!("d1:ad{arguments}e1:q3:put1:t2:aa1:y1:qe");
            match Message::decode(bytes.as_bytes()).expect("a message").kind {
                Kind::Query(Query { method: Method::Put(put), .. }) => {
                    Ok((put.value.len(), put.key.map(<[u8]>::len), put.salt.len(), put.seq, put.cas))
                }
                Kind::Refused(fault) => Err(fault.code()),
                other => panic!("{other:?}"),
            }
        };
        let id = "2:id20:abcdefghij0123456789";
        assert_eq!(put(&format!("{id}5:token1:x1:v12:Hello World!")), Ok((15, None, 0, None, None)));
        let mutable = format!("3:casi3e{id}1:k2:kk4:salt3:abc3:seqi4e3:sig1:s5:token1:x1:vd1:ai1e1:bi2ee");
        assert_eq!(put(&mutable), Ok((14, Some(2), 3, Some(4), Some(3))));
        assert_eq!(put(&format!("5:token1:x{id}1:v0:")), Err(203), "keys out of order");
        assert_eq!(put(&format!("{id}5:token1:x1:v0:1:v0:")), Err(203), "a key twice");
        let in_disorder = |arguments: &str| {
            let bytes = format!("d1:y1:q1:t2:aa1:q3:put1:ad{arguments}ee");
            matches!(Message::decode(bytes.as_bytes()).map(|message| message.kind), Ok(Kind::Query(_)))
        };
        assert!(in_disorder(&format!("{id}5:token1:x1:v0:")), "only the arguments must be in order");
        assert!(!in_disorder(&format!("5:token1:x{id}1:v0:")), "whatever was in disorder before them");
        for cas in ["1:3", "le", "i99999999999999999999e"] {
            assert_eq!(
                put(&format!("3:cas{cas}{id}5:token1:x1:v0:")),
                Err(203),
                "a condition that cannot be read: {cas}"
            );
        }
        assert_eq!(put(&format!("{id}5:token1:x")), Err(203), "no value");
        assert_eq!(put(&format!("{id}1:v0:")), Err(203), "no token");
    }

    #[test]
    fn external_address_is_read_with_and_without_a_port() {
        let external = |ip: &str| {
            let bytes = format!("d2:ip{}:{ip}1:rd2:id20:abcdefghij0123456789e1:t2:aa1:y1:re", ip.len());
            Message::decode(bytes.as_bytes()).expect("a message").external.map(|addr| addr.to_string())
        };
        assert_eq!(external("aaaa\u{1}\u{2}").as_deref(), Some("97.97.97.97:258"));
        assert_eq!(external("aaaa").as_deref(), Some("97.97.97.97:0"));
        assert_eq!(external("aaaaa"), None);
    }

    proptest! {
        #[test]
        fn decoding_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(Message { kind: Kind::Response(response), .. }) = Message::decode(&bytes) {
                let _ = response.values.iter().count();
            }
        }

        #[test]
        fn damaged_messages_never_panic(at in 0usize..96, byte in any::<u8>(), cut in 0usize..97) {
            let mut bytes =
                b"d1:rd2:id20:abcdefghij01234567895:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re".to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(cut);
            if let Ok(Message { kind: Kind::Response(response), .. }) = Message::decode(&bytes) {
                prop_assert!(response.values.iter().count() <= 3);
            }
        }
    }
}
