//! The handshake (BEP 3, peer protocol): the first 68 bytes of each direction.

use crate::engine::id::InfoHash;

/// Bytes of a handshake.
pub const LEN: usize = 68;
/// The length of the protocol's name, and the name.
pub(super) const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";
/// The reserved bit of a client that knows extensions: in the sixth of the eight reserved bytes (BEP 10).
const EXTENSIONS: (usize, u8) = (25, 0x10);

/// Our name when we ask a client for something (BEP 20): a program of two letters, and then random bytes.
#[must_use]
pub const fn own_name(mut random: [u8; 20]) -> [u8; 20] {
    let (program, _) = random.split_at_mut(8);
    program.copy_from_slice(b"-TK0100-");
    random
}

/// The program and version that a client names (BEP 20), as Azureus does it, `qB4630`, or as the mainline client, `M7-10-5`.
/// Nothing where it has another way.
#[must_use]
pub fn program(peer_id: &[u8; 20]) -> Option<String> {
    let [b'-', name @ .., b'-'] = &peer_id[..8] else { return dashed(peer_id) };
    name.iter().all(u8::is_ascii_alphanumeric).then(|| String::from_utf8_lossy(name).into_owned())
}

/// A letter, perhaps a digit, and numbers, each after a dash: also `A2-1-36-0` of aria2.
fn dashed(peer_id: &[u8; 20]) -> Option<String> {
    const MOST_NUMBERS: usize = 3;
    let is_number = |part: &&[u8]| matches!(part.len(), 1 | 2) && part.iter().all(u8::is_ascii_digit);
    let mut parts = peer_id.split(|byte| *byte == b'-');
    let head =
        parts.next().filter(|head| matches!(head, [letter] | [letter, b'0'..=b'9'] if letter.is_ascii_alphabetic()))?;
    let numbers: Vec<&[u8]> = parts.take_while(is_number).take(MOST_NUMBERS).collect();
    let name = [&[head], &numbers[..]].concat().join(&b'-');
    (numbers.len() >= 2).then(|| String::from_utf8_lossy(&name).into_owned())
}

/// What a client says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The torrent that the connection is about.
    pub info_hash: InfoHash,
    /// The name of the client (BEP 20).
    pub peer_id: [u8; 20],
    /// Whether it knows extensions (BEP 10).
    pub extensions: bool,
}

impl Handshake {
    /// The bytes. Of the reserved bits only the one for extensions is ever set.
    #[must_use]
    pub fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..20].copy_from_slice(PROTOCOL);
        let (place, bit) = EXTENSIONS;
        bytes[place] = if self.extensions { bit } else { 0 };
        bytes[28..48].copy_from_slice(self.info_hash.as_bytes());
        bytes[48..].copy_from_slice(&self.peer_id);
        bytes
    }

    /// Reads a handshake; `None` for another protocol.
    #[must_use]
    pub fn decode(bytes: &[u8; LEN]) -> Option<Self> {
        let (place, bit) = EXTENSIONS;
        let (head, rest) = bytes.split_at(28);
        let (info_hash, peer_id) = rest.split_first_chunk::<20>()?;
        let peer_id = *peer_id.first_chunk::<20>()?;
        head.starts_with(PROTOCOL).then_some(Self {
            info_hash: InfoHash::new(*info_hash),
            peer_id,
            extensions: head[place] & bit != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn handshakes_round_trip(info_hash: [u8; 20], peer_id: [u8; 20], extensions: bool) {
            let handshake = Handshake { info_hash: InfoHash::new(info_hash), peer_id, extensions };
            prop_assert_eq!(Handshake::decode(&handshake.encode()), Some(handshake));
        }
    }

    #[test]
    fn a_program_names_itself() {
        assert_eq!(program(&own_name([0; 20])), Some("TK0100".to_owned()));
        assert_eq!(program(b"M7-3-5--xxxxxxxxxxxx"), Some("M7-3-5".to_owned()));
        assert_eq!(program(b"A2-1-36-0-7-xxxxxxxx"), Some("A2-1-36-0".to_owned()));
        for none in [
            b"M7-3--xxxxxxxxxxxxxx",
            b"Mx-3-5--xxxxxxxxxxxx",
            b"M7-3-500-xxxxxxxxxxx",
            b"77-3-5--xxxxxxxxxxxx",
            &[b'-'; 20],
        ] {
            assert_eq!(program(none), None, "{}", String::from_utf8_lossy(none));
        }
        assert_eq!(program(b"-q\x1b[31m-xxxxxxxxxxxx"), None);
    }

    #[test]
    fn another_protocol_is_no_handshake() {
        let mut bytes = Handshake { info_hash: InfoHash::new([0; 20]), peer_id: [1; 20], extensions: true }.encode();
        bytes[19] ^= 1;
        assert_eq!(Handshake::decode(&bytes), None);
        assert_eq!(Handshake::decode(&[0; LEN]), None);
    }
}
