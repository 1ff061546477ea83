//! Chord's messages as bytes: a kind, a transaction, a point or not, and a list of peers.

use std::net::SocketAddr;

use crate::engine::contact::{CompactAddr, decode_addr};

/// A node: its point on the ring and its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where on the ring.
    pub point: u64,
    /// Where on the network.
    pub addr: SocketAddr,
}

/// What Chord nodes say to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// Which node is next on the way to this point?
    WhoIsNext { transaction: u32, point: u64 },
    /// Ask that one; or, if `done`, that one is the point's successor.
    Next { transaction: u32, done: bool, peer: Peer },
    /// Whom do you have around you?
    Neighbours { transaction: u32 },
    /// My predecessor, if I know it, and my successors.
    Around { transaction: u32, predecessor: Option<Peer>, successors: Vec<Peer> },
    /// I may be your predecessor.
    Notify { peer: Peer },
}

/// A peer: its point and its IPv4 endpoint.
const PEER_LEN: usize = 8 + 6;

impl Message {
    pub(super) fn encode(&self) -> Vec<u8> {
        let (kind, transaction, point, peers): (u8, u32, u64, Vec<Peer>) = match self {
            Self::WhoIsNext { transaction, point } => (0, *transaction, *point, vec![]),
            Self::Next { transaction, done, peer } => (1 + u8::from(*done), *transaction, 0, vec![*peer]),
            Self::Neighbours { transaction } => (3, *transaction, 0, vec![]),
            Self::Around { transaction, predecessor, successors } => {
                let peers = predecessor.iter().chain(successors).copied().collect();
                (4 + u8::from(predecessor.is_some()), *transaction, 0, peers)
            }
            Self::Notify { peer } => (6, 0, 0, vec![*peer]),
        };
        let mut bytes = vec![kind];
        bytes.extend(transaction.to_be_bytes());
        bytes.extend(point.to_be_bytes());
        for peer in peers {
            bytes.extend(peer.point.to_be_bytes());
            bytes.extend(CompactAddr::new(&peer.addr).as_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&kind, rest) = bytes.split_first()?;
        let (transaction, rest) = rest.split_first_chunk()?;
        let (point, rest) = rest.split_first_chunk()?;
        let (transaction, point) = (u32::from_be_bytes(*transaction), u64::from_be_bytes(*point));
        let mut peers = rest.chunks(PEER_LEN).map(decode_peer).collect::<Option<Vec<Peer>>>()?;
        Some(match kind {
            0 => Self::WhoIsNext { transaction, point },
            1 | 2 => Self::Next { transaction, done: kind == 2, peer: peers.pop()? },
            3 => Self::Neighbours { transaction },
            4 => Self::Around { transaction, predecessor: None, successors: peers },
            5 => {
                let successors = peers.split_off(peers.len().min(1));
                Self::Around { transaction, predecessor: Some(peers.pop()?), successors }
            }
            6 => Self::Notify { peer: peers.pop()? },
            _ => return None,
        })
    }
}

fn decode_peer(bytes: &[u8]) -> Option<Peer> {
    let (point, addr) = bytes.split_first_chunk()?;
    Some(Peer { point: u64::from_be_bytes(*point), addr: decode_addr(addr)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_round_trip() {
        let peer = |point| Peer { point, addr: "10.1.2.3:4000".parse().unwrap() };
        let around = |predecessor, successors| Message::Around { transaction: 7, predecessor, successors };
        for message in [
            Message::WhoIsNext { transaction: 1, point: u64::MAX },
            Message::Next { transaction: 2, done: true, peer: peer(3) },
            Message::Next { transaction: 2, done: false, peer: peer(3) },
            Message::Neighbours { transaction: 4 },
            around(None, vec![]),
            around(None, vec![peer(1), peer(2)]),
            around(Some(peer(9)), vec![peer(1), peer(2)]),
            Message::Notify { peer: peer(5) },
        ] {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
        assert_eq!(Message::decode(b""), None);
        assert_eq!(Message::decode(&[9; 13]), None);
    }
}
