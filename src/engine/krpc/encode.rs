//! Messages to bytes: canonical, so that even parsers that search for substrings (jech/dht) read them.
//!
//! Keys stand here as literals in sorted order, the way they look on the wire. Nothing allocates once the buffer has
//! grown to the size of a message.

use std::net::SocketAddr;

use super::{FILTER_LEN, Fault, ItemFields};
use crate::engine::bencode::write::{integer, length, string};
use crate::engine::contact::{CompactAddr, Contact, Family};
use crate::engine::id::{Id, InfoHash, NodeId, Target};

/// No datagram of ours is larger (BEP 32: MUST NOT exceed 1,024 bytes).
pub const MAX_DATAGRAM: usize = 1024;
/// The largest response that carries an item: BEP 44 allows values of 1,000 bytes, which no 1,024 can hold beside a
/// key and a signature. What fits into one Ethernet frame.
#[must_use]
pub const fn max_item_datagram(family: Family) -> usize {
    match family {
        Family::V4 => 1472,
        Family::V6 => 1452,
    }
}

/// `v` of everything that we send: two letters and a version (BEP 20).
pub const VERSION: [u8; 4] = [b'T', b'k', 0, 1];

/// What we ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask<'a> {
    /// Are you there?
    Ping,
    /// The contacts closest to this point.
    FindNode(Target),
    /// Peers of this swarm.
    GetPeers(InfoHash),
    /// Peers of this swarm, and filters of all of them (BEP 33).
    Scrape(InfoHash),
    /// Some of the infohashes that the node has, and contacts closest to this point (BEP 51).
    SampleInfohashes(Target),
    /// The item at this point (BEP 44).
    Get(Target),
    /// Store this item (BEP 44).
    Put(PutFields<'a>),
    /// We take part in this swarm.
    AnnouncePeer {
        /// The swarm.
        info_hash: InfoHash,
        /// Where our client listens.
        port: u16,
        /// It has the whole torrent.
        seed: bool,
        /// The token that this node gave.
        token: &'a [u8],
    },
}

/// An item to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PutFields<'a> {
    /// The token that this node gave.
    pub token: &'a [u8],
    /// The value, as bencode.
    pub value: &'a [u8],
    /// What makes it a mutable item.
    pub signed: Option<Signed<'a>>,
    /// Only in place of an item with this sequence number.
    pub cas: Option<i64>,
}

/// What makes a mutable item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed<'a> {
    /// The owner's public key.
    pub key: &'a [u8; 32],
    /// Empty for none.
    pub salt: &'a [u8],
    /// The sequence number.
    pub seq: i64,
    /// The signature.
    pub signature: &'a [u8; 64],
}

/// Appends a query. `transaction` is always four bytes: the `mainline` crate drops any other length.
pub fn query(out: &mut Vec<u8>, transaction: [u8; 4], own: &NodeId, read_only: bool, ask: &Ask<'_>) {
    out.extend_from_slice(b"d1:ad");
    if let Ask::Put(PutFields { cas: Some(cas), .. }) = ask {
        out.extend_from_slice(b"3:cas");
        integer(out, *cas);
    }
    out.extend_from_slice(b"2:id20:");
    out.extend_from_slice(own.as_bytes());
    match ask {
        Ask::Ping => out.extend_from_slice(b"e1:q4:ping"),
        Ask::FindNode(target) => {
            out.extend_from_slice(b"6:target20:");
            out.extend_from_slice(target.as_bytes());
            out.extend_from_slice(b"e1:q9:find_node");
        }
        Ask::GetPeers(info_hash) => {
            out.extend_from_slice(b"9:info_hash20:");
            out.extend_from_slice(info_hash.as_bytes());
            out.extend_from_slice(b"e1:q9:get_peers");
        }
        Ask::Scrape(info_hash) => {
            out.extend_from_slice(b"9:info_hash20:");
            out.extend_from_slice(info_hash.as_bytes());
            out.extend_from_slice(b"6:scrapei1ee1:q9:get_peers");
        }
        Ask::SampleInfohashes(target) => {
            out.extend_from_slice(b"6:target20:");
            out.extend_from_slice(target.as_bytes());
            out.extend_from_slice(b"e1:q17:sample_infohashes");
        }
        Ask::Get(target) => {
            out.extend_from_slice(b"6:target20:");
            out.extend_from_slice(target.as_bytes());
            out.extend_from_slice(b"e1:q3:get");
        }
        Ask::Put(fields) => put(out, fields),
        Ask::AnnouncePeer { info_hash, port, seed, token } => {
            // implied_port is left out: the port of the client is not the port of this socket.
            out.extend_from_slice(b"9:info_hash20:");
            out.extend_from_slice(info_hash.as_bytes());
            out.extend_from_slice(b"4:port");
            integer(out, i64::from(*port));
            if *seed {
                out.extend_from_slice(b"4:seedi1e");
            }
            out.extend_from_slice(b"5:token");
            string(out, token);
            out.extend_from_slice(b"e1:q13:announce_peer");
        }
    }
    if read_only {
        out.extend_from_slice(b"2:roi1e");
    }
    end(out, &transaction, b'q');
}

fn put(out: &mut Vec<u8>, fields: &PutFields<'_>) {
    if let Some(Signed { key, salt, seq, signature }) = fields.signed {
        out.extend_from_slice(b"1:k");
        string(out, key);
        if !salt.is_empty() {
            out.extend_from_slice(b"4:salt");
            string(out, salt);
        }
        out.extend_from_slice(b"3:seq");
        integer(out, seq);
        out.extend_from_slice(b"3:sig");
        string(out, signature);
    }
    out.extend_from_slice(b"5:token");
    string(out, fields.token);
    out.extend_from_slice(b"1:v");
    out.extend_from_slice(fields.value);
    out.extend_from_slice(b"e1:q3:put");
}

/// Appends an error in answer to a query from `to`.
pub fn error(out: &mut Vec<u8>, transaction: &[u8], to: &SocketAddr, fault: Fault) {
    out.extend_from_slice(b"d1:el");
    integer(out, fault.code());
    string(out, fault.text().as_bytes());
    out.push(b'e');
    external(out, to);
    end(out, transaction, b'e');
}

/// The filters of a swarm that we have (BEP 33): both, even if one is empty.
#[derive(Clone, Copy, Debug)]
pub struct ReplyFilters<'a> {
    /// Peers that have the whole torrent.
    pub seeds: &'a [u8; FILTER_LEN],
    /// The other peers.
    pub peers: &'a [u8; FILTER_LEN],
}

/// A response being written: its methods are called in the order of the keys, each at most once, `end` last.
///
/// Invariant: the datagram never exceeds [`MAX_DATAGRAM`]. The envelope has at most 103 bytes, contacts of both
/// families 537. What is as large as filters or samples is announced with [`reserve`](Self::reserve) before it is
/// written; [`contacts`](Self::contacts) writes fewer where they do not fit, and for [`values`](Self::values) one asks.
#[derive(Debug)]
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    transaction: &'a [u8],
    reserved: usize,
    most: usize,
}

impl<'a> Reply<'a> {
    /// Begins the response of the node `own` to a query from `to`.
    pub fn begin(out: &'a mut Vec<u8>, own: &NodeId, to: &SocketAddr, transaction: &'a [u8]) -> Self {
        Self::begin_scrape(out, own, to, transaction, None)
    }

    /// Begins the same, with the filters of a swarm (BEP 33); their keys come before all others.
    pub fn begin_scrape(
        out: &'a mut Vec<u8>,
        own: &NodeId,
        to: &SocketAddr,
        transaction: &'a [u8],
        filters: Option<ReplyFilters<'_>>,
    ) -> Self {
        let start = out.len();
        out.push(b'd');
        external(out, to);
        out.extend_from_slice(b"1:rd");
        if let Some(filters) = filters {
            out.extend_from_slice(b"4:BFpe256:");
            out.extend_from_slice(filters.peers);
            out.extend_from_slice(b"4:BFsd256:");
            out.extend_from_slice(filters.seeds);
        }
        out.extend_from_slice(b"2:id20:");
        out.extend_from_slice(own.as_bytes());
        Self { out, start, transaction, reserved: 0, most: MAX_DATAGRAM }
    }

    /// Bounds the datagram by `bytes`, beyond which only the envelope and a token are written. Called before anything else.
    pub fn limit(&mut self, bytes: usize) {
        let least = self.out.len() - self.start + 1 + tail_len(self.transaction) + TOKEN_ENTRY_LEN;
        self.most = self.most.min(bytes).max(least);
    }

    /// Whether less than a usual datagram may be written.
    #[must_use]
    pub const fn is_limited(&self) -> bool {
        self.most < MAX_DATAGRAM
    }

    /// Keeps `bytes` free for what is written after the contacts.
    pub const fn reserve(&mut self, bytes: usize) {
        self.reserved = bytes;
    }

    /// Bytes that are neither used nor reserved.
    fn room(&self) -> usize {
        let used = self.out.len() - self.start + 1 + tail_len(self.transaction) + self.reserved;
        self.most.saturating_sub(used)
    }

    /// `nodes` or `nodes6`: contacts, all of `family`, as many as leave room for a token. IPv4 comes before IPv6.
    pub fn contacts<'c>(&mut self, family: Family, contacts: impl ExactSizeIterator<Item = &'c Contact>) {
        let Some(room) = self.room().checked_sub(CONTACTS_KEY_LEN + TOKEN_ENTRY_LEN) else { return };
        let contacts = contacts.take(room / family.contact_len());
        self.out.extend_from_slice(match family {
            Family::V4 => b"5:nodes",
            Family::V6 => b"6:nodes6",
        });
        length(self.out, contacts.len() * family.contact_len());
        contacts.for_each(|contact| contact.encode(self.out));
    }

    /// `token`: the permission to announce.
    pub fn token(&mut self, token: &[u8]) {
        self.out.extend_from_slice(b"5:token");
        string(self.out, token);
    }

    /// Whether an item fits, with a token beside it. One that is not limited has room for any.
    #[must_use]
    pub fn has_room_for_item(&self, fields: &ItemFields<'_>) -> bool {
        let key = fields.key.map_or(0, |key| b"1:k32:".len() + key.len());
        let value = fields.value.map_or(0, |value| b"1:v".len() + value.len());
        !self.is_limited() || self.room() >= key + SIGNED_LEN + value + TOKEN_ENTRY_LEN
    }

    /// An item, a token, and between them what `contacts` writes (BEP 44). Where there is a value, the datagram may be
    /// as large as [`max_item_datagram`].
    pub fn item(&mut self, family: Family, fields: &ItemFields<'_>, token: &[u8], contacts: impl FnOnce(&mut Self)) {
        if let Some(key) = fields.key {
            self.out.extend_from_slice(b"1:k");
            string(self.out, key);
        }
        if fields.value.is_some() && !self.is_limited() {
            self.most = max_item_datagram(family);
        }
        self.reserve(SIGNED_LEN + fields.value.map_or(0, |value| b"1:v".len() + value.len()));
        contacts(self);
        if let Some(seq) = fields.seq {
            self.out.extend_from_slice(b"3:seq");
            integer(self.out, seq);
        }
        if let Some(signature) = fields.signature {
            self.out.extend_from_slice(b"3:sig");
            string(self.out, signature);
        }
        self.token(token);
        if let Some(value) = fields.value {
            self.out.extend_from_slice(b"1:v");
            self.out.extend_from_slice(value);
        }
    }

    /// How many peers of `family` still fit.
    #[must_use]
    pub fn room_for_values(&self, family: Family) -> usize {
        self.room().saturating_sub(b"6:valuesle".len()) / value_len(family)
    }

    /// `values`: compact peers, all of `family`; no more than [`room_for_values`](Self::room_for_values).
    pub fn values<'p>(&mut self, family: Family, peers: impl Iterator<Item = &'p [u8]>) {
        self.out.extend_from_slice(b"6:valuesl");
        match family {
            Family::V4 => values::<8>(self.out, b"6:", peers),
            Family::V6 => values::<21>(self.out, b"18:", peers),
        }
        self.out.push(b'e');
    }

    /// `interval`: for how many seconds there is nothing new (BEP 51).
    pub fn interval(&mut self, seconds: u32) {
        self.out.extend_from_slice(b"8:interval");
        integer(self.out, i64::from(seconds));
    }

    /// `num` and `samples`: how many infohashes there are, and some of them (BEP 51), as many as there is room for; nothing
    /// where there is none.
    pub fn samples(&mut self, total: u64, samples: &[InfoHash]) {
        // What was kept free was for these.
        self.reserved = 0;
        let Some(room) = self.room().checked_sub(samples_len(0)) else { return };
        let samples = &samples[..samples.len().min(room / Id::LEN)];
        self.out.extend_from_slice(b"3:num");
        integer(self.out, total.min(i64::MAX as u64) as i64);
        self.out.extend_from_slice(b"7:samples");
        length(self.out, samples.len() * Id::LEN);
        samples.iter().for_each(|sample| self.out.extend_from_slice(sample.as_bytes()));
    }

    /// Ends the datagram.
    pub fn end(self) {
        self.out.push(b'e');
        end(self.out, self.transaction, b'r');
        debug_assert!(self.out.len() - self.start <= self.most, "a response exceeds its cap");
    }
}

/// Appends peers, each `VALUE` bytes with its length `prefix`. They are by far the most strings that a node writes, so
/// each is put together in a piece whose size the compiler knows.
fn values<'p, const VALUE: usize>(out: &mut Vec<u8>, prefix: &[u8], peers: impl Iterator<Item = &'p [u8]>) {
    let mut value = [0; VALUE];
    value[..prefix.len()].copy_from_slice(prefix);
    for peer in peers {
        value[prefix.len()..].copy_from_slice(peer);
        out.extend_from_slice(&value);
    }
}

/// Bytes of the key of contacts and of their length, at most.
const CONTACTS_KEY_LEN: usize = b"6:nodes6000:".len();
/// Bytes of a token of ours, which has eight, and its key.
const TOKEN_ENTRY_LEN: usize = b"5:token8:".len() + 8;

/// Bytes of `seq` and `sig`, at most.
const SIGNED_LEN: usize = b"3:seqi9223372036854775807e3:sig64:".len() + 64;

/// Bytes that [`Reply::samples`] writes for `count` samples, at most.
#[must_use]
pub const fn samples_len(count: usize) -> usize {
    b"3:numi9223372036854775807e7:samples0000:".len() + count * Id::LEN
}

/// Bytes that [`Reply::values`] writes for `count` peers.
#[must_use]
pub const fn values_len(family: Family, count: usize) -> usize {
    b"6:valuesle".len() + count * value_len(family)
}

/// Bytes of one peer in `values`, its length prefix included.
const fn value_len(family: Family) -> usize {
    match family {
        Family::V4 => 2 + 6,
        Family::V6 => 3 + 18,
    }
}

/// `ip`: the address that we see the other side at (BEP 42).
fn external(out: &mut Vec<u8>, to: &SocketAddr) {
    out.extend_from_slice(b"2:ip");
    string(out, CompactAddr::new(to).as_bytes());
}

fn end(out: &mut Vec<u8>, transaction: &[u8], kind: u8) {
    out.extend_from_slice(b"1:t");
    string(out, transaction);
    out.extend_from_slice(b"1:v4:");
    out.extend_from_slice(&VERSION);
    out.extend_from_slice(&[b'1', b':', b'y', b'1', b':', kind, b'e']);
}

/// Bytes that [`end`] appends.
const fn tail_len(transaction: &[u8]) -> usize {
    let length_prefix = if transaction.len() < 10 { 2 } else { 3 };
    3 + length_prefix + transaction.len() + 5 + VERSION.len() + 7
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, MAX_TRANSACTION, Message, Method};
    use super::*;
    use crate::engine::random::Random;
    use bendy::encoding::{AsString, SingleItemEncoder, ToBencode};
    use proptest::prelude::*;

    const OWN: NodeId = NodeId::new(*b"abcdefghij0123456789");
    const TARGET: Id = Id(*b"mnopqrstuvwxyz123456");

    type Entry<'a> = (&'a str, &'a dyn Fn(SingleItemEncoder<'_>));

    /// The same dict by bendy, which sorts keys and refuses duplicates.
    fn by_bendy(entries: &[Entry<'_>]) -> Vec<u8> {
        let mut encoder = bendy::encoding::Encoder::new();
        encoder
            .emit_and_sort_dict(|dict| {
                for (key, value) in entries {
                    dict.emit_pair_with(key.as_bytes(), |item| {
                        value(item);
                        Ok(())
                    })?;
                }
                Ok(())
            })
            .expect("a dict");
        encoder.get_output().expect("whole")
    }

    fn text(bytes: &'static [u8]) -> impl Fn(SingleItemEncoder<'_>) {
        move |item| item.emit_bytes(bytes).expect("a string")
    }

    #[test]
    fn queries_equal_bendys_encoding() {
        let signed = Signed { key: &[1; 32], salt: b"salt", seq: 4, signature: &[2; 64] };
        let immutable = PutFields { token: b"aoeusnth", value: b"12:Hello World!", signed: None, cas: None };
        let asks: [(Ask<'_>, &'static str); 9] = [
            (Ask::Ping, "ping"),
            (Ask::FindNode(Target(TARGET)), "find_node"),
            (Ask::GetPeers(InfoHash(TARGET)), "get_peers"),
            (Ask::Scrape(InfoHash(TARGET)), "get_peers"),
            (Ask::SampleInfohashes(Target(TARGET)), "sample_infohashes"),
            (Ask::Get(Target(TARGET)), "get"),
            (Ask::Put(immutable), "put"),
            (Ask::Put(PutFields { signed: Some(signed), cas: Some(3), ..immutable }), "put"),
            (
                Ask::AnnouncePeer { info_hash: InfoHash(TARGET), port: 6881, seed: true, token: b"aoeusnth" },
                "announce_peer",
            ),
        ];
        for (ask, name) in asks {
            for read_only in [false, true] {
                let mut out = Vec::new();
                query(&mut out, *b"tttt", &OWN, read_only, &ask);
                let arguments = |item: SingleItemEncoder<'_>| {
                    item.emit_unsorted_dict(|dict| {
                        dict.emit_pair(b"id", AsString(*OWN.as_bytes()))?;
                        match ask {
                            Ask::Ping => Ok(()),
                            Ask::FindNode(target) | Ask::SampleInfohashes(target) | Ask::Get(target) => {
                                dict.emit_pair(b"target", AsString(target.as_bytes()))
                            }
                            Ask::Put(PutFields { token, value, signed, cas }) => {
                                dict.emit_pair(b"token", AsString(token))?;
                                dict.emit_pair_with(b"v", |item| item.emit(&AsString(&value[3..])))?;
                                let Some(signed) = signed else { return Ok(()) };
                                dict.emit_pair(b"cas", cas.expect("with the signed one"))?;
                                dict.emit_pair(b"k", AsString(signed.key))?;
                                dict.emit_pair(b"salt", AsString(signed.salt))?;
                                dict.emit_pair(b"seq", signed.seq)?;
                                dict.emit_pair(b"sig", AsString(signed.signature))
                            }
                            Ask::Scrape(info_hash) => {
                                dict.emit_pair(b"info_hash", AsString(info_hash.as_bytes()))?;
                                dict.emit_pair(b"scrape", 1)
                            }
                            Ask::GetPeers(info_hash) => dict.emit_pair(b"info_hash", AsString(info_hash.as_bytes())),
                            Ask::AnnouncePeer { info_hash, port, token, .. } => {
                                dict.emit_pair(b"info_hash", AsString(info_hash.as_bytes()))?;
                                dict.emit_pair(b"port", port)?;
                                dict.emit_pair(b"seed", 1)?;
                                dict.emit_pair(b"token", AsString(token))
                            }
                        }
                    })
                    .expect("arguments");
                };
                let (method, transaction, kind) = (text(name.as_bytes()), text(b"tttt"), text(b"q"));
                let version = text(&VERSION);
                let one = |item: SingleItemEncoder<'_>| item.emit(&1).expect("one");
                let mut entries: Vec<Entry<'_>> =
                    vec![("a", &arguments), ("q", &method), ("t", &transaction), ("v", &version), ("y", &kind)];
                if read_only {
                    entries.push(("ro", &one));
                }
                assert_eq!(out, by_bendy(&entries), "{name}");
            }
        }
    }

    #[test]
    fn queries_read_back() {
        let mut out = Vec::new();
        query(
            &mut out,
            *b"tttt",
            &OWN,
            true,
            &Ask::AnnouncePeer { info_hash: InfoHash(TARGET), port: 1, seed: false, token: b"x" },
        );
        let Kind::Query(query) = Message::decode(&out).expect("a message").kind else { panic!("no query") };
        assert!(query.read_only);
        assert_eq!(
            query.method,
            Method::AnnouncePeer { info_hash: InfoHash(TARGET), port: Some(1), seed: false, token: b"x" }
        );
    }

    #[test]
    fn sizes_are_those_of_the_budget() {
        let to: SocketAddr = "1.2.3.4:5".parse().unwrap();
        let mut out = Vec::new();
        query(&mut out, *b"tttt", &OWN, false, &Ask::Ping);
        assert_eq!(out.len(), 67);
        let contact = Contact { id: OWN, addr: to };
        let mut out = Vec::new();
        let mut response = Reply::begin(&mut out, &OWN, &to, b"tttt");
        response.contacts(Family::V4, [contact; 8].iter());
        response.token(&[0; 8]);
        assert_eq!(response.room_for_values(Family::V4), 88);
        response.end();
        assert_eq!(out.len(), 306);
    }

    fn contact(family: Family, seed: u8) -> Contact {
        let addr = match family {
            Family::V4 => SocketAddr::from(([1, 2, 3, seed], 6881)),
            Family::V6 => SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(seed)], 6881)),
        };
        Contact { id: NodeId(Random::new([seed; 32]).wire_id()), addr }
    }

    proptest! {
        #[test]
        fn no_response_exceeds_its_cap_and_bendy_reads_it(
            transaction in prop::collection::vec(any::<u8>(), 1..=MAX_TRANSACTION),
            counts in (0usize..=8, 0usize..=8),
            with_token in any::<bool>(),
            transport_is_v6 in any::<bool>(),
            wanted_values in 0usize..200,
        ) {
            let family = if transport_is_v6 { Family::V6 } else { Family::V4 };
            let mut out = vec![0xff; 3];
            let to = contact(family, 9).addr;
            let mut response = Reply::begin(&mut out, &OWN, &to, &transaction);
            let (v4, v6): (Vec<_>, Vec<_>) =
                ((0..8).map(|i| contact(Family::V4, i)).collect(), (0..8).map(|i| contact(Family::V6, i)).collect());
            response.contacts(Family::V4, v4[..counts.0].iter());
            response.contacts(Family::V6, v6[..counts.1].iter());
            if with_token {
                response.token(&[1; 8]);
            }
            let room = response.room_for_values(family);
            let peer = CompactAddr::new(&to);
            response.values(family, std::iter::repeat_n(peer.as_bytes(), wanted_values.min(room)));
            response.end();
            let datagram = &out[3..];
            prop_assert!(datagram.len() <= MAX_DATAGRAM);
            if wanted_values > room {
                prop_assert!(datagram.len() + value_len(family) > MAX_DATAGRAM, "room is left unused");
            }
            let mut decoder = bendy::decoding::Decoder::new(datagram);
            prop_assert!(decoder.next_object().is_ok_and(|object| object.is_some_and(
                |object| object.try_into_dictionary().and_then(|dict| dict.into_raw()).is_ok_and(|raw| raw == datagram)
            )), "bendy refuses our response");
            let message = Message::decode(datagram).expect("a message");
            let Kind::Response(read) = message.kind else { panic!("no response") };
            prop_assert_eq!(message.external, Some(to));
            prop_assert_eq!(read.contacts(Family::V4).collect::<Vec<_>>(), &v4[..counts.0]);
            prop_assert_eq!(read.contacts(Family::V6).collect::<Vec<_>>(), &v6[..counts.1]);
            prop_assert_eq!(read.values.iter().count(), wanted_values.min(room));
        }

        #[test]
        fn filters_and_samples_push_out_contacts_not_the_cap(
            transaction in prop::collection::vec(any::<u8>(), 1..=MAX_TRANSACTION),
            with_filters in any::<bool>(),
            samples in 0usize..=20,
        ) {
            let (mut out, to) = (Vec::new(), contact(Family::V6, 9).addr);
            let filters = ReplyFilters { seeds: &[1; FILTER_LEN], peers: &[2; FILTER_LEN] };
            let (filters, samples) = if with_filters { (Some(filters), 0) } else { (None, samples) };
            let mut response = Reply::begin_scrape(&mut out, &OWN, &to, &transaction, filters);
            response.interval(21_600);
            response.reserve(samples_len(samples));
            response.contacts(Family::V4, [contact(Family::V4, 1); 8].iter());
            response.contacts(Family::V6, [contact(Family::V6, 1); 8].iter());
            response.samples(u64::MAX, &vec![InfoHash(TARGET); samples]);
            response.end();
            prop_assert!(out.len() <= MAX_DATAGRAM);
            prop_assert!(bendy::decoding::Decoder::new(&out).next_object().is_ok());
            let Kind::Response(read) = Message::decode(&out).expect("a message").kind else { panic!("no response") };
            prop_assert_eq!(read.filters.seeds.is_some(), with_filters);
            prop_assert_eq!(read.samples.map(|read| read.iter().count()), Some(samples));
            prop_assert_eq!(read.contacts(Family::V4).count(), 8);
        }

        #[test]
        fn items_leave_room_for_as_many_contacts_as_fit(
            transaction in prop::collection::vec(any::<u8>(), 1..=MAX_TRANSACTION),
            length in 0usize..=996,
            seq in prop::option::of(0..=i64::MAX),
            transport_is_v6 in any::<bool>(),
        ) {
            let family = if transport_is_v6 { Family::V6 } else { Family::V4 };
            let (mut out, to) = (Vec::new(), contact(family, 9).addr);
            let mut value = Vec::new();
            string(&mut value, &vec![b'x'; length]);
            let signed = seq.map(|_| (&[1; 32][..], &[2; 64][..]));
            let fields = ItemFields {
                value: Some(&value),
                key: signed.map(|(key, _)| key),
                seq,
                signature: signed.map(|(_, signature)| signature),
            };
            let mut response = Reply::begin(&mut out, &OWN, &to, &transaction);
            response.item(family, &fields, &[7; 8], |response| {
                response.contacts(Family::V4, [contact(Family::V4, 1); 8].iter());
                response.contacts(Family::V6, [contact(Family::V6, 1); 8].iter());
            });
            response.end();
            prop_assert!(out.len() <= max_item_datagram(family));
            prop_assert!(bendy::decoding::Decoder::new(&out).next_object().is_ok());
            let message = Message::decode(&out).expect("a message");
            prop_assert!(!message.irregular);
            let Kind::Response(read) = message.kind else { panic!("no response") };
            prop_assert_eq!((read.item, read.token), (fields, Some(&[7; 8][..])));
            if family == Family::V4 && transaction.len() <= 4 {
                prop_assert_eq!(read.contacts(Family::V4).count(), 8, "the largest item and 8 contacts fit");
            }
        }

        #[test]
        fn errors_read_back(transaction in prop::collection::vec(any::<u8>(), 1..=MAX_TRANSACTION)) {
            let mut out = Vec::new();
            error(&mut out, &transaction, &contact(Family::V4, 1).addr, Fault::UnknownMethod);
            let message = Message::decode(&out).expect("a message");
            prop_assert_eq!((message.kind, message.transaction), (Kind::Error(204), &transaction[..]));
            prop_assert_eq!(AsString(&out).to_bencode().is_ok(), true);
        }
    }
}
