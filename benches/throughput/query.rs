//! What is asked, and what counts as an answer.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use trackerless::engine::id::{Id, NodeId};
use trackerless::engine::krpc::{Kind, Message};

/// Addresses that ask, each in a /24 of its own.
pub const SOURCES: usize = 1000;
/// Peers announced per infohash: a reply of 50 values, from every server that can.
pub const PEERS: usize = 50;

/// The address of source `index`.
pub fn source_ip(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 10 + (index / 250) as u8, (index % 250) as u8, 9)
}

/// The source at `ip`.
pub fn source_index(ip: Ipv4Addr) -> Option<usize> {
    let [_, b, c, _] = ip.octets();
    let index = usize::from(b.checked_sub(10)?) * 250 + usize::from(c);
    (source_ip(index) == ip && index < SOURCES).then_some(index)
}

/// A generator of numbers that look random and repeat in every run (splitmix64).
#[derive(Clone)]
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (((self.next() >> 32) * bound as u64) >> 32) as usize
    }
}

/// The id or infohash number `index` of a kind.
pub fn id(kind: u64, index: u64) -> Id {
    let mut numbers = Numbers(kind << 48 ^ index);
    let mut bytes = [0; 20];
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&numbers.next().to_le_bytes()[..chunk.len()]);
    }
    Id(bytes)
}

/// The id of the node at source `index`.
pub fn source_id(index: usize) -> NodeId {
    NodeId(id(1, index as u64))
}

/// Stored infohash number `index`.
pub fn info_hash(index: usize) -> Id {
    id(2, index as u64)
}

/// A query of constant length: a template in which a few fields are replaced.
#[derive(Clone)]
pub struct Template {
    bytes: Vec<u8>,
    target_at: usize,
    transaction_at: usize,
    token_at: usize,
    token_len: usize,
}

/// Every template begins so; the id of the querier follows.
const HEAD: &[u8] = b"d1:ad2:id20:";

impl Template {
    pub fn ping() -> Self {
        Self::new(&[], b"", 0, b"4:ping")
    }

    pub fn find_node() -> Self {
        Self::new(b"6:target20:", b"", 0, b"9:find_node")
    }

    pub fn get_peers() -> Self {
        Self::new(b"9:info_hash20:", b"", 0, b"9:get_peers")
    }

    /// `seed` is left out: some servers do not know it.
    pub fn announce(token_len: usize) -> Self {
        let port = format!("4:porti6881e5:token{token_len}:");
        Self::new(b"9:info_hash20:", port.as_bytes(), token_len, b"13:announce_peer")
    }

    fn new(target_key: &[u8], token_key: &[u8], token_len: usize, method: &[u8]) -> Self {
        let mut bytes = [HEAD, &[0; 20], target_key].concat();
        let target_at = bytes.len();
        if !target_key.is_empty() {
            bytes.extend_from_slice(&[0; 20]);
        }
        bytes.extend_from_slice(token_key);
        let token_at = bytes.len();
        bytes.resize(token_at + token_len, 0);
        bytes.extend_from_slice(b"e1:q");
        bytes.extend_from_slice(method);
        bytes.extend_from_slice(b"1:t4:");
        let transaction_at = bytes.len();
        bytes.extend_from_slice(b"\0\0\0\x001:y1:qe");
        Self { bytes, target_at, transaction_at, token_at, token_len }
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn write(&self, out: &mut [u8], transaction: [u8; 4], own: &NodeId, target: Option<&Id>, token: &[u8]) {
        out.copy_from_slice(&self.bytes);
        out[HEAD.len()..HEAD.len() + 20].copy_from_slice(own.as_bytes());
        if let Some(target) = target {
            out[self.target_at..self.target_at + 20].copy_from_slice(&target.0);
        }
        out[self.token_at..self.token_at + self.token_len].copy_from_slice(token);
        out[self.transaction_at..self.transaction_at + 4].copy_from_slice(&transaction);
    }

    /// The transaction of a query or of an echo of one.
    pub fn transaction(&self, echoed: &[u8]) -> Option<[u8; 4]> {
        echoed.get(self.transaction_at..self.transaction_at + 4)?.try_into().ok()
    }
}

/// What a reply held: the figures that must be the same for every reply of a scenario.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Shape {
    pub bytes: usize,
    pub contacts: usize,
    pub values: usize,
    pub token_bytes: usize,
}

/// A reply that was understood.
pub struct Reply<'a> {
    pub transaction: [u8; 4],
    pub id: NodeId,
    pub token: &'a [u8],
    pub shape: Shape,
}

/// Every peer that was announced is one of the sources, at this port.
fn is_announced(peer: &SocketAddr) -> bool {
    matches!(peer.ip(), IpAddr::V4(ip) if ip.octets()[0] == 127 && ip.octets()[3] == 9) && peer.port() == 6881
}

/// Reads a reply to one of our queries; `None` for queries and for everything that is wrong in itself. An error is a
/// reply whose id and shape are empty, and so never the right one.
pub fn read(bytes: &[u8]) -> Option<Reply<'_>> {
    let message = Message::decode(bytes).ok()?;
    let transaction = message.transaction.try_into().ok()?;
    let response = match message.kind {
        Kind::Response(response) => response,
        Kind::Error(_) => return Some(Reply { transaction, id: NodeId::ZERO, token: &[], shape: Shape::default() }),
        _ => return None,
    };
    let values = response.values.iter().filter(is_announced).count();
    let token = response.token.unwrap_or_default();
    let contacts = response.nodes.len() / 26;
    let shape = Shape { bytes: bytes.len(), contacts, values, token_bytes: token.len() };
    Some(Reply { transaction, id: response.id, token, shape })
}
