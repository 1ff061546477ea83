//! KRPC: bytes to messages and back (BEP 5, KRPC Protocol; BEP 32, 33, 42, 43, 44, 51).
//!
//! A datagram is one dict: `t` transaction, `y` kind, and `q` + `a` (query), `r` (response) or `e` (error); `v`, `ip`
//! and `ro` are optional. [`Message::decode`] reads it in one pass and borrows everything; [`encode`] writes ours.
//!
//! Three outcomes, because they are treated differently: a message; a query whose arguments are wrong, which is
//! answered with an error; and anything else, which is never answered (a reply to garbage is a gift to the one who forged
//! its source address).

mod decode;
pub mod encode;

use std::net::SocketAddr;

use super::contact::{Contact, Family, decode_addr};
use super::id::{Id, InfoHash, NodeId, Target};

pub use super::limits::{MAX_CONTACTS, MAX_TOKEN, MAX_TRANSACTION};
pub use decode::NotAMessage;

/// Bytes of a filter of a swarm (BEP 33).
pub const FILTER_LEN: usize = 256;
/// The longest time, in seconds, that a node may ask not to be sampled again (BEP 51: six hours).
pub const MAX_SAMPLE_INTERVAL: u32 = 21_600;

/// A well-formed datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// `t`: chosen by the querier, echoed by the responder; 1 to [`MAX_TRANSACTION`] bytes.
    pub transaction: &'a [u8],
    /// `v`: client and version, usually two letters and two bytes (BEP 20). Not to be relied on.
    pub version: Option<&'a [u8]>,
    /// `ip`: the address that the sender saw our query come from (BEP 42).
    pub external: Option<SocketAddr>,
    /// What it says.
    pub kind: Kind<'a>,
    /// Unsorted or duplicate keys, or trailing bytes: accepted, counted.
    pub irregular: bool,
}

/// The three kinds of messages, and the query that cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// `y` = `q`
    Query(Query<'a>),
    /// A query with wrong arguments: to be answered with this error.
    Refused(Fault),
    /// `y` = `r`
    Response(Response<'a>),
    /// `y` = `e`: the code; 201 when it has none.
    Error(i64),
}

/// A query and who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// `a.id`: the id that the querier claims.
    pub id: NodeId,
    /// `ro`: the querier answers no queries and must not enter a table (BEP 43).
    pub read_only: bool,
    /// What it asks.
    pub method: Method<'a>,
}

/// `q` and its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method<'a> {
    /// Are you there?
    Ping,
    /// The contacts closest to `target`. Unknown methods that name a target or infohash are read as this, as
    /// libtorrent and mldht do, so that extensions can be routed through nodes that do not know them.
    FindNode {
        /// The point in the key space.
        target: Target,
        /// The wanted families.
        want: Want,
    },
    /// Peers of a swarm, contacts closest to it, and a token.
    GetPeers {
        /// The swarm.
        info_hash: InfoHash,
        /// The wanted families of contacts. The family of peers is that of the transport (BEP 32).
        want: Want,
        /// Prefer peers that are not seeds (BEP 33).
        noseed: bool,
        /// Send filters of all seeds and peers (BEP 33).
        scrape: bool,
    },
    /// The sender of this datagram takes part in a swarm.
    AnnouncePeer {
        /// The swarm.
        info_hash: InfoHash,
        /// The peer's port, `None` for "the source port of this datagram" (`implied_port`).
        port: Option<u16>,
        /// It has the whole torrent (BEP 33).
        seed: bool,
        /// What an earlier `get_peers` response gave to the same address.
        token: &'a [u8],
    },
    /// Some infohashes of swarms that the node stores, and contacts closest to `target` (BEP 51).
    SampleInfohashes {
        /// The point in the key space.
        target: Target,
        /// The wanted families of contacts.
        want: Want,
    },
    /// An item, contacts closest to it, and a token (BEP 44).
    Get {
        /// The item.
        target: Target,
        /// A value of this sequence number is known to the asker, who wants only newer ones.
        seq: Option<i64>,
        /// The wanted families of contacts.
        want: Want,
    },
    /// An item to be stored (BEP 44).
    Put(Put<'a>),
}

/// The arguments of a put (BEP 44), as they came: neither form nor signature is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put<'a> {
    /// What an earlier `get` response gave to the same address.
    pub token: &'a [u8],
    /// `v`: bencode of any kind.
    pub value: &'a [u8],
    /// `k`: the owner's public key; `None` for an immutable item.
    pub key: Option<&'a [u8]>,
    /// `salt`; empty when absent.
    pub salt: &'a [u8],
    /// `seq`
    pub seq: Option<i64>,
    /// `sig`
    pub signature: Option<&'a [u8]>,
    /// The sequence number that the stored item must have.
    pub cas: Option<i64>,
}

/// Which families of contacts a response should hold (BEP 32). Absent, of the wrong type, or naming no family that we
/// know: the family of the transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// `n4`
    pub v4: bool,
    /// `n6`
    pub v6: bool,
}

impl Want {
    /// Whether contacts of `family` are wanted in a response over `transport`.
    #[must_use]
    pub fn includes(self, family: Family, transport: Family) -> bool {
        match (self.v4 || self.v6, family) {
            (false, family) => family == transport,
            (true, Family::V4) => self.v4,
            (true, Family::V6) => self.v6,
        }
    }
}

/// Everything that a response may carry; which fields matter depends on the query that it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// `r.id`: the id that the responder claims.
    pub id: NodeId,
    /// `r.token`, if it is of a length that we keep. Without it the node accepts no announce for this key.
    pub token: Option<&'a [u8]>,
    /// `r.nodes`: compact IPv4 contacts, any number of bytes.
    pub nodes: &'a [u8],
    /// `r.nodes6`: compact IPv6 contacts, any number of bytes.
    pub nodes6: &'a [u8],
    /// `r.values`: the peers.
    pub values: Values<'a>,
    /// `r.BFsd` and `r.BFpe`, where they are of the right length (BEP 33). Either may be missing.
    pub filters: Filters<'a>,
    /// `r.samples` and what goes with it (BEP 51).
    pub samples: Option<Samples<'a>>,
    /// What there is of an item (BEP 44).
    pub item: ItemFields<'a>,
}

/// The parts of an item in a response, as they came: nothing is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ItemFields<'a> {
    /// `r.v`: bencode of any kind.
    pub value: Option<&'a [u8]>,
    /// `r.k`: the owner's public key.
    pub key: Option<&'a [u8]>,
    /// `r.seq`
    pub seq: Option<i64>,
    /// `r.sig`
    pub signature: Option<&'a [u8]>,
}

/// The filters of a response (BEP 33).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filters<'a> {
    /// `BFsd`, seeds. mldht calls it `BFse`, against the BEP; both are read.
    pub seeds: Option<&'a [u8; FILTER_LEN]>,
    /// `BFpe`, peers that are not seeds.
    pub peers: Option<&'a [u8; FILTER_LEN]>,
}

/// What a node says of its swarms (BEP 51).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Samples<'a> {
    /// Infohashes of 20 bytes each, a random subset.
    infohashes: &'a [u8],
    /// How many it has in all.
    pub total: u64,
    /// Seconds before which there is nothing new: at most [`MAX_SAMPLE_INTERVAL`].
    pub interval: u32,
}

impl<'a> Samples<'a> {
    /// The infohashes.
    pub fn iter(&self) -> impl Iterator<Item = InfoHash> + use<'a> {
        self.infohashes.chunks_exact(Id::LEN).filter_map(Id::from_bytes).map(InfoHash)
    }
}

impl<'a> Response<'a> {
    /// The contacts of `family`, at most [`MAX_CONTACTS`].
    pub fn contacts(&self, family: Family) -> impl Iterator<Item = Contact> + use<'a> {
        let bytes = match family {
            Family::V4 => self.nodes,
            Family::V6 => self.nodes6,
        };
        bytes.chunks_exact(family.contact_len()).take(MAX_CONTACTS).filter_map(Contact::decode)
    }
}

/// The peers of a response: a list of strings of 6 or 18 bytes, and, from ancient clients, one string of many 6-byte
/// peers (which libtorrent still reads too). Strings of other lengths are skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Values<'a> {
    /// The elements of the list as they stand in the datagram, checked once by the scanner.
    list: &'a [u8],
}

impl<'a> Values<'a> {
    /// Whether the list has no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The peers.
    pub fn iter(&self) -> impl Iterator<Item = SocketAddr> + use<'a> {
        let mut rest = super::bencode::scan::Scanner::new(self.list);
        std::iter::from_fn(move || if rest.rest().is_empty() { None } else { rest.string_if_any().ok() })
            .flatten()
            .flat_map(|string| {
                let packed = string.len() % 6 == 0 && string.len() != 18;
                string.chunks(if packed { 6 } else { string.len().max(1) })
            })
            .filter_map(decode_addr)
    }
}

/// Why a query is refused: the codes of BEP 5, Errors, and of BEP 44, Errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 203: a missing or wrong argument, named.
    Argument(&'static str),
    /// 203: a token that this node did not give, or too long ago.
    Token,
    /// 204: a method that is unknown and names no target.
    UnknownMethod,
    /// 202: no room for an item, or for the swarm of an announce.
    NoRoom,
    /// 205: a value of more than 1,000 bytes.
    ValueTooBig,
    /// 206: a signature that does not fit.
    Signature,
    /// 207: a salt of more than 64 bytes.
    SaltTooBig,
    /// 301: the stored item has another sequence number than `cas`.
    Cas,
    /// 302: the stored item is newer.
    OldSeq,
}

impl Fault {
    /// The error code.
    #[must_use]
    pub const fn code(self) -> i64 {
        match self {
            Self::Argument(_) | Self::Token => 203,
            Self::UnknownMethod => 204,
            Self::NoRoom => 202,
            Self::ValueTooBig => 205,
            Self::Signature => 206,
            Self::SaltTooBig => 207,
            Self::Cas => 301,
            Self::OldSeq => 302,
        }
    }

    /// The text that goes with it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Argument(text) => text,
            Self::Token => "token is not valid for this address and target; ask get_peers or get again",
            Self::UnknownMethod => "unknown method",
            Self::NoRoom => "no room for something so far from this node; try nodes closer to its target",
            Self::ValueTooBig => "a.v must have at most 1000 bytes",
            Self::Signature => "a.sig is not the signature of salt, seq and v by a.k",
            Self::SaltTooBig => "a.salt must have at most 64 bytes",
            Self::Cas => "a.cas is not the stored seq; get the item again",
            Self::OldSeq => "a.seq must be greater than the stored one; get the item again",
        }
    }
}
